"""uninstall with more disks than one: which go, in which order, and what the same line finds after a cut."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from autoinstall import block, gpt
from autoinstall.drawing import removal_text
from autoinstall.errors import Refused
from autoinstall.facts import Disk, MemberMark, NodeMark, Signature
from autoinstall.fromedium import select_node
from autoinstall.host import Host
from autoinstall.pin import removal_digest
from autoinstall.plan import make_plan
from autoinstall.report.sinks import Memory
from autoinstall.request import Action
from autoinstall.select import NO_NODE
from autoinstall.sizes import GIB, MIB
from autoinstall.steps import install_steps, removal_steps
from autoinstall.steps.disk import Clear, TearDown
from autoinstall.uninstall import make_removal
from tests.unit.machines import VDA, VDB, asked
from tests.unit.test_many_disks import ID, TABLE, VDC, _facts

NODE = replace(VDA, node=NodeMark(ID, finished=True))
MEMBER = replace(VDB, member=MemberMark(ID, "HostVG", finished=True), signatures=TABLE)
STRANGER = replace(VDC, member=MemberMark(UUID(int=3), "AppVG", finished=True))


@pytest.mark.parametrize("line", ["uninstall", "uninstall storage_init=/dev/vda,/dev/vdb"])
def test_uninstall_takes_every_disk_of_the_install_and_no_other(line: str) -> None:
    removal = make_removal(asked(line), _facts(NODE, STRANGER, MEMBER))
    assert [disk.path for disk in removal.disks] == ["/dev/vdb", "/dev/vda"]
    assert removal.has_stack
    steps = removal_steps(removal, [(disk, ()) for disk in removal.disks])
    assert [step.title for step in steps][-1] == "Clearing /dev/vdb and /dev/vda"
    assert f"lost   HostVG of the node {ID}" in removal_text(removal)
    assert "after  nothing: the disks are blank\n" in removal_text(removal)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("uninstall storage_init=/dev/vda", "is not on the disks of storage_init, but on"),
        ("uninstall storage_init=/dev/vda,/dev/vdb,/dev/vdc", "is not on the disks of storage_init, but on"),
        ("uninstall storage_init=/dev/vdb", "/dev/vdb (32.0 GiB, virtio, serial OTHER) carries no node of ours"),
    ],
)
def test_uninstall_is_refused_where_storage_init_means_other_disks(line: str, says: str) -> None:
    with pytest.raises(Refused) as caught:
        make_removal(asked(line), _facts(NODE, MEMBER, VDC))
    assert says in str(caught.value)


def test_a_member_in_use_is_refused_by_uninstall_too() -> None:
    with pytest.raises(Refused, match="/dev/vdb is in use"):
        make_removal(asked("uninstall"), _facts(NODE, replace(MEMBER, in_use=("/dev/vdb1 is mounted on /x",))))


def test_a_partition_that_somebody_put_behind_a_node_keeps_it_from_being_taken_away() -> None:
    scratch = replace(NODE, node=NodeMark(ID, finished=True, strangers=("scratch",)))
    for line in ("uninstall", "uninstall storage_init=/dev/vda"):
        with pytest.raises(Refused, match="'scratch' that is none of the node's"):
            make_removal(asked(line), _facts(scratch))


def test_a_disk_of_a_node_that_is_another_systems_by_now_keeps_it_from_being_taken_away() -> None:
    taken = replace(
        MEMBER, member=MemberMark(ID, "HostVG", finished=False), signatures=(Signature("/dev/vdb", "dos"),)
    )
    with pytest.raises(Refused, match="serial OTHER\\) holds what is none of the node's:"):
        make_removal(asked("uninstall"), _facts(NODE, taken))


HALF_GONE = replace(VDA, node=NodeMark(ID, finished=False))


@pytest.mark.parametrize("line", ["uninstall", "uninstall storage_init=/dev/vda,/dev/vdb"])
@pytest.mark.parametrize("member", [replace(VDB, member=MemberMark(ID, "HostVG", finished=False)), VDB])
def test_the_same_line_goes_on_with_a_removal_that_was_cut(line: str, member: Disk) -> None:
    there = member.member is not None
    removal = make_removal(asked(line), _facts(HALF_GONE, STRANGER, member))
    assert [disk.path for disk in removal.disks] == ["/dev/vdb"] * (there or "vdb" in line) + ["/dev/vda"]
    assert not removal.has_stack


def test_a_disk_with_something_else_by_now_is_no_part_of_a_removal_that_was_cut() -> None:
    with pytest.raises(Refused, match="is not on the disks of storage_init, but on"):
        make_removal(
            asked("uninstall storage_init=/dev/vda,/dev/vdb"), _facts(HALF_GONE, replace(VDB, signatures=TABLE))
        )


def test_a_pin_of_a_removal_is_of_all_its_disks_and_holds_after_a_cut() -> None:
    line = "uninstall storage_init=/dev/vda,/dev/vdb,/dev/vdc"
    third = replace(MEMBER, path="/dev/vdc", serial="THIRD")

    def made(*disks: Disk) -> str:
        return removal_digest(make_removal(asked(line if len(disks) > 2 else "uninstall"), _facts(*disks)))

    whole = made(NODE, MEMBER, third)
    assert made(NODE, replace(third, path="/dev/vdb"), replace(MEMBER, path="/dev/vdc")) == whole
    assert made(HALF_GONE, VDB, replace(third, signatures=())) == whole
    assert len({whole, made(NODE, MEMBER), made(NODE), made(NODE, replace(MEMBER, serial="X"))}) == 4


def test_a_removal_takes_the_stack_apart_and_leaves_the_tables_that_tell_of_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """blivet on paper: a VG on partitions of two disks, an array of partitions of the first."""
    group, array = SimpleNamespace(name="HostVG"), SimpleNamespace(name="md0")
    parts = {name: SimpleNamespace(name=name, children=[group]) for name in ("vda7", "vdb1")}
    disks = {
        name: SimpleNamespace(name=name, children=[parts[part]]) for name, part in (("vda", "vda7"), ("vdb", "vdb1"))
    }
    disks["vda"].children.append(SimpleNamespace(name="vda8", children=[array]))
    removed: list[str] = []

    class Storage:
        exclusive_disks: tuple[str, ...] = ()
        devicetree = SimpleNamespace(
            get_device_by_path=lambda path: disks[Path(path).name], actions=SimpleNamespace(find=list)
        )

        def reset(self) -> None:
            """There is nothing to read."""

        do_it = reset

        def recursive_remove(self, device: SimpleNamespace) -> None:
            removed.append(device.name)
            for part in parts.values():
                part.children = [child for child in part.children if child is not device]

    monkeypatch.setitem(sys.modules, "blivet", SimpleNamespace(Blivet=Storage))
    monkeypatch.setattr(block, "claim", lambda path: None)
    host = Host()
    monkeypatch.setattr(host, "hold", lambda claimed: None)
    tear_down = removal_steps(make_removal(asked("uninstall"), _facts(NODE, MEMBER)), [])[1]
    tear_down.apply(host)
    assert sorted(removed) == ["HostVG", "md0"]
    removed.clear()
    TearDown(("/dev/vda", "/dev/vdb"), has_stack=True).apply(host)
    assert removed == ["vda", "vdb"]
    removed.clear()
    plan = make_plan(asked("storage_init=/dev/vda,/dev/vdb reinstall"), _facts(NODE, VDB))
    of_install = install_steps(plan, Memory())[2]
    assert isinstance(of_install, TearDown)
    replace(of_install, has_stack=True).apply(host)
    assert removed == ["md0", "vdb"]


def test_of_all_disks_the_first_sector_goes_before_anything_else_and_the_tables_go_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrote: list[tuple[str, int, int]] = []
    monkeypatch.setattr(block, "write_zeros", lambda *write: wrote.append(write))
    monkeypatch.setattr(block, "forget_partitions", lambda path: None)
    entry = gpt.Entry(UUID(int=1), UUID(int=2), 2048, 1 << 20, "HostVG")
    Clear(((VDB, (entry,)), (VDA, ()))).apply(Host())
    assert wrote[:2] == [("/dev/vdb", 0, 512), ("/dev/vda", 0, 512)]
    assert wrote[2:] == [
        ("/dev/vdb", MIB, MIB), ("/dev/vdb", (1 << 29) + 512 - MIB, MIB),
        ("/dev/vdb", 31 * GIB + 1023 * MIB, MIB), ("/dev/vdb", 0, MIB),
        ("/dev/vda", 15 * GIB + 1023 * MIB, MIB), ("/dev/vda", 0, MIB),
    ]  # fmt: skip


BESIDE_A_NODE = "say one of: storage_init=serial:TARGET0"


@pytest.mark.parametrize(
    ("line", "disks", "hint"),
    [
        ("uninstall", (VDA, VDB), NO_NODE),
        ("upgrade", (VDA, VDB), NO_NODE),
        ("reinstall", (VDA, VDB), NO_NODE),
        ("uninstall storage_init=/dev/vdz", (NODE, VDC), BESIDE_A_NODE),
        ("upgrade storage_init=/dev/vdz", (NODE, VDC), BESIDE_A_NODE),
        ("uninstall storage_init=/dev/vdz", (VDA, VDC), NO_NODE),
        (
            "uninstall storage_init=/dev/vda,/dev/vdz",
            (NODE, MEMBER, VDC),
            "put one of these in its place: serial:TARGET0  serial:OTHER",
        ),
        ("reinstall storage_init=/dev/vdz", (NODE, VDC), f"{BESIDE_A_NODE}  storage_init=serial:THIRD"),
    ],
)
def test_what_is_about_a_node_offers_no_disk_without_one(line: str, disks: tuple[Disk, ...], hint: str) -> None:
    facts, request = _facts(*disks), asked(line)
    decide = {Action.UNINSTALL: make_removal, Action.UPGRADE: select_node, Action.INSTALL: make_plan}[request.action]
    with pytest.raises(Refused) as caught:
        decide(request, facts)
    assert caught.value.hint == hint

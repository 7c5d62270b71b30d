"""A finished node is booted, whatever of what only an install needs is not there any more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from autoinstall import install as story
from autoinstall import livenet
from autoinstall.drawing import to_text
from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts, Firmware, NodeMark
from autoinstall.host import Host
from autoinstall.image.manifest import ImageFile
from autoinstall.pin import document
from autoinstall.plan import Decision, make_plan
from autoinstall.report.events import Ending
from autoinstall.report.sinks import Memory
from autoinstall.sizes import GIB, MIB
from autoinstall.slots import Slot
from tests.unit.corpus import PATH_A, joined
from tests.unit.machines import MACHINE, MANIFEST, NIC, SR0, VDA, VDB, asked

MARK = NodeMark(UUID(int=7), finished=True)
NODE = replace(VDA, node=MARK)
A, A_B = "storage_init=serial:TARGET0", "storage_init=serial:TARGET0,serial:OTHER"
TWO_NICS = (NIC, replace(NIC, name="enp0s4", mac="52:54:00:12:34:57"))
UNREAD = "reading: Input/output error"
assert MACHINE.image
LARGE = replace(MACHINE.image, manifest=replace(MANIFEST, files=(ImageFile("root.squashfs", 1025 * MIB, "0" * 64),)))
GONE: dict[str, tuple[str, dict[str, Any]]] = {
    "a-member": (A_B, {}),
    "all-members": (f"{A} autoinstall.app_disks=nvme:ALL storage_vol=rest,Data2", {}),
    "a-member-that-cannot-be-read": (A_B, {"disks": (NODE, replace(VDB, unread=UNREAD))}),
    "a-member-in-use": (A_B, {"disks": (NODE, replace(VDB, in_use=("/dev/vdb1 is mounted on /x",)))}),
    "a-member-of-other-sectors": (
        "storage_init=/dev/vda,/dev/vda,/dev/vdb",
        {"disks": (NODE, replace(VDB, sector_bytes=4096))},
    ),
    "an-end-of-its-disk": (A, {"disks": (replace(NODE, unread=UNREAD),)}),
    "a-nic-of-the-bond": (f"{A} autoinstall.bond=bond0:enp0s3,enp0s4", {}),
    "the-management-nic": (f"{A} BOOTIF=enp9s9", {}),
    "a-link": (f"{A} BOOTIF=link", {"nics": (replace(NIC, carrier=False),)}),
    "which-nic": (f"{A} ip=192.0.2.7::192.0.2.1:24", {"nics": TWO_NICS}),
    "room-for-the-layout": (f"{A} storage_vol=10G,Root", {}),
    "room-beside-more-memory": (
        f"{A} storage_vol=47G,Root",
        {"memory_bytes": 64 * GIB, "disks": (replace(NODE, size_bytes=100 * GIB),)},
    ),
    "room-in-a-slot": (A, {"image": LARGE}),
    "what-encrypts-swap": (f"{A} swap_encrypt=Swap", {}),
    "a-feature": (f"{A} tuned=virtual-host", {}),
    "what-looks-after-paths": ("storage_init", {"disks": tuple(
        replace(disk, node=MARK) if disk.kind == "multipath" else disk for disk in joined()
    )}),
    "firmware-for-large-sectors": (A, {"disks": (replace(NODE, sector_bytes=4096),)}),
    "room-in-the-esp": (
        f"{A} storage_vol=100,EFI",
        {"disks": (replace(NODE, sector_bytes=4096),), "firmware": Firmware.UEFI},
    ),
}  # fmt: skip
"""What is not there -> a line that asks for it, and the machine."""
BY_NAME = pytest.mark.parametrize(("line", "there"), GONE.values(), ids=GONE)


def _without_nodes(facts: Facts) -> Facts:
    return replace(facts, disks=tuple(replace(disk, node=None) for disk in facts.disks))


@BY_NAME
def test_a_finished_node_stays_and_nothing_is_planned_for_it(line: str, there: dict[str, Any]) -> None:
    facts = replace(MACHINE, **{"disks": (SR0, NODE), **there})
    with pytest.raises(Refused):
        make_plan(asked(line), _without_nodes(facts))
    plan = make_plan(asked(line), facts)
    assert plan.decision is Decision.ALREADY_INSTALLED
    assert plan.target.node == MARK
    assert plan.layout.install_id == MARK.install_id
    assert not (
        plan.members or plan.layout.partitions or plan.layout.volumes or plan.slots or plan.files or plan.lost
    )
    assert "finished, and stays as it is" in to_text(plan)
    assert document(plan)["plan"]["decision"] == "already-installed"


def test_what_could_not_be_read_of_a_disk_with_a_node_is_told() -> None:
    plan = make_plan(asked(A), replace(MACHINE, disks=(replace(NODE, unread=UNREAD),)))
    assert [UNREAD in warning for warning in plan.warnings] == [True]


OTHER_NODE = replace(VDB, node=NodeMark(UUID(int=8), finished=True))


@pytest.mark.parametrize(
    ("line", "disks", "says"),
    [
        ("storage_init=serial:NOSUCH", (NODE,), "fits no disk of this machine"),
        ("storage_init", (NODE, VDB), "fits 2 disks"),
        (A, (replace(NODE, in_use=("/dev/vda5 is mounted on /x",)),), "is in use: /dev/vda5 is mounted on /x"),
        (A, (NODE, OTHER_NODE), "a node of ours is already on /dev/vdb"),
        (A, (replace(NODE, node=replace(MARK, from_backup=True)),), "cannot be booted"),
        (
            "storage_init=/dev/sda",
            (replace(PATH_A, node=MARK), replace(PATH_A, path="/dev/sdb")),
            "paths to one disk",
        ),
        (f"{A_B} reinstall", (NODE,), "serial:OTHER, one of several, fits no disk"),
        (f"{A_B} autoinstall.id=new", (NODE,), "serial:OTHER, one of several, fits no disk"),
        (A_B, (replace(VDA, node=replace(MARK, finished=False)),), "serial:OTHER, one of several, fits no disk"),
    ],
)
def test_what_makes_it_unclear_or_unfit_which_node_is_to_be_booted_is_refused(
    line: str, disks: tuple[Disk, ...], says: str
) -> None:
    with pytest.raises(Refused, match=says):
        make_plan(asked(line), replace(MACHINE, disks=disks))


def test_of_two_nodes_that_a_line_names_the_first_is_booted() -> None:
    plan = make_plan(asked(A_B), replace(MACHINE, disks=(NODE, OTHER_NODE)))
    assert (plan.decision, plan.target) == (Decision.ALREADY_INSTALLED, NODE)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Facts], None]:
    """A live system on these facts, up to the kexec."""

    def on(facts: Facts) -> None:
        monkeypatch.setattr(story, "probe", lambda *_: facts)

    monkeypatch.setattr(story, "find_image", lambda *_: tmp_path)
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "Hashing", lambda *_: None)
    monkeypatch.setattr(story, "load_either", lambda host, disk, sinks: Slot.B)
    monkeypatch.setattr(livenet, "RUNTIME", tmp_path / "network")
    on(MACHINE)
    return on


@pytest.mark.parametrize(
    ("node", "action", "ending"),
    [
        (MARK, "storage_init", Ending.ALREADY_INSTALLED),
        (None, "storage_init", Ending.REFUSED),
        (MARK, "reinstall", Ending.REFUSED),
        (MARK, "uninstall", Ending.REFUSED),
    ],
)
def test_an_address_that_cannot_be_had_keeps_no_machine_from_its_node(
    machine: Callable[[Facts], None], node: NodeMark | None, action: str, ending: Ending
) -> None:
    machine(replace(MACHINE, disks=(replace(VDA, node=node),)))
    told = Memory()
    result = story.install(f"{action} autoinstall.bond=bond0:enp0s3,enp0s4", Host(), [told])
    assert result.ending is ending
    said = [event.description for event in told.events if "bond0 is made of enp0s4" in event.description]
    assert len(said) == (ending is Ending.ALREADY_INSTALLED)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("local_boot_trigger=http://a/@HOSTNAME@", "stored-of-B"),
        ("local_boot_trigger=http://a/@HOSTNAME@ hostname=another", "stored-of-B"),
        ("local_boot_trigger=http://a/@HOSTNAME@ autoinstall.installed=hold", "stored-of-A"),
        ("hostname=another", ""),
    ],
)
def test_the_node_is_called_as_its_disk_says(
    machine: Callable[[Facts], None], monkeypatch: pytest.MonkeyPatch, words: str, name: str
) -> None:
    monkeypatch.setattr(story, "node_on", lambda disk: disk)
    monkeypatch.setattr(story, "stored_name", lambda host, node, slot: f"stored-of-{slot}")
    machine(replace(MACHINE, disks=(NODE,)))
    told = Memory()
    assert story.install(f"storage_init {words}", Host(), [told]).ending is Ending.ALREADY_INSTALLED
    assert told.node_name == name

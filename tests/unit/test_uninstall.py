"""uninstall: which disk, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from autoinstall import install as story
from autoinstall.cmdline import parse
from autoinstall.errors import BadWords, Refused
from autoinstall.facts import Disk, NodeMark, Signature, VolumeGroup
from autoinstall.host import Host
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Memory
from autoinstall.request import Action, request_from
from autoinstall.sizes import GIB
from autoinstall.steps import removal_steps
from autoinstall.uninstall import Removal, make_removal
from tests.unit.machines import MACHINE, VDA, VDB

NODE = replace(
    VDA,
    node=NodeMark(UUID(int=7), finished=True),
    signatures=(Signature("/dev/vda7", "LVM2_member", uuid="pv", group=VolumeGroup("HostVG", "vg")),),
)

UNDER_ANOTHER = replace(
    VDA,
    node=NodeMark(UUID(int=7), finished=False, from_backup=True),
    signatures=(
        Signature("/dev/vda", "dos", size_bytes=16 * GIB),
        Signature("/dev/vda1", "ext4", "customers", size_bytes=10 * GIB),
    ),
)
"""Its first sectors are another system's."""
UNDER_SWAP = replace(
    VDA,
    node=NodeMark(UUID(int=7), finished=True, from_backup=True),
    signatures=(Signature("/dev/vda", "swap", size_bytes=16 * GIB),),
)
"""mkswap leaves the first two sectors of a disk with a table."""


def _removal(line: str, *disks: Disk) -> Removal:
    return make_removal(request_from(parse(line)), replace(MACHINE, disks=disks))


@pytest.mark.parametrize("line", ["uninstall", "uninstall storage_init=serial:TARGET0", "storage_init uninstall=yes"])
def test_the_node_that_is_meant_goes(line: str) -> None:
    disks = (NODE,) if line.startswith("storage_init") else (NODE, VDB)
    removal = _removal(line, *disks)
    assert removal.target == NODE
    assert [step.name for step in removal_steps(removal, ())] == ["claim", "tear-down", "clear"]
    assert removal.has_stack


def test_a_half_made_node_goes_too() -> None:
    half = replace(VDA, node=NodeMark(UUID(int=7), finished=False))
    assert not _removal("uninstall", half).has_stack


def test_a_node_goes_whose_table_is_seen_by_its_backup() -> None:
    table = Signature("/dev/vda", "gpt", uuid=str(UUID(int=7)), size_bytes=16 * GIB)
    half = replace(VDA, node=NodeMark(UUID(int=7), finished=True, from_backup=True), signatures=(table,))
    assert _removal("uninstall", half).target == half


@pytest.mark.parametrize(
    ("line", "disks", "says"),
    [
        (
            "uninstall",
            (VDA, VDB),
            "reinstall, upgrade or uninstall without storage_init fits no disk of this machine",
        ),
        ("uninstall", (NODE, replace(NODE, path="/dev/vdb", serial="OTHER")), "fits 2 disks"),
        ("uninstall storage_init=/dev/vdb", (NODE, VDB), "/dev/vdb (32.0 GiB, virtio, serial OTHER) carries no node"),
        ("uninstall", (replace(NODE, in_use=("/dev/dm-0 is swap",)),), "/dev/vda is in use: /dev/dm-0 is swap"),
        ("uninstall", (NODE, replace(VDB, signatures=NODE.signatures)), "VG HostVG is on /dev/vda, and on /dev/vdb"),
        ("uninstall storage_init=/dev/vda", (replace(NODE, examined=False),), "reading it needs root"),
        ("uninstall", (UNDER_ANOTHER,), "  /dev/vda1: ext4 'customers', 10.0 GiB"),
        ("uninstall storage_init=/dev/vda", (UNDER_ANOTHER,), "holds what is none of the node's:"),
        ("uninstall", (UNDER_SWAP,), "  /dev/vda: swap, 16.0 GiB"),
    ],
)
def test_what_may_not_go_is_refused(line: str, disks: tuple[Disk, ...], says: str) -> None:
    with pytest.raises(Refused, match=r"(?s).*") as caught:
        _removal(line, *disks)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("uninstall reinstall", "uninstall: the line says reinstall too"),
        ("uninstall autoinstall.after=kexec", "there is no node left for autoinstall.after=kexec"),
        ("uninstall uninstall=no", "uninstall is given more than once, with different values"),
    ],
)
def test_a_line_that_contradicts_itself_is_refused(line: str, says: str) -> None:
    with pytest.raises(BadWords, match=says):
        request_from(parse(line))


def test_rescue_wins() -> None:
    assert request_from(parse("uninstall rescue")).action is Action.RESCUE


def test_a_dry_run_tells_what_would_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "find_image", lambda *_: None)
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: replace(MACHINE, disks=(NODE,)))
    told = Memory()
    result = story.install("uninstall autoinstall.dry_run=no autoinstall.dry_run", Host(), [told])
    assert result.ending is Ending.PLANNED
    assert [event.description for event in told.events] == [
        "autoinstall.dry_run is given more than once; the last one counts"
    ]
    assert result.detail["removal"]["target"]["serial"] == "TARGET0"


def test_the_machine_is_left_as_after_an_installation() -> None:
    gone = Result(Ending.UNINSTALLED, 0)
    assert story.leaving_unit("uninstall", gone) == "autoinstall-reboot.service"
    assert story.leaving_unit("uninstall autoinstall.after=poweroff", gone) == "autoinstall-poweroff.service"
    assert story.leaving_unit("uninstall autoinstall.after=hold", gone) is None

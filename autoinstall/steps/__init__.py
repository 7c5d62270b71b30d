"""Steps: the plan made true, one noun a file. A step holds just its part of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoinstall.execute import Step
from autoinstall.facts import Disk, LiveImage
from autoinstall.gpt import Entry
from autoinstall.layout import Partition
from autoinstall.plan import Plan, SlotPlan
from autoinstall.report.sinks import Memory
from autoinstall.slots import Slot
from autoinstall.steps.bootloader import BootLoader, Commit
from autoinstall.steps.config import ConfigTree, InstallRecord
from autoinstall.steps.disk import Claim, Clear, TearDown, Wipe
from autoinstall.steps.filesystems import EmptySlot, Filesystems
from autoinstall.steps.image import Hashing, SlotImage, VerifyImage
from autoinstall.steps.partitions import MemberTables, PartitionTable
from autoinstall.steps.upgrade import CountForce, Disarm, Flip, FreeSlot
from autoinstall.steps.volumes import CloseVolumeGroup, VolumeGroup
from autoinstall.uninstall import Removal


@dataclass(frozen=True)
class MadeAnew:
    """The slot that an upgrade makes anew. `claimed` is its disk where no node runs from it: ours alone then.

    `forced`: by the line of a medium, which counts once.
    """

    slot: SlotPlan
    partition: Partition
    disk: str
    tries: int
    claimed: Disk | None = None
    forced: bool = False


BOOT_FILES = Path("/usr/lib/autoinstall/boot")
"""Where the build put GRUB, inside the image that runs."""


def install_steps(plan: Plan, told: Memory, hashing: Hashing | None = None) -> Sequence[Step]:
    """The steps of an install, in order. Up to and with the claim nothing is written; the last one commits."""
    disk = plan.target.path
    layout, image = plan.layout, plan.image
    groups = {group: _places(plan, group) for group in layout.groups}
    return [
        VerifyImage(image, hashing),
        Claim(plan.disks, plan.has_stack),
        _tear_down(plan.disks, plan.has_stack),
        Wipe(plan.tables),
        PartitionTable(plan.tables),
        *(VolumeGroup(layout, group, places) for group, places in groups.items()),
        Filesystems(layout, disk, groups),
        *(SlotImage(image, slot, layout.partition(slot.partition_label), disk) for slot in plan.slots),
        BootLoader(layout, disk, BOOT_FILES),
        *(CloseVolumeGroup(layout, group, places) for group, places in groups.items()),
        ConfigTree(layout, disk, plan.files),
        InstallRecord(plan, told),
        *([MemberTables(plan.tables[1:])] if plan.members else []),
        Commit(layout, disk, BOOT_FILES),
    ]


def upgrade_steps(made: MadeAnew, image: LiveImage, hashing: Hashing | None = None) -> Sequence[Step]:
    """The steps of an upgrade, in order. The last one commits.

    Until the image was found whole, and its slot free, nothing is written.
    """
    target, disk = Slot(made.slot.slot), made.disk
    return [
        VerifyImage(image, hashing),
        *([Claim((made.claimed,), has_stack=False)] if made.claimed else []),
        FreeSlot(target, disk),
        *([CountForce(image.manifest.image_id, disk)] if made.forced else []),
        Disarm(target, disk),
        EmptySlot(made.partition, disk),
        SlotImage(image, made.slot, made.partition, disk),
        Flip(target, made.tries, disk),
    ]


def removal_steps(removal: Removal, tables: Sequence[tuple[Disk, Sequence[Entry]]]) -> Sequence[Step]:
    """The steps that take a node off its disks, which have these partitions."""
    return [
        Claim(removal.disks, removal.has_stack),
        _tear_down(removal.disks, removal.has_stack),
        Clear(tuple((disk, tuple(partitions)) for disk, partitions in tables)),
    ]


def _tear_down(disks: Sequence[Disk], has_stack: bool) -> TearDown:
    marked = ((disk.path, disk.node or disk.member) for disk in disks)
    nodes = tuple(path for path, mark in marked if mark and mark.finished)
    return TearDown(tuple(disk.path for disk in disks), has_stack, nodes)


def _places(plan: Plan, group: str) -> tuple[tuple[str, int], ...]:
    """Where a group's physical volumes are: paths of disks, and numbers of partitions."""
    return tuple(
        (path, part.number) for path, table in plan.tables for part in table.partitions if part.label == group
    )

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
from autoinstall.steps.partitions import PartitionTable
from autoinstall.steps.upgrade import Disarm, Flip
from autoinstall.steps.volumes import CloseVolumeGroup, VolumeGroup
from autoinstall.uninstall import Removal


@dataclass(frozen=True)
class MadeAnew:
    """The slot that an upgrade makes anew. `claimed` is its disk where no node runs from it: ours alone then."""

    slot: SlotPlan
    partition: Partition
    disk: str
    tries: int
    claimed: Disk | None = None


BOOT_FILES = Path("/usr/lib/autoinstall/boot")
"""Where the build put GRUB, inside the image that runs."""


def install_steps(plan: Plan, told: Memory, hashing: Hashing) -> Sequence[Step]:
    """The steps of an install, in order. Up to and with the claim nothing is written; the last one commits."""
    disk = plan.target.path
    layout, image = plan.layout, plan.image
    return [
        VerifyImage(image, hashing),
        Claim(plan.target, plan.has_stack),
        TearDown(disk, plan.has_stack),
        Wipe(layout, disk),
        PartitionTable(layout, disk),
        VolumeGroup(layout, disk),
        Filesystems(layout, disk),
        *(SlotImage(image, slot, layout.partition(slot.partition_label), disk) for slot in plan.slots),
        BootLoader(layout, disk, BOOT_FILES),
        CloseVolumeGroup(layout, disk),
        ConfigTree(layout, disk, plan.files),
        InstallRecord(plan, told),
        Commit(layout, disk, BOOT_FILES),
    ]


def upgrade_steps(made: MadeAnew, image: LiveImage) -> Sequence[Step]:
    """The steps of an upgrade, in order. Until the image was found whole nothing is written; the last one commits."""
    target, disk = Slot(made.slot.slot), made.disk
    return [
        VerifyImage(image),
        *([Claim(made.claimed, has_stack=False)] if made.claimed else []),
        Disarm(target, disk),
        EmptySlot(made.partition, disk),
        SlotImage(image, made.slot, made.partition, disk),
        Flip(target, made.tries, disk),
    ]


def removal_steps(removal: Removal, partitions: Sequence[Entry]) -> Sequence[Step]:
    """The steps that take a node with these partitions off its disk."""
    disk = removal.target
    return [Claim(disk, removal.has_stack), TearDown(disk.path, removal.has_stack), Clear(disk, tuple(partitions))]

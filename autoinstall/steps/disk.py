"""The disk as a whole: ours alone, torn down, blank."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoinstall import block
from autoinstall.errors import ToolFailed
from autoinstall.facts import Disk
from autoinstall.gpt import Entry
from autoinstall.host import Host, Run
from autoinstall.layout import Layout, holes
from autoinstall.sizes import MIB

EDGE_BYTES = MIB
"""How much of each end of a partition is made zero: more than any signature's distance from its edge."""


@dataclass(frozen=True)
class Claim:
    """The disk is still the one that the plan was made for, and nobody else may use it from here on.

    What is stacked on it (`has_stack`) may hold it still: that is taken apart next, and the disk claimed then.
    """

    disk: Disk
    has_stack: bool

    name = "claim"
    writes = False

    @property
    def title(self) -> str:
        return f"Claiming {self.disk.path}"

    def why_not(self, host: Host) -> str:
        if not block.is_block_device(self.disk.path):
            return "it is gone"
        now = block.size_bytes(self.disk.path)
        return "" if now == self.disk.size_bytes else f"it has {now} bytes now, planned were {self.disk.size_bytes}"

    def apply(self, host: Host) -> None:
        if not self.has_stack:
            host.hold(block.claim(self.disk.path))

    def why_not_done(self, host: Host) -> str:
        return ""


@dataclass(frozen=True)
class TearDown:
    """LVM, MD, crypt and what else is stacked on the disk is taken apart, in the right order, by blivet.

    blivet is imported only where there is a stack: that alone takes seconds, and its populator activates
    what it finds. Each of its actions is told.
    """

    disk: str
    has_stack: bool

    name = "tear-down"
    writes = True

    @property
    def title(self) -> str:
        return f"Taking apart what is stacked on {self.disk}" if self.has_stack else f"No stack on {self.disk}"

    def why_not(self, host: Host) -> str:
        return ""

    def apply(self, host: Host) -> None:
        if not self.has_stack:
            return
        try:
            _tear_down_with_blivet(self.disk, host.note)
        except Exception as error:
            raise ToolFailed(f"{self.title}: blivet: {error}", hint="see the journal") from error
        host.hold(block.claim(self.disk))

    def why_not_done(self, host: Host) -> str:
        holders = block.holders(self.disk)
        return f"still held by {', '.join(holders)}" if holders else ""


@dataclass(frozen=True)
class Clear:
    """Nothing of the node is left that looks like anything, and the disk is blank to every program.

    `partitions` are those of its table as it was: blivet takes that too. Where blivet was not needed sector 0 goes
    first and the rest of the table last, so that the same line finds the node again, unfinished, after a cut.
    """

    disk: Disk
    partitions: tuple[Entry, ...]

    name = "clear"
    writes = True

    @property
    def title(self) -> str:
        return f"Clearing {self.disk.path}"

    def why_not(self, host: Host) -> str:
        return ""

    def apply(self, host: Host) -> None:
        path, sector, size = self.disk.path, self.disk.sector_bytes, self.disk.size_bytes
        block.write_zeros(path, 0, sector)
        for entry in self.partitions:
            edges = entry.first_lba * sector, (entry.last_lba + 1) * sector - EDGE_BYTES
            for start in edges:
                block.write_zeros(path, start, EDGE_BYTES)
        for start in (size - EDGE_BYTES, 0):
            block.write_zeros(path, start, EDGE_BYTES)
        block.forget_partitions(path)

    def why_not_done(self, host: Host) -> str:
        return _still_carries(host, self.disk.path)


def _still_carries(host: Host, disk: str) -> str:
    left = host.run("blkid", "-p", "-o", "export", disk, doing=f"probing {disk}", how=Run(accept=(0, 2)))
    return f"{disk} still carries {left.stdout.strip()}" if left.stdout.strip() else ""


def _tear_down_with_blivet(disk: str, note: Callable[[str], None]) -> None:
    import blivet

    storage = blivet.Blivet()
    storage.exclusive_disks = [Path(disk).name]
    storage.reset()
    device = storage.devicetree.get_device_by_path(os.path.realpath(disk))
    storage.recursive_remove(device)
    for action in storage.devicetree.actions.find():
        note(f"blivet: {action}")
    storage.do_it()


@dataclass(frozen=True)
class Wipe:
    """Nothing on the disk looks like anything any more.

    Sector 0 goes first, alone: from then on the disk is not bootable, whatever is left of the old system.
    """

    layout: Layout
    disk: str

    name = "wipe"
    writes = True

    @property
    def title(self) -> str:
        return f"Wiping the signatures on {self.disk}"

    def why_not(self, host: Host) -> str:
        return ""

    def apply(self, host: Host) -> None:
        block.write_zeros(self.disk, 0, self.layout.sector_bytes)
        for start, size in holes(self.layout):
            block.write_zeros(self.disk, start, size)
        for part in self.layout.partitions:
            edge = min(EDGE_BYTES, part.size_bytes)
            block.write_zeros(self.disk, part.start_bytes, edge)
            block.write_zeros(self.disk, part.end_bytes - edge, edge)
        block.forget_partitions(self.disk)

    def why_not_done(self, host: Host) -> str:
        return _still_carries(host, self.disk)

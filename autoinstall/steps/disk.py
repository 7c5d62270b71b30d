"""The disks as wholes: ours alone, torn down, blank."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoinstall import block
from autoinstall.errors import Refused, ToolFailed
from autoinstall.facts import Disk
from autoinstall.gpt import Entry
from autoinstall.host import Host, Run
from autoinstall.layout import DiskTable, holes
from autoinstall.multipath import forget_partitions
from autoinstall.select import describe
from autoinstall.sizes import MIB

EDGE_BYTES = MIB
"""How much of each end of a partition is made zero: more than any signature's distance from its edge."""


@dataclass(frozen=True)
class Claim:
    """The disks are still those that the plan was made for, and nobody else may use them from here on.

    What is stacked on them (`has_stack`) may hold them still: that is taken apart next, and the disks claimed then.
    """

    disks: tuple[Disk, ...]
    has_stack: bool

    name = "claim"
    writes = False

    @property
    def title(self) -> str:
        return f"Claiming {_and(disk.path for disk in self.disks)}"

    def apply(self, host: Host) -> None:
        """Raises Refused."""
        from autoinstall.probe import disks  # a node, which claims no whole disk, does without

        there = {disk.path: disk for disk in disks(host, examine=False)}
        for disk in self.disks:
            _refuse_another(disk, there.get(disk.path))
        for disk in () if self.has_stack else self.disks:
            host.hold(block.claim(disk.path))

    def why_not_done(self, host: Host) -> str:
        return ""


def _refuse_another(planned: Disk, now: Disk | None) -> None:
    if now is None:
        raise Refused(f"{planned.path} is gone", hint="look at the disk and its cable")
    if _lasting(now) != _lasting(planned):
        was = f"planned was {describe(planned)}"
        raise Refused(f"{planned.path} is another disk by now, {describe(now)}; {was}", hint="start again")


def _lasting(disk: Disk) -> tuple[object, ...]:
    """What a disk keeps whatever the kernel calls it."""
    return disk.serial, disk.wwn, disk.wwid, disk.size_bytes, disk.sector_bytes


@dataclass(frozen=True)
class TearDown:
    """LVM, MD, crypt and what else is stacked on the disks is taken apart, in the right order, by blivet.

    blivet is imported only where there is a stack: that alone takes seconds, and its populator activates
    what it finds. Each of its actions is told. The partitions of the disks in `nodes`, ours, stay: until the first
    sector of such a disk is wiped, or cleared, it carries a node, and is to be taken for nothing less.
    """

    disks: tuple[str, ...]
    has_stack: bool
    nodes: tuple[str, ...] = ()

    name = "tear-down"
    writes = True

    @property
    def title(self) -> str:
        names = _and(self.disks)
        return f"Taking apart what is stacked on {names}" if self.has_stack else f"No stack on {names}"

    def apply(self, host: Host) -> None:
        if not self.has_stack:
            return
        try:
            _tear_down_with_blivet(self, host.note)
        except Exception as error:
            raise ToolFailed(f"{self.title}: blivet: {error}", hint="see the journal") from error
        for disk in self.disks:
            host.hold(block.claim(disk))

    def why_not_done(self, host: Host) -> str:
        holders = [holder for disk in self.disks for holder in block.holders(disk)]
        return f"still held by {', '.join(holders)}" if holders else ""


@dataclass(frozen=True)
class Clear:
    """Nothing of the node is left that looks like anything, and the disks are blank to every program.

    With each disk are the partitions of its table. Every sector 0 goes first and the rest of a table last, so that
    the same line finds the node again, unfinished, after a cut.
    """

    tables: tuple[tuple[Disk, tuple[Entry, ...]], ...]

    name = "clear"
    writes = True

    @property
    def title(self) -> str:
        return f"Clearing {_and(disk.path for disk, _ in self.tables)}"

    def apply(self, host: Host) -> None:
        for disk, _ in self.tables:
            block.write_zeros(disk.path, 0, disk.sector_bytes)
        for disk, partitions in self.tables:
            _clear(disk, partitions)
            forget_partitions(host, disk.path)

    def why_not_done(self, host: Host) -> str:
        return _still_carries(host, [disk.path for disk, _ in self.tables])


def _clear(disk: Disk, partitions: Sequence[Entry]) -> None:
    path, sector, size = disk.path, disk.sector_bytes, disk.size_bytes
    for entry in partitions:
        edges = entry.first_lba * sector, (entry.last_lba + 1) * sector - EDGE_BYTES
        for start in edges:
            block.write_zeros(path, start, EDGE_BYTES)
    for start in (size - EDGE_BYTES, 0):
        block.write_zeros(path, start, EDGE_BYTES)


def _still_carries(host: Host, disks: Sequence[str]) -> str:
    for disk in disks:
        left = host.run("blkid", "-p", "-o", "export", disk, doing=f"probing {disk}", how=Run(accept=(0, 2)))
        if left.stdout.strip():
            return f"{disk} still carries {left.stdout.strip()}"
    return ""


def _and(paths: Iterable[str]) -> str:
    return " and ".join(paths)


def _tear_down_with_blivet(step: TearDown, note: Callable[[str], None]) -> None:
    import blivet

    storage = blivet.Blivet()
    paths = {disk: _as_blivet_says(disk) for disk in step.disks}
    storage.exclusive_disks = [Path(path).name for path in paths.values()]
    storage.reset()
    for name, path in paths.items():
        disk = storage.devicetree.get_device_by_path(path)
        for device in _stacked_on(disk) if name in step.nodes else [disk]:
            storage.recursive_remove(device)
    for action in storage.devicetree.actions.find():
        note(f"blivet: {action}")
    storage.do_it()


def _stacked_on(disk: Any) -> Iterator[Any]:
    """What is on the partitions of a disk, each of them seen once what came before is gone."""
    for partition in list(disk.children):
        yield from list(partition.children)


def _as_blivet_says(disk: str) -> str:
    """A mapped disk has its lasting name there, and its paths count with it. What is on its partitions blivet does
    not see (3.13: it told of the partition table alone): that is inactive in a live system, and the wiping takes it.
    """
    return f"/dev/mapper/{block.mapped_name(disk)[0]}" if block.is_mapped(disk) else os.path.realpath(disk)


@dataclass(frozen=True)
class Wipe:
    """Nothing on the disks looks like anything any more.

    Sector 0 goes first, alone: from then on a disk is not bootable, whatever is left of the old system.
    """

    tables: tuple[tuple[str, DiskTable], ...]

    name = "wipe"
    writes = True

    @property
    def title(self) -> str:
        return f"Wiping the signatures on {_and(path for path, _ in self.tables)}"

    def apply(self, host: Host) -> None:
        for path, table in self.tables:
            _wipe(path, table)
            forget_partitions(host, path)

    def why_not_done(self, host: Host) -> str:
        return _still_carries(host, [path for path, _ in self.tables])


def _wipe(path: str, table: DiskTable) -> None:
    block.write_zeros(path, 0, table.sector_bytes)
    for start, size in [*holes(table), *((part.start_bytes, part.size_bytes) for part in table.partitions)]:
        edge = min(EDGE_BYTES, size)
        block.write_zeros(path, start, edge)
        block.write_zeros(path, start + size - edge, edge)

"""The partition tables: written whole, both halves, and made known to the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from autoinstall import block, gpt
from autoinstall.host import Host
from autoinstall.layout import DiskTable
from autoinstall.multipath import add_partition

NODE_LIMIT_S = 30


@dataclass(frozen=True)
class PartitionTable:
    """The planned GPTs are on the disks, without the protective MBR: that of the boot disk commits the install."""

    tables: tuple[tuple[str, DiskTable], ...]

    name = "partition-table"
    writes = True

    @property
    def title(self) -> str:
        return f"Partitioning {' and '.join(path for path, _ in self.tables)}"

    def apply(self, host: Host) -> None:
        """Backup half, flush, primary half, flush (each write is O_DSYNC); then the kernel is told."""
        for disk, planned in self.tables:
            table = gpt.render(planned)
            block.write_direct(disk, table.backup_start, table.backup)
            block.write_direct(disk, table.primary_start, table.primary)
            for part in planned.partitions:
                add_partition(host, disk, (part.number, part.start_bytes, part.size_bytes))
            host.wait_for(f"the partitions of {disk}", partial(_nodes_exist, disk, planned), NODE_LIMIT_S)

    def why_not_done(self, host: Host) -> str:
        return next(filter(None, (_differs(disk, planned) for disk, planned in self.tables)), "")


@dataclass(frozen=True)
class MemberTables:
    """Linux sees the partitions of the disks beside the boot disk too: each has its protective MBR."""

    tables: tuple[tuple[str, DiskTable], ...]

    name = "member-tables"
    writes = True

    @property
    def title(self) -> str:
        return f"Making the partitions of {' and '.join(path for path, _ in self.tables)} count"

    def apply(self, host: Host) -> None:
        for disk, planned in self.tables:
            block.write_direct(disk, 0, gpt.protective_mbr(planned))

    def why_not_done(self, host: Host) -> str:
        for disk, planned in self.tables:
            if block.read_direct(disk, 0, planned.sector_bytes) != gpt.protective_mbr(planned):
                return f"sector 0 of {disk} is not what was written"
        return ""


def _differs(disk: str, planned: DiskTable) -> str:
    table = gpt.render(planned)
    for start, half in ((table.primary_start, table.primary), (table.backup_start, table.backup)):
        if block.read_direct(disk, start, len(half)) != half:
            return f"the table of {disk} at byte {start} is not what was written"
    known = block.partition_numbers(disk)
    numbers = [part.number for part in planned.partitions]
    return "" if known == numbers else f"the kernel knows the partitions {known} of {disk}"


def _nodes_exist(disk: str, planned: DiskTable) -> bool:
    paths = (block.partition_path(disk, part.number) for part in planned.partitions)
    return all(block.is_block_device(path) for path in paths)

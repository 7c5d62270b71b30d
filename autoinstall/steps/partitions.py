"""The partition table: written whole, both halves, and made known to the kernel."""

from __future__ import annotations

from dataclasses import dataclass

from autoinstall import block, gpt
from autoinstall.host import Host
from autoinstall.layout import Layout

NODE_LIMIT_S = 30


@dataclass(frozen=True)
class PartitionTable:
    """The planned GPT is on the disk, without the protective MBR: that one commits the install."""

    layout: Layout
    disk: str

    name = "partition-table"
    writes = True

    @property
    def title(self) -> str:
        return f"Partitioning {self.disk}"

    def why_not(self, host: Host) -> str:
        return ""

    def apply(self, host: Host) -> None:
        """Backup half, flush, primary half, flush (each write is O_DSYNC); then the kernel is told."""
        table = gpt.render(self.layout)
        block.write_direct(self.disk, table.backup_start, table.backup)
        block.write_direct(self.disk, table.primary_start, table.primary)
        for part in self.layout.partitions:
            block.add_partition(self.disk, (part.number, part.start_bytes, part.size_bytes))
        host.wait_for(f"the partitions of {self.disk}", self._nodes_exist, NODE_LIMIT_S)

    def why_not_done(self, host: Host) -> str:
        table = gpt.render(self.layout)
        halves = ((table.primary_start, table.primary), (table.backup_start, table.backup))
        for start, planned in halves:
            if block.read_direct(self.disk, start, len(planned)) != planned:
                return f"the table at byte {start} is not what was written"
        known = block.partition_numbers(self.disk)
        planned_numbers = [part.number for part in self.layout.partitions]
        return "" if known == planned_numbers else f"the kernel knows the partitions {known}"

    def _nodes_exist(self) -> bool:
        paths = (block.partition_path(self.disk, part.number) for part in self.layout.partitions)
        return all(block.is_block_device(path) for path in paths)

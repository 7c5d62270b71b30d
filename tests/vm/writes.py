"""What a machine wrote to a disk, in order, and the disk as it was at any moment of it.

The log is QEMU's blklogwrites, in the format of the kernel's dm-log-writes: a superblock (magic, version, number
of entries, sector size), then per entry one sector (sector, number of sectors, flags, length) and its data.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x6A736677736872
SUPERBLOCK = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD = 1, 2, 4


@dataclass(frozen=True)
class Write:
    """One entry. A flush has no data; a discard has none either, but a length."""

    start_bytes: int
    size_bytes: int
    flags: int
    log_offset: int

    @property
    def is_data(self) -> bool:
        """Bytes were written."""
        return bool(self.size_bytes) and not self.flags & DISCARD

    @property
    def end_bytes(self) -> int:
        """The first byte behind it."""
        return self.start_bytes + self.size_bytes


class WriteLog:
    """A finished log, read entry by entry."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            magic, _, self.count, self.sector = SUPERBLOCK.unpack(file.read(SUPERBLOCK.size))
        assert magic == MAGIC, f"{path} is not a log of writes"

    def __iter__(self) -> Iterator[Write]:
        offset = self.sector
        with self.path.open("rb") as file:
            for _ in range(self.count):
                file.seek(offset)
                sector, sectors, flags, _ = ENTRY.unpack(file.read(ENTRY.size))
                offset += self.sector
                write = Write(sector * self.sector, sectors * self.sector, flags, offset)
                offset += write.size_bytes if write.is_data else 0
                yield write

    def data(self, write: Write) -> bytes:
        """What was written."""
        with self.path.open("rb") as file:
            file.seek(write.log_offset)
            return file.read(write.size_bytes)

    def replay(self, disk: Path, count: int) -> None:
        """Make a blank disk what it was after the first `count` entries."""
        with disk.open("r+b") as file:
            for number, write in enumerate(self):
                if number == count:
                    return
                if write.is_data:
                    file.seek(write.start_bytes)
                    file.write(self.data(write))


def written(log: Path) -> list[Write]:
    """The writes of data in a log; QEMU writes its head with the first of them."""
    return [write for write in WriteLog(log) if write.is_data] if log.stat().st_size else []

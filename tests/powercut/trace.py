"""A trace: a stretch of a log of writes, what was told during it, and the bytes themselves."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.powercut.marks import Mark
from tests.vm import writes

SECTOR = 512
ZEROS = bytes(SECTOR)


class Store:
    """Sectors by number: those of the log's file, and behind them those that somebody made up."""

    def __init__(self, path: Path | None = None) -> None:
        self._log: mmap.mmap | bytes = b""
        if path:
            with path.open("rb") as file:
                self._log = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._here = len(self._log) // SECTOR
        self._more = bytearray()
        self.hashes = array("q", bytes(8 * self._here))
        """Of each sector, 0 for zeros; good for this process."""

    def read(self, number: int, count: int = 1) -> bytes:
        """Sectors that lie behind each other."""
        if number < self._here:
            return self._log[number * SECTOR : (number + count) * SECTOR]
        start = (number - self._here) * SECTOR
        return bytes(self._more[start : start + count * SECTOR])

    def know(self, number: int, count: int) -> None:
        """Look at sectors of the log, once."""
        data = self.read(number, count)
        for index in range(count):
            piece = data[index * SECTOR : (index + 1) * SECTOR]
            self.hashes[number + index] = 0 if piece == ZEROS else hash(piece) or 1

    def add(self, data: bytes) -> int:
        """Make sectors up; the number of the first."""
        assert len(data) % SECTOR == 0
        number, count = self._here + len(self._more) // SECTOR, len(data) // SECTOR
        self._more += data
        self.hashes.extend([0] * count)
        self.know(number, count)
        return number


@dataclass(frozen=True)
class Entry:
    """A write of `count` sectors to `sector` on; their content is `data` and what lies behind it in the store.

    A flush writes nothing, and neither does a discard: what it leaves is not to be relied upon.
    """

    sector: int
    count: int
    data: int
    is_flush: bool = False
    is_durable: bool = False

    @property
    def end(self) -> int:
        """The first sector behind it."""
        return self.sector + self.count


NOTHING = Entry(0, 0, 0)
FLUSH = Entry(0, 0, 0, is_flush=True)


@dataclass(frozen=True)
class Trace:
    """Entries `begin` to `end` are those that are cut; the ones before made the disk that it starts with."""

    name: str
    entries: Sequence[Entry]
    begin: int
    end: int
    marks: Sequence[Mark]
    store: Store

    def epochs(self) -> Iterator[tuple[int, int]]:
        """Stretches between two flushes: the first entry, and the one behind the last write. The last may be empty:
        something may have been told behind the last flush.
        """
        start = self.begin
        for index in range(self.begin, self.end):
            if self.entries[index].is_flush:
                yield start, index
                start = index + 1
        yield start, self.end

    def splice(self, at: int, remove: int, new: Sequence[Entry]) -> Trace:
        """Other entries in the place of some. Marks behind them move along."""
        entries = [*self.entries[:at], *new, *self.entries[at + remove :]]
        shift = len(new) - remove
        marks = [replace(mark, at=mark.at + shift) if mark.at > at else mark for mark in self.marks]
        return replace(self, entries=entries, end=self.end + shift, marks=marks)


def read_log(path: Path) -> tuple[list[Entry], Store]:
    """Everything in a log."""
    store = Store(path)
    entries = []
    for write in writes.WriteLog(path):
        if write.is_data:
            entry = Entry(
                write.start_bytes // SECTOR,
                write.size_bytes // SECTOR,
                write.log_offset // SECTOR,
                is_durable=bool(write.flags & writes.FUA),
            )
            store.know(entry.data, entry.count)
        else:
            entry = replace(NOTHING, is_flush=bool(write.flags & writes.FLUSH))
        entries.append(entry)
    return entries, store

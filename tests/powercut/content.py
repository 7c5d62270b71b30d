"""What a disk holds: sector by sector where in the log its bytes are. Changed in place, and back again.

Each region of the disk has a digest that follows every change, so that what was looked at once, and is the same
again in another state, need not be looked at again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.powercut.trace import SECTOR, Entry, Store

MASK = (1 << 64) - 1
Undo = tuple[int, int, dict[int, int], range]
"""A region, the sum of it before, where what was overwritten had been, and the sectors that were written."""
Digest = tuple[int, ...]
WORTH_KEEPING = 8
"""Sectors of a write whose sum is kept: the same write is applied and undone again and again."""
TABLE, BACKUP, REST = "table", "backup table", "rest"


class Content:
    """A disk that was blank; a sector of zeros is not kept.

    `regions`: name -> first sector and the one behind the last; REST is all else.
    """

    def __init__(self, store: Store, size_bytes: int, regions: Mapping[str, tuple[int, int]]) -> None:
        self.store = store
        self.size_bytes = size_bytes
        self.names = [REST]
        self._starts, self._region_of = [0], [0]
        for name, (first, end) in sorted(regions.items(), key=lambda item: item[1]):
            self.names.append(name)
            self._starts += [first, end]
            self._region_of += [len(self.names) - 1, 0]
        self._where: list[dict[int, int]] = [{} for _ in self.names]
        self._sums = [0] * len(self.names)
        self._kept_sums: dict[tuple[range, int], int] = {}

    # Changing it

    def apply(self, entry: Entry, only: Sequence[int] | None = None) -> list[Undo]:
        """The disk after a write, or after these sectors of it; and what brings it back."""
        if only is None:
            return [self._set(run, entry.data + run.start - entry.sector) for run in self._split(entry)]
        pieces = [
            replace(entry, sector=entry.sector + run.start, count=len(run), data=entry.data + run.start)
            for run in _runs(only)
        ]
        return [undo for piece in pieces for undo in self.apply(piece)]

    def revert(self, undo: list[Undo]) -> None:
        """As before an `apply`; the last one first."""
        for region, total, old, written in reversed(undo):
            where = self._where[region]
            if len(old) < len(written):
                for sector in written:
                    where.pop(sector, None)
            where.update(old)
            self._sums[region] = total

    def _set(self, written: range, data: int) -> Undo:
        """Sectors of one region."""
        region = self._region(written.start)
        where, hashes, total = self._where[region], self.store.hashes, self._sums[region]
        old = {sector: where[sector] for sector in where.keys() & written}
        undo = region, total, old, written
        for sector, place in old.items():
            total -= hash((sector, hashes[place]))
        new = hashes[data : data + len(written)]
        places = zip(written, range(data, data + len(written)), strict=True)
        if all(new):
            where.update(places)
        else:
            for sector in old:
                del where[sector]
            where.update((sector, place) for sector, place in places if hashes[place])
        total += self._sum(written, data)
        self._sums[region] = total & MASK
        return undo

    def _sum(self, written: range, data: int) -> int:
        """What these sectors with that content are in the sum of a region."""
        if (written, data) in self._kept_sums:
            return self._kept_sums[written, data]
        new = self.store.hashes[data : data + len(written)]
        total = sum(hash(pair) for pair in zip(written, new, strict=True) if pair[1])
        if len(written) >= WORTH_KEEPING:
            self._kept_sums[written, data] = total
        return total

    def _split(self, entry: Entry) -> Iterator[range]:
        """The sectors of a write, by region."""
        sector = entry.sector
        while sector < entry.end:
            place = bisect_right(self._starts, sector)
            stop = min(entry.end, self._starts[place]) if place < len(self._starts) else entry.end
            yield range(sector, stop)
            sector = stop

    def _region(self, sector: int) -> int:
        return self._region_of[bisect_right(self._starts, sector) - 1]

    # Looking at it

    def digest(self, *names: str) -> Digest:
        """Equal for equal bytes in these regions; of the whole disk without a name."""
        return tuple(self._sums[self.names.index(name)] for name in names) if names else tuple(self._sums)

    def region_at(self, sector: int) -> str:
        """The name of the region that a sector is in."""
        return self.names[self._region(sector)]

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the disk."""
        first, end = offset // SECTOR, -(-(offset + count) // SECTOR)
        parts = []
        for sector, data, length in self._runs_between(first, end):
            parts.append(self.store.read(data, length) if data >= 0 else bytes(length * SECTOR))
            assert sector < end
        skip = offset - first * SECTOR
        return b"".join(parts)[skip : skip + count]

    def runs(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Everything that is not zero in a region: offsets in bytes from its start, in order, and the bytes."""
        region = self.names.index(name)
        where = self._where[region]
        first = self._first(name)
        run: list[int] = []
        for sector in [*sorted(where), -1]:
            if run and (sector != run[0] + len(run) or where[sector] != where[run[0]] + len(run)):
                yield (run[0] - first) * SECTOR, self.store.read(where[run[0]], len(run))
                run = []
            run.append(sector)

    def write_to(self, disk: Path) -> Path:
        """The same bytes in a file, which has holes where there are zeros."""
        with disk.open("wb") as file:
            file.truncate(self.size_bytes)
            for name in self.names:
                first = self._first(name)
                for offset, data in self.runs(name):
                    file.seek(first * SECTOR + offset)
                    file.write(data)
        return disk

    def _first(self, name: str) -> int:
        region = self.names.index(name)
        return next(start for start, of in zip(self._starts, self._region_of, strict=True) if of == region)

    def _runs_between(self, sector: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Sectors that lie behind each other in the store too: sector, place or -1 for zeros, and how many."""
        while sector < end:
            place = bisect_right(self._starts, sector) - 1
            stop = min(end, self._starts[place + 1]) if place + 1 < len(self._starts) else end
            where = self._where[self._region_of[place]]
            while sector < stop:
                data = where.get(sector, -1)
                length = 1
                step = 1 if data >= 0 else 0
                while sector + length < stop and where.get(sector + length, -1) == data + step * length:
                    length += 1
                yield sector, data, length
                sector += length


def _runs(numbers: Sequence[int]) -> Iterator[range]:
    """Numbers that rise, as stretches without a gap."""
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            yield range(numbers[start], numbers[index - 1] + 1)
            start = index

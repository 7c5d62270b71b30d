"""What bugs are made of: entries of a trace, found and changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from autoinstall.slotcfg import render_slot_cfg
from autoinstall.slots import SlotState, parse_env
from tests.powercut.lab import Lab
from tests.powercut.trace import FLUSH, NOTHING, SECTOR, Entry, Trace

START_OF_SLOT_CFG = render_slot_cfg("", "").partition(b"'")[0]


@dataclass(frozen=True)
class Bug:
    """Something wrong in a phase, and a part of what must be reported. `quick`: one of those for every day."""

    phase: str
    put_in: Callable[[Lab, Trace], Trace]
    told: str
    quick: bool = False


# Finding things


def first_told(trace: Trace, what: str) -> int:
    """The entry before which `what` was first told in the trace."""
    return next(mark.at for mark in trace.marks if mark.what == what and mark.at >= trace.begin)


def begun_and_told(trace: Trace, what: str) -> tuple[int, int]:
    """Where a change was begun, and where it was acknowledged."""
    found = [mark.at for mark in trace.marks if mark.what == what and mark.at >= trace.begin]
    return found[0], found[1]


def commit(trace: Trace) -> int:
    """The last write to sector 0."""
    return max(i for i in range(trace.begin, trace.end) if trace.entries[i].count and not trace.entries[i].sector)


def writes_to(lab: Lab, trace: Trace, region: str) -> list[int]:
    """The entries that write to a partition."""
    first, end = lab.regions[region]
    return [i for i in range(trace.begin, trace.end) if first <= trace.entries[i].sector < end]


def file_of_config(trace: Trace, path: str) -> bytes:
    """What a file of Config holds as it was first told of."""
    return str(next(mark.config[path] for mark in trace.marks if path in mark.config)).encode()


def write_of(lab: Lab, trace: Trace, region: str, content: bytes) -> tuple[int, int]:
    """Where a file's content is written to a partition for the last time: the entry, and which sector of it."""
    for index in reversed(writes_to(lab, trace, region)):
        entry = trace.entries[index]
        place = _at_a_sector(trace.store.read(entry.data, entry.count), content)
        if place is not None:
            return index, place
    raise LookupError(f"nobody writes {content[:40]!r} to {region}")


def sector_with(lab: Lab, trace: Trace, region: str, content: bytes) -> int:
    """Where on the disk a file's content begins in a partition, as the trace begins."""
    for offset, data in lab.content(trace).runs(region):
        place = _at_a_sector(data, content)
        if place is not None:
            return lab.regions[region][0] + offset // SECTOR + place
    raise LookupError(f"{content[:40]!r} is not in {region}")


def _at_a_sector(data: bytes, content: bytes) -> int | None:
    starts = range(0, len(data), SECTOR)
    return next((at // SECTOR for at in starts if data[at : at + SECTOR].startswith(content[:SECTOR])), None)


def largest_of_image(lab: Lab, trace: Trace, slot: str) -> int:
    """The largest write of an image into its slot, of equals the last: a part of its root."""
    begun = first_told(trace, f"start install/image-{slot}")
    writes = [i for i in writes_to(lab, trace, f"Root-{slot.upper()}") if i >= begun]
    return max(writes, key=lambda i: (trace.entries[i].count, i))


def state_writes(lab: Lab, trace: Trace) -> list[tuple[int, SlotState]]:
    """The entries that write a copy of the slot state, and what they say."""
    pieces = [(i, trace.entries[i]) for i in writes_to(lab, trace, "EFI")]
    found = [(i, parse_env(trace.store.read(entry.data, entry.count))) for i, entry in pieces]
    return [(i, state) for i, state in found if state]


# Changing things


def without_flushes(trace: Trace, begin: int, end: int) -> Trace:
    """Nothing was flushed there, nor written with FUA."""
    entries = list(trace.entries)
    entries[begin:end] = [
        NOTHING if entry.is_flush else replace(entry, is_durable=False) for entry in entries[begin:end]
    ]
    return replace(trace, entries=entries)


def told_early(trace: Trace, what: str) -> Trace:
    """A change was acknowledged when it began."""
    begun, told = begun_and_told(trace, what)
    marks = [replace(mark, at=begun) if (mark.at, mark.what) == (told, what) else mark for mark in trace.marks]
    return replace(trace, marks=sorted(marks, key=lambda mark: mark.at))


def moved(trace: Trace, index: int, to: int) -> Trace:
    """One entry elsewhere, flushed there."""
    entry = trace.entries[index]
    if to > index:
        return trace.splice(to, 0, [entry, FLUSH]).splice(index, 1, [NOTHING])
    return trace.splice(index, 1, [NOTHING]).splice(to, 0, [entry, FLUSH])


def lost(trace: Trace, index: int) -> Trace:
    """One entry never came to the disk."""
    return trace.splice(index, 1, [NOTHING])


def slot_b_with_root_a(lab: Lab, trace: Trace) -> Trace:
    """Slot B has a slot.cfg that names the root of slot A."""
    index, sector = write_of(lab, trace, "Root-B", START_OF_SLOT_CFG)
    own, other = (str(lab.partitions[label].partition_uuid).encode() for label in ("Root-B", "Root-A"))
    return rewritten(trace, index, sector, lambda data: data.replace(own, other))


def written_over(trace: Trace, at: int, sector: int, data: bytes) -> Trace:
    """One more write, flushed."""
    entry = Entry(sector, len(data) // SECTOR, trace.store.add(data))
    return trace.splice(at, 0, [entry, FLUSH])


def corrupt(trace: Trace, index: int) -> Trace:
    """One bit of a write is another, in its middle."""
    return rewritten(trace, index, trace.entries[index].count // 2, lambda data: bytes([data[0] ^ 1]) + data[1:])


def rewritten(trace: Trace, index: int, sector: int, change: Callable[[bytes], bytes]) -> Trace:
    """One sector of a write is another."""
    entry = trace.entries[index]
    data = bytearray(trace.store.read(entry.data, entry.count))
    place = slice(sector * SECTOR, (sector + 1) * SECTOR)
    data[place] = change(bytes(data[place]))
    return trace.splice(index, 1, [replace(entry, data=trace.store.add(bytes(data)))])

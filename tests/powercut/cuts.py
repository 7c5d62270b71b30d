"""Where a trace is cut, and which of its writes the disk had by then. Pure, but for the dice, which have a seed.

Between two flushes a disk may keep any of its writes and lose any other; of one write it may keep some sectors and
not others. What was flushed, and what was written with FUA, is there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.powercut.trace import Entry, Trace

Survivor = tuple[Entry, Sequence[int] | None]
"""A write, and which of its sectors are there; None is all."""
HEAVY_SECTORS = 1 << 15
"""So much between two flushes, and a state costs a noticeable part of a second: they are made more rarely."""
HEAVY_SHARE = 0.03


class Kind(StrEnum):
    """What of the writes since the last flush is on the disk."""

    PREFIX = "prefix"
    FLUSHED = "flushed"
    DROPPED = "dropped"
    REORDERED = "reordered"
    TORN = "torn"


@dataclass(frozen=True, order=True)
class Cut:
    """The power fails when the first `at` entries of the log were given to the disk."""

    at: int
    kind: Kind
    number: int = 0

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> Cut:
        """What `str` made. Raises ValueError."""
        kind, _, rest = text.partition("@")
        at, _, number = rest.partition(".")
        return cls(int(at), Kind(kind), int(number or 0))


def survivors(trace: Trace, start: int, cut: Cut, seed: int) -> list[Survivor]:
    """What is on the disk of the writes since `start`, where the last flush was."""
    dice = random.Random(f"{seed}/{trace.name}/{cut}")
    pending = [entry for entry in trace.entries[start : cut.at] if entry.count]
    if cut.kind is Kind.PREFIX:
        return [(entry, None) for entry in pending]
    if cut.kind is Kind.FLUSHED:
        return [(entry, None) for entry in pending if entry.is_durable]
    if cut.kind is Kind.DROPPED:
        lost = dice.randrange(len(pending)) if pending else -1
        return [(entry, None) for index, entry in enumerate(pending) if index != lost or entry.is_durable]
    share = dice.choice((0.1, 0.5, 0.9, 1.0)) if cut.kind is Kind.TORN else dice.choice((0.1, 0.3, 0.5, 0.7, 0.9))
    kept: list[Survivor] = [(entry, None) for entry in pending if entry.is_durable or dice.random() < share]
    if cut.kind is Kind.TORN and pending and not pending[-1].is_durable:
        last = pending[-1]
        kept = [(entry, only) for entry, only in kept if entry is not last]
        kept.append((last, _torn(last.count, dice)))
    return kept


def _torn(count: int, dice: random.Random) -> Sequence[int]:
    """Some of so many sectors: the first, the last, every other 4096 bytes, or any."""
    where = dice.randint(1, max(1, count - 1))
    any_of_them = [index for index in range(count) if dice.random() < 0.5]
    pages = [index for index in range(count) if index // 8 % 2]
    return dice.choice([range(where), range(where, count), pages, any_of_them])


def plan(trace: Trace, wanted: int, seed: int, region_of: Callable[[int], str]) -> dict[int, list[Cut]]:
    """Cuts by the number of the epoch: every prefix, every flush, and drawn ones up to `wanted`."""
    dice = random.Random(f"{seed}/{trace.name}")
    epochs = list(trace.epochs())
    cuts: dict[int, set[Cut]] = {number: set() for number in range(len(epochs))}
    for number, (start, end) in enumerate(epochs):
        marks = {mark.at for mark in trace.marks if start <= mark.at <= end}
        cuts[number] |= {Cut(at, Kind.FLUSHED) for at in {end, *marks}}
        cuts[number] |= {Cut(at + 1, Kind.PREFIX) for at in range(start, end) if trace.entries[at].count}
    places = list(_places(trace, epochs, dice, region_of))
    missing = wanted - sum(map(len, cuts.values()))
    drawn = 0
    while places and drawn < missing:
        number, at = dice.choice(dice.choice(places))
        kind = dice.choice((Kind.DROPPED, Kind.REORDERED, Kind.REORDERED, Kind.TORN))
        cuts[number].add(Cut(at, kind, drawn))
        drawn += 1
    return {number: sorted(found) for number, found in cuts.items() if found}


def _places(
    trace: Trace, epochs: Sequence[tuple[int, int]], dice: random.Random, region_of: Callable[[int], str]
) -> Iterator[list[tuple[int, int]]]:
    """Where to draw from, by region: each is as likely as the next, however much is written to it."""
    by_region: dict[str, list[tuple[int, int]]] = {}
    for number, (start, end) in enumerate(epochs):
        heavy = sum(entry.count for entry in trace.entries[start:end]) > HEAVY_SECTORS
        for at in range(start, end):
            entry = trace.entries[at]
            if entry.count and (not heavy or dice.random() < HEAVY_SHARE):
                by_region.setdefault(region_of(entry.sector), []).append((number, at + 1))
    yield from by_region.values()

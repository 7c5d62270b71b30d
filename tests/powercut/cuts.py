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
FEW_SECTORS = 6
HEAVY_SHARE, LAST_ENTRIES = 0.03, 8


class Kind(StrEnum):
    """What of the writes since the last flush is on the disk."""

    PREFIX = "prefix"
    FLUSHED = "flushed"
    DROPPED = "dropped"
    REORDERED = "reordered"
    SUBSET = "subset"  # these sectors, by the bits of the number; where there are few, every one of them is tried
    TORN = "torn"  # the last write, and perhaps others too


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
    if cut.kind is Kind.SUBSET:
        return list(_chosen(pending, cut.number))
    share = dice.choice((0.1, 0.3, 0.5, 0.7, 0.9, 1.0))
    torn = dice.choice((0.0, 0.2, 1.0)) if cut.kind is Kind.TORN else 0.0
    kept: list[Survivor] = []
    for entry in pending:
        is_last = cut.kind is Kind.TORN and entry is pending[-1]
        if entry.is_durable:
            kept.append((entry, None))
        elif is_last or dice.random() < share:
            kept.append((entry, _torn(entry.count, dice) if is_last or dice.random() < torn else None))
    return kept


def _chosen(pending: Sequence[Entry], bits: int) -> Iterator[Survivor]:
    for entry in pending:
        yield entry, None if entry.is_durable else [index for index in range(entry.count) if bits >> index & 1]
        bits >>= entry.count


def _torn(count: int, dice: random.Random) -> Sequence[int]:
    """Some of so many sectors: the first, the last, every other 4096 bytes, or any."""
    where = dice.randint(1, max(1, count - 1))
    any_of_them = [index for index in range(count) if dice.random() < 0.5]
    pages = [index for index in range(count) if index // 8 % 2]
    return dice.choice([range(where), range(where, count), pages, any_of_them])


def sure_cuts(trace: Trace) -> dict[int, list[Cut]]:
    """By the number of the epoch: every prefix, what was flushed, every subset where there are few sectors."""
    cuts = {}
    for number, (start, end) in enumerate(trace.epochs()):
        marks = {mark.at for mark in trace.marks if start <= mark.at <= end}
        flushed = [Cut(at, Kind.FLUSHED) for at in {end, *marks}]
        prefixes = [Cut(at + 1, Kind.PREFIX) for at in range(start, end) if trace.entries[at].count]
        sectors = sum(entry.count for entry in trace.entries[start:end])
        subsets = [Cut(end, Kind.SUBSET, bits) for bits in range(1 << sectors if sectors <= FEW_SECTORS else 0)]
        cuts[number] = sorted([*flushed, *prefixes, *subsets])
    return cuts


@dataclass(frozen=True)
class Draw:
    """So many cuts, drawn; `first` is the number of the first."""

    count: int
    seed: int
    first: int = 0


def drawn_cuts(trace: Trace, draw: Draw, region_of: Callable[[int], str]) -> dict[int, list[Cut]]:
    """By the number of the epoch. Half of them anywhere, half in regions that are all as likely, however small;
    and half of all right before the next flush, where most can be lost.
    """
    dice = random.Random(f"{draw.seed}/{trace.name}/{draw.first}")
    epochs = list(trace.epochs())
    by_region = _places(trace, dice, region_of)
    anywhere = [place for places in by_region for place in places]
    cuts: dict[int, list[Cut]] = {}
    for number in range(draw.first, draw.first + draw.count if anywhere else draw.first):
        epoch, at = dice.choice(anywhere if number % 2 else dice.choice(by_region))
        at = dice.choice((at, epochs[epoch][1]))
        kind = dice.choice((Kind.DROPPED, Kind.REORDERED, Kind.REORDERED, Kind.TORN))
        cuts.setdefault(epoch, []).append(Cut(at, kind, number))
    return cuts


def _places(trace: Trace, dice: random.Random, region_of: Callable[[int], str]) -> list[list[tuple[int, int]]]:
    """Where to draw from, by region: number of the epoch, and the entry behind a write."""
    by_region: dict[str, list[tuple[int, int]]] = {}
    for number, (start, end) in enumerate(trace.epochs()):
        heavy = sum(entry.count for entry in trace.entries[start:end]) > HEAVY_SECTORS
        for at in range(start, end):
            entry = trace.entries[at]
            if entry.count and (not heavy or at > end - LAST_ENTRIES or dice.random() < HEAVY_SHARE):
                by_region.setdefault(region_of(entry.sector), []).append((number, at + 1))
    return list(by_region.values())

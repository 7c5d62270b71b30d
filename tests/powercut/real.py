"""Which cuts are booted for real: drawn without a machine, no two leave the same bytes or fail at the same write.

A row has a number, so that the rows can be told without a recording; the cut of that number is drawn from one.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from tests.powercut.content import Digest
from tests.powercut.cuts import Cut, Draw, Kind, drawn_cuts, sure_cuts
from tests.powercut.lab import Lab, states
from tests.powercut.surgery import commit, first_told
from tests.powercut.trace import Trace

SEED = 5
STATES = {
    "install": 27,
    "first-boot": 27,
    "config": 27,
    "rearm": 8,
    "upgrade": 27,
    "new-image": 27,
    "rollback": 8,
    "old-image": 27,
}
"""Of each phase; `rearm` and `rollback` may be six writes of one moment, and have few states."""
DRAWN = 200
ISOS = 20
NTH = {"first-boot": 20, "upgrade": 20}
NTH_SHARE = {"first-boot": 0.75, "upgrade": 1.0}
"""Of a phase's writes: a boot may write less than the recorded one, and then it would not be cut."""
TORN = 1
MACHINES, CYCLES = 10, 5
CUT_SHARE, LONGER = 0.85, 1.1
"""So many halves of a cycle are cut, but for the first cycle; within so much of the time that it took then."""


@cache
def state_cuts(lab: Lab, phase: str) -> Sequence[Cut]:
    """By number. The last is the end of the phase: of an install, the state behind its commit.

    None leaves what the phase began with, which is the end of the one before.
    """
    trace = lab.trace(phase)
    begin = lab.content(trace)
    drawn = sorted(_flat(drawn_cuts(trace, Draw(DRAWN, SEED), begin.region_at)), key=lambda cut: cut.number)
    sure = _flat(sure_cuts(trace))  # of these only where the drawn ones leave too few states
    end = max(cut for cut in sure if cut.kind is Kind.PREFIX)
    left = digests(lab, trace, [*drawn, *sure])
    different = _different([*drawn, *sure], left, {begin.digest(), left[end]})
    return [*list(different)[: STATES[phase] - 1], end]


@cache
def iso_cuts(lab: Lab) -> Sequence[Cut]:
    """By number: cuts of an install between its table and its commit."""
    trace = lab.trace("install")
    places = range(first_told(trace, "finish install/partition-table"), commit(trace) + 1)
    drawn = random.Random(SEED).sample(places, 2 * ISOS)
    candidates = [Cut(at, Kind.REORDERED, number) for number, at in enumerate(drawn)]
    booted = digests(lab, trace, state_cuts(lab, "install"))
    return list(_different(candidates, digests(lab, trace, candidates), set(booted.values())))[:ISOS]


def nth_writes(lab: Lab, phase: str) -> Sequence[int]:
    """By number: the write, from 1 on, that is the first to fail."""
    trace = lab.trace(phase)
    writes = sum(bool(entry.count) for entry in trace.entries[trace.begin : trace.end])
    numbers = range(1, int(writes * NTH_SHARE[phase]) + 1)
    return random.Random(f"{SEED}/{phase}").sample(numbers, NTH[phase])


def live_cuts(machine: int, cycles: int) -> Sequence[float | None]:
    """For each upgrade and rollback of a machine: after which share of the usual time it is cut, or None."""
    dice = random.Random(f"{SEED}/{machine}")
    halves = [dice.uniform(0, LONGER) if dice.random() < CUT_SHARE else None for _ in range(2 * (cycles - 1))]
    return [None, None, *halves]


def digests(lab: Lab, trace: Trace, cuts: Iterable[Cut]) -> Mapping[Cut, Digest]:
    """Equal for cuts that leave the same bytes; good for this process."""
    content = lab.content(trace)
    return {cut: content.digest() for cut in states(trace, content, by_epoch(trace, cuts), SEED)}


def by_epoch(trace: Trace, cuts: Iterable[Cut]) -> Mapping[int, Sequence[Cut]]:
    """By the number of the epoch that they are in."""
    epochs = list(trace.epochs())
    found: dict[int, list[Cut]] = {}
    for cut in cuts:
        number = next(number for number, (_, end) in enumerate(epochs) if cut.at <= end)
        found.setdefault(number, []).append(cut)
    return found


def _flat(planned: Mapping[int, Sequence[Cut]]) -> Sequence[Cut]:
    return [cut for cuts in planned.values() for cut in cuts]


def _different(cuts: Iterable[Cut], left: Mapping[Cut, Digest], seen: set[Digest]) -> Iterator[Cut]:
    """Those that leave what was not seen before."""
    for cut in cuts:
        if left[cut] not in seen:
            seen.add(left[cut])
            yield cut

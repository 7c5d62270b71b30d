"""One run of the laboratory: a trace, cut as often as asked, each state looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from autoinstall.layout import PARTITIONS
from tests.powercut.boots import Eyes
from tests.powercut.content import BACKUP, TABLE, Content
from tests.powercut.cuts import Cut, Kind, plan, survivors
from tests.powercut.mends import Workshop
from tests.powercut.promises import broken_promise, known
from tests.powercut.recording import Recording
from tests.powercut.trace import SECTOR, Trace, read_log
from tests.vm.hardware import DISK_BYTES

FIRST_PARTITION = (1 << 20) // SECTOR


@dataclass(frozen=True)
class Violation:
    """A state in which a promise is broken."""

    trace: str
    seed: int
    cut: Cut
    problem: str

    def __str__(self) -> str:
        again = f"--trace {self.trace} --seed {self.seed} --only {self.cut}"
        return f"{self.trace}: {self.cut}: {self.problem}\n    again: {again}"


@dataclass
class Outcome:
    """What came of cutting a trace."""

    trace: str
    writes: int
    flushes: int
    states: int = 0
    digests: set[tuple[int, ...]] = field(default_factory=set)
    mended: int = 0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)

    @property
    def distinct(self) -> int:
        """States with different bytes on the disk."""
        return len(self.digests)


class Lab:
    """A recording, ready to be cut."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._entries, self._store = read_log(recording.log)

    def trace(self, phase: str) -> Trace:
        """A phase of the recording."""
        begin, end = self.recording.stretch(phase)
        marks = sorted(self.recording.marks, key=lambda mark: mark.at)
        return Trace(phase, self._entries, begin, end, marks, self._store)

    @cached_property
    def regions(self) -> Mapping[str, tuple[int, int]]:
        """Where the table and each partition are, by the finished disk."""
        content = Content(self._store, DISK_BYTES, {TABLE: (0, FIRST_PARTITION)})
        for entry in self._entries:
            content.apply(entry)
        starts = Eyes(content, {}).partitions
        assert list(starts) == [row.label for row in PARTITIONS], f"the recording ends with {starts}"
        last = max(end for _, end in starts.values())
        return {TABLE: (0, FIRST_PARTITION), **starts, BACKUP: (last, DISK_BYTES // SECTOR)}

    def content(self, trace: Trace) -> Content:
        """The disk as a trace begins."""
        content = Content(trace.store, DISK_BYTES, self.regions)
        for entry in trace.entries[: trace.begin]:
            content.apply(entry)
        return content

    def run(self, trace: Trace, wanted: int, seed: int, *, only: Cut | None = None, most: int = 0) -> Outcome:
        """Cut it; `only` here, or until there are `most` violations."""
        began_s = time.monotonic()
        content = self.content(trace)
        eyes = Eyes(content, self.recording.boot_files)
        sizes = {name: (end - first) * SECTOR for name, (first, end) in self.regions.items()}
        watched = sorted({path for mark in trace.marks for path in mark.config})
        workshop = Workshop(eyes, sizes, watched)
        stretch = trace.entries[trace.begin : trace.end]
        outcome = Outcome(trace.name, sum(bool(e.count) for e in stretch), sum(e.is_flush for e in stretch))
        planned = {epoch_of(trace, only): [only]} if only else plan(trace, wanted, seed, content.region_at)
        for cut in states(trace, content, planned, seed):
            outcome.states += 1
            outcome.digests.add(content.digest())
            if problem := broken_promise(eyes, workshop, known(trace.marks, cut.at)):
                outcome.violations.append(Violation(trace.name, seed, cut, problem))
                if most and len(outcome.violations) >= most:
                    break
        outcome.mended, outcome.seconds = workshop.count, time.monotonic() - began_s
        return outcome


def states(trace: Trace, content: Content, planned: Mapping[int, Sequence[Cut]], seed: int) -> Iterator[Cut]:
    """Each cut, while `content` is what it leaves. Prefixes grow on each other; all others are undone."""
    for number, (start, end) in enumerate(trace.epochs()):
        cuts = planned.get(number, ())
        for cut in cuts:
            if cut.kind is not Kind.PREFIX:
                undo = [content.apply(entry, only) for entry, only in survivors(trace, start, cut, seed)]
                yield cut
                for change in reversed(undo):
                    content.revert(change)
        prefixes = {cut.at: cut for cut in cuts if cut.kind is Kind.PREFIX}
        for index in range(start, end):
            content.apply(trace.entries[index])
            if cut_here := prefixes.get(index + 1):
                yield cut_here


def epoch_of(trace: Trace, cut: Cut) -> int:
    """The number of the stretch between two flushes that a cut falls into."""
    ends = [end for _, end in trace.epochs()]
    return next(number for number, end in enumerate(ends) if cut.at <= end)

"""One run of the laboratory: a trace, cut as often as asked, each state looked at."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from autoinstall import gpt
from autoinstall.layout import PARTITIONS
from autoinstall.node.roles import SUPERBLOCK, relabelled
from autoinstall.slots import ROLES, Slot
from tests.powercut.boots import Brought, Eyes
from tests.powercut.content import BACKUP, TABLE, Content, Digest
from tests.powercut.cuts import Cut, Draw, Kind, drawn_cuts, sure_cuts, survivors
from tests.powercut.desk import DESK, written
from tests.powercut.ext4 import Ext4
from tests.powercut.marks import INSTALLED, Mark
from tests.powercut.mends import Workshop
from tests.powercut.promises import REMOVED, broken_promise, known
from tests.powercut.record import PHASES
from tests.powercut.recording import Recording
from tests.powercut.trace import SECTOR, Entry, Trace, read_log
from tests.vm.hardware import DISK_BYTES

LEAST_DRAWN, LEAST_NEW = 200, 0.02
"""A round draws so many cuts at least, and is the last where less than this share of them are new states."""
REINSTALL = "reinstall"
TRACES = (*PHASES, *DESK, REINSTALL)
SLOTS = frozenset(slot.partition_label for slot in Slot)
MADE_ANEW = {"install": SLOTS, REINSTALL: SLOTS, "upgrade": frozenset({"Root-B"})}
"""The slots that a trace makes; every other one keeps each byte but its label as long as the disk is a node."""
FIRST_PARTITION = (1 << 20) // SECTOR
NOTHING_BROUGHT = Brought({}, frozenset())


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

    def trace(self, name: str) -> Trace:
        """A phase of the recording; or what a step of DESK, or all of an install, does to the node as the last phase
        found it.
        """
        if name in DESK:
            return self._at_the_desk(name)
        if name == REINSTALL:
            return self._over_the_node()
        begin, end = self.recording.stretch(name)
        return Trace(name, self._entries, begin, end, self.marks, self._store)

    @cached_property
    def marks(self) -> Sequence[Mark]:
        """What was told, in order; before all, every file that the install put on Config: held from the commit on."""
        installed = self._disk(self._entries[: self.recording.stretch("install")[1]], self.regions)
        config = Ext4.of(Eyes(installed, NOTHING_BROUGHT).at("Config"))
        files = {path: config.file(path).decode() for path in config.files()}
        told = sorted(self.recording.marks, key=lambda mark: mark.at)
        return [Mark(0, "what the install put on Config", config=files), *told]

    def _at_the_desk(self, name: str) -> Trace:
        begin, _ = self.recording.stretch(list(PHASES)[-1])
        told = [mark for mark in self.marks if mark.at <= begin and mark.what != INSTALLED]
        before = Trace(name, self._entries[:begin], begin, begin, told, self._store)
        entries = [*before.entries, *written(name, self.content(before))]
        end = len(entries)
        return replace(before, entries=entries, end=end, marks=[*told, Mark(end, REMOVED)])

    def _over_the_node(self) -> Trace:
        """The install as it was recorded, on a disk that holds the node where that one was blank."""
        wipe = self.trace("wipe")
        began = next(mark.at for mark in self.marks if mark.what == "finish install/wipe")
        end = self.recording.stretch("install")[1]
        wiped = len(wipe.entries)
        entries = [*wipe.entries, *self._entries[began:end]]
        healthy = [mark for mark in wipe.marks if mark.healthy]
        told = [mark for mark in self.marks if mark.at <= end]
        later = [replace(mark, at=wiped + max(mark.at - began, 0)) for mark in told]
        return replace(wipe, name=REINSTALL, entries=entries, end=len(entries), marks=[*healthy, *later])

    @cached_property
    def partitions(self) -> Mapping[str, gpt.Entry]:
        """What the table of the finished disk says, by labels."""
        finished = self._disk(self._entries, {TABLE: (0, FIRST_PARTITION)})
        found = Eyes(finished, NOTHING_BROUGHT).partitions
        assert list(found) == [row.label for row in PARTITIONS], f"the recording ends with {found}"
        return found

    @cached_property
    def regions(self) -> Mapping[str, tuple[int, int]]:
        """Where the table and each partition are, by the finished disk."""
        places = {label: (entry.first_lba, entry.last_lba + 1) for label, entry in self.partitions.items()}
        last = max(end for _, end in places.values())
        return {TABLE: (0, FIRST_PARTITION), **places, BACKUP: (last, DISK_BYTES // SECTOR)}

    def content(self, trace: Trace) -> Content:
        """The disk as a trace begins."""
        return self._disk(trace.entries[: trace.begin], self.regions)

    def _disk(self, entries: Iterable[Entry], regions: Mapping[str, tuple[int, int]]) -> Content:
        """What was blank, behind these writes."""
        content = Content(self._store, DISK_BYTES, regions)
        for entry in entries:
            content.apply(entry)
        return content

    def kept(self, trace: Trace, content: Content) -> dict[str, frozenset[Digest]]:
        """What may become of the slots that a trace does not make: the digests under the label of either role.

        `content` is the disk as the trace begins.
        """
        allowed: dict[str, frozenset[Digest]] = {}
        for slot in SLOTS - MADE_ANEW.get(trace.name, frozenset()):
            at = self.regions[slot][0] + SUPERBLOCK // SECTOR
            labelled = [relabelled(content.read(at * SECTOR, SECTOR), role) for role in ROLES.values()]
            for sector in labelled:
                undo = content.apply(Entry(at, 1, trace.store.add(sector)))
                allowed[slot] = allowed.get(slot, frozenset()) | {content.digest(slot)}
                content.revert(undo)
        return allowed

    def workshop(self, eyes: Eyes, marks: Sequence[Mark]) -> Workshop:
        """Mends what these eyes see, and reads the files that the marks name."""
        sizes = {name: (end - first) * SECTOR for name, (first, end) in self.regions.items()}
        return Workshop(eyes, sizes, sorted({path for mark in marks for path in mark.config}))

    def run(self, trace: Trace, wanted: int, seed: int, until: str | None = None) -> Outcome:
        """Cut it everywhere, then at random until `wanted` distinct states were seen, or hardly any new ones come.

        Or until a violation says `until`.
        """
        began_s = time.monotonic()
        content = self.content(trace)
        look = Look(self, trace, seed, until)
        look.at(content, sure_cuts(trace))
        drawn = 0
        while not look.over:
            before = look.outcome.distinct
            draw = Draw(max(LEAST_DRAWN, wanted - before), seed, first=drawn)
            content = self.content(trace)
            look.at(content, drawn_cuts(trace, draw, content.region_at))
            drawn += draw.count
            new = look.outcome.distinct - before
            if look.outcome.distinct >= wanted or new < draw.count * LEAST_NEW:
                break
        look.outcome.seconds = time.monotonic() - began_s
        return look.outcome

    def state(self, trace: Trace, cut: Cut, seed: int) -> Content:
        """What the disk holds after a cut."""
        content = self.content(trace)
        start = next(start for start, end in trace.epochs() if cut.at <= end)
        for entry in trace.entries[trace.begin : start]:
            content.apply(entry)
        for entry, only in survivors(trace, start, cut, seed):
            content.apply(entry, only)
        return content

    def again(self, trace: Trace, cut: Cut, seed: int) -> Outcome:
        """One cut of an earlier run."""
        number = next(number for number, (_, end) in enumerate(trace.epochs()) if cut.at <= end)
        look = Look(self, trace, seed)
        look.at(self.content(trace), {number: [cut]})
        return look.outcome


class Look:
    """Looks at states of a trace, and keeps what came of it."""

    def __init__(self, lab: Lab, trace: Trace, seed: int, until: str | None = None) -> None:
        self._eyes = Eyes(Content(trace.store, 0, {}), lab.recording.brought)
        self._workshop = lab.workshop(self._eyes, trace.marks)
        self._lab, self._trace, self._seed, self._until = lab, trace, seed, until
        self.over = False
        stretch = trace.entries[trace.begin : trace.end]
        self.outcome = Outcome(trace.name, sum(bool(e.count) for e in stretch), sum(e.is_flush for e in stretch))

    def at(self, content: Content, planned: Mapping[int, Sequence[Cut]]) -> None:
        """The states that these cuts leave. `content` is the disk as the trace begins, and is changed."""
        self._eyes.content = content
        kept = self._lab.kept(self._trace, content)
        for cut in states(self._trace, content, planned, self._seed):
            self.outcome.states += 1
            self.outcome.digests.add(content.digest())
            told = replace(known(self._trace.marks, cut.at), kept=kept)
            problem = broken_promise(self._eyes, self._workshop, told)
            if problem:
                self.outcome.violations.append(Violation(self._trace.name, self._seed, cut, problem))
                self.over = self._until is not None and self._until in problem
            if self.over:
                break
        self.outcome.mended = self._workshop.count


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

"""The power-cut laboratory itself: its readers, what a cut leaves, and that changes are undone."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstall import block
from autoinstall.slots import Slot, SlotState, pick
from tests.powercut.boots import Brought, Eyes
from tests.powercut.content import Content
from tests.powercut.cuts import Cut, Draw, Kind, drawn_cuts, sure_cuts, survivors
from tests.powercut.desk import Pen
from tests.powercut.ext4 import Ext4
from tests.powercut.fat import Fat, Unreadable
from tests.powercut.lab import states
from tests.powercut.marks import HEALTHY, INSTALLED, Mark
from tests.powercut.mends import Workshop
from tests.powercut.promises import REMOVED, Known, broken_promise, known, slots_problem
from tests.powercut.trace import FLUSH, SECTOR, Entry, Store, Trace

Writes = list[tuple[int, int, int]]
"""First sector, how many, and the byte that they hold."""

SECTORS = 64
few = settings(max_examples=30)
REGIONS = {"left": (8, 24), "right": (24, 40)}
WRITES = st.lists(st.tuples(st.integers(0, SECTORS - 9), st.integers(1, 8), st.integers(0, 3)), max_size=12)


def trace_of(writes: Writes, flush_every: int = 4) -> Trace:
    """Writes of sectors that all hold one byte, and flushes between."""
    store, entries = Store(), []
    for number, (sector, count, byte) in enumerate(writes, 1):
        entries.append(Entry(sector, count, store.add(bytes([byte]) * SECTOR * count)))
        if not number % flush_every:
            entries.append(FLUSH)
    return Trace("made up", entries, 0, len(entries), (), store)


def blank(trace: Trace) -> Content:
    return Content(trace.store, SECTORS * SECTOR, REGIONS)


def reference(disk: bytearray, entry: Entry, store: Store) -> None:
    disk[entry.sector * SECTOR : entry.end * SECTOR] = store.read(entry.data, entry.count)


@few
@given(WRITES)
def test_content_is_what_was_written_and_every_change_can_be_undone(writes: Writes) -> None:
    trace = trace_of(writes)
    content, disk, undo = blank(trace), bytearray(SECTORS * SECTOR), []
    for entry in trace.entries:
        undo.append((bytes(disk), content.digest(), content.apply(entry)))
        reference(disk, entry, trace.store)
        assert content.read(0, len(disk)) == disk
    for before, digest, change in reversed(undo):
        content.revert(change)
        assert (content.read(0, len(disk)), content.digest()) == (before, digest)


@few
@given(WRITES, WRITES)
def test_digests_are_equal_where_the_bytes_are(one: Writes, other: Writes) -> None:
    both = trace_of([*one, *other])
    entries = [entry for entry in both.entries if entry.count]
    first, second = blank(both), blank(both)
    for content, part in ((first, entries[: len(one)]), (second, entries[len(one) :])):
        for entry in part:
            content.apply(entry)
    for names, start, end in [((name,), *place) for name, place in REGIONS.items()] + [((), 0, SECTORS)]:
        place = start * SECTOR, (end - start) * SECTOR
        assert (first.digest(*names) == second.digest(*names)) is (first.read(*place) == second.read(*place))


@few
@given(WRITES, st.integers(0, 9))
def test_what_was_flushed_is_there_and_what_was_not_given_is_not(writes: Writes, seed: int) -> None:
    trace = trace_of(writes, flush_every=3)
    content = blank(trace)
    planned = sure_cuts(trace)
    for number, cuts in drawn_cuts(trace, Draw(20, seed), content.region_at).items():
        planned[number] = [*planned[number], *cuts]
    for cut in states(trace, content, planned, seed):
        start = next(start for start, end in trace.epochs() if cut.at <= end)
        durable = bytearray(SECTORS * SECTOR)
        for entry in trace.entries[:start]:
            reference(durable, entry, trace.store)
        may_be = [{bytes(durable[sector * SECTOR : (sector + 1) * SECTOR])} for sector in range(SECTORS)]
        for entry in trace.entries[start : cut.at]:
            for index in range(entry.count):
                may_be[entry.sector + index].add(trace.store.read(entry.data + index))
        for sector, allowed in enumerate(may_be):
            assert content.read(sector * SECTOR, SECTOR) in allowed, f"{cut}, sector {sector}"
    final = bytearray(SECTORS * SECTOR)
    for entry in trace.entries:
        reference(final, entry, trace.store)
    assert content.read(0, len(final)) == final


def test_where_there_are_few_sectors_every_subset_is_tried() -> None:
    trace = trace_of([(0, 2, 1), (30, 2, 2)], flush_every=2)
    content, seen = blank(trace), set()
    for _ in states(trace, content, sure_cuts(trace), 1):
        seen.add(content.digest())
    assert len(seen) == 16


def test_what_is_told_behind_the_last_flush_is_looked_at() -> None:
    trace = trace_of([(0, 1, 1)], flush_every=1)
    assert Cut(trace.end, Kind.FLUSHED) in [cut for cuts in sure_cuts(trace).values() for cut in cuts]


def test_at_the_desk_only_what_is_waited_for_is_flushed() -> None:
    for flag, flushed in ((os.O_DSYNC, [False, True]), (0, [False])):
        pen = Pen(Store())
        with patch.object(os, "O_DSYNC", flag), patch.object(block, "os", pen):
            block.write_direct("", 3 * SECTOR, bytes([1]) * 2 * SECTOR)
        assert (pen.entries[0].sector, pen.entries[0].count) == (3, 2)
        assert [entry.is_flush for entry in pen.entries] == flushed


def test_a_write_with_fua_is_never_lost() -> None:
    trace = trace_of([(0, 1, 1), (9, 1, 2)], flush_every=9)
    durable = replace(trace, entries=[replace(trace.entries[0], is_durable=True), trace.entries[1]])
    for kind in Kind:
        kept = survivors(durable, 0, Cut(2, kind), 1)
        assert (durable.entries[0], None) in kept, kind


def test_a_cut_is_named_so_that_it_can_be_seen_again() -> None:
    assert Cut.parse(str(Cut(120, Kind.TORN, 7))) == Cut(120, Kind.TORN, 7)


def test_what_was_begun_may_be_and_what_was_told_must_be() -> None:
    marks = [
        Mark(5, "x", acknowledged=False, config={"f": "new"}),
        Mark(9, "x", config={"f": "new"}, state={"a_try": 3}),
        Mark(9, "y", acknowledged=False, state={"a_try": 2}),
        Mark(12, INSTALLED),
    ]
    assert known(marks, 5).config == {}
    assert known(marks, 6).config == {"f": {None, "new"}}
    assert known(marks, 9).config == {"f": {"new"}}
    assert known(marks, 9).state == {"a_try": {3}}
    assert known(marks, 10).state == {"a_try": {3, 2}}
    assert not known(marks, 11).installed
    assert known(marks, 12).installed and not known(marks, 12).healthy


def test_what_boots_next_is_the_old_image_the_new_one_once_told_and_either_between() -> None:
    marks = [
        Mark(3, INSTALLED, boots="old"),
        Mark(5, HEALTHY, healthy="old"),
        Mark(7, "upgrade", acknowledged=False, boots="new"),
        Mark(9, "upgrade", boots="new"),
        Mark(11, HEALTHY, healthy="new"),
    ]
    told = [(set(known(marks, at).boots), set(known(marks, at).healthy)) for at in (2, 4, 6, 8, 10, 12)]
    assert told == [
        (set(), set()),
        ({"old"}, set()),
        ({"old"}, {"old"}),
        ({"old", "new"}, {"old"}),
        ({"new"}, {"old"}),
        ({"new"}, {"old", "new"}),
    ]


def disk_with(state: SlotState, images: dict[Slot, str]) -> Eyes:
    """What is seen of a finished node."""
    return cast(
        Eyes,
        SimpleNamespace(
            esp=SimpleNamespace(state=state),
            picked=pick(state)[0],
            slot_problem=lambda slot: "" if images[slot] else "half of it is missing",
            image_id=images.__getitem__,
            known=Brought({}, frozenset({"old", "new"})),
        ),
    )


OLD_RUNS = SlotState(Slot.A, 3, True, 0, False)
HALF = {Slot.A: "old", Slot.B: ""}
BOTH = {Slot.A: "old", Slot.B: "new"}


@pytest.mark.parametrize(
    ("state", "images", "problem"),
    [
        (OLD_RUNS, HALF, ""),
        (OLD_RUNS, {Slot.A: "", Slot.B: "new"}, "slot A may boot: half"),
        (replace(OLD_RUNS, b_try=1), HALF, "slot B may boot: half"),
        (replace(OLD_RUNS, b_ok=True), HALF, "slot B may boot: half"),
        (replace(OLD_RUNS, b_try=3), {Slot.A: "old", Slot.B: "other"}, "nobody brought"),
        (replace(OLD_RUNS, b_try=3, primary=Slot.B), BOTH, ""),
        (replace(OLD_RUNS, b_try=3, b_ok=True), BOTH, "slot B is good, and no boot of its image"),
    ],
)
def test_a_slot_that_may_boot_is_whole_and_good_only_after_a_boot(
    state: SlotState, images: dict[Slot, str], problem: str
) -> None:
    told = Known(True, False, frozenset({"old"}), frozenset({"old", "new"}), {}, {})
    found = slots_problem(disk_with(state, images), told)
    assert problem in found if problem else not found


def test_what_boots_next_is_what_was_told() -> None:
    eyes = disk_with(replace(OLD_RUNS, b_try=3, primary=Slot.B), BOTH)
    for boots, is_kept in (({"new"}, True), ({"new", "old"}, True), ({"old"}, False)):
        told = Known(True, False, frozenset({"old"}), frozenset(boots), {}, {})
        assert ("not the one that was told" not in slots_problem(eyes, told)) is is_kept


@pytest.mark.parametrize(
    ("is_recognised", "may_start", "is_kept"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_of_what_was_removed_nothing_is_left(is_recognised: bool, may_start: bool, is_kept: bool) -> None:
    eyes = cast(Eyes, SimpleNamespace(mark=SimpleNamespace() if is_recognised else None, may_start=may_start))
    found = broken_promise(eyes, cast(Workshop, None), known([Mark(0, INSTALLED), Mark(1, REMOVED)], 1))
    assert ("" if is_kept else "was removed") in found and bool(found) is not is_kept


def test_a_splice_takes_the_marks_behind_it_along() -> None:
    trace = replace(trace_of([(0, 1, 1), (1, 1, 1)]), marks=[Mark(1, "early"), Mark(2, "late")])
    longer = trace.splice(1, 0, [FLUSH, FLUSH])
    assert [mark.at for mark in longer.marks] == [1, 4]
    assert longer.end == trace.end + 2


def tool(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.mark.runs_programs
def test_fat_is_read_as_mtools_write_it(tmp_path: Path) -> None:
    image, big = tmp_path / "esp", tmp_path / "big"
    with image.open("wb") as file:
        file.truncate(40 << 20)
    big.write_bytes(bytes(range(256)) * 100)
    tool("mkfs.vfat", "-F", "32", "-s", "1", image)
    tool("mmd", "-i", image, "::state1", "::EFI")
    tool("mcopy", "-i", image, big, "::state1/env")
    data = image.read_bytes()
    fat = Fat.of(lambda offset, count: data[offset : offset + count])
    assert fat.file("state1/env") == big.read_bytes()
    for missing in ("state2/env", "state1/other", "state1/env/x"):
        with pytest.raises(Unreadable):
            fat.file(missing)


@pytest.mark.runs_programs
@pytest.mark.parametrize("block", ["1024", "4096"])
def test_ext4_is_read_as_mke2fs_writes_it(tmp_path: Path, block: str) -> None:
    image, tree = tmp_path / "fs", tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a/big").write_bytes(bytes(range(251)) * 20000)
    for number in range(300):
        (tree / f"a/file-with-a-long-name-{number}").write_text(str(number))
    tool("mke2fs", "-q", "-t", "ext4", "-b", block, "-d", tree, image, "32M")
    data = image.read_bytes()
    filesystem = Ext4.of(lambda offset, count: data[offset : offset + count])
    assert filesystem.file("a/big") == (tree / "a/big").read_bytes()
    assert filesystem.file("a/file-with-a-long-name-299") == b"299"
    with pytest.raises(ValueError, match="not there"):
        filesystem.file("a/none")

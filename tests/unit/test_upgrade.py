"""An upgrade: which slot is made anew, what is refused, and that a way back is always there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstall.errors import Refused
from autoinstall.grammar import Force
from autoinstall.image.manifest import ImageFile, Manifest
from autoinstall.layout import PARTITIONS, partition_of
from autoinstall.sizes import MIB
from autoinstall.slots import Slot, SlotState, disarm, flip, fresh, mark_good, pick, rearm, roll_back
from autoinstall.upgrade import (
    Decision,
    NewImage,
    OnNode,
    UpgradePlan,
    fallen_reason,
    for_slot,
    make_upgrade,
    needed_bytes,
    raised_floor,
    refuse_rollback,
)
from tests.unit.machines import MANIFEST

ROOM = dict.fromkeys(Slot, 2048 * MIB)


def image(number: int, version: str = "1.0", security_version: int = 1) -> Manifest:
    """An image of its own."""
    files = tuple(ImageFile(file.name, file.size_bytes, f"{number:064x}") for file in MANIFEST.files)
    return replace(MANIFEST, files=files, version=version, security_version=security_version)


OLD, NEW, OTHER = image(1), image(2, "1.1"), image(3, "1.2")
GOOD_A = SlotState(Slot.A, 3, True, 3, False)


def node(state: SlotState = GOOD_A, booted: Slot | None = Slot.A, b: Manifest | None = OLD) -> OnNode:
    return OnNode(state, booted, {Slot.A: OLD, Slot.B: b})


def decided(there: OnNode, new: Manifest = NEW, *force: Force) -> UpgradePlan:
    return make_upgrade(there, NewImage(new, force=frozenset(force)), ROOM)


@pytest.mark.parametrize(
    ("state", "booted", "target"),
    [
        (GOOD_A, Slot.A, Slot.B),
        (SlotState(Slot.B, 3, True, 3, True), Slot.B, Slot.A),
        (SlotState(Slot.B, 3, True, 0, False), Slot.A, Slot.B),  # runs as the fallback
        (SlotState(Slot.B, 3, True, 3, False), Slot.A, Slot.B),  # another upgrade waits for its boot
        (SlotState(Slot.A, 0, True, 3, True), Slot.B, Slot.A),  # power cuts left the good primary
        (GOOD_A, None, Slot.B),
        (SlotState(Slot.B, 3, True, 3, True), None, Slot.A),
        (SlotState(Slot.B, 3, True, 3, False), None, Slot.B),
        (SlotState(Slot.A, 0, True, 2, True), None, Slot.A),
        (SlotState(Slot.A, 3, False, 3, True), None, Slot.A),
    ],
)
def test_the_slot_that_is_not_kept_is_made_anew(state: SlotState, booted: Slot | None, target: Slot) -> None:
    plan = decided(node(state, booted))
    assert (plan.decision, plan.target) == (Decision.UPGRADE, target)


@pytest.mark.parametrize(
    ("state", "booted", "says"),
    [
        (fresh(), Slot.A, "slot A, which runs, was not found good yet"),
        (SlotState(Slot.B, 3, True, 2, False), Slot.B, "slot B, which runs, was not found good yet"),
        (SlotState(Slot.B, 0, False, 3, True), Slot.A, "slot A, which runs, is not good, and is left at the next"),
        (fresh(), None, "neither slot of this node was ever found good"),
    ],
)
def test_without_a_good_slot_to_keep_nothing_is_upgraded(state: SlotState, booted: Slot | None, says: str) -> None:
    with pytest.raises(Refused, match=says):
        decided(node(state, booted))


def test_the_image_that_runs_or_waits_is_there_already() -> None:
    assert decided(node(), OLD).decision is Decision.ALREADY
    waiting = SlotState(Slot.B, 3, True, 3, False)
    assert decided(node(waiting, b=NEW), NEW).decision is Decision.ALREADY
    assert decided(node(waiting, b=NEW), OTHER).decision is Decision.UPGRADE


def test_the_same_image_makes_a_slot_that_is_gone_whole_again() -> None:
    rotten = SlotState(Slot.A, 3, True, 0, False)
    plan = decided(node(rotten), OLD)
    assert (plan.decision, plan.target) == (Decision.UPGRADE, Slot.B)
    assert decided(node(replace(rotten, b_try=1)), OLD).decision is Decision.ALREADY


def test_a_slot_that_rots_is_made_anew_by_the_same_image_and_not_gone_back_to() -> None:
    there = node(SlotState(Slot.A, 3, True, 3, True))
    assert decided(there, OLD).decision is Decision.ALREADY
    assert refuse_rollback(there) is Slot.B
    there = replace(there, rotten=frozenset({Slot.B}))
    assert decided(there, OLD).decision is Decision.UPGRADE
    with pytest.raises(Refused, match="slot B rots"):
        refuse_rollback(there)


FELL = SlotState(Slot.B, 3, True, 0, False)


@pytest.mark.parametrize(
    "there", [node(FELL, b=NEW), node(FELL, None, NEW), replace(node(), fallen=frozenset({NEW.image_id}))]
)
def test_an_image_that_fell_back_is_not_taken_again_unless_forced(there: OnNode) -> None:
    plan = decided(there)
    assert plan.decision is Decision.FALLEN
    assert "1.1" in fallen_reason(plan)
    assert decided(there, OTHER).decision is Decision.UPGRADE
    assert decided(there, NEW, Force.FALLEN).decision is Decision.UPGRADE
    once = replace(there, forced=frozenset({NEW.image_id}))
    assert decided(once, NEW, Force.FALLEN).decision is Decision.FALLEN


@pytest.mark.parametrize(
    ("left", "offered"),
    [
        (SlotState(Slot.B, 3, True, 0, True), NEW),  # a good image panics later, or the power fails, three times
        (FELL, OLD),  # a slot was made whole again with the image that runs, on a disk that goes bad
    ],
)
def test_a_line_that_stays_does_not_write_at_each_fallback_what_is_first_and_was_left(
    left: SlotState, offered: Manifest
) -> None:
    there = node(left, None, offered)
    assert decided(there, offered).decision is Decision.ALREADY
    assert pick(left)[0] is Slot.A
    assert decided(replace(there, rotten=frozenset({Slot.B})), offered).decision is Decision.UPGRADE
    assert decided(replace(there, booted=Slot.A), offered).decision is Decision.UPGRADE, "a person asks"
    assert decided(there, OTHER).decision is Decision.UPGRADE


def test_an_image_that_a_good_slot_holds_did_not_fall() -> None:
    there = replace(node(FELL), fallen=frozenset({OLD.image_id, NEW.image_id}))
    assert there.fallen_ids == {NEW.image_id}


def test_an_upgrade_that_was_cut_short_did_not_fall_back() -> None:
    assert decided(node(disarm(GOOD_A, Slot.B), b=NEW)).decision is Decision.UPGRADE


@pytest.mark.parametrize("version", ["2.0", "10.1", "2"])
def test_another_major_version_wants_force(version: str) -> None:
    with pytest.raises(Refused, match=r"another major version than 1\.0") as caught:
        decided(node(), image(2, version))
    assert "autoinstall.force=major" in caught.value.hint
    assert decided(node(), image(2, version), Force.MAJOR).decision is Decision.UPGRADE


def test_nothing_goes_below_the_security_floor_by_no_force() -> None:
    there = replace(node(), floor=2)
    with pytest.raises(Refused, match="security version 1, and this node takes none below 2"):
        decided(there, NEW, *Force)
    assert decided(there, image(2, security_version=2)).decision is Decision.UPGRADE


def test_an_image_that_does_not_fit_is_refused_with_what_is_missing() -> None:
    room = {Slot.A: needed_bytes(NEW), Slot.B: needed_bytes(NEW)}
    assert make_upgrade(node(), NewImage(NEW), room).decision is Decision.UPGRADE
    with pytest.raises(Refused, match="1 MiB too few"):
        make_upgrade(node(), NewImage(NEW), {**room, Slot.B: room[Slot.B] - 1})


def test_what_may_surprise_is_told() -> None:
    plan = decided(OnNode(GOOD_A, Slot.A, {Slot.A: image(1, security_version=3)}), replace(NEW, recipe="metal"))
    assert [text.partition(" ")[0] for text in plan.warnings] == ["this", "security"]


def test_the_new_slot_has_the_words_of_the_old_one_and_a_root_of_its_own() -> None:
    row = next(row for row in PARTITIONS if row.label == "Root-B")
    part = partition_of(UUID(int=9), row, (4, 0, 2048 * MIB))
    words = f"panic=30 root=autoinstall:PARTUUID={UUID(int=1)} rd.autoinstall.config=PARTUUID=c xroot=1"
    expected = words.replace(str(UUID(int=1)), str(part.partition_uuid))
    assert for_slot(words, part, NEW) == expected
    with pytest.raises(Refused, match="name no root"):
        for_slot("panic=30 xroot=1", part, NEW)
    several = f"{words} rd.autoinstall.multipath=3600a0b80000f1a2b"
    with pytest.raises(Refused, match="nothing that looks after the paths"):
        for_slot(several, part, replace(NEW, features=()))
    assert for_slot(several, part, replace(NEW, features=("kexec", "multipath"))).endswith("1a2b")


def test_the_floor_is_that_of_the_lowest_good_slot_and_never_sinks() -> None:
    images: dict[Slot, Manifest | None] = {Slot.A: image(1, security_version=1), Slot.B: image(2, security_version=5)}
    assert raised_floor(OnNode(SlotState(Slot.B, 3, True, 3, True), Slot.B, images)) == 1
    assert raised_floor(OnNode(SlotState(Slot.B, 3, False, 3, True), Slot.B, images)) == 5
    assert raised_floor(OnNode(GOOD_A, Slot.A, images, floor=3)) == 3


def test_a_rollback_goes_to_what_was_good_and_is_not_too_old() -> None:
    there = node(SlotState(Slot.B, 1, True, 3, True), Slot.B, NEW)
    assert refuse_rollback(there) is Slot.A
    with pytest.raises(Refused, match="none below 2"):
        refuse_rollback(replace(there, floor=2))
    with pytest.raises(Refused, match="slot B holds no image that was ever found good"):
        refuse_rollback(node())


def test_a_rollback_calls_off_an_upgrade_that_waits() -> None:
    state = roll_back(SlotState(Slot.B, 1, True, 3, False))
    assert state == SlotState(Slot.A, 3, True, 0, False)


states = st.builds(
    SlotState, st.sampled_from(Slot), st.integers(0, 3), st.booleans(), st.integers(0, 3), st.booleans()
)


@given(states, st.sampled_from([*Slot, None]), st.integers(1, 3))
def test_from_any_state_the_slot_that_is_kept_is_good_and_what_a_bad_image_ends_in(
    state: SlotState, booted: Slot | None, tries: int
) -> None:
    try:
        plan = decided(node(state, booted))
    except Refused:
        assert not state.good(booted) if booted else not (state.a_ok or state.b_ok)
        return
    assert state.good(plan.kept)
    assert plan.target is not booted
    after = flip(disarm(state, plan.target), plan.target, tries)
    for _ in range(tries):
        slot, after = pick(after)
        assert slot is plan.target
    for _ in range(9):
        slot, after = pick(after)
        assert slot is plan.kept


# Any life of a node: what may happen to it, in any order, and what must hold all the time.


@dataclass
class Life:
    """A node: its slot state, and what each slot holds; a slot that is half-written holds nothing."""

    state: SlotState
    images: dict[Slot, Manifest | None]
    booted: Slot | None
    number: int = 1

    def boot(self) -> None:
        self.booted, self.state = pick(self.state)

    def good(self) -> None:
        if self.booted:
            self.state = mark_good(self.state, self.booted)

    def upgrade(self, offline: bool, cut: int) -> None:
        self.number += 1
        self.booted = None if offline else self.booted  # a medium runs, and no slot
        if not offline and not self.booted:
            return
        there = OnNode(self.state, self.booted, self.images)
        try:
            plan = make_upgrade(there, NewImage(image(self.number)), ROOM)
        except Refused:
            return
        assert self.state.good(plan.kept), "the slot that is kept is good"
        assert self.images[plan.kept], "and whole"
        assert plan.target is not self.booted
        if cut > 0:
            self.state = disarm(self.state, plan.target)
        if cut > 1:
            self.images[plan.target] = None
        if cut > 2:
            self.images[plan.target] = plan.new
            self.state = flip(self.state, plan.target, 1 + cut % 3)

    def roll_back(self) -> None:
        if not self.booted:
            return
        try:
            refuse_rollback(OnNode(self.state, self.booted, self.images))
        except Refused:
            return
        self.state = roll_back(self.state)


happenings = st.lists(
    st.one_of(
        st.sampled_from(["boot", "good", "rearm", "rollback"]).map(lambda what: (what, False, 0)),
        st.tuples(st.just("upgrade"), st.booleans(), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(happenings)
def test_whatever_happens_a_whole_image_is_booted_and_a_good_one_is_reached(
    story: list[tuple[str, bool, int]],
) -> None:
    life = Life(mark_good(fresh(), Slot.A), {Slot.A: OLD, Slot.B: OLD}, Slot.A)
    for what, offline, cut in story:
        if what == "boot":
            life.boot()
        elif what == "good":
            life.good()
        elif what == "rearm":
            life.state = rearm(life.state)
        elif what == "rollback":
            life.roll_back()
        else:
            life.upgrade(offline, cut)
        _assert_there_is_a_way(life)


def _assert_there_is_a_way(life: Life) -> None:
    """GRUB never boots a slot without a whole image, and comes to a good one within seven boots."""
    state, seen = life.state, []
    for _ in range(7):
        slot, state = pick(state)
        assert life.images[slot], f"{life.state} boots slot {slot}, which is half-written"
        seen.append(slot)
    assert any(life.state.good(slot) for slot in seen)

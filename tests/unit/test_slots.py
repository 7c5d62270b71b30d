"""The rules of the slots: what GRUB boots, what a healthy boot changes, what the files hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstall.slots import (
    ENV_BYTES,
    ENV_SIGNATURE,
    MOST_TRIES,
    Slot,
    SlotState,
    disarm,
    flip,
    fresh,
    mark_bad,
    mark_good,
    parse_env,
    pick,
    read_state,
    rearm,
    render_env,
    roll_back,
)

digits = st.integers(0, 3)
states = st.builds(SlotState, st.sampled_from(Slot), digits, st.booleans(), digits, st.booleans())
line = st.builds(
    lambda name, value: f"{name}={value}\n",
    st.sampled_from(["primary", "A_try", "A_ok", "B_try", "B_ok", "end", "other", "#"]),
    st.sampled_from(["A", "B", "0", "1", "2", "3", "4", "", "1 ", "\\1", "1\0", "\\\n"]),
)
envs = st.one_of(
    st.binary(max_size=ENV_BYTES),
    st.lists(line, max_size=9).map(lambda lines: ENV_SIGNATURE + "".join(lines).encode().ljust(999, b"#")),
)


def boots(state: SlotState, count: int) -> str:
    """The slots of that many boots in a row, none of which comes up."""
    slots = ""
    for _ in range(count):
        slot, state = pick(state)
        slots += slot
    return slots


@pytest.mark.parametrize(
    ("state", "slots"),
    [
        (fresh(), "AAABBBAAA"),
        (SlotState(Slot.B, 3, True, 3, False), "BBBAAAAAA"),  # a new image in B that never comes up
        (SlotState(Slot.B, 0, True, 0, False), "AAAA"),  # all used up: back to the one that was good
        (SlotState(Slot.B, 0, False, 0, True), "BBBB"),
        (SlotState(Slot.B, 0, False, 0, False), "AAAA"),  # none was good: never stop
        (SlotState(Slot.B, 0, True, 0, True), "BBBB"),
        (SlotState(Slot.A, 1, True, 2, True), "ABBAAA"),
    ],
)
def test_boots_that_fail_count_down_and_go_to_the_other_slot(state: SlotState, slots: str) -> None:
    assert boots(state, len(slots)) == slots


def test_a_power_cut_storm_leaves_a_good_slot_in_charge() -> None:
    slot, state = pick(rearm(mark_good(fresh(), Slot.A)))
    assert (slot, state.a_try) == (Slot.A, 2)


def test_a_fallback_that_is_healthy_gives_the_primary_its_attempts_back() -> None:
    state = rearm(mark_good(SlotState(Slot.A, 0, True, 2, True), Slot.B))
    assert pick(state)[0] is Slot.A


def test_a_fallback_that_is_healthy_does_not_rearm_an_image_that_never_was() -> None:
    state = rearm(mark_good(SlotState(Slot.B, 2, True, 0, False), Slot.A))
    assert (state.b_try, pick(state)[0]) == (0, Slot.A)


@given(states, st.sampled_from(Slot))
def test_a_slot_marked_bad_is_left_and_never_the_last_that_could_be_booted(state: SlotState, slot: Slot) -> None:
    marked = mark_bad(state, slot)
    assert mark_bad(marked, slot) == marked
    other = slot.other
    if state.good(other):
        assert set(boots(rearm(marked), 9)) == {other.value}
    elif state.good(slot):
        assert marked.good(slot)
        assert slot.value in boots(marked, MOST_TRIES + 1)
        assert boots(marked, 1) == (other.value if state.tries(other) else slot.value)


def test_a_slot_marked_bad_while_the_other_is_new_puts_that_one_on_trial() -> None:
    assert mark_bad(mark_good(fresh(), Slot.A), Slot.A).on_trial(Slot.B)


def test_a_slot_marked_bad_while_the_other_is_made_anew_is_still_the_one_to_boot() -> None:
    """Primary without an attempt is what a slot is that fell back."""
    half = disarm(SlotState(Slot.A, 3, True, 3, True), Slot.B)
    assert mark_bad(half, Slot.A) == half


def test_there_is_a_trial_only_where_there_is_something_to_fall_back_to() -> None:
    assert SlotState(Slot.B, 3, True, 3, False).on_trial(Slot.B)
    assert not fresh().on_trial(Slot.A)
    assert not SlotState(Slot.B, 3, True, 3, True).on_trial(Slot.B)


@given(states)
def test_a_state_survives_its_file(state: SlotState) -> None:
    data = render_env(state)
    assert len(data) == ENV_BYTES
    assert set(data[512:]) == {ord("#")}
    assert parse_env(data) == state
    assert read_state(data, b"") == read_state(b"", data) == read_state(data, render_env(fresh())) == state


@given(envs, envs)
def test_whatever_the_files_hold_a_slot_is_booted_and_the_counting_goes_on(first: bytes, second: bytes) -> None:
    slot, after = pick(read_state(first, second))
    assert 0 <= after.tries(slot) <= 2
    assert parse_env(render_env(after)) == after


@given(states, st.sampled_from(Slot))
def test_marking_good_is_final_and_changes_nothing_else(state: SlotState, slot: Slot) -> None:
    once = mark_good(state, slot)
    assert once.good(slot)
    assert mark_good(once, slot) == once
    assert replace(once, a_ok=state.a_ok, b_ok=state.b_ok) == state


@given(states, st.sampled_from(Slot), st.integers(1, 3))
def test_what_is_disarmed_is_never_booted_while_the_other_is_good(state: SlotState, slot: Slot, tries: int) -> None:
    state = mark_good(state, slot.other)
    off = disarm(state, slot)
    assert (off.primary, off.tries(slot), off.good(slot)) == (slot.other, 0, False)
    assert (off.tries(slot.other), off.good(slot.other)) == (state.tries(slot.other), True)
    assert set(boots(rearm(off), 9)) == {slot.other.value}
    on = flip(off, slot, tries)
    assert (on.primary, on.tries(slot), on.good(slot)) == (slot, tries, False)
    assert boots(on, tries + 1) == slot.value * tries + slot.other.value
    assert disarm(on, slot) == off


@given(states)
def test_a_rollback_goes_to_the_other_slot_and_a_second_one_back_to_what_was_good(state: SlotState) -> None:
    left = state.primary
    state = mark_good(state, left.other)
    back = roll_back(state)
    assert (back.primary, back.tries(left.other), back.good(left.other)) == (left.other, MOST_TRIES, True)
    assert back.tries(left) == (state.tries(left) if state.good(left) else 0)
    assert back.good(left) == state.good(left)


@given(states)
def test_a_good_slot_is_reached_within_seven_boots(state: SlotState) -> None:
    wanted = [slot for slot in Slot if state.good(slot)]
    assert not wanted or set(boots(state, 7)) & set(wanted)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"primary=B\nA_try=1\nA_ok=1\nB_try=2\nB_ok=1\nend=1\n", SlotState(Slot.B, 1, True, 2, True)),
        (b"end=1\n", SlotState(Slot.A, 0, False, 0, False)),
        (b"A_try=1\nA_try=3\nend=1\n", SlotState(Slot.A, 3, False, 0, False)),
        (b"A_try=9\nB_try=\\2\nend=1\n", SlotState(Slot.A, 0, False, 2, False)),
        (b"B_ok=1\x00junk\nend=1\n", SlotState(Slot.A, 0, False, 0, True)),
        (b"primary=B\n", None),
        (b"primary=B\nend=1", None),
    ],
)
def test_a_file_is_read_as_grub_reads_it(text: bytes, found: SlotState | None) -> None:
    assert parse_env(ENV_SIGNATURE + text) == found


def test_a_file_without_its_signature_is_none() -> None:
    assert parse_env(render_env(fresh())[1:]) is None


def test_an_unfinished_first_file_gives_way_to_the_second() -> None:
    state = SlotState(Slot.B, 0, True, 2, False)
    unfinished = render_env(replace(fresh(), end=False))
    assert read_state(unfinished, render_env(state)) == state
    assert read_state(unfinished, unfinished) == SlotState(Slot.A, 3, True, 3, True)

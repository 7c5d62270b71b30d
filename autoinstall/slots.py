"""Slot states, boot counting, mark-good: pure rules, and the format of the two env files.

The rules are those of the state machine in grub.cfg, which counts before a kernel is there; `read_state` and
`pick` say what it will do with two given files, whatever is in them. Symptom of a difference: a node that
`status` calls fine and GRUB boots from the other slot. tests/vm runs both on the same random files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

ENV_BYTES = 1024
ENV_SIGNATURE = b"# GRUB Environment Block\n"
VARIABLES = ("primary", "A_try", "A_ok", "B_try", "B_ok", "end")
"""What GRUB loads and saves (the list of its load_env is a whitelist). `end` is last: 1 says the rest is there."""
MOST_TRIES = 3
ROLES = {True: "Root", False: "RootBackup"}
"""By whether the slot is the one to boot: the names that oVirt Node gave them, and the labels of its filesystem."""


class Slot(StrEnum):
    """One of the two places for an image. The value is its name everywhere: env files, words, labels."""

    A = "A"
    B = "B"

    @property
    def other(self) -> Slot:
        """The fallback of this one."""
        return Slot.B if self is Slot.A else Slot.A

    @property
    def partition_label(self) -> str:
        """The label of its partition, which never changes."""
        return f"Root-{self.value}"


@dataclass(frozen=True)
class SlotState:
    """What GRUB knows. `*_try`: attempts left, 0 to 3. `*_ok`: this image once came up healthy."""

    primary: Slot
    a_try: int
    a_ok: bool
    b_try: int
    b_ok: bool
    end: bool = True

    def tries(self, slot: Slot) -> int:
        """Boot attempts that `slot` has left."""
        return self.a_try if slot is Slot.A else self.b_try

    def good(self, slot: Slot) -> bool:
        """Whether the image in `slot` once came up healthy."""
        return self.a_ok if slot is Slot.A else self.b_ok

    def on_trial(self, slot: Slot) -> bool:
        """Whether a boot of `slot` that is not healthy should give way: it never was good, the other was."""
        return not self.good(slot) and self.good(slot.other)


def fresh() -> SlotState:
    """The state of a new install: the image is in both slots, and neither came up yet."""
    return SlotState(Slot.A, MOST_TRIES, False, MOST_TRIES, False)


def pick(state: SlotState) -> tuple[Slot, SlotState]:
    """The slot that GRUB boots, and the state as it counts it down. Never none, whatever the state."""
    order = (state.primary, state.primary.other)
    chosen = next((slot for slot in order if state.tries(slot)), None)
    if chosen is None:
        chosen = next((slot for slot in order if state.good(slot)), Slot.A)
        state = _with_tries(state, chosen, MOST_TRIES)
    return chosen, _with_tries(state, chosen, state.tries(chosen) - 1)


def mark_good(state: SlotState, booted: Slot) -> SlotState:
    """The booted slot came up healthy. Its tries stay as they are: a panic after this still counts."""
    return replace(state, a_ok=True) if booted is Slot.A else replace(state, b_ok=True)


def mark_bad(state: SlotState, slot: Slot) -> SlotState:
    """A slot is not to be booted again: the other one is primary.

    Only where the other was once good does this one lose what it has: else it is still the one to come back to. One
    that GRUB would not boot, as an upgrade that is under way leaves it, is not made primary: it did not fall back.
    """
    if not state.good(slot.other) and not state.tries(slot.other):
        return state
    state = replace(state, primary=slot.other)
    return _without(state, slot) if state.good(slot.other) else state


def rearm(state: SlotState, spared: Slot | None = None) -> SlotState:
    """All attempts back for every slot that was once good, so that power cuts do not add up to a fallback.

    The other slot too: a primary that was good, and was left for a run of power cuts, is booted again. `spared` is
    one that was left for all its attempts, and of which nobody knows that it is whole.
    """
    for slot in Slot:
        if state.good(slot) and slot is not spared:
            state = _with_tries(state, slot, MOST_TRIES)
    return state


def root_slot(state: SlotState) -> Slot:
    """The slot whose role is Root: the primary, unless it was given up for one that is good."""
    given_up = state.on_trial(state.primary) and not state.tries(state.primary)
    return state.primary.other if given_up else state.primary


def disarm(state: SlotState, slot: Slot) -> SlotState:
    """Nothing points to `slot` any more: the other one is to be booted, and GRUB never gives this one a try."""
    return _without(replace(state, primary=slot.other), slot)


def flip(state: SlotState, slot: Slot, tries: int) -> SlotState:
    """`slot` holds a whole new image: it is booted next, `tries` times at most until it is found good."""
    return replace(_with_tries(disarm(state, slot), slot, tries), primary=slot)


def roll_back(state: SlotState) -> SlotState:
    """The slot that is not to be booted now is the one to boot. Its image must once have been good.

    One that never was good is given up: no run of power cuts ends in it.
    """
    left = state.primary
    state = replace(_with_tries(state, left.other, MOST_TRIES), primary=left.other)
    return state if state.good(left) else _with_tries(state, left, 0)


def render_env(state: SlotState) -> bytes:
    """One env file: 1024 bytes, and every variable in the first 512: one write of one sector changes them all."""
    values = {
        "primary": state.primary.value,
        "A_try": str(state.a_try),
        "A_ok": str(int(state.a_ok)),
        "B_try": str(state.b_try),
        "B_ok": str(int(state.b_ok)),
        "end": str(int(state.end)),
    }
    text = ENV_SIGNATURE + "".join(f"{name}={values[name]}\n" for name in VARIABLES).encode()
    return text.ljust(ENV_BYTES, b"#")


def parse_env(data: bytes) -> SlotState | None:
    """The state in one env file, as GRUB takes it; None where the file is not one, or not finished."""
    values = _load(data)
    return _state(values) if values is not None and values.get("end") == "1" else None


def read_state(first: bytes, second: bytes) -> SlotState:
    """The state that GRUB makes of both env files: the first, else the second, else: boot A, both are good.

    Variables that a finished first file lacks are those of the second, as GRUB loads that one before.
    """
    values: dict[str, str] = dict(_load(second) or {})
    second_whole = values.get("end") == "1"
    values["end"] = "0"
    values.update(_load(first) or {})
    if values["end"] != "1":
        if not second_whole:
            return SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, True)
        values.update(_load(second) or {})
    return _state(values)


def _without(state: SlotState, slot: Slot) -> SlotState:
    return replace(state, a_try=0, a_ok=False) if slot is Slot.A else replace(state, b_try=0, b_ok=False)


def _with_tries(state: SlotState, slot: Slot, tries: int) -> SlotState:
    return replace(state, a_try=tries) if slot is Slot.A else replace(state, b_try=tries)


def _state(values: dict[str, str]) -> SlotState:
    """GRUB compares whole strings: what is not exactly 1, 2 or 3 is no attempt, what is not 1 is not good."""
    tries = {str(number): number for number in range(1, MOST_TRIES + 1)}
    return SlotState(
        primary=Slot.B if values.get("primary") == "B" else Slot.A,
        a_try=tries.get(values.get("A_try", ""), 0),
        a_ok=values.get("A_ok") == "1",
        b_try=tries.get(values.get("B_try", ""), 0),
        b_ok=values.get("B_ok") == "1",
        end=values.get("end") == "1",
    )


def _load(data: bytes) -> dict[str, str] | None:
    """What load_env sets from a file; None where it sets nothing for want of the signature.

    Follows grub_envblk_iterate (GRUB 2.12, lib/envblk.c): a backslash takes the next byte as it is, a line
    without its newline is not there, a name may hold anything but `=`. C strings end at their first NUL.
    """
    if not data.startswith(ENV_SIGNATURE):
        return None
    values: dict[str, str] = {}
    position = len(ENV_SIGNATURE)
    while position < len(data):
        if data[position : position + 1] != b"#":
            equals = data.find(b"=", position)
            if equals < 0:
                break
            name = data[position:equals]
            value, position = _value(data, equals + 1)
            if position >= len(data):
                break
            if (known := _c_string(name)) in VARIABLES:
                values[known] = _c_string(value)
        position = _next_line(data, position)
    return values


def _value(data: bytes, position: int) -> tuple[bytes, int]:
    """The unescaped value that begins at `position`, and where its newline is (or behind the end)."""
    value = bytearray()
    while position < len(data) and data[position] != ord("\n"):
        if data[position] == ord("\\"):
            position += 1
        value += data[position : position + 1]
        position += 1
    return bytes(value), position


def _next_line(data: bytes, position: int) -> int:
    while position < len(data) and data[position] != ord("\n"):
        position += 2 if data[position] == ord("\\") else 1
    return position + 1


def _c_string(text: bytes) -> str:
    return text.partition(b"\0")[0].decode("latin-1")

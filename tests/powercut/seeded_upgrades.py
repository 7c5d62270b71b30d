"""Bugs of an upgrade and of a rollback, put into their traces on purpose. More of them: seeded.py."""

from __future__ import annotations

from dataclasses import replace

from autoinstall.slots import Slot
from autoinstall.slotsums import SLOT_SUMS
from tests.powercut.boots import Eyes
from tests.powercut.ext4 import Ext4
from tests.powercut.lab import Lab
from tests.powercut.surgery import (
    Bug,
    begun_and_told,
    corrupt,
    file_of_config,
    largest_of_image,
    lost,
    rewritten,
    sector_with,
    slot_b_with_root_a,
    state_writes,
    told_early,
    without_flushes,
    write_of,
    writes_to,
    written_over,
)
from tests.powercut.trace import FLUSH, SECTOR, Trace

NEW, OLD = "Root-B", "Root-A"
MACHINE_ID = "etc/upper/machine-id"
MOUNT_COUNT = 52
"""Where an ext4 superblock has it."""


def _disarm(lab: Lab, trace: Trace) -> list[int]:
    return [i for i, state in state_writes(lab, trace) if state.primary is Slot.A and not state.b_try]


def _flip(lab: Lab, trace: Trace) -> list[int]:
    return [i for i, state in state_writes(lab, trace) if state.primary is Slot.B]


def _not_disarmed(lab: Lab, trace: Trace) -> Trace:
    for index in _disarm(lab, trace):
        trace = lost(trace, index)
    return trace


def _flip_before_the_image(lab: Lab, trace: Trace) -> Trace:
    flip, before = _flip(lab, trace), largest_of_image(lab, trace, "b")
    early = [trace.entries[index] for index in flip]
    for index in flip:
        trace = lost(trace, index)
    return trace.splice(before, 0, [*early, FLUSH])


def _no_flush_before_the_flip(lab: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, writes_to(lab, trace, NEW)[0], _flip(lab, trace)[-1] + 1)


def _flip_never_flushed(lab: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, _flip(lab, trace)[0], trace.end)


def _wrong_sector(lab: Lab, trace: Trace) -> Trace:
    return corrupt(trace, largest_of_image(lab, trace, "b"))


def _other_sums(lab: Lab, trace: Trace) -> Trace:
    eyes = Eyes(lab.content(replace(trace, begin=trace.end)), lab.recording.brought)
    index, sector = write_of(lab, trace, NEW, Ext4.of(eyes.at(NEW)).file(SLOT_SUMS))
    return rewritten(trace, index, sector, lambda data: b"0" * 8 + data[8:])


def _into_the_slot_that_runs(lab: Lab, trace: Trace) -> Trace:
    for index in writes_to(lab, trace, NEW):
        entry = trace.entries[index]
        there = entry.sector - lab.regions[NEW][0] + lab.regions[OLD][0]
        trace = trace.splice(index, 1, [replace(entry, sector=there)])
    return trace


def _one_byte_of_the_slot_that_runs(lab: Lab, trace: Trace) -> Trace:
    """Behind everything that its manifest names."""
    last = lab.regions[OLD][1] - 1
    return written_over(trace, _flip(lab, trace)[0], last, b"\1" + bytes(SECTOR - 1))


def _slot_mounted_for_writing(lab: Lab, trace: Trace) -> Trace:
    """Its superblock counts that."""
    superblock = lab.regions[NEW][0] + 1024 // SECTOR
    data = bytearray(lab.content(trace).read(superblock * SECTOR, SECTOR))
    data[MOUNT_COUNT] += 1
    return written_over(trace, trace.end, superblock, bytes(data))


def _over_a_file_of_config(lab: Lab, trace: Trace) -> Trace:
    """It takes the machine id for its own, and makes another."""
    place = sector_with(lab, trace, "Config", file_of_config(trace, MACHINE_ID))
    return written_over(trace, _flip(lab, trace)[0], place, b"0" * 32 + b"\n" + bytes(SECTOR - 33))


def _rollback_never_flushed(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, *begun_and_told(trace, "rollback"))


def _told(what: str) -> Bug:
    return Bug(what, lambda _, trace: told_early(trace, what), "told was")


UPGRADES: dict[str, Bug] = {
    "a slot made anew that still may boot": Bug("upgrade", _not_disarmed, "slot B may boot", quick=True),
    "the flip before the image": Bug("upgrade", _flip_before_the_image, "slot B may boot", quick=True),
    "no flush between the image and the flip": Bug("upgrade", _no_flush_before_the_flip, "slot B may boot"),
    "the flip never flushed": Bug("upgrade", _flip_never_flushed, "primary=A"),
    "one wrong sector in the second image": Bug("upgrade", _wrong_sector, "slot B may boot"),
    "other sums of the second image's kernel": Bug("upgrade", _other_sums, f"{SLOT_SUMS} in Root-B"),
    "the second image with the root that runs": Bug("upgrade", slot_b_with_root_a, "in Root-B says"),
    "the second image written over the slot that runs": Bug("upgrade", _into_the_slot_that_runs, "slot A may boot"),
    "an upgrade that changes one byte of the slot that runs": Bug(
        "upgrade", _one_byte_of_the_slot_that_runs, "Root-A is kept", quick=True
    ),
    "the old image mounts the new one for writing": Bug("old-image", _slot_mounted_for_writing, "Root-B is kept"),
    "an upgrade that makes another machine id": Bug("upgrade", _over_a_file_of_config, MACHINE_ID),
    "an upgrade told before it was made": _told("upgrade"),
    "a rollback never flushed": Bug("rollback", _rollback_never_flushed, "primary=B"),
    "a rollback told before it was made": _told("rollback"),
}

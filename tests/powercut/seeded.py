"""Bugs put into a trace on purpose. If the laboratory does not report one, its zero means nothing.

Each is what a writer with that bug would have sent to the disk; no machine needs to run for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from autoinstall.slots import Slot, SlotState, render_env
from tests.powercut.content import Content
from tests.powercut.fat import ENTRY_BYTES
from tests.powercut.lab import Lab, Violation
from tests.powercut.marks import HEALTHY
from tests.powercut.seeded_removals import REMOVALS
from tests.powercut.seeded_upgrades import UPGRADES
from tests.powercut.surgery import (
    Bug,
    begun_and_told,
    commit,
    corrupt,
    file_of_config,
    first_told,
    largest_of_image,
    lost,
    moved,
    rewritten,
    slot_b_with_root_a,
    told_early,
    without_flushes,
    write_of,
    writes_to,
)
from tests.powercut.trace import FLUSH, SECTOR, Entry, Trace

STATES = 0  # all that are sure, and one round of drawn ones
ENV_NAME = b"ENV        "
FREE_CLUSTER = 0x8000
ADMINS_KEY, RECORD = "home/admin/.ssh/authorized_keys", "autoinstall/install.json"


def caught(lab: Lab, name: str, seed: int) -> list[Violation]:
    """What the laboratory reports of a trace with that bug; the last of it tells of the bug, or it is missed."""
    bug = SEEDED[name]
    found = lab.run(bug.put_in(lab, lab.trace(bug.phase)), STATES, seed, until=bug.told).violations
    return found if found and bug.told in found[-1].problem else []


# The bugs


def _no_flush_before_commit(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, first_told(trace, "start install/image-a"), commit(trace))


def _no_flush_of_config(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, first_told(trace, "start install/config"), commit(trace))


def _commit_first(_: Lab, trace: Trace) -> Trace:
    return moved(trace, commit(trace), first_told(trace, "finish install/partition-table"))


def _commit_before_slot_b(_: Lab, trace: Trace) -> Trace:
    return moved(trace, commit(trace), first_told(trace, "start install/image-b"))


def _commit_never_flushed(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, commit(trace), trace.end)


def _wrong_sector(lab: Lab, trace: Trace) -> Trace:
    return corrupt(trace, largest_of_image(lab, trace, "a"))


def _lost_write(lab: Lab, trace: Trace) -> Trace:
    return lost(trace, largest_of_image(lab, trace, "b"))


def _core_after_commit(lab: Lab, trace: Trace) -> Trace:
    return moved(trace, writes_to(lab, trace, "BIOS-boot")[-1], commit(trace) + 1)


def _table_after_commit(lab: Lab, trace: Trace) -> Trace:
    (table,) = [i for i in writes_to(lab, trace, "table") if trace.entries[i].sector == 1 and _has_data(trace, i)]
    return moved(trace, table, commit(trace) + 1)


def _has_data(trace: Trace, index: int) -> bool:
    entry = trace.entries[index]
    return any(trace.store.hashes[entry.data : entry.data + entry.count])


def _good_before_health(lab: Lab, trace: Trace) -> Trace:
    health = first_told(trace, HEALTHY)
    late = [i for i in writes_to(lab, trace, "EFI") if i >= health]
    early = [trace.entries[i] for i in late]
    for index in late:
        trace = lost(trace, index)
    return trace.splice(health - 1, 0, [*early, FLUSH])


def _like_grub_editenv(lab: Lab, trace: Trace) -> Trace:
    """Both files truncated, and written again, in what order the cache likes."""
    entries = list(_env_entries(lab, trace))
    empty = [_sector(trace, at, _with_entry(data, place, cluster=0, size=0)) for at, data, place in entries]
    whole = [_sector(trace, at, data) for at, data, _ in entries]
    return _instead_of_mark_good(lab, trace, [*empty, *whole, FLUSH])


def _renamed_on_fat(lab: Lab, trace: Trace) -> Trace:
    """Each name leads to new clusters, whose content comes later."""
    entries = list(_env_entries(lab, trace))
    renamed = [
        _sector(trace, at, _with_entry(data, place, cluster=FREE_CLUSTER + number, size=1024))
        for number, (at, data, place) in enumerate(entries)
    ]
    return _instead_of_mark_good(lab, trace, [*renamed, FLUSH])


def _half_an_env(lab: Lab, trace: Trace) -> Trace:
    """Variables over more than the first sector: a torn write is neither the old state nor the new."""
    good = SlotState(Slot.A, 2, True, 2, False)
    data = render_env(good)
    late = data[:25].ljust(512, b"#")[:511] + b"\n" + data[25:].ljust(512, b"#")[:512]
    writes = [i for i in writes_to(lab, trace, "EFI") if i >= first_told(trace, HEALTHY)]
    new = [
        replace(trace.entries[i], data=trace.store.add(late), count=2) for i in writes if trace.entries[i].count == 2
    ]
    return _instead_of_mark_good(lab, trace, [*new, FLUSH])


def _instead_of_mark_good(lab: Lab, trace: Trace, new: list[Entry]) -> Trace:
    """Other writes right before those with which the slot is marked good; nothing else is under way."""
    first = min(i for i in writes_to(lab, trace, "EFI") if i >= first_told(trace, HEALTHY))
    return trace.splice(first, 0, [FLUSH, *new])


def _env_entries(lab: Lab, trace: Trace) -> Iterator[tuple[int, bytes, int]]:
    """The directory entries of both copies of the slot state: sector, its bytes, and where in it."""
    content: Content = lab.content(trace)
    for offset, data in content.runs("EFI"):
        for place in range(0, len(data), ENTRY_BYTES):
            if data[place : place + 11] == ENV_NAME:
                sector = place // SECTOR * SECTOR
                at = lab.regions["EFI"][0] + (offset + sector) // SECTOR
                yield at, data[sector : sector + SECTOR], place - sector


def _with_entry(data: bytes, place: int, cluster: int, size: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into("<H", changed, place + 20, cluster >> 16)
    struct.pack_into("<HI", changed, place + 26, cluster & 0xFFFF, size)
    return bytes(changed)


def _sector(trace: Trace, at: int, data: bytes) -> Entry:
    return Entry(at, 1, trace.store.add(data))


def _admins_key_after_commit(lab: Lab, trace: Trace) -> Trace:
    """The file has its inode and its block, and what is in there comes later."""
    index, _ = write_of(lab, trace, "Config", file_of_config(trace, ADMINS_KEY))
    return moved(trace, index, commit(trace) + 1)


def _wrong_sector_of_config(lab: Lab, trace: Trace) -> Trace:
    index, sector = write_of(lab, trace, "Config", file_of_config(trace, RECORD))
    return rewritten(trace, index, sector, lambda data: b"[" + data[1:])


def _no_fsync_of_a_file(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, *begun_and_told(trace, "a new file, fsync"))


def _no_fsync_before_rename(lab: Lab, trace: Trace) -> Trace:
    """The content of a file comes to the disk after its new name."""
    begun, told = begun_and_told(trace, "a file replaced by rename")
    content = [
        i
        for i in writes_to(lab, trace, "Config")
        if begun <= i < told and trace.store.read(trace.entries[i].data).startswith(b"value 0\n")
    ]
    return moved(trace, content[-1], told)


def _told_too_early(_: Lab, trace: Trace) -> Trace:
    return told_early(trace, "hostnamectl")


def _disk_without_flushes(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, trace.begin, trace.end)


def _rearm_never_flushed(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, *begun_and_told(trace, "rearm"))


SEEDED: dict[str, Bug] = {
    "no flush between the slots and the commit mark": Bug("install", _no_flush_before_commit, "is not", quick=True),
    "no flush between Config and the commit mark": Bug("install", _no_flush_of_config, "Config: "),
    "the commit mark first": Bug("install", _commit_first, "is not whole", quick=True),
    "the commit mark before slot B": Bug("install", _commit_before_slot_b, "is not whole"),
    "the commit mark never flushed": Bug("install", _commit_never_flushed, "does not find a finished node"),
    "one wrong sector in a slot": Bug("install", _wrong_sector, "slot A may boot", quick=True),
    "slot B's slot.cfg names the root of slot A": Bug("install", slot_b_with_root_a, "in Root-B says", quick=True),
    "a write to a slot lost": Bug("install", _lost_write, "slot B may boot"),
    "GRUB's core image after the commit mark": Bug("install", _core_after_commit, "core image"),
    "the partition table after the commit mark": Bug("install", _table_after_commit, "backup table alone"),
    "admin's key after the commit mark": Bug("install", _admins_key_after_commit, ADMINS_KEY, quick=True),
    "one wrong sector in the install record": Bug("install", _wrong_sector_of_config, RECORD),
    "good before a boot was healthy": Bug("first-boot", _good_before_health, "no boot of its image", quick=True),
    "the slot state written as grub-editenv does": Bug("first-boot", _like_grub_editenv, "neither copy", quick=True),
    "the slot state renamed into its place on FAT": Bug("first-boot", _renamed_on_fat, "neither copy"),
    "the slot state spread over two sectors": Bug("first-boot", _half_an_env, "neither copy"),
    "a disk that ignores flushes": Bug("first-boot", _disk_without_flushes, "Config: "),
    "no fsync of a new file": Bug("config", _no_fsync_of_a_file, "etc/upper/lab.new0", quick=True),
    "no fsync before a rename": Bug("config", _no_fsync_before_rename, "etc/upper/lab.conf"),
    "a change told before it was made": Bug("config", _told_too_early, "etc/upper/hostname"),
    "the attempts given back, never flushed": Bug("rearm", _rearm_never_flushed, "a_try=2"),
    **UPGRADES,
    **REMOVALS,
    "the second image good before a boot was healthy": Bug(
        "new-image", _good_before_health, "no boot of its image", quick=True
    ),
}

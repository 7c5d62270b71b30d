"""`autoinstall verify`: the files of both slots, read from the disk, are what their manifests say.

The slot that nobody runs from rots unread, until it is needed. One that does is no fallback: it is marked bad.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from autoinstall import block
from autoinstall.errors import EXIT_BROKE, EXIT_OK, AutoinstallError, DeviceLost, ImageInvalid, MountFailed
from autoinstall.host import Host
from autoinstall.image.manifest import MANIFEST_NAME, parse_manifest
from autoinstall.mounts import mounted
from autoinstall.node import records
from autoinstall.node.health import check_node, fell_back_from, tell
from autoinstall.node.state import booted_slot, change_slot_state, only_one, partitions
from autoinstall.slots import Slot, mark_bad
from autoinstall.slotsums import SLOT_SUMS, Sums, differ

NO_FILESYSTEM = {errno.EINVAL, errno.EIO, errno.EUCLEAN, errno.EBADMSG}
"""Answers of mount(2) that tell of the disk: no superblock, none that can be read, one that is damaged."""
PASSING = {errno.EBUSY, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True)
class Found:
    """What reading a slot told, one line each: what is wrong with it, and why the rest of it was not looked at."""

    rot: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Every file was read, and is what the manifest says."""
        return not (self.rot or self.unread)

    @property
    def certain(self) -> bool:
        """It rots, or it is whole."""
        return bool(self.rot) or not self.unread


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Read and tell. Exit code 0: all is well, 4: something is not. Raises CannotHere where this is no node.

    Not beside an upgrade: half a slot is not rot, and a slot that is mounted is not made anew.
    """
    booted = booted_slot(host)
    found: dict[Slot, Found] = {}
    with only_one(host):
        found[booted] = look(host, booted)
    with only_one(host):
        found[booted.other] = look(host, booted.other)
        news = conclude(host, found)
    for slot, there in sorted(found.items()):
        for line in (*there.rot, *there.unread) or ["every file is what the manifest says"]:
            print(f"slot {slot}: {line}")
    if news:
        tell(check_node(host), fell_back_from(host))
    return EXIT_OK if all(there.whole for there in found.values()) else EXIT_BROKE


def conclude(host: Host, found: Mapping[Slot, Found]) -> bool:
    """Remember what was found, and mark a slot bad that rots beside one that does not. Whether it is news.

    Of two that rot the node keeps both: one that may come up is better than none. Of what was not looked at all stays
    as it was known. Raises StateUnreadable.
    """
    news = False
    for slot, there in found.items():
        if there.certain:
            with suppress(OSError):
                news = records.set_rotten(slot.value, there.rot) or news
        if there.rot and not _rots(slot.other, found):
            change_slot_state(host, partial(mark_bad, slot=slot))
    return news


def _rots(slot: Slot, found: Mapping[Slot, Found]) -> bool:
    """As it was found now, else as it is remembered."""
    there = found.get(slot)
    return bool(there.rot) if there and there.certain else slot.value in records.rotten()


def look(host: Host, slot: Slot) -> Found:
    """Read a slot, past the page cache."""
    rot: list[str] = []
    sums = Sums()
    try:
        with mounted(host, partitions(host)[slot.partition_label], "ro") as root:
            for file in parse_manifest((root / MANIFEST_NAME).read_bytes()).files:
                digest = hashlib.sha256()
                for chunk in sums.counted(file.name, block.chunks_direct(root / file.name)):
                    digest.update(chunk)
                if digest.hexdigest() != file.sha256:
                    rot.append(f"{file.name} is not what its manifest says")
            if not rot and differ(root, sums.render()):
                rot.append(f"{SLOT_SUMS} is not that of its files")
    except (AutoinstallError, OSError, LookupError) as error:
        if not _tells_of_the_disk(error):
            return Found(tuple(rot), (f"not looked at: {error}",))
        rot.append(str(error))
    return Found(tuple(rot))


def _tells_of_the_disk(error: BaseException) -> bool:
    """Whether a slot that answers with this rots. Not where somebody else has it mounted, or memory is short."""
    number = _errno(error)
    if isinstance(error, MountFailed):
        return number in NO_FILESYSTEM
    return isinstance(error, ImageInvalid | DeviceLost | OSError) and number not in PASSING


def _errno(error: BaseException | None) -> int | None:
    """Of the kernel's answer that an error began with."""
    if isinstance(error, OSError):
        return error.errno
    return _errno(error.__cause__) if error else None

"""What the initramfs left of this boot, and the slot state on the ESP, read and written as GRUB needs it."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from autoinstall.block import MAPPED_PARTITION
from autoinstall.errors import CannotHere, DeviceLost, MountFailed, Refused, StateUnreadable, TookTooLong
from autoinstall.host import Host
from autoinstall.layout import PARTITIONS
from autoinstall.lock import lock_file
from autoinstall.mounts import mounted_beside
from autoinstall.slots import ENV_BYTES, Slot, SlotState, read_state, render_env

RUN = Path("/run/autoinstall")
BOOTED_IMAGE = RUN / "slot"
"""Where the initramfs mounts the booted slot, read-only."""
ESP_LABEL, ESP_FILESYSTEM = "EFI", "vfat"
STATE_COPIES = ("state1/env", "state2/env")
"""The two copies on the ESP, in the order in which GRUB believes them."""
MOUNTS = "/proc/self/mountinfo"
DEVICES = "/sys/dev/block"
PATIENCE_S = 5
"""`status` reads a slot for a moment, and what changes one waits for that; not for what takes minutes."""


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo: the options are those of the mount and of the filesystem under it."""

    target: str
    filesystem: str
    source: str
    options: frozenset[str]
    device: str


def mounts(host: Host) -> dict[str, Mount]:
    """What is mounted now, by target; of several on one target the topmost. Raises OSError."""
    found = (_mount(line) for line in host.read_text(MOUNTS).splitlines())
    return {mount.target: mount for mount in found}


def booted_slot(host: Host) -> Slot:
    """The slot this node runs from, as the boot loader told. Raises CannotHere where this is no node."""
    try:
        return Slot(host.read_text(RUN / "slot-name").strip())
    except (OSError, ValueError) as error:
        raise CannotHere("this system does not run from a slot", hint="run this on an installed node") from error


def booted_disk(host: Host) -> Path:
    """The disk that the booted slot is on, in sysfs. Raises StateUnreadable."""
    try:
        partition = Path(DEVICES, mounts(host)[str(BOOTED_IMAGE)].device).resolve()
        mapped = sorted((partition / "slaves").glob("*"))
        return mapped[0].resolve() if mapped else partition.parent
    except (OSError, KeyError) as error:
        raise StateUnreadable(f"finding the disk of the booted slot: {error}") from error


def partitions(host: Host) -> dict[str, str]:
    """Partition label -> device, of the disk that the booted slot is on. Raises StateUnreadable.

    By what the kernel read from that disk's table, never by labels alone: another disk may carry the same. Of a
    mapped disk it tells the numbers; our tables have one order.
    """
    disk = booted_disk(host)
    try:
        if (disk / "dm").exists():
            uuids = {path.name: host.read_text(path / "dm/uuid") for path in sorted(disk.glob("holders/*"))}
            matches = {name: MAPPED_PARTITION.match(uuid) for name, uuid in uuids.items()}
            return {PARTITIONS[int(match[1]) - 1].label: f"/dev/{name}" for name, match in matches.items() if match}
        events = [_fields(host.read_text(path)) for path in sorted(disk.glob("*/uevent"))]
    except OSError as error:
        raise StateUnreadable(f"finding the partitions of the booted disk: {error}") from error
    return {event["PARTNAME"]: f"/dev/{event['DEVNAME']}" for event in events if "PARTNAME" in event}


def esp_device(host: Host) -> str:
    """The ESP of the disk that the booted slot is on. Raises StateUnreadable."""
    device = partitions(host).get(ESP_LABEL)
    if device is None:
        raise StateUnreadable("the disk of the booted slot has no partition labelled EFI")
    return device


def slot_state(host: Host) -> SlotState:
    """The slot state as GRUB reads it. Raises StateUnreadable."""
    return state_on(host, esp_device(host))


def change_slot_state(host: Host, change: Callable[[SlotState], SlotState]) -> SlotState:
    """Read, change, write where a copy does not hold that to the byte, and return what both hold now.

    So a copy that a cut left behind, or in which a bit rotted, is made whole by whoever asks next: GRUB reads one of
    which only the filler is damaged, and cannot count in it. One changer at a time. A cut leaves the old state or the
    new one. Raises StateUnreadable.
    """
    return change_state_on(host, esp_device(host), change)


def change_state_on(host: Host, device: str, change: Callable[[SlotState], SlotState]) -> SlotState:
    """The same for the ESP on `device`, of a node that need not run. What `change` raises leaves all as it is."""
    with _alone():
        copies = _read(host, device)
        before = read_state(*copies)
        after = change(before)
        if after != before:
            _write(host, device, after)
        elif any(copy != render_env(after) for copy in copies):
            with suppress(StateUnreadable, MountFailed, DeviceLost):  # what GRUB reads says it already
                _write(host, device, after)
        return after


def _write(host: Host, device: str, state: SlotState) -> None:
    with mounted_beside(host, device, "rw", "noatime", filesystem=ESP_FILESYSTEM) as esp:
        write_state(esp, state)


def state_on(host: Host, device: str) -> SlotState:
    """The slot state on the ESP `device`, as GRUB reads it; not while it is changed. Raises StateUnreadable."""
    with _alone():
        return read_state(*_read(host, device))


def _read(host: Host, device: str) -> tuple[bytes, bytes]:
    with mounted_beside(host, device, "ro", filesystem=ESP_FILESYSTEM) as esp:
        return _read_copies(esp)


def write_state(esp: Path, state: SlotState) -> None:
    """Write both copies on the ESP mounted at `esp`, in place and durably. Raises StateUnreadable.

    Second copy first, so that at every moment one of them is whole, and GRUB takes the first that is.
    """
    data = render_env(state)
    try:
        for copy in reversed(STATE_COPIES):
            _overwrite(esp / copy, data)
    except OSError as error:
        raise StateUnreadable(f"writing the slot state: {error}") from error


def _overwrite(path: Path, data: bytes) -> None:
    """Write over the same sectors, durably. Never creates, truncates or renames: GRUB and a cut would see that."""
    fd = os.open(path, os.O_RDWR | os.O_DSYNC | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_size != ENV_BYTES:
            raise StateUnreadable(f"{path} is not {ENV_BYTES} bytes long", hint="reinstall, or restore the ESP")
        os.pwrite(fd, data, 0)
        if os.pread(fd, ENV_BYTES, 0) != data:
            raise StateUnreadable(f"{path} does not hold what was written")
    finally:
        os.close(fd)


def read_state_files(esp: Path) -> SlotState:
    """The slot state on a mounted ESP, as GRUB reads it. Raises StateUnreadable."""
    return read_state(*_read_copies(esp))


def _read_copies(esp: Path) -> tuple[bytes, bytes]:
    """Of one whose sectors cannot be read nothing, as GRUB takes it; to write it is what heals a disk's sector."""
    read, errors = [], []
    for copy in STATE_COPIES:
        try:
            read.append((esp / copy).read_bytes())
        except OSError as error:
            read.append(b"")
            errors.append(error)
    if len(errors) == len(read) or any(error.errno != errno.EIO for error in errors):
        raise StateUnreadable(f"reading the slot state: {errors[0]}") from errors[0]
    return read[0], read[1]


@contextmanager
def only_one(host: Host) -> Iterator[None]:
    """Nobody else changes what the slots of this node hold, or reads them meanwhile. Raises Refused, CannotHere.

    A slot that somebody has mounted is not made anew: mke2fs refuses it, when the fallback is already gone.
    """
    with lock_file(RUN / "upgrade.lock") as fd:

        def taken() -> bool:
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        try:
            host.wait_for("the slots", taken, PATIENCE_S)
        except TookTooLong as error:
            reason = "an upgrade, a rollback or a verify of this node is under way"
            raise Refused(reason, hint="wait for its end") from error
        yield


@contextmanager
def _alone() -> Iterator[None]:
    with lock_file(RUN / "slots.lock") as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield


def _mount(line: str) -> Mount:
    """proc_pid_mountinfo(5): id parent device root target options [tags…] - type source options."""
    left, _, right = line.partition(" - ")
    _, _, device, _, target, options, *_ = left.split()
    filesystem, source, more = right.split(maxsplit=2)
    return Mount(target, filesystem, source, frozenset(f"{options},{more}".split(",")), device)


def _fields(uevent: str) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in uevent.splitlines())

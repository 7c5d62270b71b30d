"""Filesystems mounted for a while, for this process alone, and gone afterwards with everything on the disk.

By the kernel's own calls: mount(8) and umount(8) were a tenth of an install, which mounts a dozen times.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from autoinstall import block
from autoinstall.errors import DeviceLost, MountFailed, StateUnreadable, ToolFailed
from autoinstall.host import Host

MOUNT_ROOT = Path("/run/autoinstall/mnt")
FILESYSTEMS = ("ext4", "vfat")
"""All that is mounted of a node. A filesystem of another type answers EINVAL, EBUSY where it is mounted already."""
OF_MEDIA = (*FILESYSTEMS, "iso9660")
"""What a stick or an image that somebody brings may have."""
FLAGS = {"rw": 0, "ro": 1, "noatime": 1024}
ALWAYS = 2 | 4 | 8 | 32768
REMOUNT, BIND = 32, 4096
"""From linux/mount.h: nosuid, nodev, noexec; and silent, as the log need not hear which type it is not."""


@contextmanager
def mounted(host: Host, device: str, *options: str, filesystems: Sequence[str] = FILESYSTEMS) -> Iterator[Path]:
    """The filesystem of `device` at a directory of its own. Behind it, all that was written is durable.

    `options` are of FLAGS, or the filesystem's own. Raises MountFailed; DeviceLost where the device takes no more.
    What is lost below, or fails there, is told with the device: where it was mounted says nothing to people.
    """
    where = _place(host, device)
    _mount(host, (device, where), options, filesystems)
    try:
        yield where
    except (DeviceLost, StateUnreadable, ToolFailed) as error:
        raise type(error)(f"{device}: {error}", hint=error.hint) from error
    finally:
        _unmount(host, device, where)
    if "ro" not in options:
        block.flush(device)


@contextmanager
def mounted_beside(host: Host, device: str, *options: str, filesystem: str) -> Iterator[Path]:
    """The same, also where somebody else has that filesystem mounted, as an operator may have the ESP.

    Linux has one state of it, read-only or read-write, for all who mount it, and answers EBUSY to another wish. So
    who reads may then be able to write, and who writes makes it writable for that time: in the other's mount it is
    as read-only as before.
    """
    with ExitStack() as stack:
        try:
            where = stack.enter_context(mounted(host, device, *options, filesystems=(filesystem,)))
        except MountFailed as error:
            if not _is_busy(error):
                raise
            reads = "ro" in options
            other = ("rw", "noatime") if reads else ("ro",)
            where = stack.enter_context(mounted(host, device, *other, filesystems=(filesystem,)))
            if not reads:
                stack.enter_context(_writable(host, device, where))
        yield where


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file and wait until it is on the disk. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(data)
        file.flush()
        os.fsync(fd)


def wait_for_file(path: Path) -> None:
    """Wait until a file that a program wrote is on the disk. Raises OSError.

    That program and umount(2) say nothing where the disk does not take it: only who asks with fsync(2) is told.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def mounted_file(host: Host, file: Path) -> Iterator[Path]:
    """The filesystem in a file, read-only. Raises ToolFailed, MountFailed."""
    where = _place(host, str(file))
    host.run("mount", "-o", "ro,loop,nosuid,nodev,noexec", file, where, doing=f"mounting {file}")
    try:
        yield where
    finally:
        host.run("umount", where, doing=f"unmounting {file}")


@contextmanager
def below_root(host: Host) -> Iterator[Path]:
    """What / is, without all that is mounted on it: of a node its image. Raises MountFailed."""
    where = _place(host, "root")
    try:
        host.mount("/", where, ("none", ""), BIND)
    except OSError as error:
        raise MountFailed(f"looking below what is mounted on /: {error.strerror}") from error
    try:
        yield where
    finally:
        _unmount(host, "/", where)


def _place(host: Host, source: str) -> Path:
    try:
        host.own_mounts()
    except OSError as error:
        raise MountFailed(f"mounting {source}: {error.strerror}", hint="run this as root") from error
    where = MOUNT_ROOT / source.strip("/").removeprefix("dev/").replace("/", "-")
    where.mkdir(parents=True, exist_ok=True)
    return where


def _mount(host: Host, places: tuple[str, Path], options: Sequence[str], filesystems: Sequence[str]) -> None:
    device, where = places
    flags = ALWAYS | sum(FLAGS.get(option, 0) for option in options)
    data = ",".join(option for option in options if option not in FLAGS)
    why = OSError()
    for filesystem in filesystems:
        try:
            return host.mount(device, where, (filesystem, data), flags)
        except OSError as error:
            if error.errno != errno.EINVAL or why.errno != errno.EBUSY:  # who is let go of meanwhile was busy
                why = error
            if error.errno not in (errno.EINVAL, errno.EBUSY):
                break
    hint = "look at the disk, and at what the kernel's log says of it"
    raise MountFailed(f"mounting {device}: {why.strerror}", hint=hint) from why


@contextmanager
def _writable(host: Host, device: str, where: Path) -> Iterator[None]:
    """What is mounted read-only takes writes for a while, which are durable behind it. Raises MountFailed."""
    try:
        host.mount(device, where, ("", ""), ALWAYS | REMOUNT)
    except OSError as error:
        raise MountFailed(f"making {device} writable: {error.strerror}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # what was written is written
            host.mount(device, where, ("", ""), ALWAYS | REMOUNT | FLAGS["ro"])
        block.flush(device)


def _is_busy(error: MountFailed) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EBUSY


def _unmount(host: Host, device: str, where: Path) -> None:
    try:
        host.unmount(where)
    except OSError as error:
        raise MountFailed(f"unmounting {device}: {error.strerror}") from error

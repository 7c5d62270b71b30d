"""Filesystems mounted for a while, and gone afterwards with everything on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoinstall import block
from autoinstall.host import Host

MOUNT_ROOT = Path("/run/autoinstall/mnt")


@contextmanager
def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
    """The filesystem of a device or file, at a directory of its own. Behind it, all that was written is durable."""
    where = MOUNT_ROOT / device.strip("/").removeprefix("dev/").replace("/", "-")
    where.mkdir(parents=True, exist_ok=True)
    words = ["-o", ",".join(["nosuid", "nodev", "noexec", *options])]
    host.run("mount", *words, device, where, doing=f"mounting {device}")
    try:
        yield where
    finally:
        host.run("umount", where, doing=f"unmounting {device}")
    if "ro" not in options:
        block.flush(device)


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file and wait until it is on the disk. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(data)
        file.flush()
        os.fsync(fd)

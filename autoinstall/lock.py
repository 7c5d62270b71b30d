"""Locks that end with their holder, however that was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoinstall.errors import CannotHere


@contextmanager
def lock_file(path: Path) -> Iterator[int]:
    """The open file of a lock, to be taken with flock(2). Raises CannotHere, where only root may."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotHere(
            f"this machine cannot be locked: {path}: {error.strerror}", hint="run this as root"
        ) from error
    try:
        yield fd
    finally:
        os.close(fd)

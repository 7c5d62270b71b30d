"""Traces made at a desk: steps of the product that write nothing but sectors, run here on a node that was recorded.

What such a step waits for is taken from its own calls: with O_DSYNC each piece is a write and a flush.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from autoinstall import block, gpt
from autoinstall.host import Host
from autoinstall.layout import place
from autoinstall.sizes import GIB
from autoinstall.space import Space
from autoinstall.steps.disk import Clear, Wipe
from tests.powercut.content import Content
from tests.powercut.trace import FLUSH, SECTOR, Entry, Store

NO_DESCRIPTOR = -1


class Pen:
    """Stands where the product has `os`, and takes down what it would write to a disk, and what it waits for."""

    def __init__(self, store: Store) -> None:
        self.entries: list[Entry] = []
        self._store = store
        self._waits = False

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, _device: str, flags: int) -> int:
        """A disk; one at a time."""
        self._waits = bool(flags & os.O_DSYNC)
        return NO_DESCRIPTOR

    def close(self, _fd: int) -> None:
        """It waits for nothing."""

    def pwrite(self, fd: int, data: bytes, offset_bytes: int) -> int:
        """Whole sectors. Only what is opened with O_DSYNC is flushed with it."""
        piece = bytes(data)
        self.entries.append(Entry(offset_bytes // SECTOR, len(piece) // SECTOR, self._store.add(piece)))
        if self._waits:
            self.fsync(fd)
        return len(piece)

    def fsync(self, _fd: int) -> None:
        """All of the disk is flushed."""
        self.entries.append(FLUSH)


def clear(node: Content) -> None:
    """`uninstall`, where nothing is stacked on the disk."""
    header = gpt.parse_header(node.read(SECTOR, SECTOR))
    assert header
    entries = gpt.parse_entries(header, node.read(header.entries_lba * SECTOR, gpt.ENTRIES_BYTES))
    assert entries
    disk = SimpleNamespace(path="", sector_bytes=SECTOR, size_bytes=node.size_bytes)
    Clear(((disk, tuple(entries)),)).apply(Host())  # type: ignore[arg-type]


def wipe(node: Content) -> None:
    """How an install begins, over a node that was there before."""
    layout = place(UUID(int=1), Space(node.size_bytes, SECTOR, 2 * GIB))
    Wipe((("", layout),)).apply(Host())


DESK: dict[str, Callable[[Content], None]] = {"uninstall": clear, "wipe": wipe}
"""The name is the name of the trace."""


def written(name: str, node: Content) -> list[Entry]:
    """What a step writes to the disk of a node."""
    pen = Pen(node.store)
    with (
        patch.object(block, "os", pen),
        patch.object(block, "forget_partitions", lambda _disk: None),
    ):
        DESK[name](node)
    return pen.entries

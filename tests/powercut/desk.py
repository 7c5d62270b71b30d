"""Traces made at a desk: steps of the product that write nothing but sectors, run here on a node that was recorded.

Such a step sends each piece with O_DSYNC: a write and a flush.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
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


class Pen:
    """Takes down what would be written to a disk."""

    def __init__(self, store: Store) -> None:
        self.entries: list[Entry] = []
        self._store = store

    def write_direct(self, _device: str, offset_bytes: int, data: bytes) -> None:
        """In the place of block.write_direct."""
        for start in range(0, len(data), block.CHUNK_BYTES):
            piece = data[start : start + block.CHUNK_BYTES]
            sector = (offset_bytes + start) // SECTOR
            self.entries.append(Entry(sector, len(piece) // SECTOR, self._store.add(piece)))
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
        patch.object(block, "write_direct", pen.write_direct),
        patch.object(block, "forget_partitions", lambda _disk: None),
    ):
        DESK[name](node)
    return pen.entries

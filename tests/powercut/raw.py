"""A disk that a machine wrote to, for the oracles: a raw file is a log in which each sector lies at its own place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from autoinstall.upgrade import IMAGE_ID_DIGITS
from tests.powercut.boots import Eyes
from tests.powercut.content import Content
from tests.powercut.lab import Lab
from tests.powercut.marks import Mark
from tests.powercut.promises import broken_promise, known
from tests.powercut.trace import SECTOR, Entry, Store

PIECE_SECTORS = 2048


def eyes_on(disk: Path, lab: Lab) -> Eyes:
    """Looks at a disk with the partitions of a recorded node, as it is now: nobody may write to it meanwhile."""
    return Eyes(raw_content(disk, lab.regions), lab.recording.brought)


def problem_of(disk: Path, lab: Lab, marks: Sequence[Mark]) -> str:
    """The promise that such a disk breaks where all this was told; empty for none."""
    eyes = eyes_on(disk, lab)
    return broken_promise(eyes, lab.workshop(eyes, marks), known(marks, marks[-1].at))


def next_boot(eyes: Eyes) -> tuple[str, str]:
    """What the node will say once it is healthy: slot and image. Raises Broken."""
    return eyes.picked, eyes.image_id(eyes.picked)[:IMAGE_ID_DIGITS]


def raw_content(disk: Path, regions: Mapping[str, tuple[int, int]]) -> Content:
    """What a raw file holds; holes cost nothing."""
    store = Store(disk)
    content = Content(store, disk.stat().st_size, regions)
    for first, count in _pieces(disk):
        store.know(first, count)
        content.apply(Entry(first, count, first))
    return content


def _pieces(disk: Path) -> Iterator[tuple[int, int]]:
    """Sectors that are no hole: the first, and how many."""
    with disk.open("rb", buffering=0) as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: no more data
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            for first in range(start // SECTOR, end // SECTOR, PIECE_SECTORS):
                yield first, min(PIECE_SECTORS, end // SECTOR - first)

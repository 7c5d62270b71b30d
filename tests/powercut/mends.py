"""What Linux makes of Config and Logging after a cut: `e2fsck -p` as the node runs it, then what is in there."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.powercut.boots import NONSENSE, Eyes
from tests.powercut.ext4 import MAGIC, Ext4

REPAIRED = 2
"""e2fsck's highest exit status with which a node mounts a filesystem for writing."""
CANNOT_BEGIN = "8 of"
BACKUPS = {0: "-b 8193 -B 1024", 2: "-b 32768 -B 4096"}
"""Where the superblock's first backup is, by the logarithm of the block size in KiB."""
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Mended:
    """A filesystem after its repair: what is wrong all the same, and the files that were asked for (None: none)."""

    problem: str
    files: dict[str, bytes | None]


class Workshop:
    """Mends copies of partitions; each content once."""

    def __init__(self, eyes: Eyes, sizes: dict[str, int], watched: Sequence[str]) -> None:
        self.eyes = eyes
        self.sizes = sizes
        self.watched = watched
        self.count = 0

    def mended(self, label: str) -> Mended:
        """The filesystem of a partition as the node mounts it; the watched files are read from Config only."""
        return self.eyes.remember(f"mended {label}", (label,), lambda: self._mend(label))

    def _mend(self, label: str) -> Mended:
        self.count += 1
        place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        with tempfile.NamedTemporaryFile(dir=place) as file:
            file.truncate(self.sizes[label])
            for offset, data in self.eyes.content.runs(label):
                os.pwrite(file.fileno(), data, offset)
            problem = _repair(file.name)
            files = {} if problem or label != "Config" else _files(file.fileno(), self.watched)
        return Mended(problem, files)


def _repair(path: str) -> str:
    """As dracut/55autoinstall/mount-node.sh does; and what is left then must be sound in every part."""
    problem = _e2fsck(["-p"], path, REPAIRED)
    if problem.startswith(CANNOT_BEGIN):
        with open(path, "rb") as file:
            superblock = file.read(2048)[1024:]
        backup = BACKUPS.get(superblock[24], "") if superblock[56:58] == MAGIC.to_bytes(2, "little") else ""
        problem = _e2fsck(["-p", *backup.split()], path, REPAIRED)
    return problem or _e2fsck(["-f", "-n"], path, 0)


def _e2fsck(options: list[str], path: str, worst: int) -> str:
    done = subprocess.run(["e2fsck", *options, path], capture_output=True, text=True)
    said = " ".join((done.stdout + done.stderr).replace(path, "").split())
    return "" if done.returncode <= worst else f"{done.returncode} of e2fsck {' '.join(options)}: {said[-300:]}"


def _files(fd: int, names: Sequence[str]) -> dict[str, bytes | None]:
    filesystem = Ext4.of(lambda offset, count: os.pread(fd, count, offset))
    found: dict[str, bytes | None] = {}
    for name in names:
        try:
            found[name] = filesystem.file(name)
        except NONSENSE:
            found[name] = None
    return found

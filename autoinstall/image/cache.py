"""What was built before: directories named by the content of everything that went into them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import NoSpace
from autoinstall.host import Host

KEPT_ENTRIES = 4
STALE_S = 24 * 3600
"""Scratch of this age is of a build that was killed."""
MIB = 1 << 20


@dataclass(frozen=True)
class Product:
    """Something to build once: its kind, what goes into it, and how much room making it takes."""

    kind: str
    ingredients: Mapping[str, object]
    needs_mib: int

    @property
    def key(self) -> str:
        """Equal for equal ingredients, on every machine."""
        content = json.dumps(self.ingredients, sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Cache:
    """Products, below one directory. Several builds may share it."""

    root: Path
    host: Host

    def get(self, product: Product, make: Callable[[Path], None]) -> Path:
        """The directory that holds the product, read-only by agreement; made now if it is not there.

        `make` fills an empty directory, which gets its name only when that went well. Raises NoSpace before
        `make` is called, and whatever it raises.
        """
        place = self.root / product.kind / product.key
        with self._lock(product.kind):
            if place.exists():
                say(f"{product.kind}: as built before")
                os.utime(place)
                return place
            require_space(self.root, product.needs_mib, f"building the {product.kind}")
            started_s = self.host.monotonic_s()
            say(f"{product.kind}: building")
            with self.scratch() as fresh:
                make(fresh)
                fresh.chmod(0o755)
                fresh.rename(place)
            say(f"{product.kind}: built in {self.host.monotonic_s() - started_s:.1f} s")
            _prune(place.parent)
        return place

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory of its own, gone afterwards; on the cache's filesystem."""
        below = self.root / "scratch"
        below.mkdir(parents=True, exist_ok=True)
        for left in below.iterdir():
            if self.host.wall_clock_s() - left.lstat().st_mtime > STALE_S:
                shutil.rmtree(left, ignore_errors=True)
        place = Path(tempfile.mkdtemp(dir=below))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextlib.contextmanager
    def _lock(self, kind: str) -> Iterator[None]:
        place = self.root / kind
        place.mkdir(parents=True, exist_ok=True)
        with open(place / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"{kind}: waiting for another build to make it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def say(line: str) -> None:
    """One line of progress."""
    print(line, file=sys.stderr, flush=True)


def require_space(place: Path, needs_mib: int, doing: str) -> None:
    """Raises NoSpace if the filesystem of `place`, which may not exist yet, has less than `needs_mib` free."""
    existing = next(path for path in (place, *place.absolute().parents) if path.exists())
    free_mib = shutil.disk_usage(existing).free // MIB
    if free_mib < needs_mib:
        raise NoSpace(
            f"{doing}: {needs_mib} MiB are needed below {place}, {free_mib} MiB are free",
            hint="make room, or set AUTOINSTALL_CACHE to a directory on a larger filesystem",
        )


def digest(*paths: Path) -> str:
    """One hash over files and whole directories: relative names, modes and bytes."""
    total = hashlib.sha256()
    for path in paths:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if "__pycache__" in file.parts or not (file.is_file() or file.is_symlink()):
                continue
            content = os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
            name = f"{file.relative_to(path.parent)} {file.lstat().st_mode & 0o111:o} {len(content)}\n"
            total.update(name.encode() + content)
    return total.hexdigest()


def _prune(kind: Path) -> None:
    entries = sorted((e for e in kind.iterdir() if e.is_dir()), key=lambda e: e.stat().st_mtime, reverse=True)
    for old in entries[KEPT_ENTRIES:]:
        shutil.rmtree(old, ignore_errors=True)

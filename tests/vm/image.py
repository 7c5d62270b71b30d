"""The image and its ISOs, made by the product itself: once per session, and from its cache after that."""

from __future__ import annotations

import fcntl
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
BUILD_LIMIT_S = 1200


@dataclass(frozen=True)
class Shared:
    """Things that several tests need, in every worker: made by whoever needs one first, awaited by the others."""

    place: Path

    def once(self, name: str, make: Callable[[Path], None]) -> Path:
        """The directory `name`, made by `make` in a place of another name: it is whole, or not there.

        What could not be made is not tried again by the next test, but fails with a hint at the first failure.
        """
        done, making = self.place / name, self.place / f"{name}.making"
        with (self.place / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert not making.exists(), f"{name} could not be made, see the first failure and {making}"
            if not done.exists():
                making.mkdir()
                make(making)
                making.rename(done)
        return done


@dataclass(frozen=True)
class Image:
    """A directory with an image, as `autoinstall build` makes it."""

    place: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Of the image."""
        loaded: dict[str, Any] = json.loads((self.place / "manifest.json").read_text())
        return loaded

    @property
    def image_id(self) -> str:
        """64 hexadecimal digits."""
        return str(self.manifest["image_id"])

    @property
    def kernel(self) -> Path:
        """For a boot without firmware's help."""
        return self.place / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """For a boot without firmware's help."""
        return self.place / "initrd.img"

    @property
    def iso(self) -> Path:
        """The only ISO in the directory."""
        (iso,) = self.place.glob("*.iso")
        return iso

    @property
    def live_words(self) -> str:
        """What dracut needs to find the ISO; our own words are to be added."""
        label = f"AI-{self.image_id[:8]}"
        return f"root=live:LABEL={label} rd.live.image rd.live.dir=autoinstall rd.live.squashimg=root.squashfs"

    def sha256(self, name: str) -> str:
        """The hash of one of its files, from the manifest."""
        return str(self.manifest["files"][name]["sha256"])


def cache() -> Path:
    """Where the product keeps what it built, and the tests what they need for a while."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(os.environ.get("AUTOINSTALL_CACHE") or Path(home) / "autoinstall")
    place.mkdir(parents=True, exist_ok=True)
    return place


def build(place: Path, command_line: str = "", log: IO[str] | None = None, recipe: str = "vm") -> None:
    """Make an image of a recipe in `place`; what the builder says goes to `log`, if there is one.

    AssertionError if it fails, with the last lines it said.
    """
    words = [sys.executable, "-m", "autoinstall", "build", "--recipe", recipe, "-o", str(place)]
    if command_line:
        words += ["--cmdline", command_line]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = []
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        limit = threading.Timer(BUILD_LIMIT_S, process.kill)
        limit.start()
        assert process.stdout
        for line in io.TextIOWrapper(process.stdout, errors="backslashreplace"):
            said.append(line)
            if log:
                log.write(line)
                log.flush()
        limit.cancel()
    last = "".join(said[-30:])
    assert process.returncode == 0, f"autoinstall build exited with {process.returncode}:\n{last}"

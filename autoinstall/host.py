"""The door: everything autoinstall does to the world outside its own memory goes through a `Host`.

One door means one place that logs, one that turns failures into typed errors, and one that tests replace.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import DeviceLost, NoSpace, TookTooLong, ToolFailed, ToolMissing
from autoinstall.tools import PACKAGE_OF

POLL_INTERVAL_S = 0.1
CLONE_NEWNS = 0x20000
MS_REC_SLAVE = 1 << 14 | 1 << 19
"""From linux/sched.h and linux/mount.h."""
LAST_LINES = 12


@dataclass(frozen=True)
class Completed:
    """How a program ended: its exit status and what it said."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Run:
    """How a program is to be run, where that differs from the usual."""

    accept: Collection[int] = (0,)
    timeout_s: float | None = None
    environment: Mapping[str, str] | None = None


USUAL = Run()


def unheard(*_: object) -> None:
    """Progress, or a note, that nobody asked for."""


class Host:
    """The machine this runs on.

    `progress(done, total)` is told how far long work has come, `note(text)` what a part of it is about to do,
    `trace(line)` each program that is run.
    """

    _apart = False

    def __init__(self) -> None:
        self.progress: Callable[[int, int], None] = unheard
        self.note: Callable[[str], None] = unheard
        self.trace: Callable[[str], None] = unheard
        self._held: list[int] = []

    def hold(self, descriptor: int) -> None:
        """Keep a claim (block.claim) until the end of the process."""
        self._held.append(descriptor)

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        """Run a program to its end, in the C locale, with no terminal.

        `doing` is a gerund phrase ("making a filesystem on /dev/vda3") that a failure is told with.
        Raises ToolMissing (with the package that brings it), ToolFailed (any status not in `how.accept`) or
        TookTooLong.
        """
        words = [str(word) for word in argv]
        self.trace(" ".join(words))
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=how.timeout_s,
                env={**os.environ, "LC_ALL": "C.UTF-8", **(how.environment or {})},
                check=False,
            )
        except FileNotFoundError as error:
            raise missing(words[0], doing) from error
        except PermissionError as error:  # also of a directory in PATH that is not ours to look into
            raise ToolMissing(
                f"{doing}: the program {words[0]} cannot be started: {error.strerror}",
                hint="run this as root, or look at the directories in PATH",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise TookTooLong(f"{doing}: {words[0]} did not end within {how.timeout_s} s") from error
        completed = Completed(done.returncode, _text(done.stdout), _text(done.stderr))
        if completed.status not in how.accept:
            raise _failed(words, doing, completed)
        return completed

    def own_mounts(self) -> None:
        """From now on what this process mounts is seen by it and its programs only, and gone when they have ended.

        However they end: what a killed upgrade left mounted kept every later one from its slot, until a reboot.
        What others mount or unmount still counts. Raises OSError.
        """
        if not self._apart:
            _call("unshare", CLONE_NEWNS)
            _call("mount", None, b"/", None, MS_REC_SLAVE, None)
            self._apart = True

    def mount(self, device: str, where: Path, filesystem: tuple[str, str], flags: int) -> None:
        """mount(2): the filesystem's type and its own options, and the flags of linux/mount.h. Raises OSError."""
        kind, options = filesystem
        _call("mount", device.encode(), os.fsencode(where), kind.encode(), flags, options.encode())

    def unmount(self, where: Path) -> None:
        """umount2(2). Raises OSError."""
        _call("umount2", os.fsencode(where), 0)

    def read_text(self, path: str | Path) -> str:
        """The whole file, bytes that are not UTF-8 escaped. Raises OSError."""
        return Path(path).read_text(errors="backslashreplace")

    def wait_for(
        self, what: str, holds: Callable[[], bool], limit_s: float, interval_s: float = POLL_INTERVAL_S
    ) -> None:
        """Return as soon as `holds()`, asked at intervals; raise TookTooLong, naming `what`, after `limit_s`."""
        deadline = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > deadline:
                raise TookTooLong(f"waited {limit_s:.0f} s for {what}")
            time.sleep(interval_s)

    def monotonic_s(self) -> float:
        """Seconds since boot; goes on where the wall clock jumps."""
        return time.monotonic()

    def wall_clock_s(self) -> float:
        """Seconds since 1970 as the machine believes."""
        return time.time()


def missing(tool: str, doing: str) -> ToolMissing:
    """The error for a program that is not there, with the package that brings it."""
    package = PACKAGE_OF.get(tool, "")
    hint = f"apt-get install {package}" if package else f"install {tool}"
    return ToolMissing(f"{doing}: the program {tool} is not installed", hint=hint)


def lost(device: object, doing: str, error: OSError) -> DeviceLost | NoSpace:
    """The error for a device that answered a read or write with an error, or has no room for what is written."""
    where = f"{device}: " if device else ""
    said = f"{doing}: {where}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(said, hint="make room: the filesystem is full, or the storage that the disk is on")
    return DeviceLost(said, hint="replace the disk, or name another")


def _call(name: str, *words: bytes | int | None) -> None:
    """A system call that Python has no name for, by the C library's."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*words):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _text(output: bytes) -> str:
    return output.decode(errors="backslashreplace")


def _failed(words: list[str], doing: str, completed: Completed) -> ToolFailed:
    said = completed.stderr or completed.stdout
    last = "; ".join(line.strip() for line in said.strip().splitlines()[-LAST_LINES:])
    return ToolFailed(f"{doing}: {words[0]} exited with {completed.status}: {last or 'it said nothing'}")

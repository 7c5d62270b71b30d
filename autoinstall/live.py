"""The image that a live system runs from, as a directory, wherever it was booted from.

On a medium that is the directory on it. Under PXE only the root was fetched, and after the change of root it is
there as nothing but a loop device: the other files come from where it came from.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from autoinstall import cmdline
from autoinstall.cmdline import Word
from autoinstall.errors import CannotHere, ImageInvalid, Refused, TookTooLong
from autoinstall.host import Host
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, SIGNATURE_NAME
from autoinstall.lock import lock_file

if TYPE_CHECKING:
    from http.client import HTTPResponse

KERNEL_COMMAND_LINE = Path("/proc/cmdline")
MODE = Path("/run/autoinstall/mode")
FROM_A_MEDIUM = ("live", "rescue")
"""What the initramfs leaves in MODE where the system runs from a medium, or from a PXE server."""
LOCK = Path("/run/autoinstall/install.lock")
LIVE_MOUNT = Path("/run/initramfs/live")
MEDIUM = LIVE_MOUNT / "autoinstall"
FETCHED = Path("/run/autoinstall/image")
LIVE_ROOT = Path("/run/rootfsbase")
ROOT_IMAGE = "root.squashfs"
ANSWER_LIMIT_S = 30
NETWORK_LIMIT_S = 90
PIECE_BYTES = 64 << 10
"""Each is progress. On a link that needs the watchdog's five minutes for one nobody installs."""
PREFIX = "live:"
SERVER_ERROR = 500
"""The first status of HTTP that is no answer to what was asked for."""


@contextmanager
def only_run(host: Host) -> Iterator[None]:
    """This system runs from a medium, and nobody else installs this machine. Raises CannotHere, Refused."""
    try:
        mode = host.read_text(MODE).strip()
    except OSError:
        mode = ""
    if mode not in FROM_A_MEDIUM:
        hint = "boot the medium; what it would do there: autoinstall plan"
        raise CannotHere("this system does not run from a medium of autoinstall", hint=hint)
    with lock_file(LOCK) as fd:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "wait for its end: journalctl --unit=autoinstall --follow"
            raise Refused("an install of this machine is under way", hint=hint) from error
        yield


def booted_words(host: Host) -> Sequence[Word]:
    """The words that this system was booted with, whatever else a run is asked with. Raises BadWords."""
    return cmdline.parse(host.read_text(KERNEL_COMMAND_LINE))


def find_image(host: Host) -> Path:
    """The directory of the image, which need not hold one. Raises ImageInvalid where it cannot be fetched."""
    url = _url(booted_words(host))
    if url is None:
        return MEDIUM
    FETCHED.mkdir(parents=True, exist_ok=True)
    root = FETCHED / ROOT_IMAGE
    if not root.is_symlink():
        root.symlink_to(_loop_device(host))
    for name in (MANIFEST_NAME, *(name for name in FILE_NAMES if name != ROOT_IMAGE)):
        _fetch(host, f"{url}/{name}", FETCHED / name)
    _fetch(host, f"{url}/{SIGNATURE_NAME}", FETCHED / SIGNATURE_NAME, optional=True)
    return FETCHED


def _url(words: Sequence[Word]) -> str | None:
    """The directory that the root came from; None where it came from no server."""
    values = [word.value or "" for word in words if word.name == "root"]
    source = values[-1].removeprefix(PREFIX) if values else ""
    return source.rpartition("/")[0] if source.startswith(("http://", "https://")) else None


def _loop_device(host: Host) -> str:
    for line in host.read_text("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        if left.split()[4] == str(LIVE_ROOT):
            return os.path.realpath(right.split()[1])
    raise ImageInvalid(f"nothing is mounted on {LIVE_ROOT}: this is no live system of ours")


def _fetch(host: Host, url: str, target: Path, *, optional: bool = False) -> None:
    """Fetch a file, trying again while the network comes up, and where an answer breaks off.

    After each round of NETWORK_LIMIT_S that got further than those before there is another: on a slow link one answer
    takes longer. What is optional is not there afterwards where the server answers that it does not give it. Raises
    ImageInvalid with the last reason.
    """
    fetching, before = _Fetching(host, url, target, optional), -1
    while fetching.most_bytes > before:
        before = fetching.most_bytes
        with suppress(TookTooLong):
            host.wait_for(url, fetching.whole, NETWORK_LIMIT_S)
            return
    raise ImageInvalid(f"{url} cannot be fetched: {fetching.why}", hint="serve all files of the image there")


@dataclass
class _Fetching:
    """A file on its way: why it is not there yet, and how much of it came at most."""

    host: Host
    url: str
    target: Path
    optional: bool
    why: str = ""
    most_bytes: int = 0

    def whole(self) -> bool:
        """Ask the server once. Whether there is no need to ask again."""
        from http.client import HTTPException  # these are a sixth of all that a run would import: only PXE needs them
        from urllib.error import HTTPError, URLError
        from urllib.request import urlopen

        try:
            with urlopen(self.url, timeout=ANSWER_LIMIT_S) as answer, self.target.open("wb") as file:
                missing = self._copy(answer, file)
        except (URLError, HTTPException, OSError, ValueError) as error:
            self.why = str(error)
            if self.optional and isinstance(error, HTTPError) and error.code < SERVER_ERROR:
                self.target.unlink(missing_ok=True)
                return True
            return False
        self.why = f"the answer ended {missing} bytes too early"
        return not missing

    def _copy(self, answer: HTTPResponse, file: BinaryIO) -> int:
        """Write an answer to a file, telling of it if it is long. Returns how many of its bytes did not come."""
        total, done = answer.length or 0, 0
        while piece := answer.read(PIECE_BYTES):
            file.write(piece)
            done += len(piece)
            self.most_bytes = max(self.most_bytes, done)
            if total > PIECE_BYTES:
                self.host.progress(done, total)
            elif not total:
                self.host.progress(0, 1)
        return answer.length or 0

"""The image that a live system runs from, as a directory, wherever it was booted from.

On a medium that is the directory on it. Under PXE only the root was fetched, and after the change of root it is
there as nothing but a loop device: the other files come from where it came from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from autoinstall.cmdline import Word
from autoinstall.errors import ImageInvalid, TookTooLong
from autoinstall.host import Host
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, SIGNATURE_NAME

LIVE_MOUNT = Path("/run/initramfs/live")
MEDIUM = LIVE_MOUNT / "autoinstall"
FETCHED = Path("/run/autoinstall/image")
LIVE_ROOT = Path("/run/rootfsbase")
ROOT_IMAGE = "root.squashfs"
ANSWER_LIMIT_S = 30
NETWORK_LIMIT_S = 90
PREFIX = "live:"
SERVER_ERROR = 500
"""The first status of HTTP that is no answer to what was asked for."""


def find_image(host: Host, words: Sequence[Word]) -> Path:
    """The directory of the image, which need not hold one. Raises ImageInvalid where it cannot be fetched."""
    url = _url(words)
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
    """Fetch a file, trying again while the network comes up. Raises ImageInvalid with the last reason.

    What is optional is not there afterwards where the server answers that it does not give it.
    """
    import shutil  # these are a sixth of all that a run would import, and only PXE needs them
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    why = ""

    def fetched() -> bool:
        nonlocal why
        try:
            with urlopen(url, timeout=ANSWER_LIMIT_S) as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (URLError, HTTPException, OSError) as error:
            why = str(error)
            if optional and isinstance(error, HTTPError) and error.code < SERVER_ERROR:
                target.unlink(missing_ok=True)
                return True
            return False
        return True

    try:
        host.wait_for(url, fetched, NETWORK_LIMIT_S)
    except TookTooLong as error:
        raise ImageInvalid(f"{url} cannot be fetched: {why}", hint="serve all files of the image there") from error

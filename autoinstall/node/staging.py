"""The image that an upgrade is given, as a directory: it is one, lies in an ISO, or is fetched and staged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import BadUsage, ImageInvalid, MountFailed, NoSpace, NotServed, ToolFailed
from autoinstall.host import Host
from autoinstall.image import signature
from autoinstall.image.manifest import (
    LARGEST_BYTES,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    ImageFile,
    Manifest,
    parse_manifest,
)
from autoinstall.image.signature import Papers, checked, read_papers
from autoinstall.live import SERVER_ERROR
from autoinstall.mounts import mounted_file
from autoinstall.node.state import mounts
from autoinstall.sizes import MIB, mib_up

STAGES = (("/data", "autoinstall-upgrade"), ("/var/log", "autoinstall/upgrade"))
"""Where an image may be staged, best first: a filesystem of the node, and the directory on it."""
LEFT_BYTES = 64 * MIB
"""What stays free beside a staged image: logs and virtual machines go on being written."""
ON_MEDIUM = "autoinstall"
SCHEMES = ("http://", "https://")
ANSWER_LIMIT_S = 30
STAT_BLOCK_BYTES = 512
"""Of st_blocks, whatever the filesystem's own blocks are (stat(2))."""
PIECE_BYTES = MIB
SERVE_HINT = "serve all files of one image there; nothing of it was installed"
FILE_HINT = "give the ISO, or a directory with manifest.json, or its URL"


@dataclass(frozen=True)
class Offer:
    """An image that was asked for: its manifest, the same as bytes, and the directory or the URL of its files.

    `signer` is empty where nobody asked.
    """

    manifest: Manifest
    papers: Papers
    directory: Path | None
    url: str = ""
    signer: str = ""


@dataclass(frozen=True)
class Fetch:
    """The files of an image are in a directory, as long as its manifest says; whether they are whole comes next."""

    offer: Offer
    directory: Path

    name = "fetch"
    writes = False

    @property
    def title(self) -> str:
        return f"Fetching {self.offer.url} to {self.directory}"

    def apply(self, host: Host) -> None:
        """Raises ImageInvalid."""
        files, done = self.offer.manifest.files, 0
        self.directory.mkdir(parents=True)
        for name, data in self.offer.papers.files.items():
            (self.directory / name).write_bytes(data)
        total = self.offer.manifest.size_bytes
        for file in files:
            url, before = f"{self.offer.url}/{file.name}", done
            with (self.directory / file.name).open("wb") as target:
                for piece in fetched(url, file.size_bytes):
                    target.write(piece)
                    done += len(piece)
                    host.progress(done, total)
            if done - before < file.size_bytes:
                said = f"{url} ended after {done - before} of the {file.size_bytes} bytes that its manifest says"
                raise ImageInvalid(said, hint=SERVE_HINT)

    def why_not_done(self, host: Host) -> str:
        wrong = [file.name for file in self.offer.manifest.files if _size(self.directory, file) != file.size_bytes]
        return f"{wrong[0]} is not as long as its manifest says" if wrong else ""


def look_at(source: str, host: Host, stack: ExitStack) -> Offer:
    """The image at a path or URL; an ISO stays mounted as long as `stack`.

    Raises BadUsage, ImageInvalid, or NotTrusted.
    """
    if "://" in source:
        if not source.startswith(SCHEMES):
            raise BadUsage(f"{source}: neither http:// nor https://", hint=FILE_HINT)
        url = source.removesuffix(f"/{MANIFEST_NAME}").rstrip("/")
        papers = Papers(b"".join(fetched(f"{url}/{MANIFEST_NAME}", LARGEST_BYTES)), _signature_at(url))
        signer = checked(papers, host)
        return Offer(parse_manifest(papers.manifest), papers, None, url, signer)
    path = Path(source)
    if not path.exists():
        raise BadUsage(f"{source} is not there", hint=FILE_HINT)
    try:
        directory = path if path.is_dir() else stack.enter_context(mounted_file(host, path.absolute())) / ON_MEDIUM
        papers = read_papers(directory)
    except (ToolFailed, MountFailed, OSError) as error:
        raise ImageInvalid(f"{source} holds no image: {error}", hint=FILE_HINT) from error
    signer = checked(papers, host)
    return Offer(parse_manifest(papers.manifest), papers, directory, signer=signer)


def stage_for(image: Manifest, host: Host) -> Path:
    """A directory on a filesystem with room for an image, once `clear` was called. Changes nothing.

    Raises NoSpace with the missing MiB.
    """
    there = mounts(host)
    free = {}
    for mount, below in STAGES:
        if mount in there and "ro" not in there[mount].options:
            free[Path(mount, below)] = shutil.disk_usage(mount).free + _held_bytes(Path(mount, below))
    return _roomy(image, free)


def clear() -> None:
    """Nothing is staged any more: what an upgrade that was killed left takes the room of the next one."""
    for mount, below in STAGES:
        shutil.rmtree(Path(mount, below), ignore_errors=True)


def fetched(url: str, most_bytes: int) -> Iterator[bytes]:
    """What a server has under a URL, piece by piece. Raises ImageInvalid where that fails, or it is more.

    NotServed where the server answers that it does not give it.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen  # a tenth of all that a run imports, and only a URL needs it

    left = most_bytes
    try:
        with urlopen(url, timeout=ANSWER_LIMIT_S) as answer:
            while piece := answer.read(PIECE_BYTES):
                left -= len(piece)
                if left < 0:
                    raise ImageInvalid(
                        f"{url} has more than the {most_bytes} bytes that it may have", hint=SERVE_HINT
                    )
                yield piece
    except (URLError, HTTPException, OSError, ValueError) as error:
        not_given = isinstance(error, HTTPError) and error.code < SERVER_ERROR
        kind = NotServed if not_given else ImageInvalid
        raise kind(f"{url} cannot be fetched: {error}", hint=SERVE_HINT) from error


def _signature_at(url: str) -> bytes | None:
    try:
        return b"".join(fetched(f"{url}/{SIGNATURE_NAME}", signature.LARGEST_BYTES))
    except NotServed:
        return None


def _roomy(image: Manifest, free: Mapping[Path, int]) -> Path:
    needed = image.size_bytes + LEFT_BYTES
    for path, free_bytes in free.items():
        if free_bytes >= needed:
            return path
    most = max(free.values(), default=0)
    raise NoSpace(
        f"staging the image needs {mib_up(needed)} MiB on Data or Logging; {mib_up(needed - most)} MiB are missing",
        hint="make room below /data or /var/log, or upgrade from the ISO or a directory",
    )


def _held_bytes(directory: Path) -> int:
    """What becomes free where a directory of files is removed."""
    with suppress(OSError):
        return sum(path.stat().st_blocks for path in directory.iterdir()) * STAT_BLOCK_BYTES
    return 0


def _size(directory: Path, file: ImageFile) -> int:
    return os.stat(directory / file.name).st_size

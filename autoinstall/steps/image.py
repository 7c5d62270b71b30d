"""The image: checked where it lies, copied into a slot, read back from the disk."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from autoinstall import block
from autoinstall.errors import ImageInvalid
from autoinstall.facts import LiveImage
from autoinstall.host import Host
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, ImageFile, parse_manifest
from autoinstall.image.signature import read_papers
from autoinstall.layout import Partition
from autoinstall.mounts import mounted, write_file
from autoinstall.plan import SlotPlan
from autoinstall.sizes import MIB
from autoinstall.slotcfg import SLOT_CFG, render_slot_cfg
from autoinstall.slotsums import SLOT_SUMS, Sums

COPY_BYTES = 4 * MIB
PROGRESS_INTERVAL_S = 0.2
END_LIMIT_S = 5


class Hashing:
    """The files of an image, hashed by a thread while all else of a plan is looked at."""

    def __init__(self, directory: Path) -> None:
        self.done_bytes = 0
        self._directory = directory
        self._wanted = True
        self._found: dict[str, str | OSError] = {}
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, limit_s: float) -> bool:
        """Whether all of them have been read, within a time."""
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def end(self) -> None:
        """No digest is wanted any more: nothing reads from the directory, unless its medium hangs."""
        self._wanted = False
        self._thread.join(END_LIMIT_S)

    def digest(self, name: str) -> str:
        """The SHA-256 of a file, once all have been read. Raises OSError where this one could not be."""
        found = self._found[name]
        if isinstance(found, OSError):
            raise found
        return found

    def _run(self) -> None:
        for name in FILE_NAMES:
            try:
                self._found[name] = _digest(self._counted(_pieces(self._directory / name)))
            except OSError as error:
                self._found[name] = error

    def _counted(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            if not self._wanted:
                return
            yield piece
            self.done_bytes += len(piece)


def hashed_beside(directory: Path, stack: ExitStack) -> Hashing:
    """The files of an image, being hashed. Behind `stack` nothing reads from the directory."""
    hashing = Hashing(directory)
    stack.callback(hashing.end)
    return hashing


@dataclass(frozen=True)
class VerifyImage:
    """Every file of the image is what the manifest says, before anything is written."""

    image: LiveImage
    hashing: Hashing | None = None

    name = "verify-image"
    writes = False

    @property
    def title(self) -> str:
        return f"Checking the image {self.image.manifest.version} against its manifest"

    def apply(self, host: Host) -> None:
        """Raises ImageInvalid."""
        total = sum(file.size_bytes for file in self.image.manifest.files)
        hashing = self.hashing or Hashing(Path(self.image.directory))
        told_bytes = 0
        while not hashing.wait(PROGRESS_INTERVAL_S):
            if (done_bytes := hashing.done_bytes) > told_bytes:
                host.progress(done_bytes, total)
                told_bytes = done_bytes
        for file in self.image.manifest.files:
            path = Path(self.image.directory) / file.name
            try:
                found = hashing.digest(file.name)
            except OSError as error:
                raise ImageInvalid(f"{path} cannot be read: {error.strerror}", hint=_GET_AGAIN) from error
            if found != file.sha256:
                raise ImageInvalid(f"{path} is not what its manifest says", hint=_GET_AGAIN)

    def why_not_done(self, host: Host) -> str:
        return ""


@dataclass(frozen=True)
class SlotImage:
    """One slot holds the whole image and its boot entry."""

    image: LiveImage
    slot: SlotPlan
    partition: Partition
    disk: str

    writes = True

    @property
    def name(self) -> str:
        return f"image-{self.slot.slot.lower()}"

    @property
    def title(self) -> str:
        return f"Writing the image to slot {self.slot.slot} on {self.disk}"

    def apply(self, host: Host) -> None:
        progress, sums = _Progress(host, self.image.manifest.files, 0), Sums()
        source = Path(self.image.directory)
        with mounted(host, self._device()) as root:
            for file in self.image.manifest.files:
                pieces = sums.counted(file.name, _pieces(source / file.name))
                block.write_file_direct(root / file.name, progress.counted(pieces))
            for name, data in read_papers(source).files.items():
                write_file(root / name, data)
            write_file(root / SLOT_SUMS, sums.render())
            write_file(root / SLOT_CFG, render_slot_cfg(self.slot.version, self.slot.kernel_arguments))

    def why_not_done(self, host: Host) -> str:
        """Read back with O_DIRECT: from the disk, not from the page cache."""
        progress, sums = _Progress(host, self.image.manifest.files, 1), Sums()
        with mounted(host, self._device(), "ro") as root:
            for file in self.image.manifest.files:
                pieces = sums.counted(file.name, block.chunks_direct(root / file.name))
                if _digest(progress.counted(pieces)) != file.sha256:
                    return f"{file.name} read back from {self._device()} is not what was written"
            if (root / SLOT_SUMS).read_bytes() != sums.render():
                return f"{SLOT_SUMS} read back from {self._device()} is not what was written"
            papers = read_papers(root)
            if papers != read_papers(Path(self.image.directory)):
                return f"{MANIFEST_NAME} or its signature, read back, is not what was written"
            if parse_manifest(papers.manifest) != self.image.manifest:
                return f"{MANIFEST_NAME} of the image is another than the one that was checked"
        return ""

    def _device(self) -> str:
        return block.partition_path(self.disk, self.partition.number)


_GET_AGAIN = "make or fetch the image again; nothing of it was installed"


class _Progress:
    """Tells how much of all files went by, of the two times that they do: written, and read back."""

    def __init__(self, host: Host, files: tuple[ImageFile, ...], times_before: int) -> None:
        self._host = host
        size_bytes = sum(file.size_bytes for file in files)
        self._total = 2 * size_bytes
        self._done = times_before * size_bytes

    def counted(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            yield piece
            self._done += len(piece)
            self._host.progress(self._done, self._total)


def _pieces(path: Path) -> Iterator[memoryview]:
    """A file's content, in memory that direct I/O accepts. A view is valid until the next."""
    buffer = mmap.mmap(-1, COPY_BYTES)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            yield memoryview(buffer)[:count]


def _digest(pieces: Iterator[memoryview]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()

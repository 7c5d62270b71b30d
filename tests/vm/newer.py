"""Other images than the one that was built, in seconds: the same files, and something more in the initramfs.

What is behind the first archive of an initrd is unpacked over it (Linux, Documentation/driver-api/early-userspace).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path

from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, Manifest, parse_manifest, render_manifest
from autoinstall.slotsums import SLOT_SUMS, SUMMED, sums_of
from tests.vm.disk import DiskImage
from tests.vm.image import Image

PANIC = {"init": b"#!/bin/sh\nexit 1\n"}
"""The first process ends, and Linux panics."""


def derived(image: Image, place: Path, version: str, more: Mapping[str, bytes] | None = None) -> Image:
    """An image of another id and version, with these files in its initramfs."""
    place.mkdir(parents=True)
    for name in FILE_NAMES:
        os.link(image.place / name, place / name)
    initrd = place / "initrd.img"
    initrd.unlink()
    shutil.copyfile(image.initrd, initrd)
    with initrd.open("ab") as file:
        file.write(bytes(-file.tell() % 4) + cpio({"derived": version.encode(), **(more or {})}))
    describe(place, version, parse_manifest((image.place / MANIFEST_NAME).read_bytes()))
    return Image(place)


def describe(place: Path, version: str, like: Manifest) -> None:
    """Write the manifest of the files in a directory."""
    files = []
    for file in like.files:
        path = place / file.name
        with path.open("rb") as content:
            digest = file_digest(content, "sha256").hexdigest()
        files.append(replace(file, size_bytes=path.stat().st_size, sha256=digest))
    (place / MANIFEST_NAME).write_bytes(render_manifest(replace(like, version=version, files=tuple(files))))


def put_image(disk: DiskImage, slot: str, image: Image) -> None:
    """What of an image differs from the one that was installed, into a slot of a node."""
    for name in (*SUMMED, MANIFEST_NAME):
        disk.put_ext_file(slot, name, image.place / name)
    sums = disk.path.with_name(SLOT_SUMS)
    sums.write_bytes(sums_of(image.place))
    disk.put_ext_file(slot, SLOT_SUMS, sums)


def write_iso(image: Image, path: Path) -> Path:
    """An ISO with an image where a medium has it; nothing boots from it."""
    grafts = [f"/autoinstall/{name}={image.place / name}" for name in (*FILE_NAMES, MANIFEST_NAME)]
    words = ["xorriso", "-as", "mkisofs", "-quiet", "-graft-points", "-rational-rock", "-output", str(path), *grafts]
    subprocess.run(words, check=True, capture_output=True)
    return path


def cpio(files: Mapping[str, bytes]) -> bytes:
    """An archive of executable files, in the format of initramfs (newc); a name that ends with / is a directory."""
    entries = [*files.items(), ("TRAILER!!!", b"")]
    return b"".join(_entry(number, name, data) for number, (name, data) in enumerate(entries, 721))


def _entry(number: int, path: str, data: bytes) -> bytes:
    name, mode = path.rstrip("/").encode() + b"\0", 0o040755 if path.endswith("/") else 0o100755
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)

"""What fills an image: its files, root.squashfs by directory, and the packages that the most of it is of."""

from __future__ import annotations

import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoinstall.host import Host
from autoinstall.image.build import Builder, cache_root, read_recipe
from autoinstall.image.cache import Cache
from autoinstall.image.layers import SQUASHFS_OPTIONS
from tests.vm.image import Image

FILES = ("vmlinuz", "initrd.img", "root.squashfs")
DPKG_LISTS = "./var/lib/dpkg/info/"
DIRECTORIES = (
    "usr/lib/modules", "usr/lib/x86_64-linux-gnu", "usr/lib/python3.13", "usr/lib/python3", "usr/lib/systemd",
    "usr/lib/autoinstall", "usr/bin", "usr/sbin", "usr/share",
)  # fmt: skip
"""Groups of the table; what is in none of them is `the rest`."""


@dataclass(frozen=True)
class Contents:
    """Sizes in bytes. Of a directory: what it takes in the squashfs, and as files; of a package: as files."""

    files: Mapping[str, int]
    iso: int
    directories: Mapping[str, tuple[int, int]]
    packages: Mapping[str, int]


def contents(image: Image, place: Path) -> Contents:
    """Take the image apart. Each directory is packed by itself, as the whole was, to see what it takes."""
    root = place / "root"
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", root, image.place / "root.squashfs"], check=True)
    sizes = {path.relative_to(root): path.stat().st_size for path in _files(root)}
    directories = {}
    for name in DIRECTORIES:
        inside = [size for path, size in sizes.items() if path.is_relative_to(name)]
        packed = place / "packed"
        subprocess.run(["mksquashfs", root / name, packed, *SQUASHFS_OPTIONS], check=True, stdout=subprocess.DEVNULL)
        directories[name] = (packed.stat().st_size, sum(inside))
    packed_bytes = (image.place / "root.squashfs").stat().st_size
    rest = (
        packed_bytes - sum(packed for packed, _ in directories.values()),
        sum(sizes.values()) - sum(plain for _, plain in directories.values()),
    )
    return Contents(
        files={name: (image.place / name).stat().st_size for name in FILES},
        iso=image.iso.stat().st_size,
        directories={**directories, "the rest": rest},
        packages=_packages(sizes),
    )


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def _packages(sizes: Mapping[Path, int]) -> dict[str, int]:
    """What of each package is left in the image. What no package lists was made by the build."""
    owners = {path: package for package, path in _lists()}
    totals: dict[str, int] = defaultdict(int)
    for path, size in sizes.items():
        totals[owners.get(path, "(made by the build)")] += size
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def _lists() -> Iterator[tuple[str, Path]]:
    """Each package and file, as dpkg listed them in the tree that the image was made of."""
    base = Builder(read_recipe("vm"), Cache(cache_root(), Host()), Host()).base() / "base.tar"
    with tarfile.open(base) as archive:
        for member in archive:
            if member.name.startswith(DPKG_LISTS) and member.name.endswith(".list"):
                package = member.name.removeprefix(DPKG_LISTS).removesuffix(".list").partition(":")[0]
                listed = archive.extractfile(member)
                assert listed
                for line in listed.read().decode().splitlines():
                    yield package, _usr(line)


def _usr(line: str) -> Path:
    """The path of a file that dpkg lists, relative to the root; /bin, /lib and /sbin are links into /usr."""
    path = Path(line.lstrip("/"))
    return Path("usr") / path if path.parts[:1] in (("bin",), ("lib",), ("sbin",), ("lib64",)) else path

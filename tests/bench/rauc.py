"""RAUC beside the product: a disk with RAUC, a verity bundle of the files of an image, and images as they are.

The bundle holds an ext4 with the same files; RAUC writes it to the slot as it is, which is the fastest that it does.
RAUC's programs come from the suite of the image, unpacked for a chroot; key and certificate are made here.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME
from autoinstall.sizes import MIB, mib_up
from autoinstall.steps.filesystems import SLOT_FEATURES
from autoinstall.upgrade import FILESYSTEM_MIB
from tests.bench.debian import tree_of
from tests.vm.image import Image

PACKAGES = ("base-files", "coreutils", "dash", "dbus-bin", "dbus-daemon", "grub-common", "rauc", "squashfs-tools")
COMPATIBLE = "bench"
PLACE = "bench"
"""In the chroot: what is not RAUC's programs."""
ROOM_MIB = 200
"""What the disk has beside its files."""
SLOT = f"^resize_inode,{SLOT_FEATURES}"
SYSTEM_CONF = f"""\
[system]
compatible={COMPATIBLE}
bootloader=grub
grubenv=/{PLACE}/grubenv
bundle-formats=verity
data-directory=/{PLACE}/data
mountprefix=/{PLACE}/mnt
[keyring]
path=/{PLACE}/cert.pem
[slot.rootfs.0]
device=/dev/disk/by-partlabel/Root-A
type=ext4
bootname=A
[slot.rootfs.1]
device=/dev/disk/by-partlabel/Root-B
type=ext4
bootname=B
"""
MANIFEST = f"""\
[update]
compatible={COMPATIBLE}
version=1
[bundle]
format=verity
[image.rootfs]
filename=rootfs.ext4
"""
IN_CHROOT = 'mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; exec chroot "$@"'


def make_disk(place: Path, images: Mapping[str, Image]) -> Path:
    """A disk with `images` in directories of their names, RAUC in `tree`, and a bundle of the first of them."""
    root, tree = place / "disk", place / "disk/tree"
    tree.mkdir(parents=True)
    subprocess.run(["tar", "-xf", tree_of("rauc", PACKAGES), "-C", tree], check=True)
    for name, image in images.items():
        _put(image, root / name)
    _configure(tree)
    _bundle(tree, next(iter(images.values())), place / "contents")
    return _filesystem(place / "rauc.raw", root, ROOM_MIB)


def _put(image: Image, directory: Path) -> None:
    directory.mkdir(parents=True)
    for name in (*FILE_NAMES, MANIFEST_NAME):
        shutil.copyfile(image.place / name, directory / name)


def _configure(tree: Path) -> None:
    for name in ("data", "mnt"):
        (tree / PLACE / name).mkdir(parents=True)
    (tree / PLACE / "system.conf").write_text(SYSTEM_CONF)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    key = ["-keyout", f"{tree / PLACE}/key.pem", "-out", f"{tree / PLACE}/cert.pem"]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", *key, "-subj", "/CN=bench", "-days", "9999"]
    subprocess.run(words, check=True, capture_output=True)


def _bundle(tree: Path, image: Image, contents: Path) -> None:
    _put(image, contents)
    made = tree / PLACE / "contents"
    made.mkdir()
    _filesystem(made / "rootfs.ext4", contents, FILESYSTEM_MIB)
    (made / "manifest.raucm").write_text(MANIFEST)
    paths = {name: f"/{PLACE}/{name}" for name in ("cert.pem", "key.pem", "contents", "bundle.raucb")}
    sign = [f"--cert={paths['cert.pem']}", f"--key={paths['key.pem']}"]
    words = ["rauc", "bundle", *sign, paths["contents"], paths["bundle.raucb"]]
    subprocess.run(["unshare", "--mount", "sh", "-euc", IN_CHROOT, "sh", tree, *words], check=True)
    shutil.rmtree(made)


def _filesystem(path: Path, root: Path, room_mib: int) -> Path:
    """An ext4 in a file, with a directory's content, what ext4 needs for itself (see upgrade.py) and some room."""
    size_bytes = sum(file.lstat().st_size for file in root.rglob("*")) * 32 // 31
    with path.open("wb") as file:
        file.truncate((mib_up(size_bytes) + room_mib) * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", SLOT, "-d", root, path], check=True)
    return path

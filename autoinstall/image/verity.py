"""dm-verity for root.squashfs: its hash tree at its own end, and the table to map it by in the initramfs.

So the image stays three files, and whoever vouches for initrd.img vouches for every block of the root.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from autoinstall.errors import BuildFailed
from autoinstall.host import Host

BLOCK_BYTES = 4096
SECTOR_BYTES = 512
TABLE_NAME = "etc/autoinstall.verity"
"""In the initramfs. mount-node.sh puts the device in the place of DEVICE."""
DEVICE = "@DEVICE@"
NO_SALT = "-"
"""A salt that is fixed, as it must be where equal images have equal bytes, adds nothing."""
ROOT_HASH = re.compile(r"^Root hash:\s+([0-9a-f]{64})$", re.MULTILINE)
CPIO_ALIGNMENT = 4


def add_hash_tree(image: Path, host: Host) -> str:
    """Append its hash tree to a file, and return dm-verity's table (dm-verity(8), verity.rst of the kernel)."""
    blocks = -(-image.stat().st_size // BLOCK_BYTES)
    os.truncate(image, blocks * BLOCK_BYTES)
    said = host.run(
        "veritysetup", "format", "--no-superblock", f"--salt={NO_SALT}", "--hash=sha256",
        f"--data-block-size={BLOCK_BYTES}", f"--hash-block-size={BLOCK_BYTES}",
        f"--data-blocks={blocks}", f"--hash-offset={blocks * BLOCK_BYTES}", image, image,
        doing=f"making the hash tree of {image.name}",
    )  # fmt: skip
    root_hash = ROOT_HASH.search(said.stdout)
    if not root_hash:
        raise BuildFailed(f"making the hash tree of {image.name}: veritysetup told no root hash")
    sectors = blocks * BLOCK_BYTES // SECTOR_BYTES
    sizes = f"{BLOCK_BYTES} {BLOCK_BYTES} {blocks} {blocks}"
    return f"0 {sectors} verity 1 {DEVICE} {DEVICE} {sizes} sha256 {root_hash[1]} {NO_SALT}"


def add_table(initramfs: Path, table: str) -> None:
    """Append an archive with the table to an initramfs: the kernel unpacks one behind the other."""
    with initramfs.open("ab") as file:
        file.write(_padding(file.tell()) + archive(TABLE_NAME, f"{table}\n".encode()))


def archive(name: str, content: bytes) -> bytes:
    """A cpio archive of one file of root's, as the kernel reads them (initramfs-buffer-format.rst)."""
    return _member(name, 0o100644, content) + _member("TRAILER!!!", 0, b"")


def _member(name: str, mode: int, content: bytes) -> bytes:
    ino, uid, gid, links, mtime, device, checksum = 0, 0, 0, 1, 0, (0, 0, 0, 0), 0
    fields = (ino, mode, uid, gid, links, mtime, len(content), *device, len(name) + 1, checksum)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + _padding(len(head)) + content + _padding(len(content))


def _padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % CPIO_ALIGNMENT)

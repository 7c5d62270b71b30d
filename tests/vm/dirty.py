"""What may be on a disk before we come: each shape by how it is made, from outside or in a live system."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from autoinstall import gpt
from autoinstall.layout import TYPE_LINUX_DATA, Layout, Partition
from tests.vm.hardware import MIB

HOSTILE = r"""$(printf '\033[2J\n$(id)`x`\047')"""
"""A label, which ext4 takes as it is: clears a terminal, ends a line, starts commands."""

WINDOWS_TABLE = """label: gpt
size=16MiB, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name="Microsoft reserved partition"
size=512MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name="Basic data partition"
"""
LOGICAL_TABLE = "label: dos\nsize=64MiB, type=83\ntype=5\nsize=128MiB, type=83\nsize=128MiB, type=7\n"
HALVES = "label: gpt\nsize=1GiB\nsize=1GiB\n"

Made = Callable[[Path], None]


@dataclass(frozen=True)
class Shape:
    """`outside` makes it of the disk's file, then `inside` in a live system: sh, with $disk and, if a second disk is
    there, $other. `told` is what an inventory calls it."""

    told: str
    outside: Made | None = None
    inside: str = ""


def table(script: str) -> Made:
    """A partition table by sfdisk."""

    def make(disk: Path) -> None:
        subprocess.run(["sfdisk", "--quiet", disk], input=script.encode(), check=True)

    return make


def put(pieces: Mapping[int, bytes]) -> Made:
    """Bytes at their places."""

    def make(disk: Path) -> None:
        with disk.open("r+b") as file:
            for offset, data in pieces.items():
                file.seek(offset)
                file.write(data)

    return make


def both(*makers: Made) -> Made:
    """One after the other."""

    def make(disk: Path) -> None:
        for maker in makers:
            maker(disk)

    return make


def ntfs(start: int = 0) -> Made:
    """As much of an NTFS as blkid wants: its boot sector, and the records of $MFT and $Volume."""
    boot = bytearray(512)
    struct.pack_into("<3s8sHB", boot, 0, b"\xeb\x52\x90", b"NTFS    ", 512, 8)
    struct.pack_into("<QQQb", boot, 40, 512 * MIB // 512 - 1, 4, 8, -10)
    struct.pack_into("<Q", boot, 72, 0x0123456789ABCDEF)
    boot[510:] = b"\x55\xaa"
    record = b"FILE".ljust(20, b"\0") + struct.pack("<H", 56)
    mft = start + 4 * 4096
    return put({start: bytes(boot), mft: record, mft + 3 * 1024: record})


def zfs() -> Made:
    """What a pool's first label tells of it: an nvlist in XDR, as blkid reads it."""

    def text(value: str) -> bytes:
        data = value.encode()
        return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)

    def pair(name: str, kind: int, data: bytes) -> bytes:
        body = text(name) + struct.pack(">II", kind, 1) + data
        return struct.pack(">II", len(body) + 8, len(body) + 64) + body

    numbers = {"version": 5000, "state": 0, "txg": 7, "pool_guid": 0xABC123, "guid": 0xDEF456}
    pairs = [pair(name, 8, struct.pack(">Q", value)) for name, value in numbers.items()]
    return put({16 * 1024: struct.pack(">4BII", 1, 1, 0, 0, 0, 1) + b"".join(pairs) + pair("name", 9, text("tank"))})


def luks(disk: Path) -> None:
    """A container, by cryptsetup."""
    fast = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    words = ["cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *fast, "--key-file", "-", str(disk)]
    subprocess.run(words, input=b"secret", check=True)


def large_sectors(disk: Path) -> None:
    """The table that this disk had when its sectors were of 4096 bytes."""
    size, nobody = disk.stat().st_size, UUID(int=0x4B4E)
    part = Partition(1, "photos", TYPE_LINUX_DATA, UUID(int=1), MIB, 64 * MIB, "", "", "")
    old = gpt.render(Layout(nobody, size, 4096, (part,), ()))
    put({old.primary_start: old.primary, old.backup_start: old.backup})(disk)


def backup_alone(disk: Path) -> None:
    """A table whose first half is gone, protective MBR and all."""
    table("label: gpt\nsize=64MiB, name=photos\n")(disk)
    put({0: bytes(34 * 512)})(disk)


SHAPES: Mapping[str, Shape] = {
    "filesystem-without-table": Shape("ext4 'photos'", inside="mke2fs -qF -t ext4 -L photos $disk"),
    "windows": Shape("ntfs", both(table(WINDOWS_TABLE), ntfs(17 * MIB))),
    "ntfs-without-table": Shape("ntfs", ntfs()),
    "logical-partitions": Shape("dos", table(LOGICAL_TABLE)),
    "swap": Shape("swap", inside="mkswap -q $disk"),
    "fat": Shape("vfat 'CAMERA'", inside="mkfs.vfat -I -n CAMERA $disk >/dev/null"),
    "zfs": Shape("zfs_member 'tank'", zfs()),
    "ceph": Shape("ceph_bluestore", put({0: b"bluestore block device\n3f0d5b2e-6f1c-4a0e-9d7a-0123456789ab\n"})),
    "luks": Shape("crypto_LUKS", luks),
    "large-sectors": Shape("of other sectors", large_sectors),
    "backup-alone": Shape("its backup alone", backup_alone),
    "hostile-label": Shape("^[[2J^J", inside=f'mke2fs -qF -t ext4 -L "{HOSTILE}" $disk'),
    "md-member": Shape(
        "linux_raid_member",
        inside="mdadm -q --create /dev/md/old --run --level=1 --raid-devices=2 --metadata=1.2 $disk missing;"
        " mdadm -q --stop /dev/md/old",
    ),
    "volume": Shape(
        "LVM2_member",
        inside="pvcreate -qqy $disk && vgcreate -qqy old $disk && lvcreate -qqy -n photos -L 512M old"
        " && vgchange -qan old",
    ),
    "volumes-on-md": Shape(
        "linux_raid_member",
        table(HALVES),
        "mdadm -q --create /dev/md/old --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean"
        " $disk-part1 $disk-part2 && pvcreate -qqy /dev/md/old && vgcreate -qqy old /dev/md/old"
        " && lvcreate -qqy -n photos -L 128M old; vgchange -qan old; mdadm -q --stop /dev/md/old",
    ),
    "volumes-over-two-partitions": Shape(
        "LVM2_member",
        table(HALVES),
        "pvcreate -qqy $disk-part1 $disk-part2 && vgcreate -qqy old $disk-part1 $disk-part2"
        " && lvcreate -qqy -n photos -l 100%FREE old; vgchange -qan old",
    ),
    "volume-on-a-partition": Shape(
        "LVM2_member",
        table("label: gpt\n,4G\n,\n"),
        "pvcreate -qqy $disk-part2 && vgcreate -qqy old $disk-part2 && lvcreate -qqy -n photos -L 512M old",
    ),
    "active-volume": Shape(
        "LVM2_member",
        inside="pvcreate -qqy $disk && vgcreate -qqy old $disk && lvcreate -qqy -n photos -L 512M old",
    ),
}

"""A second, independent reader of partition tables: what is on the disk, not what the product says is.

UEFI specification 2.10, section 5.3; all numbers little-endian.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR, LARGE_SECTOR = 512, 4096
HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
ENTRY = struct.Struct("<16s16sQQQ72s")
SIGNATURE = b"EFI PART"
LABELS = ["BIOS-boot", "EFI", "Root-A", "Root-B", "Config", "Logging", "HostVG"]
"""Of a node."""

TYPES = {
    "21686148-6449-6e6f-744e-656564454649": "bios-boot",
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "esp",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "root-x86-64",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "linux",
    "e6d6d379-f507-44c2-a23c-238f2a3df928": "lvm",
}


@dataclass(frozen=True)
class Partition:
    """One entry of the table; `number` counts from 1."""

    number: int
    label: str
    type: str
    uuid: str
    start_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Table:
    """A GPT whose both halves are right and say the same."""

    disk_guid: str
    partitions: tuple[Partition, ...]

    def __getitem__(self, label: str) -> Partition:
        return next(partition for partition in self.partitions if partition.label == label)


class NoTable(AssertionError):
    """What stands there is not a sound GPT, and why."""


def read_table(disk: Path) -> Table:
    """The table of a disk image; its sectors have 4096 bytes where a header stands behind so many. Raises NoTable."""
    with disk.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(LARGE_SECTOR)
        bytes_each = LARGE_SECTOR if file.read(len(SIGNATURE)) == SIGNATURE else SECTOR
        last = size // bytes_each - 1

        def read(sector: int, count: int) -> bytes:
            file.seek(sector * bytes_each)
            return file.read(count)

        primary = _half(read, 1)
        backup = _half(read, last)
    if primary.disk_guid != backup.disk_guid or primary.entries != backup.entries:
        raise NoTable("the two halves differ")
    if primary.other != last or backup.other != 1:
        raise NoTable(f"the halves do not point at each other: {primary.other}, {backup.other}, disk ends at {last}")
    return Table(primary.disk_guid, tuple(_partitions(primary.entries, bytes_each)))


def protective_entry(sector_zero: bytes) -> tuple[int, int, int]:
    """Type, first sector and number of sectors of the first MBR entry."""
    kind, start, count = struct.unpack_from("<4xB3xII", sector_zero, 446)
    return kind, start, count


@dataclass(frozen=True)
class _Half:
    disk_guid: str
    other: int
    entries: bytes


def _half(read: object, sector: int) -> _Half:
    assert callable(read)
    raw = read(sector, HEADER.size)
    fields = HEADER.unpack_from(raw)
    signature, _, size, crc, _, mine, other, _, _, guid, first_entry, count, entry_size, entries_crc = fields
    if signature != SIGNATURE:
        raise NoTable(f"no GPT header in sector {sector}")
    if mine != sector:
        raise NoTable(f"the header in sector {sector} says that it is in {mine}")
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != crc:
        raise NoTable(f"the header in sector {sector} has a wrong checksum")
    entries = read(first_entry, count * entry_size)
    if entry_size != ENTRY.size or zlib.crc32(entries) != entries_crc:
        raise NoTable(f"the entries of the header in sector {sector} have a wrong checksum")
    return _Half(_guid(guid), other, entries)


def _partitions(entries: bytes, sector_bytes: int) -> Iterator[Partition]:
    for number, (kind, unique, first, last, _, name) in enumerate(ENTRY.iter_unpack(entries), 1):
        if kind != bytes(16):
            label = name.decode("utf-16-le").rstrip("\0")
            size = (last - first + 1) * sector_bytes
            known = TYPES.get(_guid(kind), _guid(kind))
            yield Partition(number, label, known, _guid(unique), first * sector_bytes, size)


def _guid(raw: bytes) -> str:
    return str(uuid.UUID(bytes_le=raw))

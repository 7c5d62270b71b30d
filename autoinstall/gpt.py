"""GPT as bytes (UEFI specification 2.10, chapter 5): a layout -> the exact bytes, and bytes -> whose table it is.

The commit mark of an install is sector 0. It holds the protective MBR, without which neither UEFI firmware
nor Linux takes the disk for partitioned, and GRUB's boot code, without which a BIOS does not boot it. So
everything else is written first, and one sector makes the disk bootable under either firmware.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from autoinstall.facts import MemberMark, NodeMark
from autoinstall.layout import (
    ID_MARK,
    MOST_MEMBERS,
    PARTITIONS,
    DiskTable,
    Partition,
    member_guid,
    member_partition_uuid,
    partition_of,
    partition_uuid,
)
from autoinstall.sizes import align_up
from autoinstall.space import GROUPS

ENTRY_BYTES = 128
ENTRY_COUNT = 128
ENTRIES_BYTES = ENTRY_BYTES * ENTRY_COUNT
HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
ENTRY = struct.Struct("<16s16sQQQ72s")
REVISION_1_0 = b"\x00\x00\x01\x00"
SIGNATURE = b"EFI PART"

SECTOR_SIZES = (512, 4096)
EDGE_BYTES = 2 * max(SECTOR_SIZES)

MBR_BYTES = 512
BOOT_CODE_BYTES = 440
MBR_SIGNATURE = b"\x55\xaa"
PROTECTIVE_TYPE = 0xEE
LABELS = [row.label for row in PARTITIONS]


@dataclass(frozen=True)
class Table:
    """Both halves of a GPT: where each starts, in bytes from the start of the disk, and what stands there."""

    primary_start: int
    primary: bytes
    backup_start: int
    backup: bytes


@dataclass(frozen=True)
class Entry:
    """One partition as a table tells it; LBAs are inclusive, in sectors."""

    type_guid: UUID
    partition_uuid: UUID
    first_lba: int
    last_lba: int
    label: str


@dataclass(frozen=True)
class Header:
    """What a valid header tells."""

    disk_guid: UUID
    entries_lba: int
    entries_crc: int


def render(layout: DiskTable) -> Table:
    """The table of one disk. The primary half starts at LBA 1: sector 0 is not part of it."""
    sector = layout.sector_bytes
    entries = _entries(layout)
    last_lba = layout.disk_bytes // sector - 1
    entries_lbas = len(entries) // sector
    backup_entries_lba = last_lba - entries_lbas
    return Table(
        primary_start=sector,
        primary=_header(layout, entries, (1, last_lba, 2)) + entries,
        backup_start=backup_entries_lba * sector,
        backup=entries + _header(layout, entries, (last_lba, 1, backup_entries_lba)),
    )


def protective_mbr(layout: DiskTable, boot_code: bytes = b"") -> bytes:
    """Sector 0: boot code (440 bytes of it) and one partition of type 0xEE over the whole disk."""
    sectors = layout.disk_bytes // layout.sector_bytes
    entry = struct.pack(
        "<B3sB3sII",
        0,
        b"\x00\x02\x00",
        PROTECTIVE_TYPE,
        b"\xff\xff\xff",
        1,
        min(sectors - 1, 0xFFFFFFFF),
    )
    code = boot_code[:BOOT_CODE_BYTES].ljust(BOOT_CODE_BYTES + 6, b"\0")
    mbr = code + entry + bytes(48) + MBR_SIGNATURE
    return mbr.ljust(layout.sector_bytes, b"\0")


def has_protective_mbr(sector_0: bytes) -> bool:
    """Whether sector 0 makes the rest of the disk count as GPT."""
    kinds = [sector_0[446 + 16 * i + 4] for i in range(4)] if len(sector_0) >= MBR_BYTES else []
    return sector_0[510:512] == MBR_SIGNATURE and PROTECTIVE_TYPE in kinds


def parse_header(data: bytes) -> Header | None:
    """The header that `data` starts with, of entries of any size; None where there is none, or its CRC is wrong."""
    if len(data) < HEADER.size or not data.startswith(SIGNATURE):
        return None
    fields = HEADER.unpack_from(data)
    size = fields[2]
    without_crc = data[:16] + bytes(4) + data[20:size]
    if not HEADER.size <= size <= len(data) or fields[3] != zlib.crc32(without_crc):
        return None
    return Header(UUID(bytes_le=fields[9]), entries_lba=fields[10], entries_crc=fields[13])


def any_header(head: bytes, tail: bytes) -> Header | None:
    """A valid header of either half in the first or last EDGE_BYTES of a disk, for sectors of any size.

    Neither blkid nor Linux sees a table of another sector size, or a backup whose protective MBR is gone.
    """
    places = (place for size in SECTOR_SIZES for place in (head[size:], tail[-size:]))
    return next((header for header in map(parse_header, places) if header), None)


def parse_entries(header: Header, data: bytes) -> Sequence[Entry] | None:
    """The used entries of a table; None where `data` is not what the header's CRC says, as of entries unlike ours."""
    data = data[:ENTRIES_BYTES]
    if len(data) < ENTRIES_BYTES or zlib.crc32(data) != header.entries_crc:
        return None
    found = []
    for kind, uuid, first, last, _flags, label in ENTRY.iter_unpack(data):
        if any(kind):
            text = label.decode("utf-16-le", errors="replace").partition("\0")[0]
            found.append(Entry(UUID(bytes_le=kind), UUID(bytes_le=uuid), first, last, text))
    return found


def recognise(header: Header, entries: Sequence[Entry], sector_0: bytes) -> NodeMark | None:
    """Our install, if the table begins as one of ours: its labels are ours, its UUIDs follow from its disk GUID.

    All but one: that of ID_MARK may follow from an autoinstall.id too. HostVG may be on other disks. What follows is
    somebody's who found room behind it, and takes nothing from the node.
    """
    own = own_entries(header, entries)
    others = {entry.label: entry.partition_uuid for entry in own if not _follows(header, entry)}
    mark = others.pop(ID_MARK, None)
    if others or [entry.label for entry in own] not in (LABELS, LABELS[:-1]):
        return None
    strangers = tuple(entry.label for entry in entries[len(own) :])
    return NodeMark(header.disk_guid, has_protective_mbr(sector_0), mark, strangers=strangers)


def own_entries(header: Header, entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries of a node in its table, where it is one: a partition of HostVG is ours by its UUID, the last."""
    own = entries[: len(LABELS)]
    return own if own and _follows(header, own[-1]) else own[:-1]


def _follows(header: Header, entry: Entry) -> bool:
    return entry.partition_uuid == partition_uuid(header.disk_guid, entry.label)


def partitions(install_id: UUID, entries: Sequence[Entry], sector_bytes: int) -> tuple[Partition, ...]:
    """The partitions of an install of ours, from its table."""
    places = [(entry.first_lba * sector_bytes, (entry.last_lba + 1) * sector_bytes) for entry in entries]
    rows = zip(PARTITIONS, places, strict=False)  # HostVG, the last, may be on other disks
    return tuple(
        partition_of(install_id, row, (number, start, end - start))
        for number, (row, (start, end)) in enumerate(rows, 1)
    )


def recognise_member(header: Header, entries: Sequence[Entry], sector_0: bytes) -> MemberMark | None:
    """A disk of a volume group of ours: one partition, and both GUIDs follow from one install id and one number."""
    if len(entries) != 1 or entries[0].label not in GROUPS:
        return None
    (entry,) = entries
    for number in range(1, MOST_MEMBERS + 1):
        install_id = member_guid(header.disk_guid, -number)
        if member_partition_uuid(install_id, entry.label, number) == entry.partition_uuid:
            return MemberMark(install_id, entry.label, has_protective_mbr(sector_0))
    return None


def _entries(layout: DiskTable) -> bytes:
    sector = layout.sector_bytes
    data = b"".join(
        ENTRY.pack(
            part.type_guid.bytes_le,
            part.partition_uuid.bytes_le,
            part.start_bytes // sector,
            part.end_bytes // sector - 1,
            0,
            part.label.encode("utf-16-le"),
        )
        for part in layout.partitions
    )
    return data.ljust(align_up(ENTRIES_BYTES, sector), b"\0")


def _header(layout: DiskTable, entries: bytes, lbas: tuple[int, int, int]) -> bytes:
    """One header; `lbas` are its own, the other header's, and that of its entries."""
    own, other, entries_lba = lbas
    sector = layout.sector_bytes
    last_lba = layout.disk_bytes // sector - 1
    first_usable = 2 + len(entries) // sector
    fields = (
        SIGNATURE,
        REVISION_1_0,
        HEADER.size,
        0,
        0,
        own,
        other,
        first_usable,
        last_lba - len(entries) // sector - 1,
        layout.disk_guid.bytes_le,
        entries_lba,
        ENTRY_COUNT,
        ENTRY_BYTES,
        zlib.crc32(entries[:ENTRIES_BYTES]),
    )
    crc = zlib.crc32(HEADER.pack(*fields))
    return HEADER.pack(*fields[:3], crc, *fields[4:]).ljust(sector, b"\0")

"""What is ours on a disk, told by its partition table alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoinstall import block, gpt
from autoinstall.errors import DeviceLost
from autoinstall.facts import Disk, MemberMark, NodeMark
from autoinstall.layout import PARTITIONS


def partition_of_node(disk: str, label: str) -> str:
    """The device of a partition of the node on a disk: the tables of all nodes have one order. Raises DeviceLost."""
    number = next(number for number, row in enumerate(PARTITIONS, start=1) if row.label == label)
    return block.partition_path(disk, number)


def our_table(disk: Disk) -> tuple[NodeMark | MemberMark, Sequence[gpt.Entry]] | None:
    """Our install on a disk, by the primary table or, where that is broken, by the backup. Raises DeviceLost.

    A whole header at the beginning has the only word, for sectors and entries of any size: a backup that is of
    another disk GUID is what is left of a node under another system.
    The entries are those of the install: no partition that somebody put behind them.
    """
    size, sector = disk.size_bytes, disk.sector_bytes
    if size < 64 * sector or sector < 512:
        return None
    head = block.read_direct(disk.path, 0, gpt.EDGE_BYTES)
    first, sector_0 = gpt.any_header(head, b""), head[:sector]
    for lba in (1, size // sector - 1):
        header = gpt.parse_header(block.read_direct(disk.path, lba * sector, sector))
        if header is None or header.disk_guid != (first or header).disk_guid:
            continue
        if not 0 < header.entries_lba * sector < size - gpt.ENTRIES_BYTES:
            continue
        data = block.read_direct(disk.path, header.entries_lba * sector, gpt.ENTRIES_BYTES)
        entries = gpt.parse_entries(header, data)
        if entries is not None:
            node = gpt.recognise(header, entries, sector_0)
            if node:
                return replace(node, from_backup=lba != 1), gpt.own_entries(header, entries)
            member = gpt.recognise_member(header, entries, sector_0)
            return (member, entries) if member else None
    return None


def marked(disk: Disk) -> Disk:
    """The disk with what is ours on it, or why that is unknown."""
    try:
        table = our_table(disk)
    except DeviceLost as error:
        return replace(disk, unread=str(error))
    mark = table[0] if table else None
    return replace(
        disk,
        node=mark if isinstance(mark, NodeMark) else None,
        member=mark if isinstance(mark, MemberMark) else None,
    )

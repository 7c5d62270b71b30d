"""The labels Root and RootBackup on the slots' filesystems: for people, and never read by what boots."""

from __future__ import annotations

import struct

from autoinstall import block
from autoinstall.errors import StateUnreadable
from autoinstall.host import Host
from autoinstall.node.state import booted_disk, partitions
from autoinstall.slots import ROLES, Slot, SlotState, root_slot

SUPERBLOCK = 1024
MAGIC_OFFSET, MAGIC = 0x38, 0xEF53
LABEL_OFFSET, LABEL_BYTES = 0x78, 16
"""ext4's superblock (Documentation/filesystems/ext4). A slot has no checksum over it."""


def follow(host: Host, state: SlotState) -> None:
    """Bring the labels in line with the slot state: one write of one sector where it differs.

    Raises StateUnreadable or DeviceLost; the node boots the same whatever the labels say.
    """
    sector_bytes = int(host.read_text(booted_disk(host) / "queue/logical_block_size"))
    devices = partitions(host)
    for slot in Slot:
        device = devices.get(slot.partition_label)
        if device is None:
            raise StateUnreadable(f"there is no partition {slot.partition_label}")
        _label(device, ROLES[slot is root_slot(state)], sector_bytes)


def relabelled(superblock: bytes, label: str) -> bytes:
    """The superblock with another label. Raises StateUnreadable where it is none."""
    if struct.unpack_from("<H", superblock, MAGIC_OFFSET)[0] != MAGIC:
        raise StateUnreadable("a slot holds no ext4 filesystem")
    name = label.encode().ljust(LABEL_BYTES, b"\0")
    return superblock[:LABEL_OFFSET] + name + superblock[LABEL_OFFSET + LABEL_BYTES :]


def _label(device: str, label: str, sector_bytes: int) -> None:
    start = SUPERBLOCK // sector_bytes * sector_bytes
    before = block.read_direct(device, start, sector_bytes)
    after = before[: SUPERBLOCK - start] + relabelled(before[SUPERBLOCK - start :], label)
    if after != before:
        block.write_direct(device, start, after)

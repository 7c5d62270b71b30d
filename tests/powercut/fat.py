"""FAT32, read as GRUB and firmware do: by the first FAT alone, and 8.3 names in any case.

Microsoft's FAT32 File System Specification 1.03.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Read = Callable[[int, int], bytes]
"""Offset in bytes, and how many."""

BPB = struct.Struct("<11xHBHBHHBHHHII")
DIRECTORY, LONG_NAME, VOLUME = 0x10, 0x0F, 0x08
DELETED, LAST = 0xE5, 0x00
END_OF_CHAIN = 0x0FFFFFF8
ENTRY_BYTES = 32
MOST_CLUSTERS = 1 << 16


class Unreadable(ValueError):
    """This cannot be read, and why."""


@dataclass(frozen=True)
class Fat:
    """A filesystem, as far as it is needed to read files."""

    read: Read
    fat_start: int
    data_start: int
    cluster_bytes: int
    root: int

    @classmethod
    def of(cls, read: Read) -> Fat:
        """Raises Unreadable."""
        sector = read(0, 512)
        if sector[510:512] != b"\x55\xaa":
            raise Unreadable("no FAT")
        each, per_cluster, reserved, fats, _, _, _, short, _, _, _, _ = BPB.unpack_from(sector)
        (long,) = struct.unpack_from("<I", sector, 36)
        (root,) = struct.unpack_from("<I", sector, 44)
        if each != 512 or not per_cluster or short or not long:
            raise Unreadable("not FAT32 of 512-byte sectors")
        return cls(read, reserved * each, (reserved + fats * long) * each, per_cluster * each, root)

    def file(self, path: str) -> bytes:
        """The content of a file. Raises Unreadable."""
        cluster, size, directory = self.root, 0, True
        for name in path.split("/"):
            if not directory:
                raise Unreadable(f"{path}: no directory")
            found = [entry for entry in self._entries(cluster) if entry[0] == name.upper()]
            if not found:
                raise Unreadable(f"{path} is not there")
            _, cluster, size, directory = found[0]
        data = b"".join(self._clusters(cluster)) if size else b""
        if len(data) < size:
            raise Unreadable(f"{path} ends early")
        return data[:size]

    def _entries(self, cluster: int) -> Iterator[tuple[str, int, int, bool]]:
        """Name, first cluster, size, and whether it is a directory."""
        for block in self._clusters(cluster):
            for start in range(0, len(block), ENTRY_BYTES):
                entry = block[start : start + ENTRY_BYTES]
                if entry[0] == LAST:
                    return
                if entry[0] == DELETED or entry[11] & LONG_NAME == LONG_NAME or entry[11] & VOLUME:
                    continue
                stem, ending = entry[:8].decode("latin-1").rstrip(), entry[8:11].decode("latin-1").rstrip()
                high, low, size = struct.unpack_from("<H4xHI", entry, 20)
                yield f"{stem}.{ending}".rstrip("."), high << 16 | low, size, bool(entry[11] & DIRECTORY)

    def _clusters(self, cluster: int) -> Iterator[bytes]:
        for _ in range(MOST_CLUSTERS):
            if cluster < 2:
                raise Unreadable(f"cluster {cluster} in a chain")
            yield self.read(self.data_start + (cluster - 2) * self.cluster_bytes, self.cluster_bytes)
            cluster = struct.unpack("<I", self.read(self.fat_start + 4 * cluster, 4))[0] & 0x0FFFFFFF
            if cluster >= END_OF_CHAIN:
                return
        raise Unreadable("a chain without end")

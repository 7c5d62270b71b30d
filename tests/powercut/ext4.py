"""ext4, read as GRUB does: what stands in its place on the disk, without the journal.

Documentation/filesystems/ext4 of Linux. Files have extents; directories are read as lists, which an index leaves so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Read = Callable[[int, int], bytes]

MAGIC, EXTENTS_MAGIC = 0xEF53, 0xF30A
ROOT_INODE = 2
WIDE = 0x80
"""The feature `64bit`: group descriptors are longer."""
HAS_EXTENTS = 0x80000
UNWRITTEN = 1 << 15
DIRECTORY, REGULAR = 0x4000, 0x8000
KIND = 0xF000


class Unreadable(ValueError):
    """This cannot be read, and why."""


@dataclass(frozen=True)
class Inode:
    """A file or directory."""

    mode: int
    size: int
    has_extents: bool
    tree: bytes


@dataclass(frozen=True)
class Ext4:
    """A filesystem, as far as it is needed to read files."""

    read: Read
    block_bytes: int
    first_block: int
    inodes_per_group: int
    inode_bytes: int
    descriptor_bytes: int

    @classmethod
    def of(cls, read: Read) -> Ext4:
        """Raises Unreadable."""
        block = read(1024, 1024)
        if struct.unpack_from("<H", block, 56)[0] != MAGIC:
            raise Unreadable("no ext4")
        first, log = struct.unpack_from("<II", block, 20)
        (per_group,) = struct.unpack_from("<I", block, 40)
        (inode_bytes,) = struct.unpack_from("<H", block, 88)
        (features,) = struct.unpack_from("<I", block, 96)
        (descriptor,) = struct.unpack_from("<H", block, 254)
        if log > 6 or not per_group or inode_bytes < 128:
            raise Unreadable("a superblock of nonsense")
        return cls(read, 1024 << log, first, per_group, inode_bytes, descriptor if features & WIDE else 32)

    def file(self, path: str) -> bytes:
        """The content of a file. Raises Unreadable."""
        inode = self._inode(ROOT_INODE)
        for name in path.split("/"):
            if inode.mode & KIND != DIRECTORY:
                raise Unreadable(f"{path}: no directory")
            found = next((number for entry, number in self._entries(inode) if entry == name), None)
            if found is None:
                raise Unreadable(f"{path} is not there")
            inode = self._inode(found)
        if inode.mode & KIND != REGULAR:
            raise Unreadable(f"{path} is no file")
        return self._content(inode)

    def files(self, directory: str = "", number: int = ROOT_INODE) -> Iterator[str]:
        """The paths of all files below a directory. Raises Unreadable."""
        inode = self._inode(number)
        if inode.mode & KIND == REGULAR:
            yield directory
        elif inode.mode & KIND == DIRECTORY:
            for name, entry in self._entries(inode):
                if name not in (".", ".."):
                    yield from self.files(f"{directory}/{name}".removeprefix("/"), entry)

    def _inode(self, number: int) -> Inode:
        group, index = divmod(number - 1, self.inodes_per_group)
        at = (self.first_block + 1) * self.block_bytes + group * self.descriptor_bytes
        descriptor = self.read(at, self.descriptor_bytes)
        (table,) = struct.unpack_from("<I", descriptor, 8)
        if self.descriptor_bytes > 32:
            table |= struct.unpack_from("<I", descriptor, 40)[0] << 32
        raw = self.read(table * self.block_bytes + index * self.inode_bytes, 128)
        mode, low, flags, high = (
            struct.unpack_from(form, raw, offset)[0]
            for form, offset in (("<H", 0), ("<I", 4), ("<I", 32), ("<I", 108))
        )
        return Inode(mode, low | high << 32, bool(flags & HAS_EXTENTS), raw[40:100])

    def _entries(self, inode: Inode) -> Iterator[tuple[str, int]]:
        data = self._content(inode)
        at = 0
        while at + 8 <= len(data):
            number, length, name_length = struct.unpack_from("<IHB", data, at)
            if length < 8:
                raise Unreadable("a directory of nonsense")
            if number:
                yield data[at + 8 : at + 8 + name_length].decode("utf-8", "replace"), number
            at += length

    def _content(self, inode: Inode) -> bytes:
        if not inode.has_extents:
            raise Unreadable("a file without extents")
        parts, at = [], 0
        for logical, count, physical in sorted(self._extents(inode.tree)):
            parts.append(bytes((logical - at) * self.block_bytes))
            size = count * self.block_bytes
            parts.append(self.read(physical * self.block_bytes, size) if physical else bytes(size))
            at = logical + count
        content = b"".join(parts)[: inode.size]
        return content.ljust(inode.size, b"\0") if inode.size < 1 << 32 else content

    def _extents(self, node: bytes) -> Iterator[tuple[int, int, int]]:
        """Block in the file, how many, and block on the disk, 0 where nothing was written yet."""
        magic, count, _, depth = struct.unpack_from("<HHHH", node)
        if magic != EXTENTS_MAGIC or 12 * (count + 1) > len(node):
            raise Unreadable("an extent tree of nonsense")
        for index in range(1, count + 1):
            if depth:
                _, low, high = struct.unpack_from("<IIH", node, 12 * index)
                yield from self._extents(self.read((high << 32 | low) * self.block_bytes, self.block_bytes))
            else:
                logical, length, high, low = struct.unpack_from("<IHHI", node, 12 * index)
                if length > UNWRITTEN:
                    yield logical, length - UNWRITTEN, 0
                else:
                    yield logical, length, high << 32 | low

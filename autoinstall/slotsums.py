"""slot.crc32: by which GRUB and kexec see that a slot's kernel and initramfs are what was written.

A kernel of which one bit flipped may halt while it unpacks itself, before there is a watchdog: nothing would end that
attempt. Against rot, and no more: who changes a slot on purpose changes its sums. GRUB needs up to four times as
long for SHA-256.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

SLOT_SUMS = "slot.crc32"
SUMMED = ("vmlinuz", "initrd.img")
"""What is started before anybody else can look at it; dm-verity looks at the root."""


class Sums:
    """The CRC-32 (IEEE 802.3) of each of SUMMED, while its content goes by."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(SUMMED, 0)

    def counted(self, name: str, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        """The pieces of a file; its sum is known behind the last."""
        total = 0
        for piece in pieces:
            if name in SUMMED:
                total = zlib.crc32(piece, total)
            yield piece
        self._sums[name] = total

    def render(self) -> bytes:
        """The file, as GRUB's `hashsum --check` reads it."""
        return _render(self._sums)


def sums_of(directory: Path) -> bytes:
    """The file for the kernel and the initramfs in a directory. Raises OSError."""
    return _render({name: zlib.crc32((directory / name).read_bytes()) for name in SUMMED})


def differ(slot: Path, sums: bytes) -> bool:
    """Whether a mounted slot says others. One that says none takes any, as it does for GRUB. Raises OSError."""
    there = slot / SLOT_SUMS
    return there.exists() and there.read_bytes() != sums


def _render(sums: dict[str, int]) -> bytes:
    return "".join(f"{sums[name]:08x}  {name}\n" for name in SUMMED).encode()

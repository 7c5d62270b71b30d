"""Sizes are bytes inside, always; people read MiB and GiB."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB


def align_up(size_bytes: int, unit_bytes: int) -> int:
    """The least multiple of `unit_bytes` that is not below `size_bytes`."""
    return -(-size_bytes // unit_bytes) * unit_bytes


def align_down(size_bytes: int, unit_bytes: int) -> int:
    """The greatest multiple of `unit_bytes` that is not above `size_bytes`."""
    return size_bytes // unit_bytes * unit_bytes


def mib_up(size_bytes: int) -> int:
    """How many MiB hold `size_bytes`."""
    return align_up(size_bytes, MIB) // MIB


def for_people(size_bytes: int) -> str:
    """`512 bytes`, `272 MiB`, `19.5 GiB`: short and unambiguous."""
    if size_bytes < MIB:
        return f"{size_bytes} bytes"
    if size_bytes < 10 * GIB:
        return f"{size_bytes / MIB:.0f} MiB"
    return f"{size_bytes / GIB:.1f} GiB"

"""The grammar of lists of disks and of encrypted swap: storage_init, autoinstall.app_disks, swap_encrypt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoinstall.grammar_disks import DiskBy, DiskSelector, disk


@dataclass(frozen=True)
class Storage:
    """The value of storage_init: the boot disk, the disks of HostVG where they are others, those of AppVG."""

    boot: DiskSelector
    host: tuple[DiskSelector, ...] = ()
    app: tuple[DiskSelector, ...] = ()


@dataclass(frozen=True)
class SwapCipher:
    """One item of swap_encrypt: the volume, and the kernel's name of a cipher."""

    name: str
    cipher: str


SWAPS = {"swap": "Swap", "swap2": "Swap2"}
KEY_BITS: Mapping[str, int] = {"aes-xts-plain64": 512, "aes-cbc-essiv:sha256": 256}
"""The ciphers, each with the size of its key; the first is the default, the second was oVirt Node's."""


def storage(value: str | None) -> Storage:
    """DISK[,DISK…][;DISK[,DISK…]]; no value asks for the one eligible disk. A comma in a name is `?` in match:."""
    if not value:
        return Storage(DiskSelector(DiskBy.RULE))
    host, semicolon, app = value.partition(";")
    boot, *others = disks(host)
    return Storage(boot, tuple(others), disks(app) if semicolon else ())


def disks(value: str | None) -> tuple[DiskSelector, ...]:
    """DISK[,DISK…]."""
    if not all((value or "").split(",")):
        raise ValueError(f"{value or ''!r} has a place without a disk")
    return tuple(disk(item) for item in (value or "").split(","))


def swap_ciphers(value: str | None) -> tuple[SwapCipher, ...]:
    """Swap[,CIPHER][;Swap2[,CIPHER]], names in any case, each once. `:` is read for `;`, which ends a line in GRUB;
    a cipher may hold one too.
    """
    items = re.split(r"[;:](?=swap2?(?:,|;|:|$))", value or "", flags=re.IGNORECASE)
    found = tuple(_swap_cipher(item) for item in items)
    if len({item.name for item in found}) < len(found):
        raise ValueError(f"{found[0].name} is given twice")
    return found


def _swap_cipher(item: str) -> SwapCipher:
    name, comma, cipher = item.partition(",")
    if name.lower() not in SWAPS:
        raise ValueError(f"{item!r} is not Swap[,CIPHER] or Swap2[,CIPHER]")
    if comma and cipher not in KEY_BITS:
        raise ValueError(f"{cipher!r} is none of {', '.join(KEY_BITS)}")
    return SwapCipher(SWAPS[name.lower()], cipher or next(iter(KEY_BITS)))

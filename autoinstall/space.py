"""What a layout is made for: disks, memory, what was asked; and the least that each volume needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoinstall.grammar_disks import Amount, VolumeSize
from autoinstall.grammar_storage import SwapCipher
from autoinstall.sizes import GIB, MIB, align_up

HOST_GROUP, APP_GROUP = GROUPS = ("HostVG", "AppVG")


@dataclass(frozen=True)
class VolumeRow:
    """One volume. `filesystem` is mke2fs' word, or swap."""

    name: str
    group: str
    filesystem: str


VOLUMES = (
    VolumeRow("Swap", HOST_GROUP, "swap"),
    VolumeRow("Data", HOST_GROUP, "ext4"),
    VolumeRow("Swap2", APP_GROUP, "swap"),
    VolumeRow("Data2", APP_GROUP, "ext4"),
)

EXTENT_BYTES = 4 * MIB
"""LVM's default extent size; volumes are whole extents."""
LEAST_SWAP_BYTES = 16 * MIB
LEAST_DATA_BYTES = 64 * MIB
MOST_SWAP_BYTES = 64 * GIB
SWAP_TABLE = ((4 * GIB, 2 * GIB), (16 * GIB, 4 * GIB), (64 * GIB, 8 * GIB))
SWAP_OF_LARGE = 16 * GIB
MEM_OVERCOMMIT = 0.5
"""oVirt Node's table (memory below -> swap), plus half of the memory."""


@dataclass(frozen=True)
class Extra:
    """A disk beside the boot disk; `name` is for people."""

    name: str
    disk_bytes: int
    sector_bytes: int


@dataclass(frozen=True)
class Space:
    """What a layout is made for. `sizes` are asked for by name; Root is the size of each slot.

    `id_text` is the autoinstall.id, if there is one. `host` and `app` are the disks of HostVG and AppVG beside the
    boot disk; `host_on_boot` is whether HostVG takes the rest of that. Where it does not, nothing does.
    """

    disk_bytes: int
    sector_bytes: int
    memory_bytes: int
    sizes: tuple[VolumeSize, ...] = ()
    mem_overcommit: float = MEM_OVERCOMMIT
    id_text: str | None = None
    host: tuple[Extra, ...] = ()
    app: tuple[Extra, ...] = ()
    host_on_boot: bool = True
    ciphers: tuple[SwapCipher, ...] = ()

    @property
    def host_bytes(self) -> int:
        """The disks that HostVG is on, together."""
        return (self.disk_bytes if self.host_on_boot else 0) + sum(extra.disk_bytes for extra in self.host)

    def asked(self, name: str) -> int | Amount:
        """What was asked for a volume."""
        return next((size.amount for size in self.sizes if size.name == name), Amount.DEFAULT)


def swap_bytes(space: Space) -> int:
    """The default size of Swap: the table and a part of the memory, at most a tenth of HostVG's disks and 64 GiB."""
    table = next((swap for below, swap in SWAP_TABLE if space.memory_bytes < below), SWAP_OF_LARGE)
    wanted = table + int(space.mem_overcommit * space.memory_bytes)
    return max(LEAST_SWAP_BYTES, min(wanted, space.host_bytes // 10, MOST_SWAP_BYTES))


def takes_rest(row: VolumeRow, space: Space) -> bool:
    """Whether a volume takes what is left; where nothing is said, Data does."""
    asked = space.asked(row.name)
    return asked is Amount.REST or (asked is Amount.DEFAULT and row.name == "Data")


def least_bytes(row: VolumeRow, space: Space) -> int:
    """What a volume needs, in whole extents; 0 where it is not made, as those of AppVG are not unless asked for."""
    asked = space.asked(row.name)
    if asked is Amount.NONE or (asked is Amount.DEFAULT and row.group == APP_GROUP):
        return 0
    if takes_rest(row, space):
        return LEAST_DATA_BYTES
    return align_up(swap_bytes(space) if isinstance(asked, Amount) else asked, EXTENT_BYTES)

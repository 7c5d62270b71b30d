"""The disk: one row per partition and volume; sizes -> placements in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from autoinstall.errors import Refused
from autoinstall.grammar_disks import Amount, VolumeSize
from autoinstall.sizes import GIB, MIB, align_down, align_up, for_people, mib_up

ALIGNMENT_BYTES = MIB
EXTENT_BYTES = 4 * MIB
"""LVM's default extent size; volumes are whole extents."""
LVM_METADATA_BYTES = MIB
"""LVM's default: the first extent of a physical volume begins here."""
GPT_ENTRIES_BYTES = 128 * 128

TYPE_BIOS_BOOT = UUID("21686148-6449-6e6f-744e-656564454649")
TYPE_ESP = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
TYPE_LINUX_DATA = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
TYPE_LVM = UUID("e6d6d379-f507-44c2-a23c-238f2a3df928")
"""From the Discoverable Partitions Specification (UAPI.2), BIOS boot and LVM from GRUB and lvm2. The slots
carry no root type: a generator that mounts roots by type would take either."""


@dataclass(frozen=True)
class PartitionRow:
    """One partition. `size_bytes` None takes the rest of the disk; `filesystem` is mke2fs' or mkfs.vfat's word."""

    label: str
    type_guid: UUID
    size_bytes: int | None
    filesystem: str = ""
    filesystem_label: str = ""


# fmt: off
PARTITIONS = (
    PartitionRow("BIOS-boot", TYPE_BIOS_BOOT,     1 * MIB),
    PartitionRow("EFI",       TYPE_ESP,         272 * MIB, "vfat", "EFI"),
    PartitionRow("Root-A",    TYPE_LINUX_DATA, 2048 * MIB, "slot", "Root"),
    PartitionRow("Root-B",    TYPE_LINUX_DATA, 2048 * MIB, "slot", "RootBackup"),
    PartitionRow("Config",    TYPE_LINUX_DATA,  256 * MIB, "ext4", "CONFIG"),
    PartitionRow("Logging",   TYPE_LINUX_DATA, 2048 * MIB, "ext4", "LOGGING"),
    PartitionRow("HostVG",    TYPE_LVM,        None),
)
# fmt: on

VOLUME_GROUP = "HostVG"
LEAST_SWAP_BYTES = 16 * MIB
LEAST_DATA_BYTES = 64 * MIB
MOST_SWAP_BYTES = 64 * GIB
SWAP_TABLE = ((4 * GIB, 2 * GIB), (16 * GIB, 4 * GIB), (64 * GIB, 8 * GIB))
SWAP_OF_LARGE = 16 * GIB
MEM_OVERCOMMIT = 0.5
"""oVirt Node's table (memory below -> swap), plus half of the memory."""


@dataclass(frozen=True)
class Partition:
    """One partition as planned, in bytes from the start of the disk; `number` counts from 1."""

    number: int
    label: str
    type_guid: UUID
    partition_uuid: UUID
    start_bytes: int
    size_bytes: int
    filesystem: str
    filesystem_label: str
    filesystem_uuid: str

    @property
    def end_bytes(self) -> int:
        """The first byte behind it."""
        return self.start_bytes + self.size_bytes


@dataclass(frozen=True)
class Volume:
    """One logical volume of HostVG, whole extents."""

    name: str
    size_bytes: int
    filesystem: str
    filesystem_label: str
    filesystem_uuid: str

    @property
    def path(self) -> str:
        """Its device node."""
        return f"/dev/{VOLUME_GROUP}/{self.name}"


@dataclass(frozen=True)
class Layout:
    """A whole disk, placed."""

    install_id: UUID
    disk_bytes: int
    sector_bytes: int
    partitions: tuple[Partition, ...]
    volumes: tuple[Volume, ...]

    def partition(self, label: str) -> Partition:
        """The partition of that label."""
        return next(part for part in self.partitions if part.label == label)

    def volume(self, name: str) -> Volume | None:
        """The volume of that name; None where it is not made."""
        return next((volume for volume in self.volumes if volume.name == name), None)


@dataclass(frozen=True)
class Space:
    """What a layout is made for. `sizes` are asked for by name; Root is the size of each slot.

    `id_text` is the autoinstall.id, if there is one.
    """

    disk_bytes: int
    sector_bytes: int
    memory_bytes: int
    sizes: tuple[VolumeSize, ...] = ()
    mem_overcommit: float = MEM_OVERCOMMIT
    id_text: str | None = None

    def asked(self, name: str) -> int | Amount:
        """What was asked for a volume."""
        return next((size.amount for size in self.sizes if size.name == name), Amount.DEFAULT)


def place(install_id: UUID, space: Space) -> Layout:
    """The layout of a disk. Raises Refused, with the missing MiB, where it does not fit."""
    layout = _place(install_id, space)
    if layout is None:
        least = smallest_disk_bytes(space)
        missing = mib_up(least - space.disk_bytes)
        raise Refused(
            f"the disk has {for_people(space.disk_bytes)}; the layout needs {mib_up(least)} MiB, {missing} MiB more",
            hint=f"use a disk of {mib_up(least)} MiB or more",
        )
    return layout


def smallest_disk_bytes(space: Space) -> int:
    """The least whole MiB that `place` accepts, found by asking the same layout."""
    low, high = 0, 1 << 22
    while low + 1 < high:
        middle = (low + high) // 2
        fits = _place(UUID(int=0), replace(space, disk_bytes=middle * MIB))
        low, high = (low, middle) if fits else (middle, high)
    return high * MIB


def swap_bytes(space: Space) -> int:
    """The default size of Swap: the table and a part of the memory, at most a tenth of the disk and 64 GiB."""
    table = next((swap for below, swap in SWAP_TABLE if space.memory_bytes < below), SWAP_OF_LARGE)
    wanted = table + int(space.mem_overcommit * space.memory_bytes)
    return max(LEAST_SWAP_BYTES, min(wanted, space.disk_bytes // 10, MOST_SWAP_BYTES))


def filesystem_uuid(install_id: UUID, label: str, filesystem: str) -> str:
    """The planned UUID of a filesystem; of vfat the 32 bits that it has, as `ABCD-EF01`."""
    uuid = uuid5(install_id, f"filesystem {label}")
    if filesystem != "vfat":
        return str(uuid)
    short = f"{uuid.int >> 96:08X}"
    return f"{short[:4]}-{short[4:]}"


def partition_uuid(install_id: UUID, label: str) -> UUID:
    """The planned UUID of a partition: a table whose UUIDs follow this rule is one of ours."""
    return uuid5(install_id, label)


def partition_of(install_id: UUID, row: PartitionRow, where: tuple[int, int, int]) -> Partition:
    """The partition of a row, by its UUIDs that of this install; `where` is number, start and size in bytes."""
    number, start, size = where
    uuid = filesystem_uuid(install_id, row.label, row.filesystem) if row.filesystem else ""
    return Partition(
        number=number,
        label=row.label,
        type_guid=row.type_guid,
        partition_uuid=partition_uuid(install_id, row.label),
        start_bytes=start,
        size_bytes=size,
        filesystem=row.filesystem,
        filesystem_label=row.filesystem_label,
        filesystem_uuid=uuid,
    )


ID_MARK = "BIOS-boot"
"""The partition whose UUID tells the autoinstall.id; nothing finds it by its UUID."""


def id_mark(install_id: UUID, id_text: str) -> UUID:
    """The UUID of the partition ID_MARK on a node that was installed with an autoinstall.id."""
    return uuid5(install_id, f"{ID_MARK} {id_text}")


def _place(install_id: UUID, space: Space) -> Layout | None:
    tail = align_up(GPT_ENTRIES_BYTES, space.sector_bytes) + space.sector_bytes
    end = align_down(space.disk_bytes - tail, ALIGNMENT_BYTES)
    position = ALIGNMENT_BYTES
    partitions = []
    for number, row in enumerate(PARTITIONS, start=1):
        size = end - position if row.size_bytes is None else _partition_bytes(row, row.size_bytes, space)
        part = partition_of(install_id, row, (number, position, size))
        if row.label == ID_MARK and space.id_text is not None:
            part = replace(part, partition_uuid=id_mark(install_id, space.id_text))
        partitions.append(part)
        position += size
    if position > end or partitions[-1].size_bytes <= LVM_METADATA_BYTES:
        return None
    volumes = _volumes(install_id, partitions[-1].size_bytes, space)
    if volumes is None:
        return None
    return Layout(install_id, space.disk_bytes, space.sector_bytes, tuple(partitions), volumes)


def _partition_bytes(row: PartitionRow, default_bytes: int, space: Space) -> int:
    asked = space.asked("Root" if row.filesystem == "slot" else row.label)
    return default_bytes if isinstance(asked, Amount) else align_up(asked, ALIGNMENT_BYTES)


def _volumes(install_id: UUID, group_bytes: int, space: Space) -> tuple[Volume, ...] | None:
    room = align_down(group_bytes - LVM_METADATA_BYTES, EXTENT_BYTES)
    swap = _volume_bytes(space.asked("Swap"), swap_bytes(space))
    rest = room - swap
    data = _volume_bytes(space.asked("Data"), rest)
    if data > rest or (data and data < LEAST_DATA_BYTES) or rest < 0:
        return None
    made = (("Swap", swap, "swap"), ("Data", data, "ext4"))
    return tuple(_volume(install_id, name, size, filesystem) for name, size, filesystem in made if size)


def _volume_bytes(asked: int | Amount, default_bytes: int) -> int:
    """What a volume gets, in whole extents. The default of Data is the rest."""
    if asked is Amount.NONE:
        return 0
    return align_up(default_bytes if isinstance(asked, Amount) else asked, EXTENT_BYTES)


def _volume(install_id: UUID, name: str, size_bytes: int, filesystem: str) -> Volume:
    uuid = filesystem_uuid(install_id, name, filesystem)
    return Volume(name, size_bytes, filesystem, name.upper(), uuid)


def holes(layout: Layout) -> Sequence[tuple[int, int]]:
    """The ranges (start, size) of the disk that no partition covers, first and last MiB included."""
    edges = [0, *(edge for part in layout.partitions for edge in (part.start_bytes, part.end_bytes))]
    edges.append(layout.disk_bytes)
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(start, end - start) for start, end in pairs if end > start]

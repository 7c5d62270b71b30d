"""The disks: one row per partition and volume; sizes -> placements in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID, uuid5

from autoinstall.errors import Refused
from autoinstall.grammar_disks import Amount
from autoinstall.sizes import MIB, align_down, align_up, for_people, mib_up
from autoinstall.space import (
    APP_GROUP,
    EXTENT_BYTES,
    GROUPS,
    HOST_GROUP,
    VOLUMES,
    Extra,
    Space,
    VolumeRow,
    least_bytes,
    takes_rest,
)

ALIGNMENT_BYTES = MIB
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

LEAST_MEMBER_BYTES = 8 * MIB
"""LVM's metadata, and an extent."""
MOST_MEMBERS = 4096
"""How many numbers are tried for a member's; no machine has so many disks."""


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
    """One logical volume, whole extents. One with a `cipher` is swap that is made anew at each boot, on dm-crypt: it
    has no filesystem.
    """

    name: str
    group: str
    size_bytes: int
    filesystem: str
    filesystem_label: str
    filesystem_uuid: str
    cipher: str = ""

    @property
    def path(self) -> str:
        """Its device node."""
        return f"/dev/{self.group}/{self.name}"


class DiskTable(Protocol):
    """What the partition table of one disk is made of."""

    @property
    def disk_guid(self) -> UUID: ...

    @property
    def disk_bytes(self) -> int: ...

    @property
    def sector_bytes(self) -> int: ...

    @property
    def partitions(self) -> tuple[Partition, ...]: ...


@dataclass(frozen=True)
class Member:
    """A disk beside the boot disk, placed: all of it is one physical volume of the group that its partition is
    labelled with. `name` is `GROUP-NUMBER`; numbers begin at 1, and go on from HostVG to AppVG.
    """

    name: str
    disk_guid: UUID
    disk_bytes: int
    sector_bytes: int
    partitions: tuple[Partition, ...]

    @property
    def group(self) -> str:
        """The volume group that it is of."""
        return self.partitions[0].label


@dataclass(frozen=True)
class Layout:
    """The boot disk and its members, placed. HostVG is on the boot disk where that has a partition for it."""

    install_id: UUID
    disk_bytes: int
    sector_bytes: int
    partitions: tuple[Partition, ...]
    volumes: tuple[Volume, ...]
    members: tuple[Member, ...] = ()

    @property
    def disk_guid(self) -> UUID:
        """Of the boot disk."""
        return self.install_id

    @property
    def groups(self) -> tuple[str, ...]:
        """The volume groups that are made."""
        tables: tuple[DiskTable, ...] = (self, *self.members)
        labels = {part.label for table in tables for part in table.partitions}
        return tuple(group for group in GROUPS if group in labels)

    def partition(self, label: str) -> Partition:
        """The partition of that label."""
        return next(part for part in self.partitions if part.label == label)


def place(install_id: UUID, space: Space) -> Layout:
    """The layout of the disks. Raises Refused, with the missing MiB, where it does not fit."""
    members = _members(install_id, space)
    for group in GROUPS if not space.host_on_boot else (APP_GROUP,):
        _refuse_small_group(group, members, space)
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
    """The least whole MiB of a boot disk that `place` accepts, found by asking the same layout."""
    low, high = 0, 1 << 64  # more than any line can ask for
    while low + 1 < high:
        middle = (low + high) // 2
        fits = _place(UUID(int=0), replace(space, disk_bytes=middle * MIB))
        low, high = (low, middle) if fits else (middle, high)
    return high * MIB


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


def member_guid(install_id: UUID, number: int) -> UUID:
    """The planned disk GUID of a member; with the negative of its number, the install id of a disk GUID."""
    return UUID(int=(install_id.int + number) % (1 << 128))


def member_partition_uuid(install_id: UUID, group: str, number: int) -> UUID:
    """The planned UUID of a member's partition: a table whose GUIDs follow these two rules is one of ours."""
    return uuid5(install_id, f"{group} {number}")


def _place(install_id: UUID, space: Space) -> Layout | None:
    end = _end(space)
    position = ALIGNMENT_BYTES
    partitions = []
    for number, row in enumerate(_rows(space), start=1):
        size = end - position if row.size_bytes is None else _partition_bytes(row, row.size_bytes, space)
        part = partition_of(install_id, row, (number, position, size))
        if row.label == ID_MARK and space.id_text is not None:
            part = replace(part, partition_uuid=id_mark(install_id, space.id_text))
        partitions.append(part)
        position += size
    if position > end or (space.host_on_boot and partitions[-1].size_bytes <= LVM_METADATA_BYTES):
        return None
    members = _members(install_id, space)
    room = _room(HOST_GROUP, members) + (_extents(partitions[-1]) if space.host_on_boot else 0)
    rooms = {HOST_GROUP: room, APP_GROUP: _room(APP_GROUP, members)}
    volumes = _volumes(install_id, rooms, space)
    if volumes is None:
        return None
    return Layout(install_id, space.disk_bytes, space.sector_bytes, tuple(partitions), volumes, members)


def _rows(space: Space) -> Sequence[PartitionRow]:
    return PARTITIONS if space.host_on_boot else PARTITIONS[:-1]


def _end(disk: Space | Extra) -> int:
    """The first byte behind the last partition: there are the entries and the header of the table's backup."""
    tail = align_up(GPT_ENTRIES_BYTES, disk.sector_bytes) + disk.sector_bytes
    return align_down(disk.disk_bytes - tail, ALIGNMENT_BYTES)


def _members(install_id: UUID, space: Space) -> tuple[Member, ...]:
    """Raises Refused where a disk is too small for a group at all."""
    wanted = [(HOST_GROUP, extra) for extra in space.host] + [(APP_GROUP, extra) for extra in space.app]
    return tuple(_member(install_id, number, where) for number, where in enumerate(wanted, start=1))


def _member(install_id: UUID, number: int, where: tuple[str, Extra]) -> Member:
    group, extra = where
    size = _end(extra) - ALIGNMENT_BYTES
    if size < LEAST_MEMBER_BYTES:
        raise Refused(
            f"{extra.name} has {for_people(extra.disk_bytes)}, which is too small for a disk of {group}",
            hint="name a larger disk",
        )
    row = PartitionRow(group, TYPE_LVM, None)
    part = replace(
        partition_of(install_id, row, (1, ALIGNMENT_BYTES, size)),
        partition_uuid=member_partition_uuid(install_id, group, number),
    )
    guid = member_guid(install_id, number)
    return Member(f"{group}-{number}", guid, extra.disk_bytes, extra.sector_bytes, (part,))


def _room(group: str, members: Sequence[Member]) -> int:
    return sum(_extents(part) for member in members for part in member.partitions if member.group == group)


def _extents(part: Partition) -> int:
    """What volumes can have of a physical volume."""
    return align_down(part.size_bytes - LVM_METADATA_BYTES, EXTENT_BYTES)


def _refuse_small_group(group: str, members: Sequence[Member], space: Space) -> None:
    """Where a group is on disks of its own, no larger boot disk would help."""
    room, needed = _room(group, members), sum(least_bytes(row, space) for row in VOLUMES if row.group == group)
    if needed > room:
        names = " and ".join(extra.name for extra in (space.host if group == HOST_GROUP else space.app))
        raise Refused(
            f"{group} has room for {mib_up(room)} MiB on {names}; its volumes need {mib_up(needed)} MiB, "
            f"{mib_up(needed - room)} MiB more",
            hint="ask for less (storage_vol), or name another disk for it",
        )


def _partition_bytes(row: PartitionRow, default_bytes: int, space: Space) -> int:
    asked = space.asked("Root" if row.filesystem == "slot" else row.label)
    return default_bytes if isinstance(asked, Amount) else align_up(asked, ALIGNMENT_BYTES)


def _volumes(install_id: UUID, rooms: Mapping[str, int], space: Space) -> tuple[Volume, ...] | None:
    rest, made = dict(rooms), []
    for row in VOLUMES:
        least = least_bytes(row, space)
        size = max(rest[row.group], least) if least and takes_rest(row, space) else least
        rest[row.group] -= size
        if rest[row.group] < 0:
            return None
        made += [_volume(install_id, row, size, space)] if size else []
    return tuple(made)


def _volume(install_id: UUID, row: VolumeRow, size_bytes: int, space: Space) -> Volume:
    cipher = next((item.cipher for item in space.ciphers if item.name == row.name), "")
    if cipher:
        return Volume(row.name, row.group, size_bytes, "", "", "", cipher)
    uuid = filesystem_uuid(install_id, row.name, row.filesystem)
    return Volume(row.name, row.group, size_bytes, row.filesystem, row.name.upper(), uuid)


def holes(layout: DiskTable) -> Sequence[tuple[int, int]]:
    """The ranges (start, size) of a disk that no partition covers, first and last MiB included."""
    edges = [0, *(edge for part in layout.partitions for edge in (part.start_bytes, part.end_bytes))]
    edges.append(layout.disk_bytes)
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(start, end - start) for start, end in pairs if end > start]

"""Facts: what the machine is. Values only; probe.py reads them from a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from autoinstall.grammar_disks import Bus
from autoinstall.image.manifest import Manifest
from autoinstall.sizes import for_people


class Firmware(Enum):
    """What starts the boot loader."""

    BIOS = "bios"
    UEFI = "uefi"


UNREADABLE = "[unknown]"
"""How LVM calls a volume group that must be there, and whose metadata cannot be read."""


@dataclass(frozen=True)
class VolumeGroup:
    """A volume group of LVM. `name` may be UNREADABLE."""

    name: str
    uuid: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """One thing that is on a disk: a partition table, a filesystem, a member of a stack.

    `group` is the volume group that a physical volume belongs to; None where it belongs to none.
    """

    device: str
    kind: str
    label: str = ""
    uuid: str = ""
    size_bytes: int = 0
    group: VolumeGroup | None = None

    def __str__(self) -> str:
        label = f" {self.label!r}" if self.label else ""
        group = f", of VG {self.group.name}" if self.group else ""
        return f"{self.device}: {self.kind}{label}, {for_people(self.size_bytes)}{group}"


@dataclass(frozen=True)
class NodeMark:
    """An install of ours, recognised by its partition table alone (gpt.recognise).

    `id_mark` is layout.id_mark of its autoinstall.id, None where it had none. `from_backup` is whether only the
    backup table is whole, which neither GRUB nor Linux reads by itself. `strangers` are the labels of partitions that
    somebody put behind those of the node.
    """

    install_id: UUID
    finished: bool
    id_mark: UUID | None = None
    from_backup: bool = False
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemberMark:
    """A disk beside the boot disk of an install of ours, recognised by its partition table (gpt.recognise_member).

    `finished` is whether Linux sees its partition.
    """

    install_id: UUID
    group: str
    finished: bool


@dataclass(frozen=True)
class Disk:
    """One block device that is not a partition. `links` are its other names under /dev/disk.

    `multipath` is the multipath device (map) that it is a path of; empty where it is of none. A map has `paths`, and
    what they tell of the disk that they lead to. `wwid` is how multipath knows a disk with a lasting name of its own.
    """

    path: str
    kind: str
    size_bytes: int
    sector_bytes: int
    bus: Bus | None = None
    serial: str = ""
    wwn: str = ""
    model: str = ""
    vendor: str = ""
    rotational: bool = False
    read_only: bool = False
    removable: bool = False
    live_medium: bool = False
    multipath: str = ""
    wwid: str = ""
    paths: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()
    node: NodeMark | None = None
    member: MemberMark | None = None
    examined: bool = True
    """Whether its content could be looked at, which needs root."""
    unread: str = ""
    """Why what is on it is unknown all the same: where a partition table could be, the disk answers with an error."""

    @property
    def name(self) -> str:
        """The kernel's name, for people only: it may be another disk's at the next boot."""
        return self.path.removeprefix("/dev/")

    @property
    def names(self) -> tuple[str, ...]:
        """All that a word may call it; a path of a map means the map."""
        return (self.path, *self.links, *self.paths)

    @property
    def buses(self) -> tuple[Bus, ...]:
        """Every bus that it may be asked for by. udev calls a SAS disk scsi, and tells of SAS in its path only."""
        by_sas = any(link.startswith("/dev/disk/by-path/") and "-sas-" in link for link in self.links)
        also = (Bus.SAS,) if self.bus is Bus.SCSI and by_sas else ()
        return (self.bus, *also) if self.bus else ()


@dataclass(frozen=True)
class Nic:
    """One network interface. `carrier` is whether a link was seen."""

    name: str
    mac: str
    driver: str = ""
    wired: bool = True
    carrier: bool = False


@dataclass(frozen=True)
class LiveImage:
    """The image this live system runs from: `directory` holds its files. `signer` is empty where nobody asked."""

    directory: str
    manifest: Manifest
    signer: str = ""


@dataclass(frozen=True)
class Facts:
    """All that a plan may depend on beside the request."""

    firmware: Firmware
    memory_bytes: int
    product_uuid: str = ""
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    image: LiveImage | None = None
    shadow: Mapping[str, str] = field(default_factory=dict)
    """The image's own lines of /etc/shadow, by user."""

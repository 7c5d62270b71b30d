"""Composed machines: one a row, named after the one rule that decides there and nowhere else in the table.

`rule` is a piece of what the rule says, which stands in the source once; of a selector's form its DiskBy, of a
clause of match: its Key. Real machines, as they were captured, are in facts/.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from autoinstall.facts import (
    UNREADABLE,
    Disk,
    Facts,
    Firmware,
    LiveImage,
    MemberMark,
    NodeMark,
    Signature,
    VolumeGroup,
)
from autoinstall.grammar_disks import Bus, DiskBy, Key
from autoinstall.image.manifest import ImageFile
from autoinstall.paths import with_identity
from autoinstall.sizes import GIB, MIB, TIB
from tests.unit.machines import MACHINE, MANIFEST, NIC, VDA, VDB

EXACTLY_ONE = "it must name exactly one"
NO_NIC = "fits no NIC of this machine"
"""Rules that are taken away by taking what comes, and not by letting pass."""


@dataclass(frozen=True)
class Row:
    """A machine, a line, what is answered (a piece of the refusal, or the disk), and the rule that it turns on."""

    name: str
    line: str
    answer: str
    rule: str | DiskBy | Key
    disks: Sequence[Disk] = (VDA,)
    base: Facts = field(default=MACHINE, repr=False)

    @property
    def facts(self) -> Facts:
        """The machine."""
        return replace(self.base, disks=tuple(self.disks))


def marked(disk: Disk, kind: str, uuid: str = "", group: VolumeGroup | None = None) -> Disk:
    """The disk with one thing on all of it."""
    return replace(disk, signatures=(Signature(disk.path, kind, "", uuid, disk.size_bytes, group),))


def linked(disk: Disk, *links: str) -> Disk:
    """The disk with more names."""
    return replace(disk, links=links)


SDA = Disk(
    "/dev/sda", "disk", 4 * TIB, 512, bus=Bus.ATA, serial="WD-1", model="WDC WD40", vendor="WDC", rotational=True
)
SDB = replace(SDA, path="/dev/sdb", serial="WD-2")
NVME = Disk("/dev/nvme0n1", "disk", TIB, 512, bus=Bus.NVME, serial="S5GX", model="Samsung 980", vendor="Samsung")
STICK = Disk("/dev/sdz", "disk", 32 * GIB, 512, bus=Bus.USB, serial="STICK", removable=True, model="Ultra Fit")
PATH_A = replace(VDA, path="/dev/sda", bus=Bus.SCSI, serial="PATHS", wwn="0x5000c500a0000001")
WWID = "35000c500a0000001"
KEEPS_PATHS = replace(MACHINE, image=LiveImage("/live", replace(MANIFEST, features=("multipath",))))
UEFI = replace(MACHINE, firmware=Firmware.UEFI)
TWO_NICS = replace(MACHINE, nics=(NIC, replace(NIC, name="enp0s4", mac="52:54:00:12:34:57")))
LARGE = replace(MANIFEST, files=(ImageFile("root.squashfs", 1025 * MIB, "0" * 64),))
assert MACHINE.image

VMS = VolumeGroup("vms", "vg-vms", ("RHAT_storage_domain_UNREADY",))
OLD = VolumeGroup("old", "vg-old")
ISW, DDF = "isw_raid_member", "ddf_raid_member"


def chassis() -> list[Disk]:
    """24 SAS disks of two paths each, their maps, and the logical volume of a RAID controller: 73 block devices."""
    paths = [
        replace(SDA, path=f"/dev/sas{n}", bus=Bus.SCSI, serial=f"Z1Z{n % 24}", wwn=f"0x5000c500a00000{n % 24:02x}",
                multipath=f"/dev/mapper/mpath{n % 24}")
        for n in range(48)
    ]  # fmt: skip
    maps = [Disk(f"/dev/dm-{n}", "multipath", 4 * TIB, 512, links=(f"/dev/mapper/mpath{n}",)) for n in range(24)]
    raid = Disk(
        "/dev/cciss/c0d0",
        "disk",
        400 * GIB,
        512,
        bus=Bus.CCISS,
        serial="600508b1",
        model="LOGICAL VOLUME",
        vendor="HP",
    )
    return [*with_identity([*paths, *maps]), raid]


def joined(wwid: str = WWID) -> tuple[Disk, ...]:
    """Two paths to one disk, and the map over them."""
    paths = [replace(PATH_A, path=path, multipath=f"/dev/mapper/{WWID}") for path in ("/dev/sda", "/dev/sdb")]
    there = Disk("/dev/dm-0", "multipath", VDA.size_bytes, 512, links=(f"/dev/mapper/{WWID}",), wwid=wwid)
    return with_identity([*paths, there])


# fmt: off
ROWS = (
    # Never a target.
    Row("the-live-stick-named-explicitly", "storage_init=serial:STICK", "fits no disk",
        "it is the medium this system runs from", (replace(STICK, live_medium=True),)),
    Row("two-paths-and-their-map", "storage_init", "/dev/dm-0", "it is a path of", joined(), KEEPS_PATHS),
    Row("a-map-that-no-node-could-know", f"storage_init=/dev/mapper/{WWID}", "multipath over /dev/sda and /dev/sdb",
        "has no WWID of its own", joined(wwid=""), KEEPS_PATHS),
    Row("an-image-that-looks-after-no-paths", f"storage_init=/dev/mapper/{WWID}", "the feature multipath",
        "nothing to look after the paths", joined()),
    Row("a-blank-dvd-named", "storage_init=/dev/sr1", "fits no disk",
        "it is not a disk but a", (Disk("/dev/sr1", "optical", 8 * GIB, 512),)),
    Row("a-card-reader-without-a-card", "storage_init=serial:STICK", "fits no disk",
        "it has no size", (replace(STICK, size_bytes=0),)),
    Row("a-write-protected-disk", "storage_init=/dev/vda", "fits no disk",
        "it is read-only", (replace(VDA, read_only=True),)),
    Row("a-stick-beside-the-one-disk", "storage_init", "/dev/vda",
        "it is removable, and not named", (VDA, STICK)),

    # Which one is meant.
    Row("two-blank-disks", "storage_init", "fits 2 disks", EXACTLY_ONE, (VDA, VDB)),
    Row("a-chassis-of-48-sas-paths-and-a-raid-controller", "storage_init=cciss", "/dev/cciss/c0d0", ", not on ",
        chassis()),
    Row("sda-and-sdaa", "storage_init=/dev/sda", "/dev/sda", DiskBy.PATH, (SDA, replace(SDB, path="/dev/sdaa"))),
    Row("two-by-id", "storage_init=id:ata-WD-2", "/dev/sdb", DiskBy.ID,
        (linked(SDA, "/dev/disk/by-id/ata-WD-1"), linked(SDB, "/dev/disk/by-id/ata-WD-2"))),
    Row("two-slots-of-one-controller", "storage_init=path:pci-0000:00:1f.2-ata-2", "/dev/sdb", DiskBy.BY_PATH,
        (linked(SDA, "/dev/disk/by-path/pci-0000:00:1f.2-ata-1"),
         linked(SDB, "/dev/disk/by-path/pci-0000:00:1f.2-ata-2"))),
    Row("a-glob-that-fits-one-of-two", "storage_init=/dev/nvme*", "/dev/nvme0n1", DiskBy.GLOB, (SDA, NVME)),
    Row("two-serials", "storage_init=serial:OTHER", "/dev/vdb", DiskBy.SERIAL, (VDA, VDB)),
    Row("two-serials-on-one-bus", "storage_init=virtio:OTHER", "/dev/vdb", DiskBy.BUS_SERIAL, (VDA, VDB)),
    Row("one-serial-but-two-wwns", "storage_init=wwn:0x50000002", "/dev/sdb", DiskBy.WWN,
        (replace(SDA, wwn="0x50000001"), replace(SDB, serial=SDA.serial, wwn="0x50000002"))),
    Row("a-small-and-a-large-disk", "storage_init=match:size=..2T", "/dev/nvme0n1", Key.SIZE, (SDA, NVME)),
    Row("two-models", "storage_init=match:model=Samsung*", "/dev/nvme0n1", Key.MODEL, (SDA, NVME)),
    Row("two-vendors", "storage_init=match:vendor!=WDC", "/dev/nvme0n1", Key.VENDOR, (SDA, NVME)),
    Row("serials-of-two-makers", "storage_init=match:serial=WD-*", "/dev/sda", Key.SERIAL, (SDA, NVME)),
    Row("a-disk-with-a-wwn-and-one-without", "storage_init=match:wwn=0x5*", "/dev/sda", Key.WWN,
        (replace(SDA, wwn="0x50000001"), SDB)),
    Row("the-disk-that-is-not-nvme", "storage_init=match:bus!=nvme", "/dev/sda", Key.BUS, (SDA, NVME)),
    Row("the-disk-on-the-second-port", "storage_init=match:path=*-ata-2", "/dev/sdb", Key.PATH,
        (SDA, linked(SDB, "/dev/disk/by-path/pci-0000:00:1f.2-ata-2"))),
    Row("the-disk-the-kernel-saw-first", "storage_init=match:name=sda", "/dev/sda", Key.NAME, (SDA, SDB)),
    Row("a-spinning-and-a-solid-disk", "storage_init=match:rotational=no", "/dev/nvme0n1", Key.ROTATIONAL,
        (SDA, NVME)),
    Row("a-stick-asked-for", "storage_init=match:removable=yes", "/dev/sdz", Key.REMOVABLE, (SDA, STICK)),
    Row("a-disk-of-4096-beside-one-of-512", "storage_init=match:sector_size=512", "/dev/sda", Key.SECTOR_SIZE,
        (SDA, replace(SDB, sector_bytes=4096)), UEFI),

    # What is on it.
    Row("a-disk-in-use", "storage_init=/dev/vda", "vda1 is mounted on /srv", "is in use:",
        (replace(VDA, in_use=("/dev/vda1 is mounted on /srv",)),)),
    Row("somebodys-photos", "storage_init", "ext4", "was not named, and holds what would be lost",
        (marked(VDA, "ext4"),)),
    Row("a-disk-with-data-where-none-may-be-wiped", "storage_init=/dev/vda autoinstall.wipe=none", "ext4",
        "is not blank, and autoinstall.wipe=none", (marked(VDA, "ext4"),)),
    Row("a-node-beside-a-blank-disk", "reinstall", "/dev/nvme0n1", DiskBy.NODE,
        (VDA, replace(NVME, node=NodeMark(UUID(int=1), finished=True)))),
    Row("a-node-whose-first-table-is-broken", "storage_init", "rescue",
        "the first copy of its partition table is broken",
        (replace(VDA, node=NodeMark(UUID(int=1), finished=True, from_backup=True)),)),
    Row("a-disk-that-only-root-can-read", "storage_init", "needs root", "is unknown: reading it needs root",
        (replace(VDA, examined=False),)),
    Row("a-disk-that-answers-with-errors", "storage_init=/dev/vda", "reinstall", "does not tell all that is on it",
        (replace(VDA, unread="reading /dev/vda: Input/output error"),)),
    Row("a-node-with-somebodys-partition-behind-it", "reinstall", "a partition 'scratch'",
        "holds a node, and beside it:",
        (replace(VDA, node=NodeMark(UUID(int=1), finished=True, strangers=("scratch",))),)),
    Row("a-node-on-another-disk", "storage_init=virtio:TARGET0", "already on /dev/sda",
        "two in one machine have the same roles", (VDA, replace(SDA, node=NodeMark(UUID(int=1), finished=True)))),
    Row("a-storage-domain", "storage_init=/dev/vda", "VG vms", "a storage domain of virtual machines",
        (marked(VDA, "LVM2_member", "pv-a", VMS),)),
    Row("a-group-over-a-named-and-an-unnamed-disk", "storage_init=virtio:TARGET0", "and on /dev/sda",
        ", and on ", (marked(VDA, "LVM2_member", "pv-a", OLD), marked(SDA, "LVM2_member", "pv-b", OLD))),
    Row("a-group-that-lvm-cannot-read", "storage_init=/dev/vda", "wipefs -a /dev/vda",
        "a volume group that LVM cannot read", (marked(VDA, "LVM2_member", "pv-a", VolumeGroup(UNREADABLE)),)),
    Row("half-of-an-md-mirror", "storage_init=virtio:TARGET0", "so is /dev/sda", "is a member of an MD array",
        (marked(VDA, "linux_raid_member", "md-1"), marked(SDA, "linux_raid_member", "md-1"))),
    Row("half-of-a-bios-raid", "storage_init=virtio:TARGET0 wipe_fakeraid", "so is /dev/sda",
        "is a member of a BIOS RAID", (marked(VDA, ISW), marked(SDA, ISW))),
    Row("one-disk-of-a-bios-raid", "storage_init=virtio:TARGET0", "isw_raid_member",
        "carries the mark of a BIOS RAID", (marked(VDA, ISW), marked(SDA, DDF))),
    Row("two-paths-to-one-disk", "storage_init=/dev/sda", "leave one path connected", "are paths to one disk, of WWN",
        (PATH_A, replace(PATH_A, path="/dev/sdb", read_only=True))),

    # More than one disk.
    Row("one-disk-for-both-groups", "storage_init=virtio:TARGET0,ata:WD-1;ata:WD-1 storage_vol=1G,Data2",
        "serial WD-1) is asked for AppVG", "holds the node's system or HostVG already",
        (VDA, SDA)),
    Row("a-group-on-sectors-of-two-kinds", "storage_init=virtio:TARGET0,ata:WD-1,nvme:S5GX",
        "nvme0n1 has sectors of 4096", "needs disks of one kind of sectors",
        (VDA, SDA, replace(NVME, sector_bytes=4096))),
    Row("a-part-of-a-node-left-behind", "storage_init=virtio:TARGET0", "name it too: serial:WD-1",
        ", and is not named", (VDA, replace(SDA, member=MemberMark(UUID(int=1), "HostVG", finished=True)))),
    Row("an-old-hostvg-on-a-disk-that-nobody-named", "storage_init=virtio:TARGET0", "vgrename vg-host NAME",
        "LVM starts neither of two of one name",
        (VDA, marked(SDA, "LVM2_member", "pv-a", VolumeGroup("HostVG", "vg-host")))),
    Row("a-disk-too-small-for-a-group", "storage_init=virtio:TARGET0,ata:WD-1", "sda has 8 MiB",
        ", which is too small for a disk of", (VDA, replace(SDA, size_bytes=8 * MIB))),
    Row("a-group-without-room", "storage_init=virtio:TARGET0 autoinstall.app_disks=ata:WD-1 storage_vol=5T,Data2",
        "room for 4194300 MiB on /dev/sda; its volumes need 5242880 MiB", "; its volumes need ", (VDA, SDA)),
    Row("a-node-as-second-disk", "storage_init=virtio:TARGET0,ata:WD-1", "serial WD-1) carries a finished node",
        "is asked for as a disk of a volume group", (VDA, replace(SDA, node=NodeMark(UUID(int=1), finished=True)))),
    Row("a-word-that-grub-would-spoil", 'storage_init acpi_osi="Windows 2009"', "keep acpi_osi=",
        "hands no blanks, quotes and backslashes on as they are"),
    Row("an-image-that-encrypts-nothing", "storage_init swap_encrypt=Swap", "the feature swap-encrypt",
        "this image has nothing to encrypt swap with"),

    # What the machine is.
    Row("4096-on-a-bios", "storage_init", "sectors of 4096", "a BIOS boots from sectors of 512 only",
        (replace(VDA, sector_bytes=4096),)),
    Row("a-small-esp-on-4096", "storage_init storage_vol=100,EFI", "EFI of 100 MiB", "is too small for FAT32 on",
        (replace(VDA, sector_bytes=4096),), UEFI),
    Row("a-disk-that-is-too-small", "storage_init", "MiB more", "; the layout needs ",
        (replace(VDA, size_bytes=2 * GIB),)),
    Row("an-image-that-is-too-large", "storage_init", "1025 MiB", "must be twice that",
        base=replace(MACHINE, image=replace(MACHINE.image, manifest=LARGE))),
    Row("no-image-of-ours", "storage_init", "boot one", "this system does not run from an image",
        base=replace(MACHINE, image=None)),
    Row("a-vm-with-212-mib", "storage_init", "212 MiB", "MiB of memory here",
        base=replace(MACHINE, memory_bytes=212 * MIB)),
    Row("one-address-for-two-nics", "storage_init ip=192.0.2.7::192.0.2.1:24", "enp0s3, enp0s4",
        "is for one NIC, and this machine has", base=TWO_NICS),
    Row("a-cable-in-no-nic", "storage_init BOOTIF=link", "no carrier", NO_NIC,
        base=replace(MACHINE, nics=(replace(NIC, carrier=False),))),
    Row("the-plan-of-another-machine", f"storage_init autoinstall.plan=sha256:{'5a' * 32}", "the plan made here is",
        "autoinstall.plan asks for"),
)
# fmt: on

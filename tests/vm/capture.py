"""Facts of machines, for the unit tests to plan with: captured in QEMU, by `autoinstall facts` on a live system.

    python -m tests.vm.capture [NAME…]      makes tests/unit/facts/NAME.json anew, for all rows or those named

A file stays as it was captured. What is planned with it is in tests/unit/captured.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.unit.captured import FACTS, MANIFEST
from tests.vm.disk import DiskImage
from tests.vm.hardware import Bus, Direct, Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image, Shared, build, cache
from tests.vm.live import BOOT_LIMIT_S, CONSOLE, LiveSystem, boot_live
from tests.vm.machine import Machine
from tests.vm.recorded import record

NODES = {Bus.VIRTIO: "/dev/vd{letter}", Bus.SCSI: "/dev/sd{letter}", Bus.NVME: "/dev/nvme{number}n1"}
NO_IMAGE = "mkdir /run/nothing && mount --bind /run/nothing /run/initramfs/live/autoinstall"
"""Most rows are of a machine that runs some other Linux: the list of an image's packages once is enough."""
LVM = "pvcreate -qy /dev/vda && vgcreate -qy old /dev/vda && lvcreate -qy -n photos -L 512M old"
MD = "mdadm -Cq /dev/md0 --run -l1 -n2 --metadata=1.2 /dev/vda /dev/vdb && mdadm -q --stop /dev/md0"
TARGET = Disk(Path("TARGET0.raw"))
OTHER = Disk(Path("OTHER0.raw"), "OTHER0")
PATH_0 = Disk(Path("path0.raw"), "PATHS0", Bus.SCSI, wwn=0x5000C500A0000001, name="path-0")
PATH_1 = replace(PATH_0, path=Path("path1.raw"), name="path-1")
WINDOWS = """label: gpt
label-id: 33333333-4444-5555-6666-777777777777
size=64MiB, type=U, name="EFI system partition"
size=16MiB, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name="Microsoft reserved partition"
size=2GiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name="Basic data partition"
size=1GiB, type=L
"""
SECTOR = 512
CLUSTER_SECTORS = 8
MFT_CLUSTER = 4


def windows(live: LiveSystem, disk: Disk) -> None:
    """The disk of a Windows with a Linux beside it, as far as blkid looks."""
    subprocess.run(["sfdisk", "--quiet", disk.path], input=WINDOWS.encode(), check=True)
    efi, _, data, linux = DiskImage(disk.path).table.partitions
    at = [f"--offset={efi.start_bytes // SECTOR}", str(disk.path), str(efi.size_bytes // 1024)]
    subprocess.run(["mkfs.vfat", "-F", "32", "-n", "SYSTEM", "-i", "C0FFEE00", *at], check=True, capture_output=True)
    options = ["-q", "-F", "-L", "debian", "-U", "22222222-3333-4444-5555-666666666666"]
    subprocess.run(["mkfs.ext4", *options, "-E", f"offset={linux.start_bytes}", disk.path, "1G"], check=True)
    with disk.path.open("r+b") as file:
        file.seek(data.start_bytes)
        file.write(ntfs(data.size_bytes // SECTOR))


def ntfs(sectors: int) -> bytes:
    """The boot sector of an NTFS, and the first four records of its master file table, empty."""
    boot = bytearray(SECTOR)
    boot[:11] = b"\xeb\x52\x90NTFS    "
    boot[11:14] = SECTOR.to_bytes(2, "little") + bytes([CLUSTER_SECTORS])
    boot[21] = 0xF8
    boot[40:48] = (sectors - 1).to_bytes(8, "little")
    boot[48:64] = MFT_CLUSTER.to_bytes(8, "little") + (MFT_CLUSTER + 1).to_bytes(8, "little")
    boot[64] = 0xF6  # a record has 2 ** 10 bytes
    boot[68] = 1
    boot[72:80] = bytes.fromhex("0123456789abcdef")
    boot[510:] = b"\x55\xaa"
    record_head = b"FILE".ljust(1024, b"\0")
    return bytes(boot).ljust(MFT_CLUSTER * CLUSTER_SECTORS * SECTOR, b"\0") + record_head * 4


def node(live: LiveSystem, disk: Disk) -> None:
    """A finished node that was never booted."""
    place = disk.path.parent / "recorded"
    place.mkdir()
    record(live, Shared(place)).disk.copy(disk.path)


def second_nic(machine: Machine) -> None:
    """Another NIC, with no cable in it."""
    mac = "52:54:00:a0:00:02"
    machine.qmp("netdev_add", type="user", id="net1")
    machine.qmp("device_add", driver="virtio-net-pci", netdev="net1", mac=mac, id="nic1")
    machine.qmp("set_link", name="nic1", up=False)
    wait = f"until grep -qs {mac} /sys/class/net/*/address; do sleep 0.1; done"
    machine.shell(f"timeout 30 sh -c '{wait}' && udevadm settle && networkctl reload")


def nothing(live: LiveSystem, disk: Disk) -> None:
    """A blank disk."""


def as_it_is(machine: Machine) -> None:
    """A machine with nothing more in it."""


@dataclass(frozen=True)
class Row:
    """A machine. `prepare` is done to its first disk, `plug` to the running machine, `script` on it as root.

    `hardware`: what only a machine of its own can have, with a boot of its own; its disks are there from the start.
    """

    name: str
    disks: tuple[Disk, ...] = (TARGET,)
    script: str = ""
    runs_image: bool = False
    prepare: Callable[[LiveSystem, Disk], None] = nothing
    plug: Callable[[Machine], None] = as_it_is
    hardware: Hardware | None = None


ROWS = (
    Row("live-virtio", runs_image=True),
    Row("scsi", (replace(TARGET, bus=Bus.SCSI),)),
    Row("nvme", (replace(TARGET, bus=Bus.NVME),)),
    Row("sata", (replace(TARGET, bus=Bus.SATA),), hardware=Hardware()),
    Row("4096-uefi", (replace(TARGET, bus=Bus.NVME, sector_bytes=4096),), hardware=Hardware(Firmware.UEFI)),
    Row("4096-bios", (replace(TARGET, sector_bytes=4096),)),
    Row("two-disks", (TARGET, OTHER)),
    Row("lvm", script=LVM),
    Row("md", (TARGET, OTHER), script=MD),
    Row("windows", prepare=windows),
    Row("node", prepare=node),
    Row("two-paths", (PATH_0, PATH_1)),
    Row("two-nics", plug=second_nic),
    Row("little-memory", hardware=Hardware(memory_mib=256)),
)


def facts(live: LiveSystem, row: Row, place: Path) -> str:
    """What `autoinstall facts` prints on that machine."""
    disks = tuple(replace(disk, path=new_disk(place / disk.path.name), boot_index=None) for disk in row.disks)
    row.prepare(live, disks[0])
    machine = booted(live.image, replace(row.hardware, disks=disks), place) if row.hardware else live.start(place)
    with machine:
        if not row.hardware:
            for number, disk in enumerate(disks):
                machine.plug(disk)
                path = NODES[disk.bus].format(letter="abc"[number], number=number)
                machine.shell(f"udevadm wait --timeout=30 --settle {path}")
        row.plug(machine)
        machine.shell(row.script or "true")
        machine.shell("true" if row.runs_image else NO_IMAGE)
        return machine.shell("autoinstall facts", 120)


def booted(image: Image, hardware: Hardware, place: Path) -> Machine:
    """A live system on its own hardware."""
    line = f"{image.live_words} {CONSOLE} systemd.debug_shell=ttyS1"
    machine = Machine(replace(hardware, cdrom=image.iso, direct=Direct(image.kernel, image.initrd, line)), place)
    machine.wait_for_line("^autoinstall: result=none", BOOT_LIMIT_S)
    return machine


def main(names: list[str]) -> None:
    """Capture."""
    with tempfile.TemporaryDirectory(dir=cache() / "tests") as directory:
        place = Path(directory)
        image = Image(place / "image")
        image.place.mkdir()
        build(image.place)
        MANIFEST.write_bytes((image.place / MANIFEST.name).read_bytes())
        live = boot_live(image, Hardware(cdrom=image.iso), Shared(place))
        for row in ROWS:
            if not names or row.name in names:
                (place / row.name).mkdir()
                text = facts(live, row, place / row.name)
                json.loads(text)
                (FACTS / f"{row.name}.json").write_text(text.strip() + "\n")
                print(row.name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

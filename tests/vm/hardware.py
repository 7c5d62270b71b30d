"""What a virtual machine is made of, as values, and the words QEMU wants for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
DISK_BYTES = 8 * GIB
OVMF = Path("/usr/share/OVMF")
CPU = "max,smap=off,smep=off,la57=off"
"""What TCG emulates at a price, and no test is about: a boot takes an eighth less without."""


class Firmware(Enum):
    """What the machine starts from."""

    BIOS = "bios"
    UEFI = "uefi"


class Bus(Enum):
    """How a disk hangs on the machine: QEMU's device."""

    VIRTIO = "virtio-blk-pci"
    SCSI = "scsi-hd"
    SATA = "ide-hd"
    NVME = "nvme"
    USB = "usb-storage"


class OnError(Enum):
    """What QEMU does when the file under a disk fails: the guest is told, or the machine is stopped."""

    REPORT = "report"
    STOP = "stop"


NIC = "virtio-net-pci"
SILENT_MAC = "52:54:00:a0:00:ff"
SILENCE = (
    "dgram,local.type=inet,local.host=127.0.0.1,local.port=0,remote.type=inet,remote.host=127.0.0.1,remote.port=9"
)
"""What a NIC sends goes to UDP port 9 (discard), where nobody is; a hub without others would never take it."""


@dataclass(frozen=True)
class Disk:
    """A disk: the file under it, and what the machine sees of it.

    `write_log`: a file that receives every write and flush, in order, in the format of dm-log-writes. As the guest
    sends them: what virtio-blk merges may have 1024 pieces, with the log's own two more than a system call takes.
    `faults`: a file of QEMU's blkdebug rules. `name`: of the device, where two have the same serial.
    `removable`: what a USB stick says of itself. USB can be plugged into a machine that was started with some.
    `read_only`: nobody can write to it, and two machines may have the same file.
    `shared`: there is another path to it, see `another_path`; `path_to` is the id of the disk that this one leads to.
    """

    path: Path
    serial: str = "TARGET0"
    bus: Bus = Bus.VIRTIO
    boot_index: int | None = 0
    write_log: Path | None = None
    faults: Path | None = None
    on_error: OnError = OnError.REPORT
    sector_bytes: int = 512
    wwn: int | None = None
    name: str = ""
    removable: bool = False
    read_only: bool = False
    shared: bool = False
    path_to: str = ""

    @property
    def id(self) -> str:
        """QEMU's name of the device."""
        return f"disk-{self.name or self.serial}"

    def another_path(self, name: str) -> Disk:
        """The same disk once more, as a second cable to it shows it."""
        return replace(self, name=name, path_to=self.id, boot_index=None)

    def block_nodes(self) -> list[dict[str, object]]:
        """The layers under the device, for blockdev-add; the last is the top, and has the disk's id."""
        if self.path_to:
            return []
        form = "qcow2" if self.path.suffix == ".qcow2" else "raw"
        layers: list[dict[str, object]] = [
            {
                "driver": "file",
                "filename": str(self.path),
                "discard": "unmap",
                "cache": {"direct": False, "no-flush": True},
            },
            {"driver": form, "discard": "unmap", "detect-zeroes": "unmap"},
        ]
        if self.faults:
            layers.append({"driver": "blkdebug", "config": str(self.faults)})
        extra: list[dict[str, object]] = []
        if self.write_log:
            extra.append({"driver": "file", "filename": str(self.write_log), "node-name": f"{self.id}-log"})
            layers.append(
                {
                    "driver": "blklogwrites",
                    "log": f"{self.id}-log",
                    "log-sector-size": 512,
                    "log-super-update-interval": 1,
                }
            )
        for level, layer in enumerate(layers):
            layer["read-only"] = self.read_only
            layer["node-name"] = self.id if level == len(layers) - 1 else f"{self.id}-{level}"
            if level:
                layer["image" if layer["driver"] == "blkdebug" else "file"] = f"{self.id}-{level - 1}"
        return extra + layers

    def device(self) -> dict[str, object]:
        """For -device or device_add."""
        device: dict[str, object] = {
            "driver": self.bus.value,
            "id": f"{self.id}-dev",
            "drive": self.path_to or self.id,
            "serial": self.serial,
        }
        if self.boot_index is not None:
            device["bootindex"] = self.boot_index
        if self.sector_bytes != 512:
            device |= {"logical_block_size": self.sector_bytes, "physical_block_size": self.sector_bytes}
        if self.wwn is not None:
            device["wwn"] = self.wwn
        if self.removable:
            device["removable"] = True
        if self.shared:
            device["share-rw"] = True
        if self.write_log and self.bus is Bus.VIRTIO:
            device["request-merging"] = False
        if self.bus in (Bus.VIRTIO, Bus.SCSI):
            device |= {"werror": self.on_error.value, "rerror": self.on_error.value}
        return device


@dataclass(frozen=True)
class Direct:
    """A kernel that QEMU itself loads, without firmware's boot order."""

    kernel: Path
    initrd: Path
    command_line: str


@dataclass(frozen=True)
class Netboot:
    """What the NIC boots from, over TFTP, behind all disks or before them; the machine reaches this host's loopback
    then, and only then, as 10.0.2.2. SeaBIOS has an iPXE in the NIC's ROM for it, OVMF its own PXE.
    """

    directory: Path
    file: str = ""
    first: bool = False


@dataclass(frozen=True)
class Hardware:
    """A whole machine. `incoming`: the state of an equal machine to go on from, see Machine.save.

    `cdrom_faults`: a file of QEMU's blkdebug rules for what is read of its medium.

    `silent_nic`: there is another NIC before the usual one, with a link, and nobody at the other end.

    `address`: where its sshd listens; empty is where DHCP of QEMU's network puts the first machine.

    `cpus`: one is right where two machines run beside each other on two cores. A second one for each then makes
    a boot half as long again (two nodes at once: 110 s with two CPUs, 75 s with one); alone it is worth having.
    """

    firmware: Firmware = Firmware.BIOS
    disks: tuple[Disk, ...] = ()
    cdrom: Path | None = None
    cdrom_faults: Path | None = None
    direct: Direct | None = None
    memory_mib: int = 2048
    cpus: int = 1
    reboots: bool = False
    incoming: bool = False
    uuid: str = "9c0de0a7-0000-4000-8000-00000000a001"
    mac: str = "52:54:00:a0:00:01"
    address: str = ""
    netboot: Netboot | None = None
    silent_nic: bool = False
    more: tuple[str, ...] = ()


def new_disk(path: Path, size_bytes: int = DISK_BYTES) -> Path:
    """A blank raw disk that takes no room yet."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def erst(memory: Path) -> tuple[str, ...]:
    """For `more`: memory of the platform, in this file, that keeps a kernel's last lines over a reset."""
    backend = f"memory-backend-file,id=erst,mem-path={memory},size=64K,share=on"
    return ("-object", backend, "-device", "acpi-erst,memdev=erst")


def arguments(hardware: Hardware, state_dir: Path, ssh_port: int) -> list[str]:
    """The command line of QEMU, but for its channels."""
    words = [
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        "pc,graphics=off",
    ]
    words += ["-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", str(hardware.cpus), "-m", str(hardware.memory_mib)]
    words += ["-uuid", hardware.uuid, "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
    words += _network(hardware, ssh_port)
    words += ["-device", "virtio-scsi-pci,id=scsi0", "-device", "ahci,id=ahci0"]
    if any(disk.bus is Bus.USB for disk in hardware.disks):
        words += ["-device", "qemu-xhci"]
    if not hardware.reboots:
        words.append("-no-reboot")
    if hardware.firmware is Firmware.UEFI:
        words += _ovmf(state_dir)
    if hardware.cdrom:
        words += ["-blockdev", json.dumps(_cdrom(hardware.cdrom, hardware.cdrom_faults))]
        words += ["-device", "ide-cd,drive=cdrom,bus=ahci0.0,bootindex=9"]
    for port, disk in enumerate(hardware.disks, start=1):
        for node in disk.block_nodes():
            words += ["-blockdev", json.dumps(node)]
        place = {"bus": f"ahci0.{port}"} if disk.bus is Bus.SATA else {}
        words += ["-device", json.dumps(disk.device() | place)]
    if hardware.direct:
        words += ["-kernel", str(hardware.direct.kernel), "-initrd", str(hardware.direct.initrd)]
        words += ["-append", hardware.direct.command_line]
    if hardware.incoming:
        words += ["-incoming", "defer"]
    return [*words, *hardware.more]


def _network(hardware: Hardware, ssh_port: int) -> list[str]:
    words: list[str] = []
    if hardware.silent_nic:
        words += ["-netdev", f"{SILENCE},id=silent", "-device", f"{NIC},netdev=silent,mac={SILENT_MAC},romfile="]
    backend = f"user,id=net0,hostfwd=tcp:127.0.0.1:{ssh_port}-{hardware.address}:22"
    nic = f"{NIC},netdev=net0,mac={hardware.mac}"
    if hardware.netboot:
        backend += f",tftp={hardware.netboot.directory},bootfile={hardware.netboot.file}"
        nic += f",bootindex={0 if hardware.netboot.first else 8}"
    else:
        backend += ",restrict=on"
    if not hardware.netboot or hardware.direct or hardware.firmware is Firmware.UEFI:
        nic += ",romfile="
    return [*words, "-netdev", backend, "-device", nic]


def _cdrom(path: Path, faults: Path | None) -> dict[str, object]:
    file: dict[str, object] = {"driver": "file", "filename": str(path), "read-only": True}
    if faults:
        file = {"driver": "blkdebug", "config": str(faults), "image": file}
    return {"driver": "raw", "node-name": "cdrom", "read-only": True, "file": file}


def _ovmf(state_dir: Path) -> list[str]:
    variables = state_dir / "ovmf-vars.fd"
    if not variables.exists():
        variables.write_bytes((OVMF / "OVMF_VARS_4M.fd").read_bytes())
    code = OVMF / "OVMF_CODE_4M.fd"
    words = ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
    return [*words, "-drive", f"if=pflash,unit=1,format=raw,file={variables}"]

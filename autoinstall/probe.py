"""Host -> Facts. Reads only: sysfs, the udev database, /proc, and as root what blkid sees on each disk."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from autoinstall import block, gpt
from autoinstall.chosen import staying
from autoinstall.codec import to_plain
from autoinstall.errors import EXIT_OK, DeviceLost, ImageInvalid, Refused, TookTooLong, ToolMissing
from autoinstall.facts import (
    UNREADABLE,
    Disk,
    Facts,
    Firmware,
    LiveImage,
    Nic,
    Signature,
    VolumeGroup,
)
from autoinstall.grammar_disks import Bus, DiskBy, DiskSelector
from autoinstall.grammar_network import NicBy, NicSelector
from autoinstall.host import Host, Run
from autoinstall.image.manifest import parse_manifest
from autoinstall.image.signature import checked, read_papers
from autoinstall.live import LIVE_ROOT, MEDIUM
from autoinstall.marks import marked
from autoinstall.multipath import assemble
from autoinstall.paths import with_identity, wwid_of
from autoinstall.request import Action, Request
from autoinstall.select import FIXED_DISK_KINDS, fitting_nic, ineligible, wanted, why_not
from autoinstall.sizes import MIB, align_down
from autoinstall.uses import Uses, is_multipath, multipath_of, text_of

SETTLE_LIMIT_S = 60
PROGRESS_INTERVAL_S = 30
"""How often a long wait is told of: more often than the service manager's watchdog wants to hear something."""

END_BYTES = MIB
HIDDEN_TABLE = "gpt (its backup alone, or of other sectors)"

VIRTUAL_KINDS = {"loop": "loop", "ram": "RAM", "zram": "RAM", "sr": "optical", "fd": "floppy", "dm-": "mapped",
                 "md": "array", "nbd": "network", "mtdblock": "flash"}  # fmt: skip
"""Block devices that are not disks, by the start of their kernel names."""

UDEV_BUSES = {"ata": Bus.ATA, "scsi": Bus.SCSI, "usb": Bus.USB, "cciss": Bus.CCISS, "nvme": Bus.NVME,
              "mmc": Bus.MMC}  # fmt: skip
LVM_MEMBER = "LVM2_member"
LVM_CONFIG = 'devices{use_devicesfile=0 hints="none" scan_lvs=0} backup{backup=0 archive=0}'
"""LVM looks at every disk, and leaves no file behind."""
LVM_BROKEN = 5
"""LVM's exit status where something of what it reports could not be read; the rest is reported all the same."""

SUBSYSTEM_BUSES = {"virtio": Bus.VIRTIO, "nvme": Bus.NVME, "nvme-subsystem": Bus.NVME, "mmc": Bus.MMC}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`autoinstall facts` has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Print what this machine is, as JSON. What only root can read is marked as not examined."""
    print(json.dumps(to_plain(probe(host)), indent=1))
    return EXIT_OK


def probe(host: Host, image_directory: Path = MEDIUM) -> Facts:
    """What this machine is, once udev has seen all of it. Nothing is written; nothing is activated but, by root in a
    live system of ours, the map of a disk with several paths.
    """
    host.run("udevadm", "settle", f"--timeout={SETTLE_LIMIT_S}", doing="waiting for devices", how=Run(accept=(0, 1)))
    image = live_image(host, image_directory)
    if image and os.geteuid() == 0:
        join_paths(host)
    return Facts(
        firmware=Firmware.UEFI if Path("/sys/firmware/efi").exists() else Firmware.BIOS,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        product_uuid=text_of("/sys/class/dmi/id/product_uuid"),
        disks=disks(host, examine=os.geteuid() == 0),
        nics=nics(),
        image=image,
        shadow=_shadow(),
    )


def wait_for_asked(request: Request, host: Host, say: Callable[[str], None]) -> None:
    """Wait until the disk and the NIC that are asked for are there, each as long as the request says.

    Who is missing then, the plan tells, with all there are.
    """
    for what, there, limit_s in _asked(request, host):
        if not there():
            say(f"waiting for {what}, {limit_s} s at most")
            with suppress(TookTooLong):
                host.wait_for(what, _telling(host, there, limit_s), limit_s)


def _asked(request: Request, host: Host) -> Iterable[tuple[str, Callable[[], bool], int]]:
    if request.disk:
        yield wanted(request.disk), partial(_is_there, host, request.disk), request.disk_timeout_s
    others = (*request.host_disks, *request.app_disks)
    for disk in () if others and _node_stays(host, request) else others:
        yield wanted(disk), partial(_is_there, host, disk), request.disk_timeout_s
    members = [NicSelector(NicBy.NAME, name) for name in (request.bond.nics if request.bond else ())]
    for nic in dict.fromkeys([*filter(None, [request.boot_interface]), *members]):
        yield f"the NIC {nic}", partial(_has_nic, nic), request.carrier_timeout_s


def _node_stays(host: Host, request: Request) -> bool:
    """Whether a node is booted as it is: of its other disks one may be dead."""
    if request.action is not Action.INSTALL or request.disk is None:
        return False
    there = [one if ineligible(one, request.disk) else marked(one) for one in disks(host, examine=False)]
    with suppress(Refused):
        return staying(request, there) is not None
    return False


def _has_nic(selector: NicSelector) -> bool:
    return fitting_nic(selector, nics()) is not None


def _is_there(host: Host, selector: DiskSelector) -> bool:
    """Whether a disk fits. Where none does, paths are joined first: a map may be asked for by its own name."""
    return _fits(host, selector) or (join_paths(host) and _fits(host, selector))


def _fits(host: Host, selector: DiskSelector) -> bool:
    return any(not why_not(one, selector) for one in _glimpsed(host, selector))


def _glimpsed(host: Host, selector: DiskSelector) -> Iterable[Disk]:
    """The disks, with as much of what is on them as the selector asks about."""
    for disk in disks(host, examine=False):
        looks = selector.by is DiskBy.NODE and not ineligible(disk, selector)
        yield marked(disk) if looks else disk


def _telling(host: Host, holds: Callable[[], bool], limit_s: int) -> Callable[[], bool]:
    """The same question, that now and then tells how much of its time is over."""
    started_s = told_s = host.monotonic_s()

    def look() -> bool:
        nonlocal told_s
        now_s = host.monotonic_s()
        if now_s - told_s >= PROGRESS_INTERVAL_S:
            told_s = now_s
            host.progress(int(now_s - started_s), limit_s)
        return holds()

    return look


def nics() -> tuple[Nic, ...]:
    """The machine's own NICs, in the order of their names; no loopback, bridges or other made-up ones."""
    found = []
    for path in sorted(Path("/sys/class/net").iterdir()):
        if not (path / "device").exists():
            continue
        found.append(
            Nic(
                name=path.name,
                mac=text_of(path / "address"),
                driver=Path(os.path.realpath(path / "device/driver")).name,
                wired=not (path / "wireless").exists() and "DEVTYPE=wlan" not in text_of(path / "uevent"),
                carrier=text_of(path / "carrier") == "1",
            )
        )
    return tuple(found)


def addresses(host: Host) -> list[str]:
    """The machine's addresses of global scope, with their prefix lengths."""
    told = host.run("ip", "-json", "address", "show", "scope", "global", doing="reading the addresses").stdout
    found = [info for link in json.loads(told or "[]") for info in link.get("addr_info", [])]
    return [f"{info['local']}/{info['prefixlen']}" for info in found if "local" in info]


def live_image(host: Host, directory: Path) -> LiveImage | None:
    """The image that this live system runs from; None where it is none of ours. Raises ImageInvalid, NotTrusted."""
    try:
        papers = read_papers(directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImageInvalid(f"{error.filename} cannot be read: {error.strerror}") from error
    signer = checked(papers, host)
    return LiveImage(str(directory), parse_manifest(papers.manifest), signer)


def join_paths(host: Host) -> bool:
    """Make a map of each disk that is there several times; whether there was one. Raises ToolFailed, DeviceLost."""
    return assemble(host, disks(host, examine=False))


def disks(host: Host, *, examine: bool) -> tuple[Disk, ...]:
    """Every block device that is no partition; what is on each only where `examine`, which needs root."""
    pyudev = _pyudev()
    uses = Uses()
    devices = pyudev.Context().list_devices(subsystem="block", DEVTYPE="disk")
    # The paths of an NVMe disk have no node; the partitions of a map are partitions.
    with_nodes = [device for device in devices if device.device_node and not _is_mapped_partition(device)]
    sorted_nodes = sorted(with_nodes, key=lambda device: str(device.sys_name))
    found = with_identity([_disk(device, uses) for device in sorted_nodes])
    return with_groups(host, [_examined(host, disk) for disk in found]) if examine else found


def _is_mapped_partition(device: Any) -> bool:
    return bool(block.MAPPED_PARTITION.match(text_of(Path(device.sys_path, "dm/uuid"))))


def _pyudev() -> Any:
    try:
        import pyudev
    except ImportError as error:
        raise ToolMissing(
            "reading the machine's disks: the Python module pyudev is not installed",
            hint="apt-get install python3-pyudev, and run this with Debian's /usr/bin/python3",
        ) from error
    return pyudev


def _disk(device: Any, uses: Uses) -> Disk:
    path, sys_path = str(device.device_node), Path(device.sys_path)
    told = device.properties
    on_scsi = told.get("ID_BUS") == "scsi"
    return Disk(
        path=path,
        kind="multipath" if is_multipath(sys_path) else _kind(str(device.sys_name)),
        size_bytes=_number(sys_path / "size") * 512,
        sector_bytes=_number(sys_path / "queue/logical_block_size"),
        bus=bus_of(told.get("ID_BUS") or "", [str(above.subsystem) for above in device.ancestors]),
        serial=_serial(device, sys_path),
        wwn=told.get("ID_WWN_WITH_EXTENSION") or told.get("ID_WWN") or "",
        model=(told.get("ID_MODEL") or "").replace("_", " "),
        vendor=(told.get("ID_VENDOR") or "").replace("_", " "),
        rotational=text_of(sys_path / "queue/rotational") == "1",
        read_only=text_of(sys_path / "ro") == "1",
        removable=text_of(sys_path / "removable") == "1",
        live_medium=uses.is_live_medium(path),
        multipath=multipath_of(sys_path),
        wwid=wwid_of(text_of(sys_path / "dm/uuid") or (told.get("ID_SERIAL", "") if on_scsi else "")),
        links=tuple(sorted(str(link) for link in device.device_links)),
        in_use=tuple(uses.of(sys_path)),
        examined=False,
    )


def _examined(host: Host, disk: Disk) -> Disk:
    """The disk with what is on it. Only what can be a target is read: no optical medium, no path of a map."""
    if disk.kind not in FIXED_DISK_KINDS or disk.multipath or disk.size_bytes == 0:
        return replace(disk, examined=True)
    disk = replace(marked(disk), examined=True)
    signatures = _signatures(host, disk.path)
    try:
        head, tail = _ends(disk)
    except DeviceLost as error:
        return replace(disk, signatures=signatures, unread=str(error))
    if not (disk.node or disk.member) and "gpt" not in {mark.kind for mark in signatures if mark.device == disk.path}:
        signatures = (*_hidden_table(disk, head, tail), *signatures)
    return replace(disk, signatures=signatures)


def _ends(disk: Disk) -> tuple[bytes, bytes]:
    """Both ends of a disk, where nearly everything has its mark. Raises DeviceLost: blkid calls the same blank."""
    size = min(END_BYTES, align_down(disk.size_bytes // 2, max(gpt.SECTOR_SIZES)))
    if size == 0:
        return b"", b""
    return block.read_direct(disk.path, 0, size), block.read_direct(disk.path, disk.size_bytes - size, size)


def _hidden_table(disk: Disk, head: bytes, tail: bytes) -> tuple[Signature, ...]:
    """The table that is there and does not count: a backup alone, or one of other sectors."""
    header = gpt.any_header(head, tail)
    if header is None:
        return ()
    return (Signature(disk.path, HIDDEN_TABLE, uuid=str(header.disk_guid), size_bytes=disk.size_bytes),)


def _kind(name: str) -> str:
    return next((kind for start, kind in VIRTUAL_KINDS.items() if name.startswith(start)), "disk")


def bus_of(told: str, above: Sequence[str]) -> Bus | None:
    """The bus of a disk: what udev calls it, unless one of the subsystems above it, nearest first, knows better.

    A disk in a USB case answers as the ATA disk that it is (udev's ata_id): what it is plugged into counts.
    """
    if "usb" in above:
        return Bus.USB
    return UDEV_BUSES.get(told) or next((SUBSYSTEM_BUSES[name] for name in above if name in SUBSYSTEM_BUSES), None)


def _serial(device: Any, sys_path: Path) -> str:
    """The serial as the disk tells it; virtio keeps its own in sysfs and nowhere else."""
    serial = device.properties.get("ID_SCSI_SERIAL") or device.properties.get("ID_SERIAL_SHORT") or ""
    return str(serial) or text_of(sys_path / "serial") or text_of(sys_path / "device/serial")


def _signatures(host: Host, path: str) -> tuple[Signature, ...]:
    """What blkid's low-level probe finds on the disk and on each partition that the kernel knows."""
    names = [path, *(block.partition_path(path, number) for number in block.partition_numbers(path))]
    found = []
    for name in names:
        told = host.run("blkid", "-p", "-o", "export", name, doing=f"probing {name}", how=Run(accept=(0, 2, 8)))
        values = dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line)
        kind = values.get("TYPE") or values.get("PTTYPE")
        if kind or told.status == 8:
            size = block.size_bytes(name)
            label, uuid = values.get("LABEL", ""), values.get("UUID") or values.get("PTUUID", "")
            found.append(Signature(name, kind or "several signatures at once", label, uuid, size))
    return tuple(found)


def with_groups(host: Host, found: Sequence[Disk]) -> tuple[Disk, ...]:
    """The disks, with the volume group of each physical volume on them; LVM is asked only where there is one."""
    if not any(mark.kind == LVM_MEMBER for disk in found for mark in disk.signatures):
        return tuple(found)
    groups = volume_groups(host)
    unreadable = VolumeGroup(UNREADABLE)

    def grouped(mark: Signature) -> Signature:
        return replace(mark, group=groups.get(mark.uuid, unreadable)) if mark.kind == LVM_MEMBER else mark

    return tuple(replace(disk, signatures=tuple(map(grouped, disk.signatures))) for disk in found)


def volume_groups(host: Host) -> dict[str, VolumeGroup | None]:
    """UUID of each physical volume on this machine -> its volume group, None where it is of none.

    Nothing is activated, locked or written. One that LVM cannot read is missing, or its group is UNREADABLE.
    """
    fields = "pv_uuid,vg_name,vg_uuid,vg_tags"
    told = host.run(
        "lvm", "pvs", "--readonly", "--reportformat", "json", "--config", LVM_CONFIG, "-o", fields,
        doing="reading the volume groups", how=Run(accept=(0, LVM_BROKEN)),
    )  # fmt: skip
    rows = [row for report in json.loads(told.stdout or "{}").get("report", []) for row in report.get("pv", [])]
    return {row["pv_uuid"]: _volume_group(row) for row in rows}


def _volume_group(row: dict[str, str]) -> VolumeGroup | None:
    tags = tuple(tag for tag in row["vg_tags"].split(",") if tag)
    return VolumeGroup(row["vg_name"], row["vg_uuid"], tags) if row["vg_name"] else None


def _shadow() -> dict[str, str]:
    """The lines of the image's own shadow file, by user: the live system's may have been changed since."""
    try:
        text = (LIVE_ROOT / "etc/shadow").read_text()
    except OSError:
        return {}
    return {line.partition(":")[0]: line for line in text.splitlines() if line}


def _number(path: Path) -> int:
    text = text_of(path)
    return int(text) if text.isdigit() else 0

"""A USB stick: it becomes a node's installer, is never its disk, and may stay in. With the recipe for hardware."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import GIB, Bus, Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image, Shared, build
from tests.vm.installed import HEALTHY, INSTALL_LIMIT_S, LIVE_LIMIT_S, NODE_LIMIT_S, NOT_INSTALLED
from tests.vm.live import LiveSystem, boot_live, install
from tests.vm.machine import DOWN, Machine
from tests.vm.test_refusals import refused, told

pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]  # an image of its own, and its live system
LINE = "BOOTIF=link console=ttyS0"
GRUB_LIMIT_S = 120
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
TO_BOOT = (
    "mpt3sas mpi3mr megaraid_sas aacraid hpsa smartpqi ahci nvme vmd lpfc qla2xxx "
    "igb ixgbe i40e ice e1000e tg3 bnxt_en bnx2x mlx5_core cxgb4 qed "
    "xhci_pci ehci_pci usb_storage uas usbhid"
).split()
TO_RUN = "iTCO_wdt kvm_intel kvm_amd ipmi_si".split()
FIRMWARE = {
    "bnx2x/bnx2x-e2-7.13.21.0.fw", "cxgb4/t6fw.bin", "intel/ice/ddp/ice.pkg", "ql2500_fw.bin", "tigon/tg3_tso.bin"
}  # fmt: skip
LAPTOPS = ("nvidia", "i915", "amdgpu", "iwlwifi", "rtw", "rtlwifi", "brcm", "ath")


@pytest.fixture(scope="session")
def metal(shared: Shared) -> Image:
    """An image of the recipe for hardware, and an ISO whose menu installs onto the one fixed disk."""

    def make(place: Path) -> None:
        build(place, f"storage_init {LINE}", recipe="metal")

    return Image(shared.once("metal", make))


@pytest.fixture
def stick(metal: Image, tmp_path: Path) -> Disk:
    """A USB stick with the ISO on it, first in the boot order."""
    return write_stick(metal, tmp_path)


@pytest.fixture(scope="session")
def live_stick(metal: Image, shared: Shared) -> LiveSystem:
    """A live system that was booted from a stick without any of our words."""

    def make(place: Path) -> None:
        write_stick(metal, place)

    there = replace(_stick(shared.once("stick", make)), boot_index=None)
    return boot_live(metal, Hardware(disks=(there,)), shared, "live-stick")


def write_stick(metal: Image, place: Path) -> Disk:
    """What dd makes of an ISO and a stick that is larger."""
    stick = _stick(place)
    new_disk(stick.path, 2 * GIB)
    words = ["dd", f"if={metal.iso}", f"of={stick.path}", "bs=1M", "conv=notrunc,sparse", "status=none"]
    subprocess.run(words, check=True)
    return stick


def _stick(place: Path) -> Disk:
    return Disk(place / "stick.raw", serial="STICK0", bus=Bus.USB, removable=True)


def with_stick(live: LiveSystem, stick: Disk) -> LiveSystem:
    """The same live system, with a stick of the test's own in the place of the one that it was booted from."""
    return replace(live, hardware=replace(live.hardware, disks=(replace(stick, boot_index=None),)))


def behind_a_megaraid(disk: Disk) -> tuple[str, ...]:
    """QEMU's words for a disk on a hardware controller."""
    nodes = [word for node in disk.block_nodes() for word in ("-blockdev", json.dumps(node))]
    device = disk.device() | {"bus": "hba0.0"}
    return ("-device", "megasas,id=hba0", *nodes, "-device", json.dumps(device))


def modules_and_firmware(names: str) -> tuple[set[str], set[str]]:
    """The kernel's modules, and the files below lib/firmware, in a list of files."""
    modules = {name.replace("-", "_") for name in re.findall(r"/([^/\n]+)\.ko\b", names)}
    return modules, set(re.findall(r"usr/lib/firmware/(.+)$", names, re.MULTILINE))


def names_in_initramfs(initrd: Path) -> str:
    """Every name in its first two parts: microcode for the kernel itself, and what is unpacked for the system."""
    data = initrd.read_bytes()
    early, main = data[: data.index(ZSTD_MAGIC)], data[data.index(ZSTD_MAGIC) :]
    main = subprocess.run(["zstd", "-dcf"], input=main, stdout=subprocess.PIPE, check=True).stdout
    listings = [subprocess.run(["cpio", "-t"], input=part, capture_output=True, check=True) for part in (early, main)]
    return "\n".join(listing.stdout.decode() for listing in listings)


def test_the_image_for_hardware_has_the_drivers_and_the_firmware_of_servers_and_not_of_laptops(metal: Image) -> None:
    listed = subprocess.run(["unsquashfs", "-l", metal.place / "root.squashfs"], capture_output=True, check=True)
    initramfs = names_in_initramfs(metal.initrd)
    for names, wanted in ((listed.stdout.decode(), (*TO_BOOT, *TO_RUN)), (initramfs, TO_BOOT)):
        modules, firmware = modules_and_firmware(names)
        assert set(wanted) <= modules
        assert firmware >= FIRMWARE
        assert not [name for name in firmware if name.startswith(LAPTOPS)]
    assert {"kernel/x86/microcode/GenuineIntel.bin", "kernel/x86/microcode/AuthenticAMD.bin"} <= set(
        initramfs.splitlines()
    )


@pytest.mark.parametrize("firmware", Firmware, ids=lambda firmware: firmware.value)
def test_the_menu_of_a_stick_boots_the_local_disk(
    stick: Disk, finished: Path, tmp_path: Path, firmware: Firmware
) -> None:
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, boot_index=1)
    with Machine(Hardware(firmware, disks=(stick, disk)), tmp_path) as machine:
        machine.wait_for_line("Boot the local disk", GRUB_LIMIT_S)
        machine.type(f"{DOWN * 3}\r")
        machine.wait_for_line("^autoinstall: booting slot A", GRUB_LIMIT_S)


@pytest.mark.parametrize(
    "words",
    [
        "storage_init",
        *(
            f"storage_init={name}"
            for name in ("serial:STICK0", "/dev/sda", "/dev/sd*", "usb", "usb:STICK0",
                         "id:usb-QEMU_QEMU_HARDDISK_STICK0-0:0",
                         "/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_STICK0-0:0", "match:removable=yes")
        ),
    ],
)  # fmt: skip
def test_the_stick_that_a_machine_runs_from_is_no_target_however_it_is_named(
    live_stick: LiveSystem, stick: Disk, tmp_path: Path, words: str
) -> None:
    before = DiskImage(stick.path).digest()
    result, _ = refused(with_stick(live_stick, stick), tmp_path, f"{words} autoinstall.disk_timeout=2")
    assert result["exit_code"] == 3
    assert "serial STICK0): it is the medium this system runs from" in told(result)
    assert DiskImage(stick.path).digest() == before


def test_another_stick_that_is_named_becomes_a_node(live_stick: LiveSystem, stick: Disk, tmp_path: Path) -> None:
    before = DiskImage(stick.path).digest()
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), bus=Bus.USB, removable=True, boot_index=None)
    with with_stick(live_stick, stick).start(tmp_path, disk) as machine:
        result = install(machine, f"storage_init=usb:TARGET0 {LINE} autoinstall.after=hold")
        assert result["result"] == "installed", result
        machine.shell("sync")
    assert DiskImage(stick.path).digest() == before
    with Machine(Hardware(disks=(replace(disk, boot_index=0),)), tmp_path, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)


@pytest.mark.parametrize("firmware", Firmware, ids=lambda firmware: firmware.value)
def test_a_stick_that_stays_in_installs_once_and_from_then_on_leads_to_the_node(
    stick: Disk, tmp_path: Path, firmware: Firmware
) -> None:
    """The firmware starts the stick each time: only the live system itself can tell that it is done.

    The disk hangs on a server's controller.
    """
    before = DiskImage(stick.path).digest()
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), bus=Bus.SCSI, boot_index=1)
    hardware = Hardware(firmware, disks=(stick,), reboots=True, more=behind_a_megaraid(disk))
    with Machine(hardware, tmp_path) as machine:
        machine.wait_for_line("^autoinstall: result=installed", LIVE_LIMIT_S + INSTALL_LIMIT_S, unless=NOT_INSTALLED)
        machine.wait_for_line("^autoinstall: result=already-installed", LIVE_LIMIT_S)
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.power_off()
    results = [event["result"] for event in machine.events if event["event_type"] == "result"]
    assert results == ["installed", "already-installed"]
    assert DiskImage(stick.path).digest() == before

"""Machines that are not the usual one: other buses and sectors, a disk that comes late, an address of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.gpt import LABELS
from tests.vm.hardware import Bus, Direct, Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, INSTALL_LIMIT_S, LIVE_LIMIT_S, NODE_LIMIT_S
from tests.vm.live import CONSOLE, LiveSystem, install
from tests.vm.machine import Machine
from tests.vm.recorded import LINE
from tests.vm.writes import written

pytestmark = pytest.mark.vm
WORDS = "BOOTIF=link autoinstall.after=hold"
NAMES = {Bus.VIRTIO: "virtio", Bus.SCSI: "scsi", Bus.SATA: "ata", Bus.NVME: "nvme"}
"""Each bus as the command line calls it."""


def booted_with(image: Image, words: str) -> Direct:
    """The live system, booted with these words."""
    return Direct(image.kernel, image.initrd, f"{image.live_words} {CONSOLE} systemd.debug_shell=ttyS1 {words}")


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("bus", "sector_bytes", "firmware"),
    [
        (Bus.SATA, 512, Firmware.BIOS),
        (Bus.VIRTIO, 4096, Firmware.UEFI),
        (Bus.SCSI, 4096, Firmware.UEFI),
        (Bus.NVME, 4096, Firmware.UEFI),
    ],
    ids=["sata-512", "virtio-4096", "scsi-4096", "nvme-4096"],
)
def test_a_disk_of_any_kind_becomes_a_node_that_boots_and_its_neighbour_has_no_write(
    image: Image, tmp_path: Path, bus: Bus, sector_bytes: int, firmware: Firmware
) -> None:
    """These cannot be plugged into a running machine of QEMU, or need another firmware: two real boots each."""
    log = tmp_path / "other.log"
    named = Disk(new_disk(tmp_path / "NAMED0.raw"), "NAMED0", bus, 1, sector_bytes=sector_bytes)
    other = Disk(new_disk(tmp_path / "OTHER0.raw"), "OTHER0", bus, None, write_log=log, sector_bytes=sector_bytes)
    line = booted_with(image, f"storage_init={NAMES[bus]}:NAMED0 {WORDS}")
    live = Hardware(firmware, disks=(other, named), cdrom=image.iso, direct=line)
    with Machine(live, tmp_path, name="live") as machine:
        result = machine.result(LIVE_LIMIT_S + INSTALL_LIMIT_S)
    assert result["result"] == "installed", result
    assert result["plan"]["target"]["sector_bytes"] == sector_bytes
    assert not written(log)
    assert [partition.label for partition in DiskImage(named.path).table.partitions] == LABELS
    with Machine(replace(live, cdrom=None, direct=None), tmp_path, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
    assert DiskImage(other.path).is_blank()


def test_large_sectors_under_a_bios_are_refused(live: LiveSystem, tmp_path: Path) -> None:
    log = tmp_path / "writes.log"
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None, write_log=log, sector_bytes=4096)
    with live.start(tmp_path, disk) as machine:
        result = install(machine, LINE)
    assert (result["result"], result["exit_code"]) == ("refused", 3)
    assert "a BIOS boots from sectors of 512 only" in result["reasons"][0]
    assert not written(log)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("firmware", "memory_mib"), [(Firmware.BIOS, 320), (Firmware.UEFI, 384)], ids=["bios-320", "uefi-384"]
)
def test_the_smallest_machine_becomes_a_node(
    image: Image, tmp_path: Path, firmware: Firmware, memory_mib: int
) -> None:
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=1)
    live = Hardware(firmware, (disk,), image.iso, direct=booted_with(image, LINE), memory_mib=memory_mib)
    with Machine(live, tmp_path, name="live") as machine:
        result = machine.result(LIVE_LIMIT_S + INSTALL_LIMIT_S)
    assert result["result"] == "installed", result
    with Machine(replace(live, cdrom=None, direct=None), tmp_path, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)


@pytest.mark.exhaustive
def test_a_machine_with_too_little_memory_is_refused_and_told_what_it_needs(image: Image, tmp_path: Path) -> None:
    log = tmp_path / "writes.log"
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=1, write_log=log)
    small = Hardware(disks=(disk,), cdrom=image.iso, direct=booted_with(image, LINE), memory_mib=256)
    with Machine(small, tmp_path) as machine:
        result = machine.result(LIVE_LIMIT_S)
    assert (result["result"], result["exit_code"]) == ("refused", 3)
    assert "an installation needs 256 MiB" in result["reasons"][0]
    assert "384 MiB" in result["hint"]
    assert not written(log)


ADDRESS = "10.0.2.77"


@pytest.mark.exhaustive
@pytest.mark.parametrize("rest", ["node-two", "node-two::none"], ids=["cut", "whole"])
def test_an_address_of_the_line_is_that_of_the_installer_and_of_the_node(
    image: Image, tmp_path: Path, key: Path, rest: str
) -> None:
    """The kernel's form may be cut behind any field; what systemd's reader in the initramfs then takes for wrong."""
    kind, base64, _ = key.with_suffix(".pub").read_text().split()
    network = f"ip={ADDRESS}::10.0.2.2:255.255.255.0:{rest} dns=10.0.2.3 ntp=time.example.org"
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=1)
    line = booted_with(image, f"{LINE} {network} autoinstall.ssh_key={kind}:{base64}:test")
    with Machine(Hardware(disks=(disk,), cdrom=image.iso, direct=line), tmp_path, name="live") as machine:
        result = machine.result(LIVE_LIMIT_S + INSTALL_LIMIT_S)
    assert result["result"] == "installed", result
    assert [address for address in result["addresses"] if ":" not in address] == [f"{ADDRESS}/24"]
    with Machine(Hardware(disks=(disk,), address=ADDRESS), tmp_path, key=key, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.wait(NODE_LIMIT_S)
        said = machine.ssh.read("hostname; resolvectl dns; timedatectl show-timesync --property SystemNTPServers")
    name, *rest_said = said.splitlines()
    assert name == "node-two"
    assert any(server.endswith(": 10.0.2.3") for server in rest_said), said
    assert "SystemNTPServers=time.example.org" in rest_said, said

"""Where an image comes from and where it goes: the network, buses, sizes; and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import GIB, MIB, Bus, Disk, Hardware, new_disk
from tests.vm.image import Image
from tests.vm.installed import LIVE_LIMIT_S
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Machine
from tests.vm.writes import written

pytestmark = pytest.mark.vm
LINE = "BOOTIF=link console=ttyS0 autoinstall.after=hold"
BUSES = {Bus.VIRTIO: "virtio", Bus.SCSI: "scsi", Bus.NVME: "nvme"}


@pytest.mark.parametrize(
    "bus",
    [
        pytest.param(Bus.VIRTIO, marks=pytest.mark.exhaustive),
        Bus.SCSI,
        pytest.param(Bus.NVME, marks=pytest.mark.exhaustive),
    ],
    ids=BUSES.values(),
)
def test_a_disk_on_any_bus_is_named_by_its_serial_and_its_neighbour_has_no_write(
    live: LiveSystem, tmp_path: Path, bus: Bus
) -> None:
    named = Disk(new_disk(tmp_path / "NAMED0.raw"), serial="NAMED0", bus=bus, boot_index=None)
    log = tmp_path / "other.log"
    other = Disk(new_disk(tmp_path / "OTHER0.raw"), serial="OTHER0", bus=bus, boot_index=None, write_log=log)
    with live.start(tmp_path, named, other) as machine:
        result = install(machine, f"storage_init={BUSES[bus]}:NAMED0 {LINE}")
    assert result["result"] == "installed", result
    assert not written(log)
    assert DiskImage(other.path).is_blank()


def test_asked_sizes_are_on_the_disk_to_the_byte(live: LiveSystem, tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "TARGET0.raw", 8 * GIB), boot_index=None)
    sizes = "storage_vol=300,EFI:1G,Root:100,Config:200,Logging:512,Swap:1G,Data"
    with live.start(tmp_path, disk) as machine:
        result = install(machine, f"storage_init=serial:TARGET0 {sizes} {LINE}")
    assert result["result"] == "installed", result
    after = DiskImage(disk.path)
    assert [after.table[label].size_bytes for label in ("EFI", "Root-A", "Root-B", "Config", "Logging")] == [
        300 * MIB, GIB, GIB, 100 * MIB, 200 * MIB
    ]  # fmt: skip
    assert after.lvm_volumes() == {"Swap": 512 * MIB, "Data": GIB}


@pytest.mark.exhaustive
def test_rescue_shows_the_node_and_writes_nothing(
    image: Image, live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    log = tmp_path / "writes.log"
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, write_log=log, boot_index=None)
    direct = live.hardware.direct
    assert direct
    words = f"{direct.command_line} storage_inti autoinstall.rescue=yes"
    hardware = Hardware(cdrom=image.iso, direct=replace(direct, command_line=words), disks=(disk,))
    with Machine(hardware, tmp_path) as machine:
        machine.wait_for_line("^autoinstall: ignored, for rescue wins: storage_inti: unknown", LIVE_LIMIT_S)
        machine.wait_for_line("^autoinstall:   /config is /dev/", 60)
        machine.wait_for_line("^autoinstall:   .*/Data is /dev/HostVG/Data", 30)
        assert "root.squashfs" in machine.shell("ls /run/autoinstall/rescue.d/*/Root-A")
        assert machine.shell("cat /config/etc/upper/machine-id").strip()
        machine.wait_for_line("# ", 60)  # a prompt: a message of the kernel may follow it
        machine.type("id -un | sed s/^/I-am-/\r")
        machine.wait_for_line("^I-am-root$", 30)
    assert not written(log)

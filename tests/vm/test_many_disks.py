"""A node on more disks than one: HostVG and AppVG where the line says, encrypted swap, and nothing on other disks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import GIB, MIB, Bus, Disk, Hardware
from tests.vm.installed import HEALTHY, NODE_LIMIT_S, SSH_LIMIT_S, as_root
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Event, Machine
from tests.vm.ssh import new_key
from tests.vm.test_refusals import blank, told
from tests.vm.writes import written

pytestmark = pytest.mark.vm
LINE = "BOOTIF=link console=ttyS0 panic=30"
SMALL = 1 * GIB
LVM_HEAD_BYTES = 1 * MIB


def watched(place: Path) -> Disk:
    """A blank disk that no line here names, with a log of its writes."""
    return replace(blank(place, "OTHER0", SMALL), write_log=place / "other.log")


def untouched(disk: Disk) -> bool:
    """Whether no machine wrote to a disk."""
    assert disk.write_log
    return not written(disk.write_log) and DiskImage(disk.path).is_blank()


@contextmanager
def node(live: LiveSystem, place: Path, words: str, *disks: Disk) -> Iterator[Machine]:
    """The node that these words make of these disks, started by kexec and found healthy."""
    with live.start(place, *disks) as machine:
        result = install(machine, f"{words} {with_key(place)} {LINE} autoinstall.after=kexec")
        assert result["result"] == "installed", result
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh = replace(machine.ssh, key=place / "key")
        machine.ssh.wait(SSH_LIMIT_S)
        yield machine
        machine.power_off()


def with_key(place: Path) -> str:
    """The word for admin's key, which is made here."""
    kind, base64, _ = new_key(place / "key").with_suffix(".pub").read_text().split()
    return f"autoinstall.ssh_key={kind}:{base64}:test"


def run(live: LiveSystem, place: Path, words: str, *disks: Disk) -> Event:
    """The result of one run of the installer, in a machine of its own."""
    place.mkdir()
    with live.start(place, *disks) as machine:
        return install(machine, f"{words} {LINE} autoinstall.after=hold")


def volumes(disk: Disk, group: str) -> dict[str, int]:
    """The volumes of a group, as its member tells them."""
    return DiskImage(disk.path).lvm_volumes(group)


def labels(disk: Disk) -> list[str]:
    """The labels of its partitions."""
    return [part.label for part in DiskImage(disk.path).table.partitions]


def test_each_group_is_on_its_disk_swap_is_encrypted_and_the_other_disk_has_no_write(
    live: LiveSystem, tmp_path: Path
) -> None:
    boot, host, app = (blank(tmp_path, *row) for row in (("TARGET0",), ("HOST0", SMALL), ("APP0", SMALL)))
    other = watched(tmp_path)
    words = (
        "storage_init=serial:TARGET0,serial:HOST0 autoinstall.app_disks=serial:APP0 "
        "storage_vol=128,Swap:200,Data:100,Swap2:300,Data2 swap_encrypt=Swap:Swap2,aes-cbc-essiv:sha256"
    )
    with node(live, tmp_path, words, boot, host, app, other) as machine:
        told_swaps = machine.ssh.read("cat /proc/swaps").splitlines()[1:]
        sizes = sorted(int(line.split()[2]) for line in told_swaps)
        assert [line.split()[0].startswith("/dev/dm-") for line in told_swaps] == [True, True]
        assert [size // 1024 for size in sizes] == [99, 127]  # a page of each is its header
        crypt = as_root(machine, "dmsetup table --target crypt")
        assert "aes-xts-plain64" in crypt
        assert "aes-cbc-essiv:sha256" in crypt
        mounts = machine.ssh.read("findmnt -rno TARGET,SOURCE")
        assert "/data /dev/mapper/HostVG-Data" in mounts
        assert "/data2 /dev/mapper/AppVG-Data2" in mounts
        assert machine.ssh.read("systemctl --failed --no-legend") == ""
    assert labels(boot)[-1] == "Logging"
    assert (labels(host), labels(app)) == (["HostVG"], ["AppVG"])
    assert volumes(host, "HostVG") == {"Swap": 128 * MIB, "Data": 200 * MIB}
    assert volumes(app, "AppVG") == {"Swap2": 100 * MIB, "Data2": 300 * MIB}
    assert untouched(other)


@pytest.mark.exhaustive
def test_hostvg_on_two_disks_boots_from_its_firmware_and_goes_with_uninstall(
    live: LiveSystem, tmp_path: Path, key: Path
) -> None:
    boot, more, other = blank(tmp_path), blank(tmp_path, "MORE0", SMALL), watched(tmp_path)
    kind, base64, _ = key.with_suffix(".pub").read_text().split()
    line = "storage_init=serial:TARGET0,serial:TARGET0,serial:MORE0"
    words = f"{line} autoinstall.ssh_key={kind}:{base64}:test"
    result = run(live, tmp_path / "install", words, boot, more, other)
    assert result["result"] == "installed", result
    hardware = Hardware(disks=(replace(boot, boot_index=0), more, replace(other, write_log=tmp_path / "node.log")))
    with Machine(hardware, tmp_path / "node", key=key, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.wait(SSH_LIMIT_S)
        assert as_root(machine, "vgs --noheadings -o vg_name,pv_count").split() == ["HostVG", "2"]
        machine.power_off()
    assert volumes(boot, "HostVG") == volumes(more, "HostVG")
    room = sum(DiskImage(disk.path).table["HostVG"].size_bytes - LVM_HEAD_BYTES for disk in (boot, more))
    assert 0 <= room - sum(volumes(boot, "HostVG").values()) < 8 * MIB
    again = run(live, tmp_path / "again", f"{line} autoinstall.installed=hold", boot, more)
    assert again["result"] == "already-installed", again
    before = [DiskImage(disk.path).digest() for disk in (boot, more)]
    for name, words in (
        ("one", "reinstall storage_init=serial:TARGET0"),
        ("part", "uninstall storage_init=serial:TARGET0"),
    ):
        refused = run(live, tmp_path / name, words, boot, more)
        assert (refused["result"], "/dev/vdb" in told(refused)) == ("refused", True), refused
    assert [DiskImage(disk.path).digest() for disk in (boot, more)] == before
    gone = run(live, tmp_path / "gone", "uninstall", boot, more, other)
    assert gone["result"] == "uninstalled", gone
    for disk in (boot, more):
        assert DiskImage(disk.path).read(0, MIB).count(0) == MIB
    assert untouched(other)


@pytest.mark.exhaustive
def test_all_disks_of_a_bus_are_one_appvg_and_a_second_install_takes_them_again(
    live: LiveSystem, tmp_path: Path
) -> None:
    boot, other = blank(tmp_path, "TARGET0", 12 * GIB), watched(tmp_path)
    first, second = (replace(blank(tmp_path, name, SMALL), bus=Bus.SCSI) for name in ("SCSI0", "SCSI1"))
    line = "storage_init=virtio:TARGET0;scsi:ALL storage_vol=1800,Data2"
    with node(live, tmp_path, line, boot, first, second, other) as machine:
        assert "/data2 /dev/mapper/AppVG-Data2" in machine.ssh.read("findmnt -rno TARGET,SOURCE")
    assert labels(boot)[-1] == "HostVG"
    assert volumes(first, "AppVG") == volumes(second, "AppVG") == {"Data2": 1800 * MIB}
    (tmp_path / "again").mkdir()
    with live.start(tmp_path / "again", boot, first, second, other) as machine:
        result = install(machine, f"{line} reinstall {LINE} autoinstall.after=hold")
        assert result["result"] == "installed", result
        machine.shell("autoinstall rescue")
        machine.wait_for_line("^autoinstall:   .*/Data2 is /dev/AppVG/Data2", 30)
    assert volumes(first, "AppVG") == volumes(second, "AppVG") == {"Data2": 1800 * MIB}
    assert untouched(other)

"""A disk fails under the installer: it says which step and which disk, and leaves nothing that boots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage, partition_bytes
from tests.vm.faults import EIO, ENOSPC, Fault, fault
from tests.vm.hardware import MIB, Bus, Disk, new_disk
from tests.vm.live import INSTALL_LIMIT_S, LiveSystem, begin, install
from tests.vm.machine import Event, Machine
from tests.vm.recorded import LINE, Recorded, assert_finished

pytestmark = pytest.mark.vm
SECTOR = 512
LABEL, METADATA = 1 * SECTOR, 8 * SECTOR
"""Of a physical volume, from its start: what LVM looks for, and where the head of its metadata is."""
SUPERBLOCK = 2 * SECTOR
FAT = 33 * SECTOR
"""A sector of the first of them."""
RECORD, HOST_KEY = "/autoinstall/install.json", "/etc/upper/ssh/ssh_host_ecdsa_key"

# Writes to any place of the disk, from 1. One may come as two, if the guest's memory is in pieces.
TABLE_NEXT = 12
"""Both ends of the disk are wiped (at most 9), and the tables not written yet (20)."""
TABLE_THERE = 21
"""All is wiped (19), and perhaps the tables written."""
FILESYSTEMS_NEXT = 30
"""The partitions are known, and what was on them is wiped (at most 34, but for HostVG 23)."""
IMAGES = 160
"""All filesystems are made, and not all of the images is written."""


@dataclass(frozen=True)
class Case:
    """A sector that fails, told by the disk of an install that went well, from a write on; and the step that it ends.

    `full` is what the step says where the disk has no room instead; it is empty where that cannot be.
    """

    step: str
    where: Callable[[DiskImage], int]
    number: int = 1
    kind: str = "write"
    full: str = ""


def into(label: str, offset: int = 0) -> Callable[[DiskImage], int]:
    """So many bytes into a partition."""
    return lambda disk: partition_bytes(disk.table[label])[0] + offset


def file(label: str, name: str) -> Callable[[DiskImage], int]:
    """The first byte of a file."""
    return lambda disk: disk.ext_offset(label, name, 0)


def last(disk: DiskImage) -> int:
    """The header of the second half of the table."""
    return disk.size_bytes - SECTOR


NO_SPACE, IO_ERROR = "No space left on device", "Input/output error"
ROOT = "/root.squashfs"
CASES = {
    "wipe": Case("wipe", lambda _: 0, full=NO_SPACE),
    "wipe-end": Case("wipe", last),
    "partition-table": Case("partition-table", last, TABLE_NEXT, full=NO_SPACE),
    "partition-table-first-half": Case("partition-table", lambda _: SECTOR, TABLE_NEXT),
    "partition-table-read": Case("partition-table", lambda _: SECTOR, TABLE_THERE, "read"),
    "volume-group": Case("volume-group", into("HostVG", METADATA), TABLE_THERE),
    "volume-group-read": Case("volume-group", into("HostVG", LABEL), TABLE_THERE, "read"),
    "filesystems": Case("filesystems", into("Root-A", SUPERBLOCK), FILESYSTEMS_NEXT, full=IO_ERROR),
    "filesystems-efi": Case("filesystems", into("EFI", FAT), FILESYSTEMS_NEXT),
    "filesystems-swap": Case("filesystems", into("HostVG", MIB)),
    "filesystems-read": Case("filesystems", into("Root-A", SUPERBLOCK), FILESYSTEMS_NEXT, "read"),
    "image-a": Case("image-a", file("Root-A", ROOT), full=NO_SPACE),
    "image-a-read": Case("image-a", file("Root-A", ROOT), kind="read"),
    "image-b": Case("image-b", file("Root-B", ROOT), full=NO_SPACE),
    "image-b-manifest": Case("image-b", file("Root-B", "/manifest.json")),
    "image-b-read": Case("image-b", file("Root-B", ROOT), kind="read"),
    "boot-loader": Case("boot-loader", into("BIOS-boot"), IMAGES, full=NO_SPACE),
    "boot-loader-file": Case("boot-loader", into("EFI", 3 * MIB), full=NO_SPACE),
    "boot-loader-fat": Case("boot-loader", into("EFI", FAT), IMAGES),
    "boot-loader-read": Case("boot-loader", into("BIOS-boot"), IMAGES, "read"),
    "close-volume-group-read": Case("close-volume-group", into("HostVG", LABEL), IMAGES, "read"),
    "config": Case("config", file("Config", "<8>"), IMAGES, full=IO_ERROR),
    "config-host-key": Case("config", file("Config", HOST_KEY), full=NO_SPACE),
    "config-read": Case("config", into("Config", SUPERBLOCK), IMAGES, "read"),
    "install-record": Case("install-record", file("Config", RECORD), full=NO_SPACE),
    "install-record-read": Case("install-record", file("Config", RECORD), kind="read"),
    "commit": Case("commit", lambda _: 0, IMAGES, full=NO_SPACE),
    "commit-read": Case("commit", lambda _: 0, IMAGES, "read"),
}
QUICK = {"image-b-full", "install-record"}
AGAIN = {"image-a": "installed", "commit": "installed", "commit-read": "already-installed"}
"""What the same line does once the disk works."""


def rows() -> list[object]:
    """Each case, and those in which the disk is full."""
    found = [(name, EIO, name) for name in CASES]
    found += [(name, ENOSPC, f"{name}-full") for name, case in CASES.items() if case.full]
    return [
        pytest.param(name, errno, id=told, marks=() if told in QUICK else (pytest.mark.exhaustive,))
        for name, errno, told in found
    ]


def assert_failed(machine: Machine, result: Event, disk: str = "/dev/vda") -> None:
    """The result is a failure that names a step and the disk, everywhere."""
    step = result["step"]
    machine.wait_for_line(rf"^autoinstall: {step}: FAIL: .*{disk}", limit_s=30)
    machine.wait_for_line("^autoinstall: result=failed$", limit_s=30)
    assert (result["result"], result["exit_code"]) == ("failed", 4)
    reasons = "\n".join(result["reasons"])
    assert disk in reasons, reasons
    failed = [event for event in machine.events if event["event_type"] == "finish" and event["result"] == "FAIL"]
    assert [event["name"] for event in failed] == [f"install/{step}"]
    assert disk in failed[0]["description"]
    kept = machine.shell(
        f"journalctl --no-pager --quiet --output=cat AUTOINSTALL_STEP={step} AUTOINSTALL_VERDICT=FAIL"
    )
    assert disk in kept


def test_every_step_has_a_row(recorded: Recorded) -> None:
    """But those that do not touch the disk, and the one that a blank disk does not need."""
    steps = {step.removeprefix("install/") for step in recorded.steps}
    assert steps - {"verify-image", "claim", "tear-down"} == {case.step for case in CASES.values()}


@pytest.mark.parametrize(("case", "errno"), rows())
def test_a_disk_that_fails_ends_the_install_at_that_step(
    live: LiveSystem, recorded: Recorded, tmp_path: Path, case: str, errno: int
) -> None:
    """virtio-blk has no word for a disk that is full: SCSI has, and Linux makes ENOSPC of it."""
    wanted = CASES[case]
    bus, path = (Bus.SCSI, "/dev/sda") if errno == ENOSPC else (Bus.VIRTIO, "/dev/vda")
    rules = fault(tmp_path / "rules", Fault(wanted.where(recorded.disk), wanted.kind, errno, wanted.number))
    disk = Disk(new_disk(tmp_path / "disk.raw"), bus=bus, boot_index=None, faults=rules)
    with live.start(tmp_path, disk) as machine:
        result = install(machine, LINE)
        assert result["result"] == "failed", result
        assert_failed(machine, result, path)
    assert result["step"] == wanted.step
    if errno == ENOSPC:
        assert wanted.full in "\n".join(result["reasons"])
    if case == "commit-read":
        assert_finished(DiskImage(disk.path), live.image, recorded.disk)
    else:
        assert not any(DiskImage(disk.path).sector_zero)
    if case in AGAIN and errno == EIO:
        with live.start(tmp_path, replace(disk, faults=None), name="again") as machine:
            assert install(machine, f"{LINE} autoinstall.installed=hold")["result"] == AGAIN[case]


@pytest.mark.exhaustive
def test_volumes_that_cannot_be_taken_apart_end_the_install(
    live: LiveSystem, recorded: Recorded, tmp_path: Path
) -> None:
    """The step before the first that wipes: but for its volumes, the old node is there still."""
    disk = recorded.disk.copy(tmp_path / "disk.raw")
    before = disk.digest("HostVG")
    rules = fault(tmp_path / "rules", Fault(into("HostVG", METADATA)(disk)))
    with live.start(tmp_path, Disk(disk.path, boot_index=None, faults=rules)) as machine:
        result = install(machine, f"reinstall {LINE}")
        assert_failed(machine, result)
    assert result["step"] == "tear-down"
    assert disk.digest("HostVG") == before


@pytest.mark.exhaustive
def test_a_second_disk_that_fails_is_the_one_that_is_named(live: LiveSystem, tmp_path: Path) -> None:
    rules = fault(tmp_path / "rules", Fault(0, number=15))
    first = Disk(new_disk(tmp_path / "first.raw"), boot_index=None)
    second = Disk(new_disk(tmp_path / "second.raw"), serial="HOST0", boot_index=None, faults=rules)
    line = LINE.replace("serial:TARGET0", "serial:TARGET0,serial:HOST0")
    with live.start(tmp_path, first, second) as machine:
        result = install(machine, line)
        assert_failed(machine, result, "/dev/vdb")
    assert result["step"] == "member-tables"
    assert not any(DiskImage(first.path).sector_zero)


def test_a_disk_that_goes_away(live: LiveSystem, tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw"), boot_index=None)
    with live.start(tmp_path, disk) as machine:
        begin(machine, LINE)
        machine.wait_for_event(INSTALL_LIMIT_S, name="install/image-a", event_type="start")
        machine.unplug(disk)
        assert_failed(machine, machine.result(INSTALL_LIMIT_S))
    assert not any(DiskImage(disk.path).sector_zero)

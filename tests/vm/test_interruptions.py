"""The power fails while a machine installs itself.

It stays a machine without a system until the very last write, and the same line again makes it a node.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.faults import fail_from_write
from tests.vm.hardware import Disk, Firmware, Hardware, OnError, new_disk
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import INSTALL_LIMIT_S, LiveSystem, begin, install
from tests.vm.machine import Event, Machine
from tests.vm.recorded import LINE, Recorded, assert_finished
from tests.vm.watch import NEVER

pytestmark = pytest.mark.vm

STEPS = [
    "verify-image",
    "claim",
    "tear-down",
    "wipe",
    "partition-table",
    "volume-group",
    "filesystems",
    "image-a",
    "image-b",
    "boot-loader",
    "close-volume-group",
    "config",
    "install-record",
    "commit",
]
QUICK_STEPS = {"commit"}
BOOTED_STEPS = {"partition-table", "install-record"}
FRACTIONS = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98]
QUICK_FRACTIONS = {0.4}
SECTOR = 512


def some(values: list[str] | list[float], quick: set[str] | set[float]) -> list[object]:
    """All of them for `make test-all`; a few for every day."""
    marks = {value: () if value in quick else (pytest.mark.exhaustive,) for value in values}
    return [pytest.param(value, marks=marks[value]) for value in values]


def test_the_list_of_steps_here_is_the_one_that_runs(recorded: Recorded) -> None:
    assert [f"install/{step}" for step in STEPS] == recorded.steps


def test_sector_zero_stays_empty_until_the_last_write_of_all(recorded: Recorded) -> None:
    """Without code, table and mark in sector zero no firmware starts from a disk: see the test after this."""
    log = recorded.log
    data = [write for write in log if write.is_data]
    assert data[-1].start_bytes == 0
    assert data[-1].size_bytes == SECTOR
    early = [write for write in data[:-1] if write.start_bytes < SECTOR]
    assert early, "the installer never cleared sector zero"
    for write in early:
        assert not any(log.data(write)[:SECTOR])
    assert list(log)[-1].flags & 1, "the last write was never flushed"


@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_without_the_last_write_no_firmware_starts_the_disk(
    recorded: Recorded, tmp_path: Path, firmware: Firmware
) -> None:
    last = max(number for number, write in enumerate(recorded.log) if write.is_data)
    path = new_disk(tmp_path / "disk.raw", recorded.disk.size_bytes)
    recorded.log.replay(path, last)
    assert not any(DiskImage(path).sector_zero)
    with Machine(Hardware(firmware, disks=(Disk(path),)), tmp_path) as machine:
        machine.wait_for_line("No bootable|failed to (load|start) Boot0001", limit_s=90, unless=NEVER)


def test_a_disk_rebuilt_from_the_log_is_the_disk(recorded: Recorded, image: Image, tmp_path: Path) -> None:
    """Without this the two tests above would prove nothing."""
    rebuilt = new_disk(tmp_path / "disk.raw", recorded.disk.size_bytes)
    recorded.log.replay(rebuilt, recorded.log.count)
    assert_finished(DiskImage(rebuilt), image, recorded.disk)


@pytest.mark.parametrize("step", some(STEPS, QUICK_STEPS))
def test_cut_at_the_start_of_a_step_the_same_line_makes_a_node(
    live: LiveSystem, recorded: Recorded, tmp_path: Path, step: str
) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw"), boot_index=None)

    def begins(event: Event) -> bool:
        return event.get("name") == f"install/{step}" and event["event_type"] == "start"

    with live.start(tmp_path, disk, name="cut") as machine:
        machine.kill_at(begins)
        begin(machine, LINE)
        machine.wait_for_end(INSTALL_LIMIT_S)
    assert not any(DiskImage(disk.path).sector_zero)
    again(live, recorded, disk, tmp_path)
    if step in BOOTED_STEPS:
        boots(disk, tmp_path)


@pytest.mark.parametrize("fraction", some(FRACTIONS, QUICK_FRACTIONS))
def test_cut_inside_a_step_the_same_line_makes_a_node(
    live: LiveSystem, recorded: Recorded, tmp_path: Path, fraction: float
) -> None:
    rules = fail_from_write(tmp_path / "rules", recorded.writes_before(fraction))
    path = new_disk(tmp_path / "disk.raw")
    disk = Disk(path, boot_index=None, faults=rules, on_error=OnError.STOP)
    with live.start(tmp_path, disk, name="cut") as machine:
        begin(machine, LINE)
        machine.wait_for_qmp("BLOCK_IO_ERROR", INSTALL_LIMIT_S)
        machine.kill()
    assert not any(DiskImage(path).sector_zero)
    after = Disk(path, boot_index=None)
    again(live, recorded, after, tmp_path)
    if fraction not in QUICK_FRACTIONS:
        boots(after, tmp_path)


def again(live: LiveSystem, recorded: Recorded, disk: Disk, place: Path) -> None:
    """The same line on what the cut left: the disk of an install that nothing interrupted."""
    with live.start(place, disk, name="again") as machine:
        result = install(machine, LINE)
        assert result["result"] == "installed", result
    assert_finished(DiskImage(disk.path), live.image, recorded.disk)


def boots(disk: Disk, place: Path) -> None:
    """What is on the disk is a healthy node. Not asked of each disk: they equal one that test_teardown.py boots."""
    with Machine(Hardware(disks=(Disk(disk.path),)), place, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)

"""A disk fails under the installer: it says which step and which disk, and leaves nothing that boots."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.disk import DiskImage, partition_bytes
from tests.vm.faults import bad_sector
from tests.vm.hardware import Disk, new_disk
from tests.vm.live import INSTALL_LIMIT_S, LiveSystem, begin, install
from tests.vm.machine import Event, Machine
from tests.vm.recorded import LINE, Recorded

pytestmark = pytest.mark.vm
SECTOR = 512

# Partitions whose bad sector is one that the installer writes; "" is the backup table at the disk's end.
PLACES = ["", "EFI", "Root-A", "Root-B", "Config", "HostVG"]
QUICK = {"Root-B", "HostVG"}


def assert_failed(machine: Machine, result: Event) -> None:
    """The result is a failure that names a step and the disk, everywhere."""
    machine.wait_for_line("^autoinstall: result=failed$", limit_s=30)
    assert (result["result"], result["exit_code"]) == ("failed", 4)
    reasons = "\n".join(result["reasons"])
    assert "/dev/vda" in reasons, reasons
    failed = [event for event in machine.events if event["event_type"] == "finish" and event["result"] == "FAIL"]
    assert len(failed) == 1
    assert "/dev/vda" in failed[0]["description"] or "/dev/vda" in reasons


@pytest.mark.parametrize(
    "place",
    [pytest.param(place, marks=() if place in QUICK else (pytest.mark.exhaustive,)) for place in PLACES],
    ids=lambda place: place or "table",
)
def test_a_sector_that_cannot_be_written(live: LiveSystem, recorded: Recorded, tmp_path: Path, place: str) -> None:
    rules = bad_sector(tmp_path / "rules", written_sector(recorded, place))
    disk = Disk(new_disk(tmp_path / "disk.raw"), boot_index=None, faults=rules)
    with live.start(tmp_path, disk) as machine:
        assert_failed(machine, install(machine, LINE))
    assert not any(DiskImage(disk.path).sector_zero)


def written_sector(recorded: Recorded, label: str) -> int:
    """An offset in a partition that a good install writes to, in the middle of everything it writes there."""
    if not label:
        return recorded.disk.size_bytes - SECTOR
    start, end = partition_bytes(recorded.disk.table[label])
    inside = [write.start_bytes for write in recorded.log if write.is_data and start <= write.start_bytes < end]
    return inside[len(inside) // 2]


def test_a_disk_that_goes_away(live: LiveSystem, tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw"), boot_index=None)
    with live.start(tmp_path, disk) as machine:
        begin(machine, LINE)
        machine.wait_for_event(INSTALL_LIMIT_S, name="install/image-a", event_type="start")
        machine.unplug(disk)
        assert_failed(machine, machine.result(INSTALL_LIMIT_S))
    assert not any(DiskImage(disk.path).sector_zero)

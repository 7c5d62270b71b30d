"""A disk fails under the installer: it says which step and which disk, and leaves nothing that boots."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.faults import bad_sector
from tests.vm.hardware import MIB, Disk, new_disk
from tests.vm.live import INSTALL_LIMIT_S, LiveSystem, begin, install
from tests.vm.machine import Event, Machine
from tests.vm.recorded import LINE, Recorded

pytestmark = pytest.mark.vm

# Where a sector is bad: the partition, and how far in.
PLACES = {
    "the-backup-table": ("", -512),
    "slot-a": ("Root-A", 20 * MIB),
    "slot-b": ("Root-B", 20 * MIB),
    "config": ("Config", 0),
    "the-volume-group": ("HostVG", 4096),
}
QUICK = {"slot-b", "the-volume-group"}


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
    "place", [pytest.param(place, marks=() if place in QUICK else (pytest.mark.exhaustive,)) for place in PLACES]
)
def test_a_sector_that_cannot_be_written(live: LiveSystem, recorded: Recorded, tmp_path: Path, place: str) -> None:
    label, offset = PLACES[place]
    start = recorded.disk.table[label].start_bytes if label else recorded.disk.size_bytes
    rules = bad_sector(tmp_path / "rules", start + offset)
    disk = Disk(new_disk(tmp_path / "disk.raw"), boot_index=None, faults=rules)
    with live.start(tmp_path, disk) as machine:
        assert_failed(machine, install(machine, LINE))
    assert not any(DiskImage(disk.path).sector_zero)


def test_a_disk_that_goes_away(live: LiveSystem, tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw"), boot_index=None)
    with live.start(tmp_path, disk) as machine:
        begin(machine, LINE)
        machine.wait_for_event(INSTALL_LIMIT_S, name="install/image-a", event_type="start")
        machine.unplug(disk)
        assert_failed(machine, machine.result(INSTALL_LIMIT_S))
    assert not any(DiskImage(disk.path).sector_zero)

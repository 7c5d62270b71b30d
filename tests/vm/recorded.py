"""One whole install from a live system, with every write to the disk on record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, new_disk
from tests.vm.image import Image, Shared
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Event
from tests.vm.writes import WriteLog

LINE = "storage_init=serial:TARGET0 BOOTIF=link console=ttyS0 autoinstall.after=hold"


@dataclass(frozen=True)
class Recorded:
    """The finished disk, the log of its writes, and what was reported."""

    place: Path

    @property
    def disk(self) -> DiskImage:
        """As the installer left it; never booted."""
        return DiskImage(self.place / "disk.raw")

    @property
    def log(self) -> WriteLog:
        """Every write and flush."""
        return WriteLog(self.place / "writes.log")

    @cached_property
    def events(self) -> list[Event]:
        """Everything on the report port."""
        return [json.loads(line) for line in (self.place / "live-report.log").read_text().splitlines()]

    @property
    def steps(self) -> list[str]:
        """Names of the steps that ran, in order."""
        return [event["name"] for event in self.events if event["event_type"] == "start"]

    def writes_before(self, fraction: float) -> int:
        """A number of data writes, counted as QEMU's blkdebug counts them."""
        return int(fraction * sum(write.is_data for write in self.log))


def record(live: LiveSystem, shared: Shared) -> Recorded:
    """Install once onto a logged disk; later calls find it done."""

    def make(place: Path) -> None:
        disk = Disk(new_disk(place / "disk.raw"), boot_index=None, write_log=place / "writes.log")
        with live.start(place, disk) as machine:
            result = install(machine, LINE)
            assert result["result"] == "installed", result

    return Recorded(shared.once("recorded", make))


def assert_finished(disk: DiskImage, image: Image, like: DiskImage) -> None:
    """A whole node is on the disk: what the reference has, but for what is made anew in each install."""
    assert disk.table == like.table
    assert disk.sector_zero == like.sector_zero
    assert disk.esp_names() == like.esp_names()
    for name in sorted(like.esp_names()):
        assert disk.esp_file(name) == like.esp_file(name), name
    for slot in ("Root-A", "Root-B"):
        assert disk.ext_file(slot, "/slot.cfg") == like.ext_file(slot, "/slot.cfg")
        for name, entry in image.manifest["files"].items():
            assert disk.ext_sha256(slot, f"/{name}") == entry["sha256"]
    for label in ("Root-A", "Root-B", "Config", "Logging"):
        assert not disk.ext_problems(label)
    assert disk.ext_names("Config", "/etc/upper").keys() == like.ext_names("Config", "/etc/upper").keys()
    assert disk.lvm_volumes() == like.lvm_volumes()

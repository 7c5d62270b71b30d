"""rescue on a node that is broken: what is broken is told, the rest is mounted, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk
from tests.vm.live import LiveSystem
from tests.vm.machine import Machine
from tests.vm.writes import written

pytestmark = pytest.mark.vm
EXHAUSTIVE = pytest.mark.exhaustive
HEAD_BYTES = 64 << 10
RESCUE = "/run/autoinstall/rescue.d/vda"
PLACES = {
    "/config": "vda5",
    f"{RESCUE}/EFI": "vda2",
    f"{RESCUE}/Root-A": "vda3",
    f"{RESCUE}/Root-B": "vda4",
    f"{RESCUE}/Logging": "vda6",
    f"{RESCUE}/Data": "mapper/HostVG-Data",
}


def spoil(disk: DiskImage, offset: int, count: int) -> None:
    """Make a range of a disk something that nobody wrote."""
    with disk.path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * count)


def broken_node(place: Path, finished: Path, what: str) -> Disk:
    """A finished node with a broken part: a partition by its label, or `GPT`, its primary header."""
    image = DiskImage(finished).copy(place / "TARGET0.raw")
    if what == "GPT":
        spoil(image, 512, 512)
    else:
        spoil(image, image.table[what].start_bytes, HEAD_BYTES)
    return Disk(image.path, boot_index=None, write_log=place / "writes.log")


def mounts(machine: Machine) -> dict[str, str]:
    """What rescue mounted: places, and the devices there; all of it read-only."""
    lines = [line.split() for line in machine.shell("cat /proc/mounts").splitlines() if line.startswith("/dev/")]
    ours = [(source, place, options) for source, place, _, options, *_ in lines if place in PLACES]
    assert all("ro" in options.split(",") for _, _, options in ours), ours
    return {place: source.removeprefix("/dev/") for source, place, _ in ours}


@pytest.mark.parametrize(
    ("what", "missing", "says"),
    [
        pytest.param("Config", "/config", r"not on /config: mounting /dev/vda5: .*", marks=EXHAUSTIVE),
        pytest.param("Root-A", f"{RESCUE}/Root-A", r"not on \S*/Root-A: mounting /dev/vda3: .*", marks=EXHAUSTIVE),
        pytest.param("HostVG", f"{RESCUE}/Data", r"not on \S*/Data: activating HostVG: .*", marks=EXHAUSTIVE),
        ("GPT", "", r"Linux sees no partitions here: .*"),
    ],
    ids=["Config", "Root-A", "HostVG", "GPT"],
)
def test_rescue_tells_what_is_broken_and_mounts_the_rest(
    live: LiveSystem, tmp_path: Path, finished: Path, what: str, missing: str, says: str
) -> None:
    disk = broken_node(tmp_path, finished, what)
    with live.start(tmp_path, disk) as machine:
        machine.shell("autoinstall rescue")
        machine.wait_for_line("^autoinstall: /dev/vda: a node, install id ", limit_s=30)
        machine.wait_for_line(f"^autoinstall:   {says}$", limit_s=30)
        assert mounts(machine) == {place: source for place, source in PLACES.items() if place != missing}
        assert "root.squashfs" in machine.shell(f"ls {RESCUE}/Root-B")
    assert disk.write_log
    assert not written(disk.write_log)

"""What the oracles say offline, on real firmware, GRUB and Linux; and machines that are cut while they run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from autoinstall.upgrade import IMAGE_ID_DIGITS
from tests.powercut.boots import Eyes
from tests.powercut.cuts import Cut, Draw, drawn_cuts
from tests.powercut.lab import Lab
from tests.powercut.record import PHASES
from tests.powercut.trace import SECTOR, Trace
from tests.vm.faults import fail_from_write
from tests.vm.hardware import Disk, Firmware, Hardware, OnError
from tests.vm.installed import HEALTHY, INSTALL_LIMIT_S, NODE_LIMIT_S, NOT_INSTALLED
from tests.vm.machine import Machine
from tests.vm.watch import NEVER

pytestmark = pytest.mark.vm

SEED = 5
MANY = 22
QUICK = {"install", "config", "upgrade", "new-image", "rollback"}
"""The phases of which one cut is booted every day: eight real boots with those below."""
SUPERBLOCK_CHECKSUM = 1024 + 1020
"""Where it is in an ext4 filesystem: in the second sector of its superblock."""
NOTHING_TO_START = "No bootable|failed to (load|start) Boot0001"
FIRMWARE_LIMIT_S = 90


def some(count: int, quick: int) -> list[object]:
    """Numbers: so many for every day, the others for `make test-all`."""
    return [pytest.param(n, marks=() if n < quick else (pytest.mark.exhaustive,)) for n in range(count)]


def drawn(lab: Lab, trace: Trace, number: int) -> Cut:
    """The cut of that number."""
    cuts = drawn_cuts(trace, Draw(MANY, SEED), lab.content(trace).region_at)
    return next(cut for found in cuts.values() for cut in found if cut.number == number)


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        pytest.param(phase, number, marks=() if phase in QUICK and not number else (pytest.mark.exhaustive,))
        for phase in PHASES
        for number in range(MANY)
    ],
)
def test_a_state_that_a_cut_left_boots_as_the_oracles_say(lab: Lab, tmp_path: Path, phase: str, number: int) -> None:
    trace = lab.trace(phase)
    cut = drawn(lab, trace, number)
    content = lab.state(trace, cut, SEED)
    eyes = Eyes(content, lab.recording.brought)
    mark = eyes.mark
    disk = Disk(content.write_to(tmp_path / "disk.raw"))
    firmware = list(Firmware)[number % len(Firmware)]
    with Machine(Hardware(firmware, disks=(disk,)), tmp_path, name=str(cut)) as machine:
        if mark and mark.finished:
            healthy = machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
            assert healthy.groups() == (eyes.picked, eyes.image_id(eyes.picked)[:IMAGE_ID_DIGITS])
        else:
            machine.wait_for_line(NOTHING_TO_START, FIRMWARE_LIMIT_S, unless=NEVER)


@pytest.mark.parametrize("number", some(20, 1))
def test_the_iso_starts_over_on_what_a_cut_install_left(lab: Lab, tmp_path: Path, number: int) -> None:
    trace = lab.trace("install")
    dice = random.Random(f"{SEED}/{number}")
    begun = next(mark.at for mark in trace.marks if mark.what == "finish install/partition-table")
    cut = Cut.parse(f"reordered@{dice.randrange(begun, trace.end - 2)}.{number}")
    disk = Disk(lab.state(trace, cut, SEED).write_to(tmp_path / "disk.raw"))
    with Machine(Hardware(disks=(disk,), cdrom=lab.recording.iso), tmp_path, name="again") as machine:
        machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)


@pytest.mark.parametrize("number", some(20, 1))
def test_a_node_that_is_cut_at_exactly_the_nth_write_comes_up_again(lab: Lab, tmp_path: Path, number: int) -> None:
    trace = lab.trace("first-boot")
    writes = sum(bool(entry.count) for entry in trace.entries[trace.begin : trace.end])
    nth = random.Random(f"{SEED}/{number}").randint(1, writes * 3 // 4)
    path = lab.content(trace).write_to(tmp_path / "disk.raw")
    cut = Disk(path, faults=fail_from_write(tmp_path / "rules", nth), on_error=OnError.STOP)
    with Machine(Hardware(disks=(cut,)), tmp_path, name=f"cut-at-{nth}") as machine:
        machine.wait_for_qmp("BLOCK_IO_ERROR", NODE_LIMIT_S)
        machine.kill()
    with Machine(Hardware(disks=(Disk(path),)), tmp_path, name="after") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)


def test_a_node_mends_a_superblock_of_config_that_was_torn(lab: Lab, tmp_path: Path) -> None:
    """The other half of mends.BACKUPS: the initramfs does the same."""
    trace = lab.trace("config")
    path = lab.content(trace).write_to(tmp_path / "disk.raw")
    with path.open("r+b") as file:
        file.seek(lab.regions["Config"][0] * SECTOR + SUPERBLOCK_CHECKSUM)
        file.write(b"torn")
    with Machine(Hardware(disks=(Disk(path),)), tmp_path, name="torn") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        told = machine.wait_for_event(NODE_LIMIT_S, event_type="health")
    assert not told["checks"]["config"]

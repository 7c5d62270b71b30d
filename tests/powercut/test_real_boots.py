"""What the oracles say offline, on real firmware, GRUB and Linux; and machines that are cut while they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.powercut import real
from tests.powercut.boots import Eyes
from tests.powercut.lab import Lab
from tests.powercut.marks import INSTALLED, Mark
from tests.powercut.raw import eyes_on, next_boot, problem_of
from tests.powercut.record import PHASES, told_by
from tests.powercut.trace import SECTOR
from tests.vm.faults import fail_from_write
from tests.vm.hardware import Disk, Firmware, Hardware, OnError
from tests.vm.image import ROOT
from tests.vm.installed import HEALTHY, INSTALL_LIMIT_S, NODE_LIMIT_S, NOT_INSTALLED
from tests.vm.machine import Machine
from tests.vm.watch import NEVER

pytestmark = pytest.mark.vm

QUICK = {"install", "config", "upgrade", "new-image", "rollback"}
"""The phases of which one cut is booted every day: eight real boots with those below."""
SUPERBLOCK_MAGIC, SUPERBLOCK_CHECKSUM = 1024 + 56, 1024 + 1020
"""Where they are in an ext4 filesystem: in the first and in the second sector of its superblock."""
NOTHING_TO_START = "No bootable|failed to (load|start) Boot0001"
FIRMWARE_LIMIT_S = 90


def some(count: int, quick: int) -> list[object]:
    """Numbers: so many for every day, the others for `make test-all`."""
    return [pytest.param(n, marks=() if n < quick else (pytest.mark.exhaustive,)) for n in range(count)]


def test_no_state_is_booted_twice_and_there_are_as_many_as_the_documentation_says(lab: Lab) -> None:
    chosen = {phase: real.state_cuts(lab, phase) for phase in PHASES}
    assert {phase: len(cuts) for phase, cuts in chosen.items()} == real.STATES
    left = [digest for phase, cuts in chosen.items() for digest in real.digests(lab, lab.trace(phase), cuts).values()]
    left += real.digests(lab, lab.trace("install"), real.iso_cuts(lab)).values()
    states, writes = sum(real.STATES.values()), sum(real.NTH.values())
    assert len(left) == len(set(left)) == states + real.ISOS
    for phase, count in real.NTH.items():
        assert len(set(real.nth_writes(lab, phase))) == count
    halves = [cut for machine in range(real.MACHINES) for cut in real.live_cuts(machine, real.CYCLES)]
    live = sum(cut is not None for cut in halves)
    total = states + real.ISOS + writes + real.TORN + live
    assert total >= 300
    page = " ".join((ROOT / "docs/reliability.md").read_text().split())
    assert f"boots {len(QUICK) + 3} cuts for real; `make test-all`" in page
    assert f"and boots {total}: {states} states as the oracles say, {real.ISOS} ISOs" in page
    assert f"{writes} nodes that were cut at exactly the n-th write" in page
    assert f"{live} of these {len(halves)} cut at a random time" in page


def test_an_install_is_booted_on_both_sides_of_its_commit(lab: Lab) -> None:
    trace = lab.trace("install")
    marks = [
        Eyes(lab.state(trace, cut, real.SEED), lab.recording.brought).mark for cut in real.state_cuts(lab, "install")
    ]
    assert {bool(mark and mark.finished) for mark in marks} == {False, True}


def test_a_disk_that_a_machine_wrote_to_is_held_to_every_promise(lab: Lab, tmp_path: Path) -> None:
    trace = lab.trace("first-boot")
    told = [mark for mark in trace.marks if mark.at <= trace.begin]
    path = lab.content(trace).write_to(tmp_path / "disk.raw")
    assert not problem_of(path, lab, told)
    key = next(name for mark in told for name in mark.config)
    assert key in problem_of(path, lab, [*told, Mark(trace.begin, "another key", config={key: "another"})])
    with path.open("r+b") as file:
        file.seek(lab.regions["Root-B"][0] * SECTOR + SUPERBLOCK_MAGIC)
        file.write(b"no")
    assert "slot B may boot" in problem_of(path, lab, told)


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        pytest.param(phase, number, marks=() if phase in QUICK and not number else (pytest.mark.exhaustive,))
        for phase, count in real.STATES.items()
        for number in range(count)
    ],
)
def test_a_state_that_a_cut_left_boots_as_the_oracles_say(lab: Lab, tmp_path: Path, phase: str, number: int) -> None:
    cut = real.state_cuts(lab, phase)[number]
    content = lab.state(lab.trace(phase), cut, real.SEED)
    eyes = Eyes(content, lab.recording.brought)
    mark = eyes.mark
    disk = Disk(content.write_to(tmp_path / "disk.raw"))
    firmware = list(Firmware)[number % len(Firmware)]
    with Machine(Hardware(firmware, disks=(disk,)), tmp_path, name=str(cut)) as machine:
        if mark and mark.finished:
            healthy = machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
            assert healthy.groups() == next_boot(eyes)
        else:
            machine.wait_for_line(NOTHING_TO_START, FIRMWARE_LIMIT_S, unless=NEVER)


@pytest.mark.parametrize("number", some(real.ISOS, 1))
def test_the_iso_starts_over_on_what_a_cut_install_left(lab: Lab, tmp_path: Path, number: int) -> None:
    cut = real.iso_cuts(lab)[number]
    path = lab.state(lab.trace("install"), cut, real.SEED).write_to(tmp_path / "disk.raw")
    with Machine(Hardware(disks=(Disk(path),), cdrom=lab.recording.iso), tmp_path, name="again") as machine:
        machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)
        result = machine.result(INSTALL_LIMIT_S)
    told = [Mark(0, INSTALLED), Mark(0, "result", **told_by(result, lab.recording.image_id))]
    assert not problem_of(path, lab, told)
    comes_up(path, lab)


@pytest.mark.parametrize("number", some(real.NTH["first-boot"], 1))
def test_a_node_that_is_cut_at_exactly_the_nth_write_comes_up_again(lab: Lab, tmp_path: Path, number: int) -> None:
    nth = real.nth_writes(lab, "first-boot")[number]
    path = lab.content(lab.trace("first-boot")).write_to(tmp_path / "disk.raw")
    cut = Disk(path, faults=fail_from_write(tmp_path / "rules", nth), on_error=OnError.STOP)
    with Machine(Hardware(disks=(cut,)), tmp_path, name=f"cut-at-{nth}") as machine:
        machine.wait_for_qmp("BLOCK_IO_ERROR", NODE_LIMIT_S)
        machine.kill()
    comes_up(path, lab)


def comes_up(path: Path, lab: Lab) -> None:
    """A machine does, from the slot that the oracles pick, and with the image that they find there."""
    expected = next_boot(eyes_on(path, lab))
    with Machine(Hardware(disks=(Disk(path),)), path.parent, name="after") as machine:
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).groups() == expected


def test_a_node_mends_a_superblock_of_config_that_was_torn(lab: Lab, tmp_path: Path) -> None:
    """The other half of mends.BACKUPS: the initramfs does the same."""
    trace = lab.trace("config")
    path = lab.content(trace).write_to(tmp_path / "disk.raw")
    with path.open("r+b") as file:
        file.seek(lab.regions["Config"][0] * SECTOR + SUPERBLOCK_CHECKSUM)
        file.write(b"torn")
    expected = next_boot(eyes_on(path, lab))
    with Machine(Hardware(disks=(Disk(path),)), tmp_path, name="torn") as machine:
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).groups() == expected
        told = machine.wait_for_event(NODE_LIMIT_S, event_type="health")
    assert not told["checks"]["config"]

"""The harness itself: what it promises to the other tests, shown on a machine that boots nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.hardware import Disk, Firmware, Hardware, new_disk
from tests.vm.machine import Machine
from tests.vm.watch import NEVER, Ended, TimedOut

pytestmark = pytest.mark.vm


def test_a_wait_says_what_it_waited_for_and_what_came_instead(tmp_path: Path) -> None:
    with (
        pytest.raises(TimedOut, match=r"waited 1 s for a console line 'login:' \(machine\)"),
        Machine(Hardware(), tmp_path) as machine,
    ):
        machine.wait_for_line("login:", limit_s=1, unless=NEVER)


def test_a_machine_that_ends_is_noticed_at_once(tmp_path: Path) -> None:
    with Machine(Hardware(), tmp_path) as machine:
        machine.qmp("quit")
        with pytest.raises(Ended, match="ended before a console line"):
            machine.wait_for_line("login:", limit_s=60, unless=NEVER)


def test_a_wrong_qemu_word_is_told_with_qemus_own_message(tmp_path: Path) -> None:
    with pytest.raises(Ended) as failure:
        Machine(Hardware(more=("-no-such-option",)), tmp_path)
    assert "invalid option" in "".join(failure.value.__notes__)


def test_a_bios_finds_nothing_to_boot_on_a_blank_disk_and_the_wait_ends_there(tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw"))
    with (
        pytest.raises(AssertionError, match="saw 'No bootable device' while waiting for a console line 'login:'"),
        Machine(Hardware(disks=(disk,)), tmp_path) as machine,
    ):
        machine.wait_for_line("login:", limit_s=60)


def test_uefi_finds_nothing_to_boot_on_a_blank_disk_and_says_so(tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw"))
    with Machine(Hardware(Firmware.UEFI, disks=(disk,)), tmp_path) as machine:
        machine.wait_for_line("BdsDxe: (No bootable|failed to load Boot)", limit_s=60, unless=NEVER)


def test_a_saved_machine_goes_on_and_disks_can_be_plugged(tmp_path: Path) -> None:
    with Machine(Hardware(), tmp_path, name="saved") as machine:
        machine.save(tmp_path / "state")
    with Machine(Hardware(incoming=True), tmp_path, name="resumed") as machine:
        machine.resume(tmp_path / "state")
        assert machine.qmp("query-status")["status"] == "running"
        machine.plug(Disk(new_disk(tmp_path / "disk.raw"), serial="LATE0", write_log=tmp_path / "log"))
        inserted = {block["qdev"] for block in machine.qmp("query-block")}
    assert any("disk-LATE0-dev" in device for device in inserted)

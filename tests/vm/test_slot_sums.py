"""GRUB starts nothing that is not what the slot's sums say, where the other slot has something better.

A slot that says no sums counts as whole.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autoinstall.slots import fresh, render_env
from autoinstall.slotsums import SLOT_SUMS, SUMMED, sums_of
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Firmware, Hardware
from tests.vm.machine import Machine
from tests.vm.test_slot_choice import BOOT_LIMIT_S, fill, grub_disk
from tests.vm.watch import NEVER

__all__ = ["grub_disk"]
pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]

LOADS = "invalid magic number"
"""Of what GRUB would start: here it is no kernel."""
MISMATCH = "HASH MISMATCH"
CASES: dict[str, dict[str, bytes | None]] = {
    "sound": {},
    "none": {SLOT_SUMS: None},
    "initrd.img": {"initrd.img": b"rotten"},
    "gone": {"vmlinuz": None},
    "sums": {SLOT_SUMS: b"rotten"},
    "vmlinuz": {"vmlinuz": b"rotten" * 1000},
}
"""What is wrong with slot A, by its name: a file of other content, or none. Slot B never has a kernel."""


@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_what_rots_is_not_started(grub_disk: Path, tmp_path: Path, firmware: Firmware) -> None:
    disk = DiskImage(grub_disk).copy(tmp_path / "disk.raw")
    state = render_env(fresh())
    fill(disk, (state, state), 0)
    put_slot(disk, tmp_path / "slot", {})
    said = {}
    with Machine(Hardware(firmware, disks=(Disk(disk.path),), reboots=True), tmp_path, name="grub") as machine:
        for name, wrong in CASES.items():
            if wrong:
                machine.qmp("stop")
                fill(disk, (state, state), 0)
                put_slot(disk, tmp_path / "slot", wrong)
                machine.reset()
            machine.wait_for_line("autoinstall: booting slot A", BOOT_LIMIT_S, unless=NEVER)
            end = machine.wait_for_line("autoinstall: booting slot B", BOOT_LIMIT_S, unless=NEVER)
            attempt = end.string[: end.start()].rpartition("slot A")[2]
            said[name] = {*re.findall(f"{LOADS}|{MISMATCH}", attempt)}
        machine.wait_for_line("autoinstall: neither slot is whole, and slot A is tried", BOOT_LIMIT_S, unless=NEVER)
        machine.wait_for_line(LOADS, BOOT_LIMIT_S, unless=NEVER)
    assert said == {
        "sound": {LOADS},
        "none": {LOADS},
        "initrd.img": {MISMATCH},
        "gone": set(),
        "sums": set(),
        "vmlinuz": {MISMATCH},
    }


def put_slot(disk: DiskImage, scratch: Path, wrong: dict[str, bytes | None]) -> None:
    """What is no kernel and no initramfs, and their sums; and what is wrong with them."""
    scratch.mkdir(exist_ok=True)
    for name in SUMMED:
        (scratch / name).write_bytes(name.encode() * 1000)
    (scratch / SLOT_SUMS).write_bytes(sums_of(scratch))
    for name in (*SUMMED, SLOT_SUMS):
        content = wrong.get(name, (scratch / name).read_bytes())
        if content is None:
            disk.remove_ext_file("Root-A", name)
        else:
            (scratch / name).write_bytes(content)
            disk.put_ext_file("Root-A", name, scratch / name)

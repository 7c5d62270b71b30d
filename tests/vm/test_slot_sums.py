"""GRUB starts no kernel and no initramfs that is not what the slot's sums say, and any where the slot says none."""

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
pytestmark = pytest.mark.vm

LOADS = "invalid magic number"
"""Of what GRUB would start: here it is no kernel."""
MISMATCH = "HASH MISMATCH"
CASES = {
    "sound": {},
    "none": {SLOT_SUMS: None},
    "vmlinuz": {"vmlinuz": b"rotten"},
    "initrd.img": {"initrd.img": b"rotten"},
    "gone": {"vmlinuz": None},
    "sums": {SLOT_SUMS: b"rotten"},
}
"""What is wrong with slot A, by its name: a file of other content, or none."""


@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_what_rots_is_not_started(grub_disk: Path, tmp_path: Path, firmware: Firmware) -> None:
    disk = DiskImage(grub_disk).copy(tmp_path / "disk.raw")
    state = render_env(fresh())
    fill(disk, (state, state), 0)
    said = {}
    put_slot(disk, tmp_path / "slot", CASES["sound"])
    with Machine(Hardware(firmware, disks=(Disk(disk.path),), reboots=True), tmp_path, name="grub") as machine:
        for name, wrong in CASES.items():
            machine.qmp("stop")
            fill(disk, (state, state), 0)
            put_slot(disk, tmp_path / "slot", wrong)
            machine.reset()
            machine.wait_for_line("autoinstall: booting slot A", BOOT_LIMIT_S, unless=NEVER)
            end = machine.wait_for_line("autoinstall: booting slot B", BOOT_LIMIT_S, unless=NEVER)
            attempt = end.string[: end.start()].rpartition("slot A")[2]
            said[name] = {*re.findall(f"{LOADS}|{MISMATCH}", attempt)}
    assert said == {
        "sound": {LOADS},
        "none": {LOADS},
        "vmlinuz": {MISMATCH},
        "initrd.img": {MISMATCH},
        "gone": set(),
        "sums": set(),
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

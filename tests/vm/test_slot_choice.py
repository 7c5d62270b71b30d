"""GRUB's state machine and slots.py: the same choice, the same counting, whatever the files on the ESP hold.

A disk with nothing on it but GRUB as an install copies it, and slots without a kernel: GRUB says what it would
boot, and is reset.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from autoinstall.image.layers import NODE_GRUB_CFG
from autoinstall.node.state import STATE_COPIES
from autoinstall.slots import ENV_BYTES, parse_env, pick, read_state
from tests.vm.disk import DiskImage
from tests.vm.env_files import SEED, SHARES, Env, shares
from tests.vm.hardware import MIB, Disk, Firmware, Hardware
from tests.vm.image import Image, Shared
from tests.vm.machine import Machine
from tests.vm.watch import NEVER

BOOT_LIMIT_S = 60
DISK_BYTES = 64 * MIB
ESP_MIB = 40
TABLE = f"""\
label: gpt
start=1MiB, size=1MiB, name=BIOS-boot, type=21686148-6449-6E6F-744E-656564454649
start=2MiB, size={ESP_MIB}MiB, name=EFI, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=44MiB, size=4MiB, name=Root-A
start=50MiB, size=4MiB, name=Root-B
"""


@pytest.fixture(scope="session")
def grub_disk(image: Image, shared: Shared) -> Path:
    """A disk that GRUB starts from."""

    def make(place: Path) -> None:
        make_disk(image, place / "disk.raw")

    return shared.once("grub-disk", make) / "disk.raw"


def make_disk(image: Image, disk: Path) -> None:
    """A table, GRUB, its configuration, and two slots."""
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["sfdisk", "-q", disk], input=TABLE, text=True, check=True)
    parts = DiskImage(disk).table
    for label in ("Root-A", "Root-B"):
        words = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal"]
        subprocess.run([*words, "-E", f"offset={parts[label].start_bytes}", disk, "4M"], check=True)
    _put(disk, parts["EFI"].start_bytes, _esp(image, disk.with_name("esp")).read_bytes())
    _put(disk, parts["BIOS-boot"].start_bytes, _boot_file(image, "core.img"))
    table_in_sector_0 = DiskImage(disk).sector_zero[440:]
    _put(disk, 0, _boot_file(image, "boot.img")[:440] + table_in_sector_0)


def _esp(image: Image, path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(ESP_MIB * MIB)
    subprocess.run(["mkfs.vfat", "-F", "32", "-s", "1", path], check=True, capture_output=True)
    subprocess.run(["mmd", "-i", path, "::grub", "::state1", "::state2", "::EFI", "::EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", path, NODE_GRUB_CFG, "::grub/grub.cfg"], check=True)
    loader = path.with_name("BOOTX64.EFI")
    loader.write_bytes(_boot_file(image, "BOOTX64.EFI"))
    subprocess.run(["mcopy", "-i", path, loader, "::EFI/BOOT/BOOTX64.EFI"], check=True)
    return path


def _put(disk: Path, offset: int, content: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _boot_file(image: Image, name: str) -> bytes:
    words = ["unsquashfs", "-cat", f"{image.place}/root.squashfs", f"usr/lib/autoinstall/boot/{name}"]
    return subprocess.run(words, check=True, capture_output=True).stdout


def fill(disk: DiskImage, env: Env, version: int) -> None:
    """Both copies of the slot state, and what the slots say that they hold."""
    for name, content in zip(STATE_COPIES, env, strict=True):
        if content is None:
            disk.remove_esp_file(name)
        else:
            disk.put_esp_file(name, content)
    entry = disk.path.with_name("slot.cfg")
    entry.write_text(f'set slot_version="{version}"\nset slot_kargs="root=none"\n')
    for label in ("Root-A", "Root-B"):
        disk.put_ext_file(label, "slot.cfg", entry)


def agree(grub_disk: Path, firmware: Firmware, contents: Sequence[Env], work_dir: Path) -> None:
    """GRUB boots what `pick` says, and leaves what `pick` leaves in every copy that it can write.

    One machine for all: it is reset, and finds other files on its disk.
    """
    disk = work_dir / "disk.raw"
    subprocess.run(["cp", "--sparse=always", grub_disk, disk], check=True)
    fill(DiskImage(disk), contents[0], 0)
    with Machine(Hardware(firmware, disks=(Disk(disk),), reboots=True), work_dir, name="grub") as machine:
        for number, env in enumerate(contents):
            if number:
                fill(DiskImage(disk), env, number)
                machine.reset()
            line = rf"autoinstall: booting slot ([AB]), {number}\b"
            booted = machine.wait_for_line(line, BOOT_LIMIT_S, unless=NEVER).group(1)
            machine.qmp("stop")
            expected, counted = pick(read_state(*(content or b"" for content in env)))
            assert booted == expected.value, f"{env} boots {booted}"
            for name, before in zip(STATE_COPIES, env, strict=True):
                if before and len(before) == ENV_BYTES and parse_env(before) is not None:
                    assert parse_env(DiskImage(disk).esp_file(name)) == counted, f"{name} of {env}"


@pytest.mark.parametrize(
    "share", [pytest.param(name, marks=pytest.mark.exhaustive if "more" in name else ()) for name in SHARES]
)
def test_grub_picks_and_counts_as_slots_py_says(grub_disk: Path, tmp_path: Path, share: str) -> None:
    agree(grub_disk, SHARES[share][0], shares(SEED)[share], tmp_path)

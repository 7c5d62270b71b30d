"""What the tests see of a disk from outside, checked against the tools that usually make one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.gpt import NoTable, read_table
from tests.vm.hardware import MIB, new_disk

SCRIPT = """label: gpt
label-id: 11111111-2222-3333-4444-555555555555
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=BIOS-boot
size=64MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=EFI
size=32MiB, type=L, name=Config, uuid=99999999-2222-3333-4444-555555555555
"""


@pytest.fixture
def disk(tmp_path: Path) -> DiskImage:
    path = new_disk(tmp_path / "disk.raw", 128 * MIB)
    subprocess.run(["sfdisk", "--quiet", path], input=SCRIPT.encode(), check=True)
    return DiskImage(path)


def test_the_table_is_what_sfdisk_wrote(disk: DiskImage) -> None:
    assert disk.table.disk_guid == "11111111-2222-3333-4444-555555555555"
    assert [p.label for p in disk.table.partitions] == ["BIOS-boot", "EFI", "Config"]
    assert [p.type for p in disk.table.partitions] == ["bios-boot", "esp", "linux"]
    assert disk.table["Config"].uuid == "99999999-2222-3333-4444-555555555555"
    assert (disk.table["EFI"].start_bytes, disk.table["EFI"].size_bytes) == (2 * MIB, 64 * MIB)


@pytest.mark.parametrize("offset", [512 + 60, 1024 + 130, -512 + 60, -1024])
def test_one_wrong_byte_in_either_half_is_seen(disk: DiskImage, offset: int) -> None:
    with disk.path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        file.write(b"\xa5")
    with pytest.raises(NoTable):
        read_table(disk.path)


def test_files_of_fat_and_ext4_are_read_in_place(disk: DiskImage, tmp_path: Path) -> None:
    efi, config = disk.table["EFI"], disk.table["Config"]
    sectors = str(efi.size_bytes // 1024)
    subprocess.run(
        ["mkfs.vfat", "-F", "32", f"--offset={efi.start_bytes // 512}", disk.path, sectors],
        check=True,
        capture_output=True,
    )
    options = f"offset={config.start_bytes}"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "CONFIG", "-E", options, disk.path, "32M"], check=True)
    disk.put_esp_file("env", b"some bytes")
    (tmp_path / "greeting").write_text("hello\n")
    disk.put_ext_file("Config", "greeting", tmp_path / "greeting")
    assert disk.esp_file("env") == b"some bytes"
    assert disk.esp_names() == {"env"}
    assert disk.ext_file("Config", "/greeting") == b"hello\n"
    assert disk.ext_names("Config")["greeting"][0] & 0o170000 == 0o100000
    assert disk.ext_superblock("Config")["Filesystem volume name"] == "CONFIG"
    assert disk.probe("Config")["LABEL"] == "CONFIG"
    assert not disk.ext_problems("Config")


def test_the_digest_sees_one_byte_and_not_holes(tmp_path: Path) -> None:
    blank, zeros, one = (DiskImage(new_disk(tmp_path / name, 4 * MIB)) for name in ("blank", "zeros", "one"))
    zeros.path.write_bytes(bytes(4 * MIB))
    with one.path.open("r+b") as file:
        file.seek(3 * MIB + 7)
        file.write(b"\1")
    assert blank.digest() == zeros.digest() != one.digest()
    assert [disk.is_blank() for disk in (blank, zeros, one)] == [True, True, False]

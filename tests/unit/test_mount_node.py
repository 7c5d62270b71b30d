"""What the initramfs does about a superblock that a power cut tore, with the programs of this host."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.powercut.mends import BACKUPS

pytestmark = pytest.mark.runs_programs

SCRIPT = Path(__file__).resolve().parents[2] / "dracut/55autoinstall/mount-node.sh"
SUPERBLOCK_CHECKSUM, MAGIC = 1024 + 1020, 1024 + 56


def told(image: Path) -> str:
    """What the function prints."""
    function = re.search(r"^autoinstall_backup_superblock\(\).*?^}", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    assert function
    script = f"{function[0]}\nautoinstall_backup_superblock {shlex.quote(str(image))}"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def e2fsck(*words: str | Path) -> int:
    return subprocess.run(["e2fsck", *words], capture_output=True).returncode


def filesystem(image: Path, block: str) -> Path:
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", block, image, "160M"], check=True, capture_output=True)
    return image


def put(image: Path, offset: int, data: bytes) -> None:
    with image.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("log", BACKUPS)
def test_a_torn_superblock_is_mended_from_the_backup_that_is_named(tmp_path: Path, log: int) -> None:
    image = filesystem(tmp_path / "fs", str(1024 << log))
    put(image, SUPERBLOCK_CHECKSUM, b"torn")
    assert e2fsck("-p", image) == 8
    assert told(image) == BACKUPS[log]
    assert e2fsck("-p", *told(image).split(), image) <= 2
    assert e2fsck("-f", "-n", image) == 0


def test_no_backup_is_named_where_no_superblock_is(tmp_path: Path) -> None:
    """Behind a blank start there may be the backup of a filesystem that is long gone."""
    image = filesystem(tmp_path / "fs", "1024")
    put(image, MAGIC, b"\0\0")
    assert told(image) == ""

"""What the initramfs does about a Config that is damaged, with the programs of this host."""

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


def function(name: str) -> str:
    """A function of the script."""
    found = re.search(rf"^{name}\(\).*?^}}", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def printed(script: str) -> str:
    """What a script prints."""
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def told(image: Path) -> str:
    """What the function prints."""
    name = "autoinstall_backup_superblock"
    return printed(f"{function(name)}\n{name} {shlex.quote(str(image))}")


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


WORLD = """\
AUTOINSTALL_RUN={place}/run NEWROOT={place}/root
autoinstall_overlay() {{
    echo "over $3" | sed s,{place},,g
    case "$2" in */volatile/etc) [ "$3" = "$NEWROOT/etc" ] || {ro} ;; *) {rw} ;; esac
}}
umount() {{ echo unmounted; touch "$NEWROOT/etc/passwd"; }}
autoinstall_degraded() {{ echo degraded; touch "$AUTOINSTALL_RUN/degraded.$1"; }}
autoinstall_dhcp_everywhere() {{ echo dhcp; }}
"""
"""Who is mounted over what; the first overlay works or not, or hides every file."""
WORKS, FAILS, HIDES = "true", "false", 'rm "$NEWROOT/etc/passwd"'
IMAGE, KEPT = "over /root/etc", "over /root/config/etc/upper:/root/etc"


@pytest.mark.parametrize(
    ("state", "first", "network", "does"),
    [
        ("rw", WORKS, True, [IMAGE]),
        ("rw", WORKS, False, [IMAGE]),
        ("rw", FAILS, False, [IMAGE, "degraded", IMAGE, "dhcp"]),
        ("rw", HIDES, False, [IMAGE, "unmounted", "degraded", IMAGE, "dhcp"]),
        ("ro", WORKS, True, [KEPT]),
        ("ro", WORKS, False, [KEPT, "dhcp"]),
        ("ro", FAILS, False, [KEPT, IMAGE, "dhcp"]),
        ("ro", HIDES, False, [KEPT, "unmounted", IMAGE, "dhcp"]),
        ("none", WORKS, False, [IMAGE, "dhcp"]),
    ],
)
def test_a_node_whose_etc_is_lost_asks_for_an_address(
    tmp_path: Path, state: str, first: str, network: bool, does: list[str]
) -> None:
    """Whatever of Config is damaged; one that is whole decides by itself, also to have no network."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config").write_text(f"{state}\n")
    if state != "rw":
        (tmp_path / "run/degraded.config").touch()
    (tmp_path / "root/etc/systemd/network").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").touch()
    if network:
        (tmp_path / "root/etc/systemd/network/10-management.network").touch()
    functions = [function(name) for name in ("autoinstall_network_is_told", "autoinstall_mount_etc")]
    world = WORLD.format(place=tmp_path, ro=first, rw=first)
    assert printed("\n".join([world, *functions, "autoinstall_mount_etc"])).splitlines() == does

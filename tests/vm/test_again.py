"""A finished node is asked again: with the same id, with another, with reinstall; or by a line that wipes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.configured import SHELL, Finished
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, new_disk
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Event
from tests.vm.test_bad_images import rot_file

pytestmark = pytest.mark.vm
WORDS = "BOOTIF=link console=ttyS0 autoinstall.after=hold autoinstall.installed=hold"


def asked(live: LiveSystem, place: Path, disk: Path, words: str) -> Event:
    """The result of one boot of the live system with these words."""
    place.mkdir()
    with live.start(place, Disk(disk, boot_index=None)) as machine:
        return install(machine, f"{words} {WORDS}")


def test_another_id_makes_a_new_node_and_the_same_one_leaves_it_alone(
    live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    disk = DiskImage(finished).copy(tmp_path / "TARGET0.raw").path
    first = asked(live, tmp_path / "first", disk, "storage_init autoinstall.id=one")
    assert (first["result"], first.get("id")) == ("installed", "one"), first
    before = DiskImage(disk).digest()
    second = asked(live, tmp_path / "second", disk, "storage_init autoinstall.id=one")
    assert (second["result"], second["install_id"]) == ("already-installed", first["install_id"])
    third = asked(live, tmp_path / "third", disk, "storage_init")
    assert third["result"] == "already-installed"
    assert DiskImage(disk).digest() == before


@pytest.mark.exhaustive
def test_reinstall_takes_the_disk_with_the_node_and_it_comes_up(
    live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, boot_index=None)
    other = Disk(new_disk(tmp_path / "OTHER0.raw"), serial="OTHER0", boot_index=None)
    with live.start(tmp_path, disk, other) as machine:
        result = install(machine, "reinstall BOOTIF=link console=ttyS0 autoinstall.after=kexec")
        assert result["result"] == "installed", result
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
    assert DiskImage(other.path).is_blank()


@pytest.mark.exhaustive
@pytest.mark.parametrize("rots", [False, True], ids=["none", "rots"])
def test_a_node_whose_next_slot_has_no_sound_kernel_is_started_from_the_other_with_all_words(
    live: LiveSystem, image: Image, tmp_path: Path, finished: Path, rots: bool
) -> None:
    """A machine whose firmware comes back to the medium for ever: nobody but the installer can start its node."""
    disk = Finished(live, finished).copy(tmp_path, SHELL)
    if rots:
        rot_file(disk, image, "Root-A", "vmlinuz")
    else:
        disk.remove_ext_file("Root-A", "vmlinuz")
    with live.start(tmp_path, Disk(disk.path, boot_index=None)) as machine:
        result = install(machine, "storage_init BOOTIF=link console=ttyS0")
        assert result["result"] == "already-installed", result
        assert result["reasons"][0].endswith("going on to its slot B")
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
        words = machine.shell("cat /proc/cmdline").split()
        assert {"rd.autoinstall.slot=B", "no_timer_check", "panic=30"} <= {*words}


@pytest.mark.exhaustive
def test_a_node_whose_first_table_is_broken_is_refused_as_it_is(
    live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    disk = DiskImage(finished).copy(tmp_path / "TARGET0.raw")
    with disk.path.open("r+b") as file:
        file.seek(512)
        file.write(b"\xa5" * 512)
    before = disk.digest()
    with live.start(tmp_path, Disk(disk.path, boot_index=None)) as machine:
        result = install(machine, "storage_init BOOTIF=link console=ttyS0")
        assert (result["result"], result["exit_code"]) == ("refused", 3)
        assert "the first copy of its partition table is broken" in result["reasons"][0]
    assert DiskImage(disk.path).digest() == before

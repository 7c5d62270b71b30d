"""Disks that hold something. Who did not name one loses nothing of it; who named it gets a node, and nothing else is
touched. Both proved from outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.dirty import SHAPES, Shape, put
from tests.vm.disk import DiskImage
from tests.vm.gpt import LABELS
from tests.vm.hardware import GIB, MIB, Bus, Disk, new_disk
from tests.vm.live import LiveSystem, by_id, install
from tests.vm.machine import Event, Machine
from tests.vm.writes import written

pytestmark = pytest.mark.vm
WORDS = "BOOTIF=link console=ttyS0 autoinstall.after=hold autoinstall.disk_timeout=2"
MAKING_LIMIT_S = 120
NAMED_EVERY_DAY = {"volumes-on-md"}
UNNAMED_EVERY_DAY = {"hostile-label", "backup-alone"}
STACKS = {name for name, shape in SHAPES.items() if shape.told in ("LVM2_member", "linux_raid_member", "crypto_LUKS")}


def shapes(every_day: set[str]) -> list[object]:
    """All of them, as parameters; most are for `make test-all`."""
    slow = pytest.mark.exhaustive
    return [pytest.param(name, marks=() if name in every_day else slow, id=name) for name in SHAPES]


def a_disk(place: Path, serial: str = "TARGET0", size_bytes: int = 8 * GIB) -> Disk:
    """A blank one."""
    place.mkdir(exist_ok=True)
    return Disk(new_disk(place / f"{serial}.raw", size_bytes), serial=serial, boot_index=None)


def sh(machine: Machine, script: str, disk: Disk, other: Disk | None = None) -> None:
    """Run a script of somebody before us, and wait until udev and the disk have it all."""
    names = f"disk={by_id(disk)} other={by_id(other) if other else ''}"
    machine.shell(f"{names}; ({script}) && sync && udevadm settle --timeout=30", MAKING_LIMIT_S)


def told(result: Event) -> str:
    """Everything that the result tells a person."""
    return "\n".join([*result["reasons"], result["hint"]])


def refused(machine: Machine, words: str, *disks: Disk) -> str:
    """The installer must refuse `words`, and leave every byte as it is. What it told."""
    before = [DiskImage(disk.path).digest() for disk in disks]
    result = install(machine, f"{words} {WORDS}")
    assert (result["result"], result["exit_code"]) == ("refused", 3), result
    machine.wait_for_line(r"^autoinstall: Nothing was written\.", limit_s=30)
    assert [DiskImage(disk.path).digest() for disk in disks] == before
    return told(result)


def made(shape: Shape, place: Path) -> Disk:
    """A disk with what can be made of it from outside."""
    disk = a_disk(place)
    if shape.outside:
        shape.outside(disk.path)
    return disk


@pytest.mark.parametrize("name", shapes(UNNAMED_EVERY_DAY))
def test_what_nobody_named_is_told_and_stays(live: LiveSystem, tmp_path: Path, name: str) -> None:
    shape = SHAPES[name]
    disk = made(shape, tmp_path)
    with live.start(tmp_path, disk) as machine:
        if shape.inside:
            sh(machine, shape.inside, disk)
        said = refused(machine, "storage_init", disk)
        on_console = machine.console.all.split("autoinstall: command line:")[-1]
    assert shape.told in said
    assert "storage_init=serial:TARGET0" in said
    assert "\x1b" not in said + on_console


@pytest.mark.parametrize("name", shapes(NAMED_EVERY_DAY))
def test_what_is_named_becomes_a_node_and_its_neighbour_has_no_write(
    live: LiveSystem, tmp_path: Path, name: str
) -> None:
    shape = SHAPES[name]
    disk, log = made(shape, tmp_path), tmp_path / "other.log"
    other = replace(a_disk(tmp_path, "OTHER0"), write_log=log)
    with live.start(tmp_path, disk, other) as machine:
        if shape.inside:
            sh(machine, shape.inside, disk)
        result = install(machine, f"storage_init=serial:TARGET0 {WORDS}")
        assert result["result"] == "installed", result
    notes = [event["description"] for event in machine.events if event["event_type"] == "note"]
    assert any(note.startswith("blivet: ") for note in notes) is (name in STACKS), notes
    assert [partition.label for partition in DiskImage(disk.path).table.partitions] == LABELS
    assert not written(log)
    assert DiskImage(other.path).is_blank()


# Refused although it is named: what is done in the live system, and what the refusal tells.
IN_USE = {
    "mounted": ("mke2fs -qF $disk 1G && mount -o ro $disk /mnt", "mounted on /mnt"),
    "swap": ("mkswap -q $disk && swapon $disk", "is swap"),
    "mapped": ("echo 0 2048 linear $disk 0 | dmsetup create somebody", "held by dm-0 somebody"),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", IN_USE)
def test_a_disk_in_use_is_refused_though_it_is_named(live: LiveSystem, tmp_path: Path, name: str) -> None:
    script, expected = IN_USE[name]
    disk = a_disk(tmp_path)
    with live.start(tmp_path, disk) as machine:
        sh(machine, script, disk)
        assert expected in refused(machine, "storage_init=serial:TARGET0", disk)


# Refused because of the disk beside it.
SHARED = {
    "array": (
        "mdadm -q --create /dev/md/old --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean $disk $other"
        " && mdadm -q --stop /dev/md/old",
        "MD array",
    ),
    "fakeraid": (
        "mdadm -q --create /dev/md/set --run --metadata=ddf --raid-devices=2 $disk $other && mdadm -q --stop --scan",
        "is a member of a BIOS RAID, and so is",
    ),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SHARED)
def test_what_belongs_to_more_than_this_disk_is_refused(live: LiveSystem, tmp_path: Path, name: str) -> None:
    script, expected = SHARED[name]
    disk, other = a_disk(tmp_path), a_disk(tmp_path, "OTHER0")
    with live.start(tmp_path, disk, other) as machine:
        sh(machine, script, disk, other)
        assert expected in refused(machine, "storage_init=serial:TARGET0", disk, other)


@pytest.mark.exhaustive
def test_two_disks_of_one_serial_are_told_apart_for_who_named_it(live: LiveSystem, tmp_path: Path) -> None:
    first = replace(a_disk(tmp_path), bus=Bus.SCSI, name="first")
    second = replace(a_disk(tmp_path / "second"), bus=Bus.SCSI, name="second")
    with live.start(tmp_path, first, second) as machine:
        said = refused(machine, "storage_init=serial:TARGET0", first, second)
    assert "fits 2 disks" in said
    assert "/dev/sda" in said
    assert "/dev/sdb" in said


@pytest.mark.exhaustive
def test_two_disks_that_tell_one_wwn_are_refused_for_they_hold_different_things(
    live: LiveSystem, tmp_path: Path
) -> None:
    disk = replace(a_disk(tmp_path), bus=Bus.SCSI, wwn=0x5000C50015EA71AC, name="first")
    again = replace(disk, path=a_disk(tmp_path / "again").path, name="second")
    put({4096: b"not the same"})(again.path)
    with live.start(tmp_path, disk, again) as machine:
        assert "paths to one disk" in refused(machine, "storage_init=/dev/sda", disk, again)


@pytest.mark.exhaustive
def test_a_node_of_ours_on_another_disk_is_refused(live: LiveSystem, tmp_path: Path, finished: Path) -> None:
    node = Disk(DiskImage(finished).copy(tmp_path / "NODE0.raw").path, serial="NODE0", boot_index=None)
    disk = a_disk(tmp_path)
    with live.start(tmp_path, node, disk) as machine:
        said = refused(machine, "storage_init=serial:TARGET0", node, disk)
    assert "a node of ours is already on" in said
    assert "serial NODE0" in said


@pytest.mark.exhaustive
def test_a_name_that_is_the_start_of_another_means_itself(live: LiveSystem, tmp_path: Path) -> None:
    """sda and sdaa: the first disk and the twenty-seventh."""
    disk = replace(a_disk(tmp_path), bus=Bus.SCSI)
    others = [replace(a_disk(tmp_path, f"OTHER{n}", MIB), bus=Bus.SCSI) for n in range(26)]
    with live.start(tmp_path, disk, *others) as machine:
        assert "sdaa" in machine.shell("ls /dev")
        result = install(machine, f"storage_init=/dev/sda {WORDS}")
    assert result["result"] == "installed", result
    assert result["plan"]["target"]["serial"] == "TARGET0"
    assert all(DiskImage(other.path).is_blank() for other in others)

"""A bit of root.squashfs flips on the disk: never a wrong byte, and the other slot is there."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoinstall.live import ROOT_IMAGE
from autoinstall.slots import MOST_TRIES, Slot, SlotState
from tests.vm.configured import SHELL, Finished, put_slot_state, slot_state
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Hardware, erst
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem
from tests.vm.machine import Machine

pytestmark = pytest.mark.vm

BOOT_LIMIT_S = 180
TELL_LIMIT_S = 90
UPGRADE_LIMIT_S = 300
NOTHING = re.compile(r"(?!)")
"""A panic is what other tests call fatal."""
NEEDED = "usr/lib/x86_64-linux-gnu/libc.so.6"
UNREAD = "usr/lib/autoinstall/boot/BOOTX64.EFI"
"""A file that only an installation reads."""
BOOTING = r"Kernel command line: .* rd\.autoinstall\.slot=([AB])"
ROTTEN = r"device-mapper: verity: \S+ (data|metadata) block \d+ is corrupted"
PANIC = r"Kernel panic - not syncing: dm-verity device corrupted"
SQUASHFS_HEAD_BYTES = 102
"""The superblock, and the options of zstd."""
VERITY_BLOCK_BYTES = 4096
DATA_BLOCK_BYTES = 128 << 10
ROTTEN_A = (
    "slot A rots, and is no fallback: root.squashfs is not what its manifest says: "
    "autoinstall upgrade /run/autoinstall/slot"
)
LEFT_A = "runs slot B, not slot A, which has a good image and was first: "
GOOD = SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, True)


def node(disk: DiskImage, place: Path, **more: Any) -> Machine:
    """A machine that runs from the disk."""
    return Machine(Hardware(disks=(Disk(disk.path),), **more), place, name="node")


def data_of(squashfs: Path, name: str, scratch: Path) -> int:
    """Where in a squashfs the data of a file begins: what is before may be lost, and the file is still read."""
    content = squashfs.read_bytes()
    wanted = _cat(squashfs, name)
    copy = scratch / "copy.squashfs"
    low, high = SQUASHFS_HEAD_BYTES, int.from_bytes(content[64:72], "little")  # the table of inodes
    while high - low > 1:
        middle = (low + high) // 2
        copy.write_bytes(content[:SQUASHFS_HEAD_BYTES].ljust(middle, b"\0") + content[middle:])
        low, high = (middle, high) if _cat(copy, name) == wanted else (low, middle)
    copy.unlink()
    return low


def _cat(squashfs: Path, name: str) -> bytes:
    return subprocess.run(["unsquashfs", "-cat", squashfs, name], capture_output=True).stdout


def hashes_of(squashfs: Path) -> int:
    """Where the hash tree begins: with the one block that every other hash is under."""
    with squashfs.open("rb") as file:
        size_bytes = int.from_bytes(file.read(SQUASHFS_HEAD_BYTES)[40:48], "little")
    return -(-size_bytes // VERITY_BLOCK_BYTES) * VERITY_BLOCK_BYTES


def rot(disk: DiskImage, image: Image, what: str, slot: str = "Root-A") -> None:
    """Flip a bit in a slot: of a file of the root, or of its `superblock` or `hashes`."""
    squashfs = image.place / ROOT_IMAGE
    if what == "superblock":
        begin = 0
    elif what == "hashes":
        begin = hashes_of(squashfs)
    else:
        begin = -(-data_of(squashfs, what, disk.path.parent) // VERITY_BLOCK_BYTES) * VERITY_BLOCK_BYTES
    disk.flip_bit(disk.ext_offset(slot, f"/{ROOT_IMAGE}", begin + 8))


def boots_until_it_gives_way(machine: Machine, slots: str) -> None:
    """Each boot of one slot panics and says why; the last one is of the other slot."""
    rotten, sound = slots[:-1], slots[-1]
    for slot in rotten:
        assert machine.wait_for_line(BOOTING, BOOT_LIMIT_S, NOTHING).group(1) == slot
        machine.wait_for_line(ROTTEN, BOOT_LIMIT_S, NOTHING)
        machine.wait_for_line(PANIC, BOOT_LIMIT_S, NOTHING)
    assert machine.wait_for_line(BOOTING, BOOT_LIMIT_S, NOTHING).group(1) == sound


@pytest.mark.parametrize(
    "where", ["file", *(pytest.param(w, marks=pytest.mark.exhaustive) for w in ("superblock", "hashes"))]
)
def test_a_root_that_rots_where_a_boot_needs_it_ends_in_the_other_slot(
    image: Image, live: LiveSystem, finished: Path, tmp_path: Path, where: str
) -> None:
    disk = Finished(live, finished).copy(tmp_path, SHELL, replace(GOOD, a_try=1))
    rot(disk, image, {"file": NEEDED}.get(where, where))
    with node(disk, tmp_path, reboots=True, more=erst(tmp_path / "erst")) as machine:
        boots_until_it_gives_way(machine, "AB")
        machine.wait_for_line(f"^autoinstall: {LEFT_A}", NODE_LIMIT_S, NOTHING)
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S, NOTHING).group(1) == "B"
        for told in ("autoinstall status", "cat /run/motd.d/50-autoinstall"):
            said = machine.shell(told, TELL_LIMIT_S)
            assert LEFT_A in said
            assert re.search(PANIC, said), said
        machine.kill()
    assert slot_state(disk) == SlotState(Slot.A, 0, True, MOST_TRIES - 1, True)


@pytest.mark.exhaustive
def test_a_good_slot_that_rots_is_left_after_its_attempts_for_a_healthy_one(
    image: Image, finished: Path, tmp_path: Path
) -> None:
    disk = DiskImage(finished).copy(tmp_path / "disk.raw")
    put_slot_state(disk, GOOD)
    rot(disk, image, NEEDED)
    with node(disk, tmp_path, reboots=True) as machine:
        boots_until_it_gives_way(machine, "AAAB")
        machine.wait_for_line(f"^autoinstall: {LEFT_A}", NODE_LIMIT_S, NOTHING)
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S, NOTHING).group(1) == "B"
        machine.kill()
    assert slot_state(disk) == SlotState(Slot.A, 0, True, MOST_TRIES - 1, True)


@pytest.mark.exhaustive
def test_a_file_that_rots_unread_is_a_read_error_on_a_node_that_is_up_and_the_next_start_is_of_the_other_slot(
    image: Image, live: LiveSystem, finished: Path, tmp_path: Path
) -> None:
    disk = Finished(live, finished).copy(tmp_path, SHELL, GOOD)
    rot(disk, image, UNREAD)
    with node(disk, tmp_path) as machine:
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "A"
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        assert machine.shell("dmsetup table autoinstall-root").split()[2:3] == ["verity"]
        assert "panic" not in machine.shell("dmsetup table autoinstall-root")
        assert "Input/output error" in machine.shell(f"cat /{UNREAD} >/run/read 2>/run/said; cat /run/said")
        assert int(machine.shell("stat -c %s /run/read")) < DATA_BLOCK_BYTES
        machine.wait_for_line("^autoinstall: root: root.squashfs of slot A rots", TELL_LIMIT_S)
        machine.wait_for_line("^autoinstall: node=degraded slot=A .*failed=root", TELL_LIMIT_S)
        verified = machine.shell("autoinstall verify", TELL_LIMIT_S, check=False).splitlines()
        assert "slot A: root.squashfs is not what its manifest says" in verified
        assert "slot B: every file is what the manifest says" in verified
        assert re.search(ROTTEN, machine.shell("journalctl -k -o cat --no-pager"))
        machine.power_off()
    assert slot_state(disk) == SlotState(Slot.B, 0, False, MOST_TRIES, True)


@pytest.mark.exhaustive
def test_a_slot_that_was_left_and_rots_gets_no_attempt_back_and_is_made_whole_by_what_runs(
    image: Image, live: LiveSystem, finished: Path, tmp_path: Path
) -> None:
    disk = Finished(live, finished).copy(tmp_path, SHELL, replace(GOOD, a_try=0))
    rot(disk, image, UNREAD)
    with node(disk, tmp_path) as machine:
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        machine.shell("autoinstall mark-good --rearm")
        assert _slot_a(machine) == (True, 0)
        for where in ("cat /run/motd.d/50-autoinstall", "autoinstall status"):
            assert LEFT_A in machine.shell(where)
        machine.shell("mkdir /run/used && mount /dev/disk/by-partlabel/Root-A /run/used")
        machine.shell("systemctl start autoinstall-rearm.service", TELL_LIMIT_S)
        assert _slot_a(machine) == (True, 0), "what nobody could look at was marked"
        machine.shell("umount /run/used")
        machine.shell("systemctl start autoinstall-rearm.service", TELL_LIMIT_S)
        assert _slot_a(machine) == (False, 0)
        machine.wait_for_line(
            "^autoinstall: slot A rots, and is no fallback: root.squashfs is not what", TELL_LIMIT_S
        )
        for where in ("cat /run/motd.d/50-autoinstall", "autoinstall status"):
            assert "slot A rots, and is no fallback" in machine.shell(where)
        event = machine.wait_for_event(TELL_LIMIT_S, event_type="health", rotten=[ROTTEN_A])
        assert event["node"] == "healthy"
        assert "autoinstall: node=healthy slot=B" in machine.shell("journalctl -b -o cat -p err --no-pager")
        machine.shell("autoinstall rollback && exit 1 || [ $? = 3 ]")
        machine.shell("autoinstall upgrade /run/autoinstall/slot", UPGRADE_LIMIT_S)
        assert "rots" not in machine.shell("autoinstall status")
        machine.kill()
    assert slot_state(disk) == SlotState(Slot.A, MOST_TRIES, False, MOST_TRIES, True)


def _slot_a(machine: Machine) -> tuple[bool, int]:
    """Whether it is good, and its attempts."""
    slot = json.loads(machine.shell("autoinstall status --json"))["slots"]["A"]
    return slot["good"], slot["tries"]

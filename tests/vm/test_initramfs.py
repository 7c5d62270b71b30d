"""A boot that ends in the initramfs: somebody is told, and the machine does what its line says.

And what the initramfs leaves to the live system: the machine's own volumes and arrays stay down.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from tests.vm.hardware import GIB, Direct, Disk, Hardware, new_disk
from tests.vm.image import Image
from tests.vm.live import CONSOLE, LiveSystem, by_id
from tests.vm.machine import Machine
from tests.vm.watch import TimedOut

FAILED = r"^autoinstall: result=failed"
SHELL = r"^Press Enter for (system )?maintenance"
LIMIT_S = 180
END_LIMIT_S = 60
KEY_LIMIT_S = 5
NOTHING = re.compile(r"(?!)")
"""A shell is what other tests call fatal."""
SQUASHFS_MAGIC = b"hsqs"
NODE_WORDS = (
    "root=autoinstall:PARTUUID=00000000-dead-4000-8000-000000000000 rd.autoinstall.slot=A rd.shell=0 rd.retry=4"
)


def without_medium(image: Image, words: str) -> Hardware:
    """A live boot whose medium is not there."""
    line = f"root=live:LABEL=AI-gone rd.live.image rd.retry=4 {CONSOLE} {words}"
    return Hardware(direct=Direct(image.kernel, image.initrd, line))


def test_a_medium_that_is_not_found_is_told_and_the_machine_stays_as_it_is(image: Image, tmp_path: Path) -> None:
    with Machine(without_medium(image, ""), tmp_path) as machine:
        machine.wait_for_line(FAILED, LIMIT_S)
        result = machine.result(END_LIMIT_S)
        assert (result["result"], result["exit_code"], result["stage"]) == ("failed", 4, "initramfs")
        assert result["reasons"] == ["booting, in the initramfs: /dev/disk/by-label/AI-gone was not found"]
        assert "autoinstall: failed: booting, in the initramfs: /dev/disk/by-label/AI-gone" in machine.console.all
        assert machine.qmp("query-status")["status"] == "running"


@pytest.mark.exhaustive
def test_a_machine_is_switched_off_where_its_line_says_so(image: Image, tmp_path: Path) -> None:
    with Machine(without_medium(image, "autoinstall.on_failure=poweroff"), tmp_path) as machine:
        machine.wait_for_line(FAILED, LIMIT_S)
        machine.wait_for_end(END_LIMIT_S)


@pytest.mark.exhaustive
def test_a_shell_opens_where_the_word_asks_for_it(image: Image, tmp_path: Path) -> None:
    with Machine(without_medium(image, "autoinstall.on_failure=shell"), tmp_path) as machine:
        machine.wait_for_line(FAILED, LIMIT_S)
        machine.wait_for_line(SHELL, END_LIMIT_S, unless=NOTHING)
        press_enter_until(machine, "# $")
        machine.type("echo I am $((40 + 2))\r")
        machine.wait_for_line("I am 42", END_LIMIT_S, unless=NOTHING)


def press_enter_until(machine: Machine, pattern: str) -> None:
    """sulogin throws away what was typed before it reads."""
    for _ in range(int(END_LIMIT_S / KEY_LIMIT_S)):
        machine.type("\r")
        with suppress(TimedOut):
            machine.wait_for_line(pattern, KEY_LIMIT_S, unless=NOTHING)
            return
    raise AssertionError(f"no {pattern!r} after many keys")


def test_an_image_that_cannot_be_mounted_is_told_and_the_machine_starts_again(image: Image, tmp_path: Path) -> None:
    iso = broken(image.iso, tmp_path / "broken.iso")
    line = f"{image.live_words} {CONSOLE} autoinstall.on_failure=reboot:1"
    with Machine(Hardware(cdrom=iso, direct=Direct(image.kernel, image.initrd, line)), tmp_path) as machine:
        machine.wait_for_line(FAILED, LIMIT_S)
        assert "root filesystem in /run/initramfs/live/autoinstall/root.squashfs" in machine.result(1)["reasons"][0]
        machine.wait_for_end(END_LIMIT_S)


@pytest.mark.exhaustive
def test_a_node_whose_slot_is_gone_starts_again_for_its_boot_loader_to_count(image: Image, tmp_path: Path) -> None:
    hardware = Hardware(direct=Direct(image.kernel, image.initrd, f"{NODE_WORDS} {CONSOLE}"))
    with Machine(hardware, tmp_path) as machine:
        machine.wait_for_line(FAILED, LIMIT_S)
        assert machine.result(1)["mode"] == "node"
        machine.wait_for_end(END_LIMIT_S)


def broken(iso: Path, copy: Path) -> Path:
    """A medium whose root.squashfs has lost its superblock."""
    shutil.copyfile(iso, copy)
    with copy.open("r+b") as file:
        start = file.read().index(SQUASHFS_MAGIC)
        file.seek(start)
        file.write(bytes(4096))
    return copy


@pytest.mark.parametrize(
    ("make", "stop", "count"),
    [
        (
            "pvcreate -q {0} && vgcreate -q old {0} && lvcreate -qn old -l1 old",
            "vgchange -qan old",
            "ls /sys/block | grep -c ^dm- || true",
        ),
        pytest.param(
            "mdadm -Cq /dev/md/old --run -l1 -n2 --metadata=1.2 {0} missing",
            "mdadm -q --stop --scan",
            "grep -c ^md /proc/mdstat || true",
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=["LVM", "MD"],
)
def test_what_is_on_the_disks_stays_down_in_a_live_system(
    live: LiveSystem, tmp_path: Path, make: str, stop: str, count: str
) -> None:
    disk = Disk(new_disk(tmp_path / "old.raw", GIB), serial="OLD", boot_index=None)
    with live.start(tmp_path, disk) as machine:
        machine.shell(f"{make.format(by_id(disk))}; udevadm settle")
        assert machine.shell(count).split()[-1] != "0", "the stack was not made"
        machine.shell(f"{stop}; udevadm trigger --action=add --subsystem-match=block; udevadm settle")
        assert machine.shell(count).split()[-1] == "0"

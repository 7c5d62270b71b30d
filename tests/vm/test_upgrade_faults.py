"""The disk fails under an upgrade, or its image is wrong: not a byte of the slot that is kept is another."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from autoinstall.image.manifest import FILE_NAMES
from autoinstall.node.state import STATE_COPIES
from autoinstall.slots import MOST_TRIES, Slot, SlotState, disarm, flip, pick, render_env
from tests.vm.configured import put_slot_state, slot_state
from tests.vm.disk import DiskImage, partition_bytes
from tests.vm.faults import ENOSPC, Fault, fault
from tests.vm.hardware import Bus, Disk
from tests.vm.image import Image
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Machine
from tests.vm.newer import derived, put_image
from tests.vm.recorded import Recorded
from tests.vm.test_bad_disks import NO_SPACE, assert_failed
from tests.vm.writes import written

pytestmark = pytest.mark.vm

LINE = "upgrade console=ttyS0 autoinstall.after=hold autoinstall.installed=hold"
MEDIUM = "/run/initramfs/live/autoinstall"
GOOD_A = SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, False)
HALF = disarm(GOOD_A, Slot.B)
FELL_B = SlotState(Slot.B, MOST_TRIES, True, 0, False)
FORCE = "autoinstall.force=fallen"
SUPERBLOCK = 1024
SECTOR = 512
ALREADY = 40
"""Writes: more than what comes before the image, fewer than the image takes."""


@dataclass(frozen=True)
class Node:
    """A node's disk, where on it the copies of its slot state are, and where its second slot is written to."""

    disk: DiskImage
    copies: tuple[int, int]
    image: int

    @property
    def slot(self) -> int:
        """Where slot B begins."""
        return partition_bytes(self.disk.table["Root-B"])[0]

    @property
    def journal(self) -> int:
        """Where that of Config begins."""
        return self.disk.ext_offset("Config", "<8>", 0)


@dataclass(frozen=True)
class Case:
    """A fault, the step that it ends, and the slot state that is left.

    `forced`: the image fell back on this node, so that its line forces it, which the node notes on Config.
    """

    where: Callable[[Node], Fault]
    step: str
    after: SlotState
    forced: bool = False

    @property
    def line(self) -> str:
        """What the medium was booted with."""
        return f"{LINE} {FORCE}" if self.forced else LINE

    @property
    def changed(self) -> tuple[str, ...]:
        """The partitions that this upgrade may write to."""
        return ("EFI", "Root-B", "Config") if self.forced else ("EFI", "Root-B")


CASES = {
    "count-force": Case(lambda node: Fault(node.journal), "count-force", FELL_B, forced=True),
    "disarm": Case(lambda node: Fault(node.copies[1]), "disarm", GOOD_A),
    "disarm-first-copy": Case(lambda node: Fault(node.copies[0]), "disarm", GOOD_A),
    "disarm-full": Case(lambda node: Fault(node.copies[1], errno=ENOSPC), "disarm", GOOD_A),
    "empty-slot": Case(lambda node: Fault(node.slot + SUPERBLOCK), "empty-slot", HALF),
    "image": Case(lambda node: Fault(node.image), "image-b", HALF),
    "image-full": Case(lambda node: Fault(node.image, errno=ENOSPC), "image-b", HALF),
    "read-back": Case(lambda node: Fault(node.image, "read"), "image-b", HALF),
    "flip": Case(lambda node: Fault(node.copies[1], number=ALREADY), "flip", HALF),
    "flip-first-copy": Case(lambda node: Fault(node.copies[0], number=ALREADY), "flip", HALF),
}
QUICK = {"image-full"}
OF_THE_MEDIUM = "verify-image"
"""The step that reads it first. What fails while an image is fetched is in test_killed_upgrade.py."""


@pytest.fixture
def node(image: Image, recorded: Recorded, finished: Path, tmp_path: Path) -> Node:
    """A node whose slot A once was good, with an older image in both."""
    disk = DiskImage(finished).copy(tmp_path / "disk.raw")
    old = derived(image, tmp_path / "old", f"{image.manifest['version']}~old")
    for slot in ("Root-A", "Root-B"):
        put_image(disk, slot, old)
    contents = [render_env(GOOD_A)[:-1] + mark for mark in (b"1", b"2")]  # behind what anybody reads
    for name, content in zip(STATE_COPIES, contents, strict=True):
        disk.put_esp_file(name, content)
    start, end = partition_bytes(disk.table["EFI"])
    esp = disk.read(start, end - start)
    first, second = (start + esp.index(content) for content in contents)
    return Node(disk, (first, second), written_sector(recorded, "Root-B"))


def written_sector(recorded: Recorded, label: str) -> int:
    """An offset in a partition that a good install writes to, in the middle of everything it writes there."""
    start, end = partition_bytes(recorded.disk.table[label])
    inside = [write.start_bytes for write in recorded.log if write.is_data and start <= write.start_bytes < end]
    return inside[len(inside) // 2]


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=() if name in QUICK else (pytest.mark.exhaustive,)) for name in CASES]
)
def test_a_disk_that_fails_costs_no_byte_of_the_fallback(
    live: LiveSystem, node: Node, tmp_path: Path, case: str
) -> None:
    """virtio-blk has no word for a disk that is full: SCSI has, and Linux makes ENOSPC of it."""
    wanted = CASES[case]
    if wanted.forced:
        put_image(node.disk, "Root-B", live.image)
        put_slot_state(node.disk, FELL_B)
    before, wrong = node.disk.digest(*wanted.changed), wanted.where(node)
    full = wrong.errno == ENOSPC
    bus, path = (Bus.SCSI, "/dev/sda") if full else (Bus.VIRTIO, "/dev/vda")
    faulty = Disk(node.disk.path, bus=bus, boot_index=None, faults=fault(tmp_path / "rules", wrong))
    with live.start(tmp_path, faulty) as machine:
        result = install(machine, wanted.line)
        assert_failed(machine, result, path)
    assert result["step"] == wanted.step
    assert (NO_SPACE in "\n".join(result["reasons"])) == full, result
    disk = DiskImage(node.disk.path)
    assert disk.digest(*wanted.changed) == before
    assert slot_state(disk) == wanted.after
    assert pick(slot_state(disk))[0] is Slot.A
    with live.start(tmp_path, Disk(disk.path, boot_index=None), name="again") as machine:
        assert install(machine, wanted.line)["result"] == "upgraded", "on a disk that works the same line goes on"
    assert DiskImage(disk.path).digest(*wanted.changed) == before
    assert slot_state(DiskImage(disk.path)) == flip(GOOD_A, Slot.B, MOST_TRIES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_medium_that_cannot_be_read_costs_no_byte_at_all(
    live: LiveSystem, node: Node, tmp_path: Path, name: str
) -> None:
    rules = fault(tmp_path / "rules", Fault(last_sector(live.image, name), "read"))
    log = tmp_path / "writes.log"
    faulty = replace(live, hardware=replace(live.hardware, cdrom_faults=rules))
    with faulty.start(tmp_path, Disk(node.disk.path, boot_index=None, write_log=log)) as machine:
        machine.shell("echo 3 >/proc/sys/vm/drop_caches")  # the end of the root was read as this system came up
        result = install(machine, LINE)
    assert (result["result"], result["exit_code"], result["step"]) == ("refused", 3, OF_THE_MEDIUM), result
    assert result["reasons"] == [f"{MEDIUM}/{name} cannot be read: Input/output error"]
    assert not written(log)


def last_sector(image: Image, name: str) -> int:
    """Where on the medium a file of the image ends: nothing but the whole of it is read from there."""
    content = (image.place / name).read_bytes()
    with image.iso.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as medium:
        start = medium.find(content)
    assert start >= 0
    return start + (len(content) - 1) // SECTOR * SECTOR


WRONG = {
    "truncated": "head -c -1 {0} >{1}",
    "corrupt": "cp {0} {1} && printf x | dd of={1} bs=1 seek=4711 conv=notrunc",
    "longer": "cp {0} {1} && printf x >>{1}",
    "empty": ": >{1}",
}


@pytest.mark.exhaustive
def test_an_image_that_is_wrong_costs_no_byte_at_all(live: LiveSystem, node: Node, tmp_path: Path) -> None:
    log = tmp_path / "writes.log"
    with live.start(tmp_path, Disk(node.disk.path, boot_index=None, write_log=log)) as machine:
        for name in FILE_NAMES:
            for how in WRONG.values():
                refused_with(machine, name, how)
        refused_with(machine, "manifest.json", "sed s/vmlinuz/initrd.img/ {0} >{1}")
        refused_with(machine, "manifest.json", "tr 0-9a-f a-f0-9 <{0} >{1}")
    assert not written(log)


def refused_with(machine: Machine, name: str, how: str) -> None:
    """What the installer says where a file of its medium is another."""
    machine.shell(f"{how.format(f'{MEDIUM}/{name}', '/run/wrong')} && mount --bind /run/wrong {MEDIUM}/{name}")
    machine.events.clear()
    result = install(machine, LINE)
    assert (result["result"], result["exit_code"]) == ("refused", 3), (name, how, result)
    machine.shell(f"umount {MEDIUM}/{name} && umount /proc/cmdline && rm /run/wrong")

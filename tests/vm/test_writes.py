"""Records of writes and faults of disks, checked with QEMU's own qemu-io in the place of a machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.vm.disk import DiskImage
from tests.vm.faults import Fault, bad_sector, fail_from_write, fault
from tests.vm.hardware import MIB, Disk, new_disk
from tests.vm.writes import WriteLog

SIZE = 4 * MIB


def nested(disk: Disk) -> str:
    """The layers of a disk as the one argument of qemu-io."""
    by_name = {str(node["node-name"]): dict(node) for node in disk.block_nodes()}

    def whole(name: str) -> dict[str, object]:
        node = by_name[name]
        for child in ("file", "image", "log"):
            if child in node:
                node[child] = whole(str(node[child]))
        return node

    return "json:" + json.dumps(whole(disk.id))


def io(disk: Disk, *commands: str) -> str:
    """Run qemu-io's commands on a disk; what it says."""
    if disk.write_log:
        disk.write_log.write_bytes(b"")
    words = ["qemu-io", *(word for command in commands for word in ("-c", command)), nested(disk)]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_writes_and_flushes_are_on_record_in_their_order(tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw", SIZE), write_log=tmp_path / "log")
    io(disk, "write -P 0xa5 4096 1024", "flush", "write -P 0x5a 512 512", "write -P 1 4096 512")
    log = WriteLog(tmp_path / "log")
    data = [write for write in log if write.is_data]
    assert [(write.start_bytes, write.size_bytes) for write in data] == [(4096, 1024), (512, 512), (4096, 512)]
    assert log.data(data[1]) == b"\x5a" * 512
    assert next(number for number, write in enumerate(log) if write.flags & 1) == 1


def test_the_disk_of_any_moment_can_be_made_again(tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw", SIZE), write_log=tmp_path / "log")
    io(disk, "write -P 0xa5 4096 1024", "flush", "write -P 0x5a 512 512", "write -P 1 4096 512")
    log = WriteLog(tmp_path / "log")
    log.replay(new_disk(tmp_path / "end.raw", SIZE), log.count)
    assert DiskImage(tmp_path / "end.raw").digest() == DiskImage(disk.path).digest()
    log.replay(new_disk(tmp_path / "early.raw", SIZE), 1)
    early = DiskImage(tmp_path / "early.raw")
    assert early.read(4096, 1024) == b"\xa5" * 1024
    assert not any(early.read(512, 512))


def test_a_disk_fails_from_one_write_on(tmp_path: Path) -> None:
    rules = fail_from_write(tmp_path / "rules", 3)
    disk = Disk(new_disk(tmp_path / "disk.raw", SIZE), faults=rules)
    said = io(disk, *(f"write -P 7 {number * 4096} 512" for number in range(5)))
    assert said.count("wrote 512/512") == 2
    assert said.count("write failed: Input/output error") == 3
    assert not any(DiskImage(disk.path).read(2 * 4096, 512))


def test_a_disk_has_one_bad_sector(tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw", SIZE), faults=bad_sector(tmp_path / "rules", 8192))
    said = io(disk, "write 0 4096", "write 4096 8192", "write 8192 512", "write 8704 512", "read 8192 512")
    assert said.count("wrote") == 2
    assert said.count("write failed: Input/output error") == 2
    assert "read 512/512" in said


def test_a_sector_that_cannot_be_read(tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "disk.raw", SIZE), faults=bad_sector(tmp_path / "rules", 8192, "read"))
    said = io(disk, "write 8192 512", "read 8192 512")
    assert "wrote 512/512" in said
    assert "read failed: Input/output error" in said


def test_a_sector_that_cannot_be_read_from_one_write_on(tmp_path: Path) -> None:
    rules = fault(tmp_path / "rules", Fault(8192, "read", number=2))
    disk = Disk(new_disk(tmp_path / "disk.raw", SIZE), faults=rules)
    said = io(disk, "read 8192 512", "write 0 512", "read 8192 512", "write 0 512", "read 8192 512", "read 8192 512")
    assert said.count("read 512/512") == 2
    assert said.count("read failed: Input/output error") == 2


def test_a_recorded_machine_merges_nothing(tmp_path: Path) -> None:
    """virtio-blk would, up to as many pieces as a system call takes; the log adds two of its own: an I/O error."""
    disk = Disk(new_disk(tmp_path / "disk.raw", SIZE), write_log=tmp_path / "log")
    assert "wrote" in io(disk, "writev 0" + 1022 * " 512")
    assert disk.device()["request-merging"] is False

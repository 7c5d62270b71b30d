"""A node is taken off its disk: what is left is blank to every program, and nothing else is touched."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, new_disk
from tests.vm.live import LiveSystem, install
from tests.vm.writes import written

pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]  # a minute of blivet
WORDS = "console=ttyS0 autoinstall.after=hold"


def test_uninstall_leaves_a_blank_disk_and_no_write_on_its_neighbour(
    live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, boot_index=None)
    log = tmp_path / "other.log"
    other = replace(Disk(new_disk(tmp_path / "OTHER0.raw"), serial="OTHER0", boot_index=None), write_log=log)
    places = [(part.start_bytes, part.size_bytes) for part in DiskImage(disk.path).table.partitions]
    with live.start(tmp_path, disk, other) as machine:
        result = install(machine, f"uninstall {WORDS}")
        assert (result["result"], result["exit_code"]) == ("uninstalled", 0), result
        machine.wait_for_line("^autoinstall: result=uninstalled$", 30)
        machine.events.clear()
        again = install(machine, f"uninstall autoinstall.disk_timeout=1 {WORDS}")
        assert (again["result"], again["exit_code"]) == ("refused", 3), again
    for start, size in [(0, DiskImage(disk.path).size_bytes), *places]:
        options = ["--offset", str(start), "--size", str(size)]
        found = subprocess.run(["blkid", "-p", *options, disk.path], capture_output=True, text=True)
        assert (found.returncode, found.stdout) == (2, ""), (start, found.stdout)
    assert not subprocess.run(["wipefs", "-n", disk.path], capture_output=True, check=True).stdout
    assert not written(log)

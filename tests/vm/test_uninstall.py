"""A node is taken off its disk: what is left is blank to every program, and nothing else is touched."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import GIB, MIB, Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image
from tests.vm.installed import LIVE_LIMIT_S
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Machine
from tests.vm.test_refusals import blank
from tests.vm.writes import WriteLog, written

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


def test_a_removal_that_was_cut_goes_on_with_the_same_line(live: LiveSystem, tmp_path: Path) -> None:
    """The other disk is blank already, of the node's own the backup of the table was not reached."""
    boot, more = blank(tmp_path), blank(tmp_path, "MORE0", 1 * GIB)
    line = f"storage_init=serial:TARGET0,serial:TARGET0,serial:MORE0 {WORDS}"
    runs = {name: tmp_path / name for name in ("install", "whole", "again")}
    for place in runs.values():
        place.mkdir()
    with live.start(runs["install"], boot, more) as machine:
        assert install(machine, line)["result"] == "installed"
    cut = DiskImage(boot.path).copy(tmp_path / "cut.raw")
    with live.start(runs["whole"], replace(boot, write_log=tmp_path / "boot.log"), more) as machine:
        result = install(machine, f"uninstall {line}")
        assert result["result"] == "uninstalled", result
    log, backup = WriteLog(tmp_path / "boot.log"), cut.size_bytes - 34 * 512
    log.replay(cut.path, next(n for n, write in enumerate(log) if write.is_data and write.end_bytes > backup))
    assert cut.read(0, 512).count(0) == 512
    assert "HostVG" in [part.label for part in cut.table.partitions]
    with live.start(runs["again"], replace(boot, path=cut.path), more) as machine:
        result = install(machine, f"uninstall {line}")
    assert (result["result"], len(result["reasons"])) == ("uninstalled", 2), result
    for path in (cut.path, more.path):
        assert not subprocess.run(["wipefs", "-n", path], capture_output=True, check=True).stdout
        assert DiskImage(path).read(0, MIB).count(0) == MIB


VARIABLES = "/sys/firmware/efi/efivars"
ENTRY = "Boot0042-8be4df61-93ca-11d2-aa0d-00e098032b8c"
OTHERS_ENTRY = r"\007\0\0\0\001\0\0\0\004\0W\0\0\0\177\377\004\0"
"""A load option (UEFI 3.1.3): attributes, the length of its path, `W`, and a path that ends at once."""


def test_under_uefi_the_boot_entries_of_others_stay_and_there_is_none_of_ours(
    image: Image, live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    """A node makes no entry: firmware starts EFI/BOOT/BOOTX64.EFI of its disk. So none is left behind."""
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, boot_index=None)
    hardware = Hardware(Firmware.UEFI, cdrom=image.iso, direct=live.hardware.direct, disks=(disk,))
    with Machine(hardware, tmp_path) as machine:
        machine.wait_for_line("^autoinstall: result=none", LIVE_LIMIT_S)
        machine.shell(f"mountpoint -q {VARIABLES} || mount -t efivarfs none {VARIABLES}")
        machine.shell(f"printf '{OTHERS_ENTRY}' >{VARIABLES}/{ENTRY}")
        before = machine.shell(f"cd {VARIABLES} && sha256sum Boot*")
        machine.events.clear()
        result = install(machine, f"uninstall {WORDS}")
        assert result["result"] == "uninstalled", result
        assert machine.shell(f"cd {VARIABLES} && sha256sum Boot*") == before
    assert ENTRY in before
    assert "BootOrder" in before

"""What is stacked on a named disk is taken apart by blivet, and the disk becomes a node all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import GIB, Disk, new_disk
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem, by_id, install

pytestmark = pytest.mark.vm
EXHAUSTIVE = pytest.mark.exhaustive
WORDS = "storage_init=serial:TARGET0 BOOTIF=link console=ttyS0"
LVM = "pvcreate -qy {pv} && vgcreate -qy old {pv} && lvcreate -qy -n photos -L 512M old && mke2fs -qF /dev/old/photos"
STACKS = {"on the whole disk": ("", ""), "on a partition": ("label: gpt\n,4G\n,\n", "-part2")}
LABELS = ["BIOS-boot", "EFI", "Root-A", "Root-B", "Config", "Logging", "HostVG"]


@pytest.mark.parametrize("stack", [pytest.param("on the whole disk", marks=EXHAUSTIVE), "on a partition"])
def test_volumes_on_a_named_disk_are_taken_apart_before_it_is_wiped(
    live: LiveSystem, tmp_path: Path, stack: str
) -> None:
    table, suffix = STACKS[stack]
    disk = Disk(new_disk(tmp_path / "TARGET0.raw", 12 * GIB), boot_index=None)
    if table:
        subprocess.run(["sfdisk", "--quiet", disk.path], input=table.encode(), check=True)
    with live.start(tmp_path, disk) as machine:
        machine.shell(LVM.format(pv=by_id(disk) + suffix), 60)
        result = install(machine, f"{WORDS} autoinstall.after=hold")
    assert result["result"] == "installed", result
    assert "LVM2_member" in {signature["kind"] for signature in result["plan"]["lost"]}
    assert [partition.label for partition in DiskImage(disk.path).table.partitions] == LABELS


@pytest.mark.exhaustive
def test_blivet_is_not_even_loaded_where_there_is_no_stack(live: LiveSystem, tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "TARGET0.raw", 12 * GIB), boot_index=None)
    with live.start(tmp_path, disk) as machine:
        machine.shell("rm -r /usr/lib/python3/dist-packages/blivet")
        result = install(machine, f"{WORDS} autoinstall.after=hold")
    assert result["result"] == "installed", result


@pytest.mark.parametrize("words", ["", pytest.param("autoinstall.after=poweroff", marks=EXHAUSTIVE)])
def test_the_same_line_on_a_finished_node_goes_on_to_it_without_a_reboot(
    live: LiveSystem, tmp_path: Path, finished: Path, words: str
) -> None:
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, boot_index=None)
    with live.start(tmp_path, disk) as machine:
        result = install(machine, f"{WORDS} {words}")
        assert result["result"] == "already-installed"
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)

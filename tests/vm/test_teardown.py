"""A disk without a stack needs no blivet, and one with a finished node no installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import GIB, Disk, new_disk
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem, install

pytestmark = pytest.mark.vm
EXHAUSTIVE = pytest.mark.exhaustive
WORDS = "storage_init=serial:TARGET0 BOOTIF=link console=ttyS0"


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

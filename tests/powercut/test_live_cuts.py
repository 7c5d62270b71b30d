"""Nodes that are upgraded and rolled back while the power fails: at a write, and at any time."""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.powercut import real
from tests.powercut.lab import Lab
from tests.powercut.record import NEWER_DEVICE
from tests.powercut.test_real_boots import comes_up
from tests.vm.faults import fail_from_write
from tests.vm.hardware import Disk, Hardware, OnError
from tests.vm.installed import NODE_LIMIT_S, as_root, came_up
from tests.vm.kept import config_hash
from tests.vm.machine import Machine
from tests.vm.watch import TimedOut

pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]

CYCLES = int(os.environ.get("AUTOINSTALL_CYCLES", real.CYCLES))
"""Of each machine: an upgrade and a rollback."""
UPGRADE = f"autoinstall upgrade {NEWER_DEVICE}"


def newer(lab: Lab) -> Disk:
    """The medium with the newer image; more than one machine has it."""
    return Disk(lab.recording.newer, serial="NEWER", boot_index=None, read_only=True)


class Node:
    """A machine that is started again whenever its power failed."""

    def __init__(self, lab: Lab, place: Path) -> None:
        self._lab, self._place = lab, place
        self._disk = Disk(lab.content(lab.trace("upgrade")).write_to(place / "disk.raw"))
        self._machine = self._start()
        self.image = self._comes_up()
        self.config = config_hash(self._machine)

    def goes(self, script: str, cut_s: float | None) -> float:
        """Run a script that ends with a reboot; the power fails after a time. How long it took until all was up."""
        begun_s = time.monotonic()
        as_root(self._machine, f"systemd-run --quiet --no-block --collect sh -c '{script} && systemctl reboot'")
        if cut_s is not None:
            with suppress(TimedOut):
                self._machine.wait_for_end(cut_s)
            self.off()
            self._machine = self._start()
        self.image = self._comes_up()
        assert config_hash(self._machine) == self.config
        return time.monotonic() - begun_s

    def off(self) -> None:
        """The power fails."""
        self._machine.kill()

    def _start(self) -> Machine:
        hardware = Hardware(disks=(self._disk, newer(self._lab)), reboots=True)
        return Machine(hardware, self._place, key=self._lab.recording.key, name="node")

    def _comes_up(self) -> str:
        """The image that it runs, all of its boot done."""
        came_up(self._machine)
        status = json.loads(as_root(self._machine, "autoinstall status --json"))
        assert not status["fallen"]
        return str(status["slots"][status["slot"]]["image_id"])


@pytest.mark.parametrize("number", range(real.MACHINES))
def test_config_outlives_upgrades_and_rollbacks_whenever_the_power_fails(
    lab: Lab, tmp_path: Path, number: int
) -> None:
    node = Node(lab, tmp_path)
    old = node.image
    (new,) = lab.recording.brought.image_ids - {old}
    took: dict[str, float] = {}
    try:
        halves = itertools.cycle([(UPGRADE, new), ("autoinstall rollback", old)])
        for (script, wanted), share in zip(halves, real.live_cuts(number, CYCLES), strict=False):
            cut_s = None if share is None else share * took[script]
            seconds = node.goes(script, cut_s)
            cut = (
                "not cut"
                if cut_s is None
                else f"cut after {cut_s:.0f} s, {'as' if node.image == wanted else 'not'} asked"
            )
            print(f"machine {number}: {script}: {cut}; up after {seconds:.0f} s")
            if cut_s is not None and node.image != wanted:
                seconds = node.goes(script, None)
            assert node.image == wanted
            took.setdefault(script, seconds)
    finally:
        node.off()


@pytest.mark.parametrize("number", range(real.NTH["upgrade"]))
def test_an_upgrade_that_is_cut_at_exactly_the_nth_write_leaves_a_node(lab: Lab, tmp_path: Path, number: int) -> None:
    nth = real.nth_writes(lab, "upgrade")[number]
    path = lab.content(lab.trace("upgrade")).write_to(tmp_path / "disk.raw")
    disk = Disk(path, on_error=OnError.STOP)
    with Machine(
        Hardware(disks=(disk, newer(lab))), tmp_path, key=lab.recording.key, name=f"cut-at-{nth}"
    ) as machine:
        came_up(machine)
        machine.fail(disk, fail_from_write(tmp_path / "rules", nth))
        # It may write a little less than the recorded one: then the cut comes after it, but it comes.
        go_on = "while echo >/var/log/lab; do sync; done"
        as_root(machine, f"systemd-run --quiet --no-block sh -c '{UPGRADE}; {go_on}'")
        machine.wait_for_qmp("BLOCK_IO_ERROR", NODE_LIMIT_S)
        machine.kill()
    comes_up(path, lab)

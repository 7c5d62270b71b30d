"""What the line names and is not there yet: it is waited for, as long as the line says, and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.hardware import Disk, new_disk
from tests.vm.live import LiveSystem, begin, install
from tests.vm.machine import Event, Machine

pytestmark = pytest.mark.vm

LINK_LIMIT_S = 30
TELL_LIMIT_S = 30
PLAN_LIMIT_S = 120
WAITING = "^autoinstall: waiting for "
LINE = "storage_init=serial:TARGET0 BOOTIF=link autoinstall.dry_run"
WATCHDOG_S = 40
"""Longer than the installer is silent while it waits; shorter than the wait of the test."""


def link(machine: Machine, up: bool) -> None:
    """Plug or pull the cable of the only NIC, and wait until the machine knows."""
    machine.qmp("set_link", name="net0", up=up)
    seen = f"until [ $(cat /sys/class/net/e*/carrier) = {int(up)} ]; do sleep .1; done"
    machine.shell(f"timeout {LINK_LIMIT_S} sh -c '{seen}'", LINK_LIMIT_S + 5)


@pytest.fixture
def unplugged(live: LiveSystem, tmp_path: Path) -> Iterator[Machine]:
    """A live system with a blank disk, and no cable in its only NIC."""
    with live.start(tmp_path, Disk(new_disk(tmp_path / "disk.raw"), boot_index=None)) as machine:
        link(machine, up=False)
        yield machine


def test_a_link_that_does_not_come_is_a_refusal_that_names_the_nic(unplugged: Machine) -> None:
    result = install(unplugged, f"{LINE} autoinstall.carrier_timeout=2")
    unplugged.wait_for_line(WAITING, TELL_LIMIT_S)
    unplugged.wait_for_line(r"^autoinstall: Nothing was written\.$", TELL_LIMIT_S)
    assert (result["result"], result["exit_code"]) == ("refused", 3)
    said = "\n".join([*result["reasons"], result["hint"]])
    assert "BOOTIF=link fits no NIC" in said
    assert f"{unplugged.hardware.mac} no carrier" in said


def test_a_link_that_comes_late_is_the_one_that_is_used(unplugged: Machine) -> None:
    begin(unplugged, f"{LINE} autoinstall.carrier_timeout=600")
    unplugged.wait_for_line(WAITING, TELL_LIMIT_S)
    link(unplugged, up=True)
    result = unplugged.result(PLAN_LIMIT_S)
    assert result["result"] == "planned"
    assert result["plan"]["nic"]["mac"] == unplugged.hardware.mac


def test_a_disk_that_comes_late_is_the_one_that_is_used(live: LiveSystem, tmp_path: Path) -> None:
    with live.start(tmp_path) as machine:
        begin(machine, f"{LINE} autoinstall.disk_timeout=600")
        machine.wait_for_line(WAITING, TELL_LIMIT_S)
        machine.plug(Disk(new_disk(tmp_path / "disk.raw"), boot_index=None))
        result = machine.result(PLAN_LIMIT_S)
    assert result["result"] == "planned"
    assert result["plan"]["target"]["serial"] == "TARGET0"


@pytest.mark.exhaustive
def test_the_watchdog_lets_a_long_wait_be(live: LiveSystem, tmp_path: Path) -> None:
    """Its five minutes are made shorter here; a wait may be as long as a day."""
    with live.start(tmp_path) as machine:
        place = "/run/systemd/system/autoinstall.service.d"
        machine.shell(f"mkdir -p {place} && printf '[Service]\nWatchdogSec={WATCHDOG_S}\n' >{place}/short.conf")
        machine.shell("systemctl daemon-reload")
        result: Event = install(machine, f"{LINE} autoinstall.disk_timeout={2 * WATCHDOG_S}", 4 * WATCHDOG_S)
    assert (result["result"], result["exit_code"]) == ("refused", 3)

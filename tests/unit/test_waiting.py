"""Waiting for the disk and the NIC of the line: nobody waits for what is there, and a long wait is told of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import pytest

from autoinstall import cmdline, probe
from autoinstall.errors import TookTooLong
from autoinstall.facts import NodeMark
from autoinstall.host import Host
from autoinstall.request import request_from
from tests.unit.machines import MACHINE

WATCHDOG_S = 300
TICK_S = 7


class Clock(Host):
    """Time that goes by only while something is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.told: list[tuple[float, int, int]] = []
        self.progress = lambda done, total: self.told.append((self.now_s, done, total))

    def monotonic_s(self) -> float:
        return self.now_s

    def wait_for(self, what: str, holds: Callable[[], bool], limit_s: float, interval_s: float = TICK_S) -> None:
        end_s = self.now_s + limit_s
        while not holds():
            self.now_s += interval_s
            if self.now_s > end_s:
                raise TookTooLong(what)


@pytest.fixture(autouse=True)
def blank_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on a disk of the tests is not read."""
    monkeypatch.setattr(probe, "marked", lambda disk: disk)


def wait(monkeypatch: pytest.MonkeyPatch, line: str) -> tuple[Clock, list[str]]:
    """What was said and told while the machine of the tests was waited for."""
    monkeypatch.setattr(probe, "disks", lambda *_, **__: MACHINE.disks)
    monkeypatch.setattr(probe, "nics", lambda: MACHINE.nics)
    clock, said = Clock(), list[str]()
    probe.wait_for_asked(request_from(cmdline.parse(line)), clock, said.append)
    return clock, said


def test_what_is_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = wait(monkeypatch, f"storage_init BOOTIF={MACHINE.nics[0].mac}")
    assert (clock.now_s, said) == (0, [])


def test_the_disk_of_a_reinstall_is_known_by_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = iter([None, None, NodeMark(UUID(int=1), finished=True)])
    monkeypatch.setattr(probe, "marked", lambda disk: replace(disk, node=next(marks)))
    clock, said = wait(monkeypatch, "reinstall")
    assert (clock.now_s, said) == (TICK_S, ["waiting for a disk with a node, 60 s at most"])


def test_a_map_is_asked_for_by_its_own_name_before_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    there = iter([(), MACHINE.disks])
    joined: list[Host] = []

    def join(host: Host) -> bool:
        joined.append(host)
        return True

    monkeypatch.setattr(probe, "_fits", lambda *_: bool(next(there)))
    monkeypatch.setattr(probe, "join_paths", join)
    clock, said = wait(monkeypatch, "storage_init=/dev/mapper/3600a0b80000f1a2b")
    assert (clock.now_s, said, joined) == (0, [], [clock])


def test_what_is_missing_is_waited_for_as_long_as_the_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "storage_init=serial:NOSUCH autoinstall.disk_timeout=20 BOOTIF=eth9 autoinstall.carrier_timeout=40"
    clock, said = wait(monkeypatch, line)
    assert said == ["waiting for the disk serial:NOSUCH, 20 s at most", "waiting for the NIC eth9, 40 s at most"]
    assert 60 <= clock.now_s < 60 + 2 * TICK_S


def test_every_disk_of_the_line_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "storage_init=virtio,serial:B autoinstall.app_disks=serial:C,nvme:ALL storage_vol=rest,Data2"
    _, said = wait(monkeypatch, f"{line} autoinstall.disk_timeout=5")
    assert said == [f"waiting for the disk {name}, 5 s at most" for name in ("serial:B", "serial:C", "nvme:ALL")]


@pytest.mark.parametrize(
    ("line", "node", "waited"),
    [
        ("storage_init=virtio,serial:B", NodeMark(UUID(int=1), finished=True), False),
        ("storage_init=serial:TARGET0,serial:B", NodeMark(UUID(int=1), finished=True), False),
        ("storage_init=virtio,serial:B reinstall", NodeMark(UUID(int=1), finished=True), True),
        ("storage_init=virtio,serial:B autoinstall.id=new", NodeMark(UUID(int=1), finished=True), True),
        ("storage_init=virtio,serial:B uninstall", NodeMark(UUID(int=1), finished=True), True),
        ("storage_init=virtio,serial:B", NodeMark(UUID(int=1), finished=False), True),
        ("storage_init=serial:A,serial:B", NodeMark(UUID(int=1), finished=True), True),
    ],
)
def test_a_node_that_is_booted_as_it_is_waits_for_no_second_disk(
    monkeypatch: pytest.MonkeyPatch, line: str, node: NodeMark, waited: bool
) -> None:
    """That may be dead, and the line may let an install wait a day for it."""
    monkeypatch.setattr(probe, "marked", lambda disk: replace(disk, node=node))
    _, said = wait(monkeypatch, f"{line} autoinstall.disk_timeout=86400")
    assert any("serial:B" in text for text in said) is waited


def test_each_nic_of_a_bond_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"storage_init bond=bond0:eth9,{MACHINE.nics[0].name},eth8 BOOTIF=bond0 autoinstall.carrier_timeout=5"
    _, said = wait(monkeypatch, line)
    assert said == ["waiting for the NIC eth9, 5 s at most", "waiting for the NIC eth8, 5 s at most"]


def test_the_watchdog_hears_of_a_day_long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, _ = wait(monkeypatch, "storage_init=serial:NOSUCH autoinstall.disk_timeout=86400")
    times = [0.0, *(now_s for now_s, _, _ in clock.told), clock.now_s]
    assert max(later - earlier for earlier, later in pairwise(times)) < WATCHDOG_S / 2
    assert {total for _, _, total in clock.told} == {86400}
    assert len(clock.told) < 3000

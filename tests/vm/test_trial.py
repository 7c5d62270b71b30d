"""A slot on trial gives way when it is not found good; one that was once good stays up. Attempts come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autoinstall.node.state import STATE_COPIES
from autoinstall.slots import MOST_TRIES, Slot, SlotState, fresh, render_env
from tests.vm.configured import SHELL, Finished, slot_state
from tests.vm.disk import DiskImage
from tests.vm.faults import bad_sector
from tests.vm.hardware import Disk, Hardware, erst
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem
from tests.vm.machine import DOWN, Machine
from tests.vm.watch import NEVER

pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]

TIMER_LIMIT_S = 120
MENU_LIMIT_S = 60
GIVE_UP_LIMIT_S = 270
"""Before the five minutes of the deadline: it ends a boot where nothing else does, and must not hide that."""
STALLED_LIMIT_S = 420
"""The deadline, the limits of what it starts, and the watchdog."""
BITTEN = "Software Watchdog Timer expired"
BOOTING = r"Kernel command line: .* rd\.autoinstall\.slot=([AB])"
DEGRADED = r"^autoinstall: node=degraded slot=A image=\S+ failed=health.d/tyre$"
ON_TRIAL = SlotState(Slot.A, 2, False, MOST_TRIES, True)
GOOD = SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, True)

# What goes wrong, in slot A only: both slots have one /etc.
ONLY_A = "ConditionKernelCommandLine=rd.autoinstall.slot=A"
HANG = {
    "systemd/system/hang.service": f"[Unit]\n{ONLY_A}\nBefore=boot-complete.target\n"
    "[Service]\nType=oneshot\nExecStart=/usr/bin/sh -c 'echo hangs >/dev/console; exec sleep infinity'\n",
    "systemd/system/boot-complete.target.d/hang.conf": "[Unit]\nRequires=hang.service\n",
    "systemd/system/autoinstall-deadline.timer.d/short.conf": "[Timer]\nOnActiveSec=\nOnActiveSec=30s\n",
}
TYRE = {
    "autoinstall/health.d/tyre": "#!/bin/sh\necho flat\n! grep -q rd.autoinstall.slot=A /proc/cmdline\n",
}
EMERGENCY = {
    "systemd/system/gone.service": f"[Unit]\n{ONLY_A}\nDefaultDependencies=no\nBefore=local-fs.target\n"
    "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n",
    "systemd/system/local-fs.target.d/gone.conf": "[Unit]\nRequires=gone.service\n",
}


@pytest.fixture
def source(live: LiveSystem, finished: Path) -> Finished:
    """Disks to be configured."""
    return Finished(live, finished)


def node(disk: DiskImage, place: Path, reboots: bool = False) -> Machine:
    """A machine that runs from the disk."""
    return Machine(Hardware(disks=(Disk(disk.path),), reboots=reboots), place, name="node")


@pytest.mark.parametrize("wrong", [HANG, TYRE, EMERGENCY], ids=["hang", "check", "emergency"])
def test_a_slot_on_trial_gives_way_after_its_attempts(
    source: Finished, tmp_path: Path, wrong: dict[str, str]
) -> None:
    disk = source.copy(tmp_path, wrong, ON_TRIAL)
    with node(disk, tmp_path, reboots=True) as machine:
        for slot in ("A", "A", "B"):
            assert machine.wait_for_line(BOOTING, GIVE_UP_LIMIT_S).group(1) == slot
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
        machine.kill()
    assert slot_state(disk) == SlotState(Slot.A, 0, False, MOST_TRIES - 1, True)


def test_a_slot_on_trial_gives_way_where_its_disk_answers_no_more(source: Finished, tmp_path: Path) -> None:
    """Whoever would keep why then hangs too, and so does all that is not in memory."""
    disk = source.copy(tmp_path, {**HANG, **SHELL}, replace(ON_TRIAL, a_try=1))
    hardware = Hardware(disks=(Disk(disk.path),), reboots=True, more=erst(tmp_path / "erst"))
    with Machine(hardware, tmp_path, name="node") as machine:
        assert machine.wait_for_line(BOOTING, NODE_LIMIT_S).group(1) == "A"
        machine.wait_for_line("^hangs", NODE_LIMIT_S)
        machine.stall(machine.hardware.disks[0])
        machine.wait_for_line(f"Kernel panic - not syncing: {BITTEN}", STALLED_LIMIT_S, unless=NEVER)
        machine.stall(machine.hardware.disks[0], False)
        assert machine.wait_for_line(BOOTING, NODE_LIMIT_S, unless=NEVER).group(1) == "B"
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S, unless=NEVER).group(1) == "B"
        assert BITTEN in machine.shell("autoinstall status")
        machine.kill()


def test_a_slot_that_was_once_good_stays_up_with_the_same_failed_check(source: Finished, tmp_path: Path) -> None:
    disk = source.copy(tmp_path, {**TYRE, **SHELL}, GOOD)
    with node(disk, tmp_path) as machine:
        machine.wait_for_line(DEGRADED, NODE_LIMIT_S)
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        assert machine.shell("systemctl list-jobs --no-legend").split() == []
        assert machine.shell("systemctl show --value -p ConditionResult autoinstall-fallback.service").split() == [
            "no"
        ]
        assert "health.d/tyre: exit status 1: flat" in machine.shell("autoinstall status")
        assert machine.qmp("query-status")["status"] == "running"
        machine.power_off()
    assert slot_state(disk) == GOOD


def test_attempts_come_back_after_a_while_of_health(source: Finished, tmp_path: Path) -> None:
    """Ten minutes; made shorter here. The power fails after them, so that no shutdown gives them back."""
    timer = "[Unit]\nAfter=autoinstall-mark-good.service\n[Timer]\nOnActiveSec=\nOnActiveSec=1s\n"
    short = {"systemd/system/autoinstall-rearm.timer.d/short.conf": timer}
    disk = source.copy(tmp_path, {**short, **SHELL}, fresh())
    with node(disk, tmp_path) as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        journal = "journalctl --follow --lines=all --output=cat -u autoinstall-mark-good -u autoinstall-rearm"
        machine.shell(f"{journal} | grep -m 1 'slot A: {MOST_TRIES - 1} tries left, good'", TIMER_LIMIT_S)
        machine.shell(f"{journal} | grep -m 1 'slot A: {MOST_TRIES} tries left, good'", TIMER_LIMIT_S)
        machine.kill()
    assert slot_state(disk) == SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, False)


def test_a_copy_of_the_slot_state_that_cannot_be_read_costs_no_boot_and_is_written_anew(
    source: Finished, tmp_path: Path
) -> None:
    disk = source.copy(tmp_path, SHELL, fresh())
    esp = disk.table["EFI"]
    copy = disk.read(esp.start_bytes, esp.size_bytes).index(render_env(fresh()))
    rules = bad_sector(tmp_path / "rules", esp.start_bytes + copy, "read")
    with Machine(Hardware(disks=(Disk(disk.path, faults=rules),)), tmp_path, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        assert machine.shell("systemctl is-system-running --wait", NODE_LIMIT_S).split() == ["running"]
        machine.power_off()
    good = SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, False)
    assert {disk.esp_file(name) for name in STATE_COPIES} == {render_env(good)}


def test_the_other_slot_is_chosen_in_the_boot_menu_and_stays_where_a_rollback_says_so(
    source: Finished, tmp_path: Path
) -> None:
    disk = source.copy(tmp_path, SHELL, GOOD)
    with node(disk, tmp_path, reboots=True) as machine:
        machine.wait_for_line("Slot B:", MENU_LIMIT_S)
        machine.type(f"{DOWN}\r")
        assert machine.wait_for_line(BOOTING, NODE_LIMIT_S).group(1) == "B"
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        status = machine.shell("autoinstall status")
        assert "runs slot B, not slot A, which has a good image and was first" in status
        assert "the boot loader could not load it, or slot B was chosen in its menu" in status
        machine.shell("autoinstall rollback && systemctl --no-block reboot")
        assert machine.wait_for_line(BOOTING, NODE_LIMIT_S).group(1) == "B"
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        assert "not slot A" not in machine.shell("autoinstall status")
        machine.power_off()
    assert slot_state(disk) == SlotState(Slot.B, MOST_TRIES, True, MOST_TRIES, True)

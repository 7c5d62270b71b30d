"""However a run ends, somebody hears it once, and the machine is left as its line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, new_disk
from tests.vm.live import INSTALL_LIMIT_S, LiveSystem, begin, install
from tests.vm.machine import Event, Machine
from tests.vm.recorded import LINE

pytestmark = pytest.mark.vm

TELL_LIMIT_S = 60
END_LIMIT_S = 60
REFUSED = "storage_init=serial:NOSUCH autoinstall.disk_timeout=0"
MIDDLE = {"name": "install/image-a", "event_type": "progress"}
READERS = "find /proc/[0-9]*/fd -lname /dev/ttyS0 -o -lname /dev/console 2>/dev/null || true"


def target(place: Path) -> Disk:
    """A blank disk to install onto."""
    return Disk(new_disk(place / "disk.raw"), boot_index=None)


def cut_short(machine: Machine, words: str, command: str) -> Event:
    """Do something to the installer in the middle of a step; its result."""
    begin(machine, f"{LINE} {words}")
    machine.wait_for_event(INSTALL_LIMIT_S, **MIDDLE)
    machine.shell(command)
    return machine.result(TELL_LIMIT_S)


def assert_told_once(machine: Machine, result: Event) -> None:
    """A failure in the step that was under way, on the console and on the port, one time each."""
    machine.wait_for_line("^autoinstall: result=failed$", TELL_LIMIT_S)
    assert (result["result"], result["exit_code"], result["step"]) == ("failed", 4, "image-a")
    assert result["reasons"][0] in machine.console.all
    machine.shell("systemctl is-active --quiet autoinstall-died.service && exit 1 || true")
    assert machine.console.all.count("autoinstall: result=") == 1
    assert [event["event_type"] for event in machine.events].count("result") == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("systemctl kill --signal=KILL autoinstall.service", "without a result, in the step image-a: signal KILL"),
        ("systemctl stop autoinstall.service", "told to end"),
    ],
    ids=["killed", "stopped"],
)
def test_a_run_that_is_cut_short_has_one_result_and_leaves_nothing_that_boots(
    live: LiveSystem, tmp_path: Path, command: str, reason: str
) -> None:
    disk = target(tmp_path)
    with live.start(tmp_path, disk) as machine:
        result = cut_short(machine, "", command)
        assert_told_once(machine, result)
        assert reason in result["reasons"][0]
        assert machine.qmp("query-status")["status"] == "running"
    assert not any(DiskImage(disk.path).sector_zero)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("action", "how"), [("reboot:1", "guest-reset"), ("poweroff", "guest-shutdown")], ids=["reboot", "poweroff"]
)
def test_a_killed_run_ends_as_its_line_says(live: LiveSystem, tmp_path: Path, action: str, how: str) -> None:
    with live.start(tmp_path, target(tmp_path)) as machine:
        words = f"autoinstall.on_failure={action}"
        result = cut_short(machine, words, "systemctl kill --signal=KILL autoinstall.service")
        assert result["result"] == "failed"
        assert machine.wait_for_qmp("SHUTDOWN", END_LIMIT_S)["data"]["reason"] == how


@pytest.mark.parametrize(
    ("action", "how"), [("reboot", "guest-reset"), ("poweroff", "guest-shutdown")], ids=["reboot", "poweroff"]
)
@pytest.mark.exhaustive
def test_a_refused_run_ends_as_its_line_says(live: LiveSystem, tmp_path: Path, action: str, how: str) -> None:
    with live.start(tmp_path) as machine:
        assert install(machine, f"{REFUSED} autoinstall.on_failure={action}")["result"] == "refused"
        assert machine.wait_for_qmp("SHUTDOWN", END_LIMIT_S)["data"]["reason"] == how


def assert_shell_opens(machine: Machine) -> None:
    """Somebody reads the console and does as root what is typed."""
    machine.wait_for_line("# $", TELL_LIMIT_S)
    machine.type("echo I am $(id -un) $((40 + 2))\r")
    machine.wait_for_line("^I am root 42$", TELL_LIMIT_S)


def test_a_shell_opens_on_the_console_where_the_line_asks_for_it(live: LiveSystem, tmp_path: Path) -> None:
    with live.start(tmp_path) as machine:
        assert install(machine, f"{REFUSED} autoinstall.on_failure=shell")["result"] == "refused"
        machine.wait_for_line("^autoinstall: result=refused$", TELL_LIMIT_S)
        assert_shell_opens(machine)


@pytest.mark.exhaustive
def test_nobody_reads_the_console_where_the_line_does_not_ask_for_it(live: LiveSystem, tmp_path: Path) -> None:
    with live.start(tmp_path) as machine:
        assert install(machine, REFUSED)["result"] == "refused"
        machine.wait_for_line("^autoinstall: result=refused$", TELL_LIMIT_S)
        machine.shell("systemctl is-system-running --wait || true")  # all that was started is up
        assert machine.shell(READERS).split() == []


def emergency(machine: Machine, words: str) -> Event:
    """Let the live system end in emergency mode, as local-fs.target does it; the result."""
    begin(machine, words)
    machine.wait_for_event(TELL_LIMIT_S, event_type="result", result="none")
    machine.shell("systemctl start --no-block --job-mode=replace-irreversibly emergency.target")
    return machine.wait_for_event(TELL_LIMIT_S, event_type="result", result="failed")


@pytest.mark.exhaustive
def test_a_live_system_in_emergency_mode_opens_the_shell_that_is_asked_for(live: LiveSystem, tmp_path: Path) -> None:
    with live.start(tmp_path) as machine:
        result = emergency(machine, "autoinstall.on_failure=shell")
        assert "emergency mode" in result["reasons"][0]
        assert_shell_opens(machine)


@pytest.mark.exhaustive
def test_a_live_system_in_emergency_mode_goes_down_where_its_line_says_so(live: LiveSystem, tmp_path: Path) -> None:
    with live.start(tmp_path) as machine:
        emergency(machine, "autoinstall.on_failure=poweroff")
        assert machine.wait_for_qmp("SHUTDOWN", END_LIMIT_S)["data"]["reason"] == "guest-shutdown"

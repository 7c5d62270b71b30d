"""Once the last write of an install is on the disk there is a node, and the result says so, whatever comes then."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoinstall import install as story
from autoinstall import localboot
from autoinstall.errors import DeviceLost, Stopped, TookTooLong, ToolFailed
from autoinstall.grammar_sources import Break
from autoinstall.host import Host
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Memory
from tests.unit.machines import MACHINE
from tests.unit.test_execute import Fake

LATE = "all of it had taken place already when this came: "
STOPPED = Stopped("it was told to end (SIGTERM)")


@dataclass
class Last(Fake):
    """A Commit that is on the disk, or not, when its error comes."""

    name: str = "commit"
    writes: bool = True
    on_disk: bool = True
    readable: bool = True

    title = "Making /dev/vda bootable"

    def why_not_done(self, host: Host) -> str:
        if not self.readable:
            raise DeviceLost("reading: /dev/vda: Input/output error")
        return "" if self.on_disk else "sector 0 is not what was written"


@pytest.fixture
def ignored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """This machine has a blank disk; the signals that are ignored from some time on."""
    numbers: list[int] = []
    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: MACHINE)
    monkeypatch.setattr(signal, "signal", lambda number, what: numbers.append(number))
    return numbers


def installed(last: Last, told: Memory, monkeypatch: pytest.MonkeyPatch, words: str = "") -> Result:
    """How an install ends whose last step this is."""
    monkeypatch.setattr(story, "install_steps", lambda *_: [last])
    return story.install(f"storage_init {words}", Host(), [told])


@pytest.mark.parametrize("error", [STOPPED, DeviceLost("/dev/vda: Input/output error"), OSError(5, "I/O error")])
def test_what_comes_after_the_commit_is_told_and_the_machine_is_installed(
    ignored: list[int], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    told = Memory()
    result = installed(Last(error=error), told, monkeypatch)
    assert (result.ending, result.exit_code, told.node_disk) == (Ending.INSTALLED, 0, "/dev/vda")
    assert told.events[-1].description.startswith(LATE)
    assert str(error) in told.events[-1].description or "I/O error" in told.events[-1].description


@pytest.mark.parametrize("last", [Last(error=STOPPED, on_disk=False), Last(error=STOPPED, readable=False)])
def test_what_comes_before_the_commit_or_hides_it_is_a_failure(
    ignored: list[int], monkeypatch: pytest.MonkeyPatch, last: Last
) -> None:
    result = installed(last, Memory(), monkeypatch)
    assert (result.ending, result.exit_code, result.detail["step"]) == (Ending.FAILED, 4, "commit")


def test_from_the_commit_on_no_signal_is_heard(ignored: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed(Last(), Memory(), monkeypatch).ending is Ending.INSTALLED
    assert signal.SIGTERM in ignored


@pytest.mark.parametrize("error", [ToolFailed("kexec exited with 1"), OSError(5, "Input/output error")])
def test_a_kernel_that_cannot_be_loaded_costs_a_reboot_and_no_node(
    ignored: list[int], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    told, words = Memory(), "autoinstall.after=kexec"
    monkeypatch.setattr(localboot, "load_installed", fails)
    result = installed(Last(), told, monkeypatch, words)
    assert (result.ending, result.to_json()["after"]) == (Ending.INSTALLED, "reboot")
    assert told.events[-1].description == f"no kexec: this machine reboots through its firmware instead: {error}"
    assert story.leaving_unit(f"storage_init {words}", result) == "autoinstall-reboot.service"


def test_a_shell_behind_an_install_that_cannot_be_opened_costs_no_node(
    ignored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_shell(where: Break, *_: object) -> None:
        if where is Break.POST_INSTALLER:
            raise TookTooLong("opening a shell: systemctl did not end within 60 s")

    told = Memory()
    monkeypatch.setattr(story, "_break_at", no_shell)
    assert installed(Last(), told, monkeypatch).ending is Ending.INSTALLED
    assert told.events[-1].description.startswith("autoinstall.break=post-installer: opening a shell")

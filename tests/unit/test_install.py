"""From a line to its one result, and how the machine is left."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from autoinstall import install as story
from autoinstall.errors import TookTooLong, ToolFailed, ToolMissing
from autoinstall.facts import NodeMark
from autoinstall.grammar_sources import Break
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Consoles, Memory
from autoinstall.slots import Slot
from tests.unit.machines import HASH, MACHINE, VDA


class Paper(Memory):
    """A console on paper."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def say(self, text: str) -> None:
        self.text += f"{text}\n"


@pytest.mark.parametrize("line", ["", "quiet ro", "BOOTIF=link ip=dhcp console=ttyS0", "rescue storage_init"])
def test_a_line_that_asks_for_no_install_touches_nothing_and_says_how_to_ask(line: str) -> None:
    paper = Paper()
    result = story.install(line, Host(), [paper])
    assert (result.ending, result.exit_code) == (Ending.NONE, 0)
    assert "No disk was touched" in paper.text


def test_a_wrong_line_is_refused_with_every_reason_before_anything_is_read() -> None:
    result = story.install("storage_init adminpw=plain autoinstall.aftre=hold", Host(), [Paper()])
    assert (result.ending, result.exit_code) == (Ending.REFUSED, 2)
    assert len(result.reasons) == 2


def test_a_bug_is_a_result_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("impossible")

    monkeypatch.setattr(story, "find_image", broken)
    result = story.install("storage_init", Host(), [Paper()])
    assert (result.ending, result.exit_code) == (Ending.FAILED, 70)
    assert "RuntimeError: impossible" in result.reasons[0]


@pytest.fixture
def a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's disk carries a finished node."""
    disk = replace(VDA, node=NodeMark(UUID(int=1), finished=True))
    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: replace(MACHINE, disks=(disk,)))


STAYING = ["autoinstall.dry_run", "autoinstall.installed=hold", "autoinstall.installed=poweroff"]


@pytest.mark.parametrize("words", STAYING)
def test_a_finished_node_is_not_even_counted_where_the_line_says_to_stay(a_node: None, words: str) -> None:
    result = story.install(f"storage_init {words}", Host(), [Paper()])
    assert (result.ending, result.exit_code) == (Ending.ALREADY_INSTALLED, 0)


@pytest.mark.parametrize("words", ["", "autoinstall.after=poweroff", "autoinstall.after=hold"])
def test_what_comes_after_an_installation_does_not_keep_a_machine_from_its_node(
    a_node: None, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setattr(story, "load_either", lambda host, disk, sinks: Slot.B)
    result = story.install(f"storage_init {words}", Host(), [Paper()])
    assert result.reasons == ("/dev/vda already carries a finished node; going on to its slot B",)


def test_secrets_are_not_said() -> None:
    paper = Paper()
    story.install(f"rescue adminpw={HASH}", Host(), [paper])
    assert HASH not in paper.text
    assert "adminpw=***" in paper.text


@pytest.mark.parametrize(
    ("line", "ending", "exit_code", "unit"),
    [
        ("storage_init", Ending.INSTALLED, 0, "autoinstall-reboot.service"),
        ("storage_init autoinstall.after=poweroff", Ending.INSTALLED, 0, "autoinstall-poweroff.service"),
        ("storage_init autoinstall.after=hold", Ending.INSTALLED, 0, None),
        ("storage_init", Ending.ALREADY_INSTALLED, 0, "autoinstall-kexec.service"),
        ("storage_init autoinstall.after=hold", Ending.ALREADY_INSTALLED, 0, "autoinstall-kexec.service"),
        ("storage_init autoinstall.after=poweroff", Ending.ALREADY_INSTALLED, 0, "autoinstall-kexec.service"),
        ("storage_init reboot_delay=9", Ending.ALREADY_INSTALLED, 0, "autoinstall-kexec.service"),
        ("storage_init autoinstall.installed=hold", Ending.ALREADY_INSTALLED, 0, None),
        ("storage_init autoinstall.installed=poweroff", Ending.ALREADY_INSTALLED, 0, "autoinstall-poweroff.service"),
        ("storage_init autoinstall.installed=poweroff", Ending.INSTALLED, 0, "autoinstall-reboot.service"),
        ("storage_init reboot_delay=9", Ending.INSTALLED, 0, "autoinstall-reboot@9.service"),
        ("storage_init reboot_delay=0", Ending.INSTALLED, 0, "autoinstall-reboot.service"),
        ("storage_init autoinstall.after=kexec", Ending.INSTALLED, 0, "autoinstall-kexec.service"),
        ("storage_init autoinstall.dry_run", Ending.PLANNED, 0, None),
        ("storage_init autoinstall.dry_run", Ending.ALREADY_INSTALLED, 0, None),
        ("", Ending.NONE, 0, None),
        ("storage_init", Ending.FAILED, 4, None),
        ("storage_init autoinstall.on_failure=reboot:5", Ending.FAILED, 4, "autoinstall-reboot@5.service"),
        ("storage_init autoinstall.on_failure=shell", Ending.REFUSED, 3, "autoinstall-shell.service"),
        ("storage_inti autoinstall.on_failure=poweroff", Ending.REFUSED, 2, "autoinstall-poweroff.service"),
        ('storage_init "', Ending.REFUSED, 2, None),
    ],
)
def test_how_the_machine_is_left(line: str, ending: Ending, exit_code: int, unit: str | None) -> None:
    assert story.leaving_unit(line, Result(ending, exit_code)) == unit


class Shell(Host):
    """A host on which the shell of a break ends by itself, the second time that it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[str, ...]] = []

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        self.ran.append(tuple(str(word) for word in argv))
        return Completed(0, "", "")

    def wait_for(self, what: str, holds: Callable[[], bool], limit_s: float, interval_s: float = 0) -> None:
        assert not holds()
        story.BREAK.unlink()
        assert holds()
        assert limit_s == math.inf


@pytest.mark.parametrize(
    ("words", "opened"),
    [
        ("autoinstall.break=pre-installer", 1),
        ("node.break=post-installer autoinstall.break=pre-installer", 1),
        ("autoinstall.break=pre-reboot", 0),
        ("", 0),
    ],
)
def test_a_run_waits_where_the_line_says_until_the_shell_ends(
    a_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, opened: int
) -> None:
    lives: list[None] = []
    monkeypatch.setattr(story, "BREAK", tmp_path / "run/break")
    monkeypatch.setattr(story, "alive", lambda: lives.append(None))
    host, paper = Shell(), Paper()
    result = story.install(f"storage_init autoinstall.installed=hold {words}", host, [paper])
    assert result.ending is Ending.ALREADY_INSTALLED
    assert host.ran == [("systemctl", "start", "--no-block", "autoinstall-break.service")] * opened
    assert len(lives) == 2 * opened
    story._break_at(Break.PRE_REBOOT, host, [paper])
    assert len(host.ran) == opened + ("pre-reboot" in words)


@pytest.mark.parametrize(("level", "traced"), [("debug", True), ("info", False)])
def test_each_program_is_told_of_where_the_line_says_so(a_node: None, level: str, traced: bool) -> None:
    host, paper = Host(), Paper()
    line = f"storage_init autoinstall.installed=hold node.log_level={level}"
    story.install(line, host, [paper])
    host.trace("blkid -p /dev/vda")
    assert ("run: blkid -p /dev/vda" in paper.text) is traced


def test_a_console_that_is_to_say_little_does_not_even_say_the_line(a_node: None, tmp_path: Path) -> None:
    path = tmp_path / "console"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    line = "storage_init autoinstall.installed=hold autoinstall.log_level=warning use_strong_rng"
    story.install(line, Host(), [Paper(), Consoles([path])])
    told = os.read(reader, 65536).decode()
    os.close(reader)
    assert told.splitlines() == ["autoinstall: plan: WARN: use_strong_rng: it has no effect on this system"]


def test_a_stateless_system_waits_once_all_is_applied(
    a_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "BREAK", tmp_path / "run/break")
    monkeypatch.setattr(story, "alive", lambda: None)
    monkeypatch.setattr(story, "execute", lambda steps, host, emit: host.ran.append(("applied",)))
    host = Shell()
    assert story.install("stateless autoinstall.break=post-installer", host, [Paper()]).ending is Ending.APPLIED
    assert host.ran == [("applied",), ("systemctl", "start", "--no-block", "autoinstall-break.service")]


@pytest.mark.parametrize(
    ("words", "ending", "kept_on", "name"),
    [
        ("", Ending.ALREADY_INSTALLED, "/dev/vda", ""),
        ("autoinstall.installed=hold", Ending.ALREADY_INSTALLED, "", ""),
        ("reinstall", Ending.INSTALLED, "/dev/vda", "node7"),
    ],
)
def test_a_node_that_there_is_in_the_end_may_keep_what_a_server_does_not_hear(
    a_node: None, monkeypatch: pytest.MonkeyPatch, words: str, ending: Ending, kept_on: str, name: str
) -> None:
    for step in ("carry_out", "install_steps", "Hashing"):
        monkeypatch.setattr(story, step, lambda *_: ())
    monkeypatch.setattr(story, "load_either", lambda host, disk, sinks: Slot.B)
    paper = Paper()
    assert story.install(f"storage_init {words} hostname=node7", Host(), [paper]).ending is ending
    assert (paper.node_disk, paper.node_name) == (kept_on, name)


def test_a_shell_that_cannot_be_opened_does_not_keep_a_machine_from_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left undone is said, and main goes on to _leave."""

    def no_shell(*_: object) -> None:
        raise ToolFailed("opening a shell: systemctl: Unit not found.")

    told = Memory()
    started: list[str] = []
    said: list[str] = []
    monkeypatch.setattr(story, "Memory", lambda: told)
    monkeypatch.setattr(story, "Servers", Memory)
    for name in ("ready", "everywhere"):
        monkeypatch.setattr(story, name, tuple)
    monkeypatch.setattr(story, "only_run", nullcontext)
    monkeypatch.setattr(story, "on_a_console", lambda: True)
    for name in ("end_when_told", "end_no_more"):
        monkeypatch.setattr(story, name, lambda *_: None)
    monkeypatch.setattr(story, "install", lambda *_: Result(Ending.INSTALLED, 0))
    monkeypatch.setattr(story, "deliver", lambda *_: [])
    monkeypatch.setattr(story, "_break_at", no_shell)
    monkeypatch.setattr(story, "_leave", lambda unit, host: started.append(unit))
    monkeypatch.setattr(Consoles, "of_this_machine", lambda: argparse.Namespace(say=said.append))
    assert story.main(argparse.Namespace(cmdline="storage_init autoinstall.break=pre-reboot"), Host()) == 0
    assert started == ["autoinstall-reboot.service"]
    assert said == ["autoinstall: leaving this system: opening a shell: systemctl: Unit not found."]


@pytest.mark.parametrize(
    "error",
    [
        ToolFailed("systemctl exited with 1"),
        ToolMissing("the program systemctl is not installed"),
        TookTooLong("systemctl did not end within 60 s"),
        OSError(12, "Cannot allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_machine_that_cannot_be_left_stays_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    said: list[str] = []
    host = Host()

    def run(*argv: str, doing: str, how: Run) -> Completed:
        raise error

    monkeypatch.setattr(host, "run", run)
    monkeypatch.setattr(Consoles, "of_this_machine", lambda: argparse.Namespace(say=said.append))
    story._leave("autoinstall-reboot.service", host)
    assert said == [f"autoinstall: leaving this system: {error}"]

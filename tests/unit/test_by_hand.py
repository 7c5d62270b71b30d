"""`autoinstall install --cmdline …`, typed by a person: where it may run, who hears of it, and what ends it."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from autoinstall import install as story
from autoinstall import live
from autoinstall.errors import CannotHere, Refused, Stopped
from autoinstall.host import Host
from autoinstall.live import only_run
from autoinstall.report import sinks
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Memory, Printed, on_a_console
from autoinstall.signals import ENDING, end_when_told, ending_waits


@pytest.fixture
def mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the initramfs left: not yet there."""
    monkeypatch.setattr(live, "MODE", tmp_path / "mode")
    monkeypatch.setattr(live, "LOCK", tmp_path / "lock")
    return tmp_path / "mode"


@pytest.fixture
def handlers() -> Iterator[None]:
    """A terminal's, also where who runs the tests ignores some, as nohup does; those of before come back."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("content", [None, "node\n", ""])
def test_only_a_system_of_a_medium_installs(mode: Path, content: str | None) -> None:
    """Somebody's laptop, a node, an initramfs that told nothing."""
    if content is not None:
        mode.write_text(content)
    with pytest.raises(CannotHere, match="does not run from a medium") as caught, only_run(Host()):
        pass
    assert "autoinstall plan" in caught.value.hint


@pytest.mark.parametrize("content", ["live\n", "rescue\n"])
def test_one_run_at_a_time(mode: Path, content: str) -> None:
    mode.write_text(content)
    with only_run(Host()), pytest.raises(Refused, match="is under way"), only_run(Host()):
        pass
    with only_run(Host()):
        pass


def test_who_may_not_install_is_told(mode: Path) -> None:
    mode.write_text("live\n")
    live.LOCK.mkdir()
    with pytest.raises(CannotHere, match="cannot be locked") as caught, only_run(Host()):
        pass
    assert caught.value.hint == "run this as root"


@pytest.mark.parametrize(
    ("terminal", "consoles", "hears"),
    [
        ("/dev/ttyS0", "ttyS0 -W- (EC p a)\n", True),
        ("/dev/console", "ttyS0 -W- (EC p a)\n", True),
        ("/dev/tty3", "tty0 -WU (EC p)\nttyS0 -W- (E p a)\n", True),
        ("/dev/tty3", "ttyS0 -W- (EC p a)\n", False),
        ("/dev/ttyS1", "tty0 -WU (EC p)\nttyS0 -W- (E p a)\n", False),
        ("/dev/pts/0", "tty0 -WU (EC p)\n", False),
        (None, "tty0 -WU (EC p)\n", False),
    ],
)
def test_who_reads_a_console_is_not_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: str | None, consoles: str, hears: bool
) -> None:
    (tmp_path / "consoles").write_text(consoles)
    monkeypatch.setattr(sinks, "CONSOLES", tmp_path / "consoles")
    monkeypatch.setattr(os, "isatty", lambda fd: terminal is not None)
    monkeypatch.setattr(os, "ttyname", lambda fd: terminal)
    assert on_a_console() is hears


@pytest.mark.parametrize(("given", "told"), [("storage_init", True), (None, False)])
def test_who_typed_the_line_hears_of_it(monkeypatch: pytest.MonkeyPatch, given: str | None, told: bool) -> None:
    """And the unit, whose standard error is the journal, does not hear twice."""
    heard: list[bool] = []

    def install(line: str, host: Host, who: tuple[sinks.Sink, ...]) -> Result:
        heard.append(any(isinstance(sink, Printed) for sink in who))
        return Result(Ending.NONE, 0)

    monkeypatch.setattr(story, "only_run", nullcontext)
    monkeypatch.setattr(story, "on_a_console", lambda: False)
    monkeypatch.setattr(story, "install", install)
    monkeypatch.setattr(story, "Servers", Memory)
    for name in ("everywhere", "ready", "deliver", "end_when_told", "end_no_more"):
        monkeypatch.setattr(story, name, lambda *_: ())
    assert story.main(argparse.Namespace(cmdline=given), Host()) == 0
    assert heard == [told]


def test_a_terminal_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its end of a pipe is closed; the SIGHUP, where one comes, is what ends a run."""
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w", buffering=1) as gone:
        monkeypatch.setattr("sys.stderr", gone)
        Printed().say("hello")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writes)  # what is still buffered goes there


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_ends_a_run_and_says_which_it_was(handlers: None, number: signal.Signals) -> None:
    end_when_told("the machine goes down")
    with pytest.raises(Stopped, match=rf"\({number.name}\); the machine goes down"):
        os.kill(os.getpid(), number)
    for more in ENDING:
        os.kill(os.getpid(), more)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_waits_for_what_must_not_be_left_half_done(handlers: None, number: signal.Signals) -> None:
    end_when_told("the machine goes down")
    done = []

    def half() -> None:
        with ending_waits():
            os.kill(os.getpid(), number)
            done.append("all of it")

    with pytest.raises(Stopped):
        half()
    assert done


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_was_ignored_from_the_start_ends_nothing(handlers: None, number: signal.Signals) -> None:
    """As nohup(1) has it; one that is not ignored is heard all the same, also where both come at a bad time."""
    signal.signal(number, signal.SIG_IGN)
    end_when_told("the node goes on with the slot that runs")
    assert signal.getsignal(number) is signal.SIG_IGN
    os.kill(os.getpid(), number)
    other = next(more for more in ENDING if more is not number)

    def both() -> None:
        with ending_waits():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), other)

    with pytest.raises(Stopped, match=other.name):
        both()

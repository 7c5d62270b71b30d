"""What is told, and where."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from autoinstall.errors import Stopped
from autoinstall.grammar_sources import LogLevel
from autoinstall.report.events import Ending, Event, Kind, Result, Verdict
from autoinstall.report.sinks import Consoles, Memory, write_line


def _told(tmp_path: Path, tell: list[Event | Result]) -> list[str]:
    """What a console shows: a pipe, which like a console forgets nothing that was written."""
    path = tmp_path / "console"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    consoles = Consoles([path])
    for message in tell:
        if isinstance(message, Event):
            consoles.event(message)
        else:
            consoles.result(message)
    data = os.read(reader, 65536)
    os.close(reader)
    return data.decode().split("\r\n")[:-1]


def _event(kind: Kind, percent: int | None = None) -> Event:
    return Event("image-a", kind, "Writing the image", 0.0, percent=percent, seconds=1.5)


def test_a_step_is_a_line_a_bar_and_a_line(tmp_path: Path) -> None:
    progress = [_event(Kind.PROGRESS, percent) for percent in range(0, 101, 5)]
    lines = _told(tmp_path, [_event(Kind.START), *progress, _event(Kind.FINISH)])
    assert lines[0] == "autoinstall: image-a: Writing the image"
    assert lines[-1] == "autoinstall: image-a: done (1.5 s)"
    assert [line for line in lines if "50%" in line] == ["autoinstall: image-a: [##########..........]  50%"]
    assert len(lines) == 2 + 11


def test_the_last_line_is_the_result(tmp_path: Path) -> None:
    result = Result(Ending.REFUSED, 3, ("no such disk", "  /dev/vda: fits"), hint="name another")
    assert _told(tmp_path, [result]) == [
        "autoinstall: no such disk",
        "autoinstall:   /dev/vda: fits",
        "autoinstall: Nothing was written.",
        "autoinstall: hint: name another",
        "autoinstall: result=refused",
    ]


@pytest.mark.parametrize(
    ("level", "shown"), [("error", "F"), ("warning", "WF"), ("info", "SWFsay"), ("debug", "SWFsay")]
)
def test_a_console_shows_as_much_as_it_is_told_to_and_always_the_result(
    tmp_path: Path, level: str, shown: str
) -> None:
    path = tmp_path / "console"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    consoles = Consoles([path])
    consoles.level = LogLevel(level)
    for text, verdict in (("S", Verdict.SUCCESS), ("W", Verdict.WARN), ("F", Verdict.FAIL)):
        consoles.event(Event("a", Kind.NOTE, text, 0.0, verdict))
    consoles.say("say")
    consoles.result(Result(Ending.FAILED, 4, ("a reason",)))
    lines = os.read(reader, 65536).decode().split("\r\n")[:-1]
    os.close(reader)
    assert "".join(line.rpartition(" ")[2] for line in lines[:-2]) == shown
    assert lines[-2:] == ["autoinstall: a reason", "autoinstall: result=failed"]


def test_a_failure_that_wrote_does_not_claim_otherwise(tmp_path: Path) -> None:
    lines = _told(tmp_path, [Result(Ending.FAILED, 4, ("mkfs failed",))])
    assert "autoinstall: Nothing was written." not in lines


def test_no_escape_of_a_foreign_label_reaches_a_terminal(tmp_path: Path) -> None:
    lines = _told(tmp_path, [Result(Ending.REFUSED, 3, ("label '\x1b[2J\x07'",))])
    assert "\x1b" not in "".join(lines)
    assert lines[0] == "autoinstall: label '\\x1b[2J\\x07'"


def test_a_console_that_is_gone_or_not_read_stops_nothing(tmp_path: Path) -> None:
    unread = tmp_path / "unread"
    os.mkfifo(unread)
    Consoles([tmp_path / "gone", unread]).say("hello")


def test_what_belongs_together_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A getty's escapes once came between a blank line and the word of health: no line began with it."""
    written: list[str] = []
    monkeypatch.setattr("autoinstall.report.sinks.write_line", lambda path, text: written.append(text))
    Consoles([Path("/dev/ttyS0")]).say("\nautoinstall: node=healthy slot=A image=0123456789ab")
    assert written == ["\r\nautoinstall: node=healthy slot=A image=0123456789ab\r\n"]


def test_events_have_the_shape_that_receivers_know() -> None:
    event = Event("wipe", Kind.FINISH, "Wiping", 1.0, Verdict.FAIL)
    assert event.to_json() == {
        "name": "install/wipe",
        "event_type": "finish",
        "result": "FAIL",
        "description": "Wiping",
        "timestamp": 1.0,
        "level": "ERROR",
        "origin": "autoinstall",
    }


def test_the_seconds_of_each_finished_step_are_kept() -> None:
    memory = Memory()
    for event in (_event(Kind.START), _event(Kind.FINISH)):
        memory.event(event)
    assert memory.seconds_of_steps() == {"image-a": 1.5}


def test_a_run_that_is_told_to_end_leaves_no_port_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port of QEMU that is open once is busy for everybody, also for who tells of the end."""
    (tmp_path / "port").touch()
    really_open, opened = os.open, []

    def told_to_end_meanwhile(*args: Any) -> int:
        opened.append(really_open(*args))
        os.kill(os.getpid(), signal.SIGTERM)
        return opened[-1]

    def stop(*_: object) -> None:
        raise Stopped("told to end")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", told_to_end_meanwhile)
            with pytest.raises(Stopped):
                write_line(tmp_path / "port", "a line")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (tmp_path / "port").read_text() == "a line"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])

"""The places that hear of events: every console, the journal, the virtio port, memory."""

from __future__ import annotations

import json
import os
import re
import select
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from autoinstall.cmdline import Word
from autoinstall.grammar_sources import LogLevel
from autoinstall.host import Host
from autoinstall.report.events import LEVEL, Ending, Event, Kind, Result, Verdict
from autoinstall.signals import ending_waits

REPORT_PORT = Path("/dev/virtio-ports/org.autoinstall.report.0")
CONSOLES = Path("/proc/consoles")
FOREGROUND, VT = Path("/dev/tty0"), re.compile(r"/dev/tty\d+$")
"""The console of a screen is whichever of its terminals is shown."""
BAR_CELLS = 20
WRITE_LIMIT_S = 5
"""A console or port that takes nothing for so long is given up for this line: nobody must stop a run by not
reading."""


class Sink(Protocol):
    """Something that hears of a run."""

    def event(self, event: Event) -> None:
        """One event."""

    def result(self, result: Result) -> None:
        """The last thing that is told."""

    def say(self, text: str) -> None:
        """Text for people: the plan, a table, a hint."""


def say(text: str, sinks: Sequence[Sink]) -> None:
    """Tell people a line or several."""
    for sink in sinks:
        sink.say(text)


def tell(event: Event, sinks: Sequence[Sink]) -> None:
    """Tell of one event."""
    for sink in sinks:
        sink.event(event)


def warn(texts: Iterable[str], host: Host, sinks: Sequence[Sink], name: str = "plan") -> None:
    """Tell what may surprise, or failed and is no failure of the run."""
    for text in texts:
        tell(Event(name, Kind.NOTE, text, host.wall_clock_s(), Verdict.WARN), sinks)


def everywhere() -> tuple[Sink, ...]:
    """All who can hear of a run on this machine."""
    return Consoles.of_this_machine(), Port(), Journal()


def ready() -> None:
    """Tell the service manager that the run has begun; from now on it wants to hear of progress."""
    from systemd import daemon

    daemon.notify("READY=1")


HIDDEN: Mapping[LogLevel, tuple[Verdict, ...]] = {
    LogLevel.ERROR: (Verdict.SUCCESS, Verdict.WARN),
    LogLevel.WARNING: (Verdict.SUCCESS,),
    LogLevel.INFO: (),
    LogLevel.DEBUG: (),
}
"""What a console does not show. The result it always does; text for people only where nothing is hidden."""


def alive() -> None:
    """Tell the service manager that the run goes on."""
    from systemd import daemon

    daemon.notify("WATCHDOG=1")


class Consoles:
    """Every console that the kernel writes to, not only /dev/console, which is the last of them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.level = LogLevel.INFO
        self._paths = paths
        self._last_percent = -1

    @classmethod
    def of_this_machine(cls) -> Consoles:
        """The consoles of /proc/consoles that userspace can write to."""
        return cls(_console_paths())

    def event(self, event: Event) -> None:
        if event.verdict in HIDDEN[self.level]:
            return
        if event.kind is Kind.PROGRESS:
            self._bar(event)
        elif event.kind is Kind.FINISH and event.verdict is Verdict.SUCCESS:
            self._line(f"autoinstall: {event.name}: done ({event.seconds} s)")
        elif event.verdict is Verdict.SUCCESS:
            self._last_percent = -1
            self._lines(f"autoinstall: {event.name}: {event.description}")
        else:
            self._lines(f"autoinstall: {event.name}: {event.verdict.value}: {event.description}")

    def result(self, result: Result) -> None:
        for reason in result.reasons:
            self._lines(reason)
        if result.exit_code in (2, 3):
            self._line("autoinstall: Nothing was written.")
        if result.hint:
            self._line(f"autoinstall: hint: {result.hint}")
        self._line(f"autoinstall: result={result.ending.value}")

    def say(self, text: str) -> None:
        if not HIDDEN[self.level]:
            self._lines(text)

    def _lines(self, text: str) -> None:
        self._put(
            line if not line or line.startswith("autoinstall:") else f"autoinstall: {line}"
            for line in text.splitlines()
        )

    def _bar(self, event: Event) -> None:
        """A tenth is a line: a serial log stays readable, and a person sees it move."""
        tenth = (event.percent or 0) // 10
        if tenth == self._last_percent:
            return
        self._last_percent = tenth
        full = tenth * BAR_CELLS // 10
        bar = "#" * full + "." * (BAR_CELLS - full)
        self._line(f"autoinstall: {event.name}: [{bar}] {tenth * 10:>3}%")

    def _line(self, line: str) -> None:
        self._put([line])

    def _put(self, lines: Iterable[str]) -> None:
        """At once: on a node others write on the same terminals, also between two writes of ours."""
        text = "".join(f"{_printable(line)}\r\n" for line in lines)
        for path in self._paths:
            write_line(path, text)


class Printed(Consoles):
    """Whoever started it, on standard error."""

    def __init__(self) -> None:
        super().__init__([])

    def _put(self, lines: Iterable[str]) -> None:
        with suppress(OSError):  # as of a console: who left the terminal hears nothing more
            print(*map(_printable, lines), sep="\n", file=sys.stderr, flush=True)


def on_a_console() -> bool:
    """Whether who started this program reads a console, and so hears of the run already."""
    if not os.isatty(sys.stderr.fileno()):
        return False
    terminal, consoles = os.ttyname(sys.stderr.fileno()), _console_paths()
    return Path(terminal) in (Path("/dev/console"), *consoles) or (
        FOREGROUND in consoles and VT.match(terminal) is not None
    )


def _console_paths() -> list[Path]:
    return [Path("/dev") / line.split()[0] for line in CONSOLES.read_text().splitlines()]


class Port:
    """The virtio port of a virtual machine: one JSON object a line. Where there is none, nothing is told."""

    def event(self, event: Event) -> None:
        self._send(event.to_json())

    def result(self, result: Result) -> None:
        self._send(result.to_json())

    def say(self, text: str) -> None:
        """People do not read ports."""

    def _send(self, message: dict[str, Any]) -> None:
        if REPORT_PORT.exists():
            write_line(REPORT_PORT, json.dumps(message, sort_keys=True) + "\n")


MESSAGE_IDS = {
    Kind.START: "0a9e2f4b6c1d4e7f8a3b5c7d9e1f2a3b",
    Kind.FINISH: "1b8f3e5a7d2c4f6e9b4a6d8c0f2e3b4c",
    Kind.NOTE: "2c7a4d6b8e3f4a5d8c5b7e9d1a3f4c5d",
}
RESULT_MESSAGE_ID = "3d6b5c7a9f4e4b6c9d6a8f0e2b4c5d6e"


class Journal:
    """The journal (with MESSAGE_IDs, see autoinstall.catalog), and the service manager's status line.

    That line outlives the process: it is how died.py knows in which step a run died.
    """

    def event(self, event: Event) -> None:
        from systemd import daemon, journal

        daemon.notify(f"STATUS={event.name}: {event.description}\nWATCHDOG=1")
        if event.kind is Kind.PROGRESS:
            return
        journal.send(
            event.description,
            MESSAGE_ID=MESSAGE_IDS[event.kind],
            PRIORITY=_PRIORITY[LEVEL[event.verdict]],
            AUTOINSTALL_STEP=event.name,
            AUTOINSTALL_EVENT=event.kind.value,
            AUTOINSTALL_VERDICT=event.verdict.value,
            AUTOINSTALL_SECONDS=str(event.seconds or 0),
        )

    def result(self, result: Result) -> None:
        from systemd import daemon, journal

        daemon.notify(f"STATUS=result={result.ending.value}\nWATCHDOG=1")
        journal.send(
            "\n".join([f"result={result.ending.value}", *result.reasons]),
            MESSAGE_ID=RESULT_MESSAGE_ID,
            PRIORITY=_PRIORITY["ERROR" if result.ending in (Ending.FAILED, Ending.REFUSED) else "INFO"],
            AUTOINSTALL_RESULT=result.ending.value,
            AUTOINSTALL_EXIT_CODE=str(result.exit_code),
        )

    def say(self, text: str) -> None:
        from systemd import journal

        journal.send(text, PRIORITY=_PRIORITY["INFO"])


class Memory:
    """Keeps what was told and asked, and the install record once it is made, for the final report.

    `node_disk` is the disk of the node that is there in the end, which may be told to keep something; `node_name` is
    how it is called.
    """

    def __init__(self) -> None:
        self.words: tuple[Word, ...] = ()
        self.node_name = ""
        self.node_disk = ""
        self.events: list[Event] = []
        self.record: dict[str, Any] = {}

    def event(self, event: Event) -> None:
        self.events.append(event)

    def result(self, result: Result) -> None:
        """The result is made of what is kept here."""

    def say(self, text: str) -> None:
        """Nothing to keep."""

    @classmethod
    def among(cls, sinks: Sequence[Sink]) -> Memory:
        """The one of them that keeps what was told: every run has it."""
        return next(sink for sink in sinks if isinstance(sink, cls))

    def seconds_of_steps(self) -> dict[str, float]:
        """How long each finished step took."""
        return {
            event.name: event.seconds
            for event in self.events
            if event.kind is Kind.FINISH and event.seconds is not None
        }


_PRIORITY = {"INFO": 6, "WARNING": 4, "ERROR": 3}


def write_line(path: Path, line: str) -> None:
    """Write a line, or several, to a console or port whole, waiting WRITE_LIMIT_S at most for somebody to take it.

    A console that is gone or refuses takes nothing, and that is no failure of the run.
    """
    with suppress(OSError), ending_waits():  # an open port is taken: the end would go untold
        fd = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            data = line.encode(errors="backslashreplace")
            while data and select.select([], [fd], [], WRITE_LIMIT_S)[1]:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)


def _printable(line: str) -> str:
    """Labels of foreign disks are shown, never obeyed: no escape reaches a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)

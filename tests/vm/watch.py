"""Everything a virtual machine says, read as it comes by one thread, and the way to wait for any of it."""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

ESCAPES = re.compile(rb"\x1b\[[0-9;?=!]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78cM]|\r")
NEVER = re.compile(r"(?!)")
CHUNK_BYTES = 65536


class TimedOut(AssertionError):
    """What was waited for did not come: says what, how long, and what came instead."""


class Ended(AssertionError):
    """The machine ended while something was waited for."""


class Watch:
    """Reads sockets in a thread of its own; whoever waits is woken whenever anything came.

    A handler runs in that thread, at once: so a machine is killed at an event and not some time after.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._open = 0
        self._thread = threading.Thread(target=self._read, name="watch", daemon=True)

    def add(self, end: socket.socket, on_bytes: Callable[[bytes], None]) -> None:
        """Hand what comes out of `end` to `on_bytes`; to be called before `start`."""
        self._selector.register(end, selectors.EVENT_READ, on_bytes)
        self._open += 1

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Every socket was closed by the other side."""
        return self._open == 0

    def wait_for(self, what: str, look: Callable[[], Found | None], limit_s: float) -> Found:
        """The first thing other than None that `look` finds.

        Raises TimedOut after `limit_s` seconds, Ended as soon as nothing can come any more.
        """
        deadline = time.monotonic() + limit_s
        with self.changed:
            while True:
                over = self.ended
                found = look()
                if found is not None:
                    return found
                if over:
                    raise Ended(f"the machine ended before {what}")
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimedOut(f"waited {limit_s:.0f} s for {what}")
                self.changed.wait(left_s)

    def join(self, limit_s: float) -> None:
        """Wait until all sockets have closed."""
        self._thread.join(limit_s)

    def _read(self) -> None:
        while self._open:
            for key, _ in self._selector.select():
                end = key.fileobj
                assert isinstance(end, socket.socket)
                data = b""
                with contextlib.suppress(ConnectionResetError):
                    data = end.recv(CHUNK_BYTES)
                with self.changed:
                    if data:
                        key.data(data)
                    else:
                        self._selector.unregister(end)
                        self._open -= 1
                    self.changed.notify_all()


def plain(data: bytes) -> str:
    """What a serial line said, without colours and carriage returns."""
    return ESCAPES.sub(b"", data).decode(errors="backslashreplace")


class Console:
    """The text of a serial line, without colours and carriage returns; also kept in a file, as it came.

    `also`, where set, gets every piece too: somebody watches.

    Searches go on behind the last match, so that waiting for the same line twice means two lines.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.text = ""
        self.also: Callable[[bytes], object] | None = None
        self._file = log.open("ab", buffering=0)
        self._raw = b""
        self._seen = 0

    def feed(self, data: bytes) -> None:
        """More bytes from the line."""
        self._file.write(data)
        if self.also:
            self.also(data)
        whole, newline, self._raw = (self._raw + data).rpartition(b"\n")
        self.text += plain(whole + newline)

    @property
    def all(self) -> str:
        """The text with the line that has not ended yet, such as a prompt."""
        return self.text + plain(self._raw)

    def find(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The next match behind the last one, if it has come; from ^ to $ only of a line that is whole."""
        is_line = pattern.pattern.startswith("^") and pattern.pattern.endswith("$")
        match = pattern.search(self.text if is_line else self.all, self._seen)
        if match:
            self._seen = match.end()
        return match

    def unseen(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """A match behind the last one that was found, without going on to it."""
        return pattern.search(self.all, self._seen)

    def last_lines(self, count: int = 25) -> str:
        """The end of the text, for messages."""
        return "\n".join(f"    | {line}" for line in self.all.splitlines()[-count:])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Lines:
    """Bytes to whole lines, each handed to one function."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """More bytes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._on_line(line)

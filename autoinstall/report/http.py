"""Servers that hear of a run: events as they come, and the result until it is acknowledged.

A thread of its own sends them, so that no server can hold up a run; only the result is waited for.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from autoinstall.errors import TookTooLong
from autoinstall.host import Host
from autoinstall.report.events import Event, Kind, Result

POST_LIMIT_S = 10
RETRY_S = 1.0
SILENCE_S = 30
"""How long no event is sent to a server that took none: the result must not queue behind them."""


class Server:
    """One URL that is told. `told` is set once it acknowledged the result: with a status from 200 to 299. Once
    `given_up` is set, a result that it does not take is not tried again.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.told, self.given_up = threading.Event(), threading.Event()
        self.why = ""
        self._messages: queue.SimpleQueue[tuple[dict[str, Any], bool]] = queue.SimpleQueue()
        self._quiet_until_s = 0.0
        threading.Thread(target=self._send_all, daemon=True).start()

    def tell(self, message: dict[str, Any], *, last: bool = False) -> None:
        """Send this behind what was told before; the last one again and again. Returns at once."""
        self._messages.put((message, last))

    def _send_all(self) -> None:
        while True:
            message, last = self._messages.get()
            if last:
                while not self._send(message):
                    if self.given_up.wait(RETRY_S):
                        return
                self.told.set()
                return
            if time.monotonic() >= self._quiet_until_s and not self._send(message):
                self._quiet_until_s = time.monotonic() + SILENCE_S

    def _send(self, message: dict[str, Any]) -> bool:
        self.why = fault(self.url, json.dumps(message, sort_keys=True).encode())
        return not self.why


class Servers:
    """The sink of all of them. Until `begin` there are none."""

    def __init__(self) -> None:
        self.begun = False
        self._servers: Sequence[Server] = ()

    def begin(self, urls: Sequence[str]) -> None:
        """From now on these are told."""
        self.begun = True
        self._servers = [Server(url) for url in urls]

    def event(self, event: Event) -> None:
        if event.kind is not Kind.PROGRESS:
            for server in self._servers:
                server.tell(event.to_json())

    def result(self, result: Result) -> None:
        """`deliver` tells it, before others do: theirs is the last word on the console."""

    def say(self, text: str) -> None:
        """Text is for people."""

    def deliver(self, result: Result, limit_s: float, alive: Callable[[], None]) -> dict[str, str]:
        """Tell the result and wait; URL -> why, of those that did not acknowledge it in time.

        `alive` is called while it is waited for.
        """
        until_s = time.monotonic() + limit_s
        for server in self._servers:
            server.tell(result.to_json(), last=True)
        for server in self._servers:
            while not server.told.wait(min(RETRY_S, max(until_s - time.monotonic(), 0))):
                if time.monotonic() >= until_s:
                    break
                alive()
            server.given_up.set()
        return {server.url: server.why or "no answer" for server in self._servers if not server.told.is_set()}


def fault(url: str, body: bytes | None = None) -> str:
    """POST `body`, or GET without one: why it was not acknowledged; empty where it was."""
    from http.client import HTTPException
    from urllib.error import URLError
    from urllib.request import Request, urlopen  # a tenth of all that a run imports

    headers = {"Content-Type": "application/json", "User-Agent": "autoinstall"}
    try:
        request = Request(url, body, headers)
        with urlopen(request, timeout=POST_LIMIT_S) as answer:
            if body is not None and answer.url != request.full_url:  # asked there by GET, without the body
                return f"redirected to {answer.url}: name that URL"
            return "" if 200 <= answer.status < 300 else f"status {answer.status}"
    except (URLError, HTTPException, OSError, ValueError) as error:
        return str(error) or type(error).__name__


def try_until(url: str, limit_s: float, alive: Callable[[], None]) -> str:
    """GET until it is acknowledged; why it was not within the limit."""
    why = ""

    def acknowledged() -> bool:
        nonlocal why
        why = fault(url)
        alive()
        return not why

    with suppress(TookTooLong):
        Host().wait_for(url, acknowledged, limit_s, RETRY_S)
    return why

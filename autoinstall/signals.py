"""The signals that end a run, and with it what is under way: once, and told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from autoinstall.errors import Stopped

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""From the service manager, a key, and a terminal that is gone."""


def end_when_told(then: str) -> None:
    """From here on the first of ENDING ends what is under way: Stopped says which came, and `then`.

    But none that is ignored already: nohup(1) is how a person says that the terminal may go.
    """

    def stop(number: int, frame: object) -> None:
        end_no_more()
        raise Stopped(f"it was told to end ({signal.Signals(number).name}); {then}")

    for number in _heard():
        signal.signal(number, stop)


def end_no_more() -> None:
    """What comes now comes too late."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def ending_waits() -> Iterator[None]:
    """What comes meanwhile comes afterwards: for what must not be left half done, and takes no time."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _heard() -> list[signal.Signals]:
    """Those of ENDING that are not ignored."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]

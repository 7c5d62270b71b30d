"""The runner: each step is applied, and asked whether the world is now as planned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from autoinstall.errors import AutoinstallError, CannotHere, NotDone
from autoinstall.host import Host, lost, unheard
from autoinstall.report.events import Event, Kind, Verdict


class Step(Protocol):
    """One part of a plan, and how to make it true."""

    @property
    def name(self) -> str:
        """Stable, kebab-case: console line, journal field, test id."""

    @property
    def writes(self) -> bool:
        """Whether it changes the disk. Until the first step that does, a failure leaves everything as it was."""

    @property
    def title(self) -> str:
        """What it does, for people."""

    def apply(self, host: Host) -> None:
        """Make it so. Raises an AutoinstallError, Refused before it writes; or OSError of a device or file."""

    def why_not_done(self, host: Host) -> str:
        """What differs from the plan, read from the world; empty where nothing does."""


Emit = Callable[[Event], None]
PROGRESS_INTERVAL_S = 0.2
"""Telling all who hear of it takes as long as writing a MiB."""


def execute(steps: Sequence[Step], host: Host, emit: Emit) -> None:
    """Make `steps` true, in order, telling `emit` of each start, note, progress and finish.

    Raises Refused or another error of exit code 3 only where nothing was written; once a step wrote, every
    failure is one of exit code 4: what the step raised, or NotDone.
    """
    written = False
    for step in steps:
        written = written or step.writes
        turn = _Turn(step, host, emit)
        try:
            turn.take()
        except CannotHere as error:
            if written:
                raise NotDone(*error.reasons, hint=error.hint) from error
            raise


def paced(tell: Callable[[int], None], host: Host) -> Callable[[int, int], None]:
    """Tells the percent of how much is done of how much, but not more often than PROGRESS_INTERVAL_S, and the end."""
    told_s = -PROGRESS_INTERVAL_S

    def progress(done: int, total: int) -> None:
        nonlocal told_s
        now_s = host.monotonic_s()
        if done >= total or now_s - told_s >= PROGRESS_INTERVAL_S:
            told_s = now_s
            tell(100 * done // max(total, 1))

    return progress


@dataclass(frozen=True)
class _Turn:
    """One step's turn."""

    step: Step
    host: Host
    emit: Emit

    def take(self) -> None:
        """Make the step true, telling how it goes."""
        started_s = self.host.monotonic_s()
        self._tell(Kind.START)
        self.host.progress = paced(lambda percent: self._tell(Kind.PROGRESS, percent=percent), self.host)
        self.host.note = lambda text: self._tell(Kind.NOTE, description=text)
        try:
            self._make_true()
        except AutoinstallError as error:
            why = str(error).removeprefix(f"{self.step.title}: ")  # some reasons begin with it: people read it once
            self._tell(Kind.FINISH, verdict=Verdict.FAIL, description=f"{self.step.title}: {why}")
            raise
        finally:
            self.host.progress = self.host.note = unheard
        self._tell(Kind.FINISH, seconds=round(self.host.monotonic_s() - started_s, 2))

    def _make_true(self) -> None:
        try:
            self.step.apply(self.host)
            difference = self.step.why_not_done(self.host)
        except OSError as error:
            raise lost(error.filename, self.step.title, error) from error
        if difference:
            raise NotDone(f"{self.step.title}: {difference}")

    def _tell(self, kind: Kind, **more: Any) -> None:
        plain = Event(self.step.name, kind, self.step.title, self.host.wall_clock_s())
        self.emit(replace(plain, **more))

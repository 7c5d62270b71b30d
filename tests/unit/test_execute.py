"""The runner."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from autoinstall.errors import CannotHere, DeviceLost, NoSpace, NotDone, Refused, ToolFailed, ToolMissing
from autoinstall.execute import execute, paced
from autoinstall.host import Host
from autoinstall.report.events import Event, Kind, Verdict


@dataclass
class Fake:
    """A step that does as it is told."""

    name: str = "fake"
    writes: bool = False
    error: Exception | None = None
    difference: str = ""
    calls: list[str] = field(default_factory=list)

    title = "Doing it"

    def apply(self, host: Host) -> None:
        self.calls.append(self.name)
        host.note("a part of it")
        host.progress(1, 4)
        if self.error:
            raise self.error

    def why_not_done(self, host: Host) -> str:
        return self.difference


def _run(*steps: Fake) -> list[Event]:
    events: list[Event] = []
    execute(steps, Host(), events.append)
    return events


def test_each_step_starts_notes_progresses_and_finishes() -> None:
    events = _run(Fake("one"), Fake("two"))
    assert [(event.name, event.kind) for event in events] == [
        (name, kind) for name in ("one", "two") for kind in (Kind.START, Kind.NOTE, Kind.PROGRESS, Kind.FINISH)
    ]
    assert events[1].description == "a part of it"
    assert events[2].percent == 25
    assert events[3].seconds is not None


def test_progress_is_told_at_first_now_and_then_and_at_its_end() -> None:
    """A MiB is written faster than all who hear of it can be told."""
    times, told = iter([7.0, 7.1, 7.19, 7.21, 7.3, 7.31]), list[int]()

    class Clock(Host):
        def monotonic_s(self) -> float:
            return next(times)

    progress = paced(told.append, Clock())
    for done in range(1, 7):
        progress(done, 6)
    assert told == [16, 66, 100]


@pytest.mark.parametrize("broken", [Fake(error=Refused("it is gone")), Fake(error=ToolMissing("no mke2fs"))])
def test_once_a_step_wrote_no_failure_claims_that_nothing_was_written(broken: Fake) -> None:
    with pytest.raises(NotDone) as caught:
        _run(Fake(writes=True), broken)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("error", [Refused("it is gone"), ToolMissing("no blkid")])
def test_what_cannot_be_done_is_a_refusal_before_the_first_write(error: CannotHere) -> None:
    with pytest.raises(type(error)) as caught:
        _run(Fake(error=error))
    assert caught.value.exit_code == 3


def test_a_world_that_is_not_as_planned_is_a_failure() -> None:
    with pytest.raises(NotDone, match="the UUID differs"):
        _run(Fake(writes=True, difference="the UUID differs"))


def test_an_error_of_a_device_names_step_and_device() -> None:
    error = OSError(5, "Input/output error", "/dev/vda3")
    with pytest.raises(DeviceLost, match=r"Doing it: /dev/vda3: Input/output error"):
        _run(Fake(writes=True, error=error))


def test_storage_that_is_full_is_not_lost() -> None:
    error = OSError(28, "No space left on device", "/dev/vda3")
    with pytest.raises(NoSpace, match=r"Doing it: /dev/vda3: No space left"):
        _run(Fake(error=error))
    with pytest.raises(NotDone, match=r"Doing it: /dev/vda3: No space left"):
        _run(Fake(writes=True, error=error))


def test_nothing_runs_after_a_failure_and_the_failure_is_told() -> None:
    events: list[Event] = []
    last = Fake("last")
    with pytest.raises(ToolFailed):
        execute([Fake("first", error=ToolFailed("mkfs exited with 1")), last], Host(), events.append)
    assert not last.calls
    assert events[-1].verdict is Verdict.FAIL
    assert "mkfs exited with 1" in events[-1].description


def test_what_a_step_does_is_said_once_where_it_fails() -> None:
    for failing in (Fake(writes=True, difference="it differs"), Fake(writes=True, error=ToolFailed("it differs"))):
        events: list[Event] = []
        with pytest.raises((NotDone, ToolFailed)):
            execute([failing], Host(), events.append)
        assert events[-1].description == "Doing it: it differs"

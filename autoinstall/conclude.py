"""One run, one result: whatever is raised on the way becomes the end that is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoinstall.errors import EXIT_BUG, AutoinstallError, Broke
from autoinstall.report.events import Ending, Result, Verdict
from autoinstall.report.sinks import Memory, Sink


def concluded(run: Callable[[], Result], sinks: Sequence[Sink]) -> Result:
    """The result of `run`, or of what it raised. One of the sinks is a Memory."""
    try:
        return run()
    except AutoinstallError as error:
        ending = Ending.FAILED if isinstance(error, Broke) else Ending.REFUSED
        return Result(ending, error.exit_code, error.reasons, error.hint, {"step": _failed_step(sinks)})
    except Exception as error:  # noqa: BLE001 - the last one who can tell: a bug must not end in silence
        return Result(Ending.FAILED, EXIT_BUG, (f"a bug in autoinstall: {type(error).__name__}: {error}",))


def _failed_step(sinks: Sequence[Sink]) -> str:
    """The step that was under way; empty where none had begun."""
    told = Memory.among(sinks)
    return told.events[-1].name if told.events and told.events[-1].verdict is Verdict.FAIL else ""

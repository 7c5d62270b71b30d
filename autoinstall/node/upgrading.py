"""What an upgrade from a medium and one on the node have in common: shown, carried out, told."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from autoinstall.errors import EXIT_OK, AutoinstallError
from autoinstall.execute import Step, execute
from autoinstall.host import Host
from autoinstall.report.events import Ending, Event, Kind, Result, Verdict
from autoinstall.report.sinks import Memory, Sink
from autoinstall.upgrade import UpgradePlan, name_of, to_text

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What tells a run to end."""


def show(plan: UpgradePlan, disk: str, sinks: Sequence[Sink]) -> None:
    """Say what will be done, before it is."""
    say(to_text(plan, disk), sinks)


def say(text: str, sinks: Sequence[Sink]) -> None:
    """Tell people a line or several."""
    for sink in sinks:
        sink.say(text)


def warn(texts: Sequence[str], host: Host, sinks: Sequence[Sink]) -> None:
    """Tell what may surprise."""
    for text in texts:
        for sink in sinks:
            sink.event(Event("plan", Kind.NOTE, text, host.wall_clock_s(), Verdict.WARN))


def carry_out(steps: Sequence[Step], host: Host, sinks: Sequence[Sink]) -> None:
    """Make the steps true, telling all sinks. One of them is a Memory. Raises what `execute` raises.

    But not where the last step took place all the same: what the disk says counts, and no signal undoes it.
    """

    def tell(event: Event) -> None:
        for sink in sinks:
            sink.event(event)

    try:
        execute(steps, host, tell)
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
    except (AutoinstallError, OSError) as error:
        if not _took_place(steps[-1], host, sinks):
            raise
        warn([f"the upgrade had taken place already when this came: {error}"], host, sinks)


def _took_place(last: Step, host: Host, sinks: Sequence[Sink]) -> bool:
    """Whether the last step was begun, and the world is as it wanted it."""
    if not any(event.name == last.name for event in Memory.among(sinks).events):
        return False
    try:
        return not last.why_not_done(host)
    except (AutoinstallError, OSError):
        return False


def upgraded(plan: UpgradePlan, disk: str, sinks: Sequence[Sink]) -> Result:
    """The good end. One of the sinks is a Memory."""
    reason = f"slot {plan.target} of {disk} has image {name_of(plan.new)}, and is booted next"
    detail = {"upgrade": plan.to_json(), "seconds": Memory.among(sinks).seconds_of_steps()}
    return Result(Ending.UPGRADED, EXIT_OK, (reason,), detail=detail)

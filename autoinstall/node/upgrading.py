"""What an upgrade from a medium and one on the node have in common: shown, carried out, told."""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall.errors import EXIT_OK
from autoinstall.execute import Step, execute
from autoinstall.host import Host
from autoinstall.report.events import Ending, Event, Kind, Result, Verdict
from autoinstall.report.sinks import Memory, Sink
from autoinstall.upgrade import UpgradePlan, name_of, to_text


def show(plan: UpgradePlan, disk: str, sinks: Sequence[Sink]) -> None:
    """Say what will be done, before it is."""
    for sink in sinks:
        sink.say(to_text(plan, disk))


def warn(texts: Sequence[str], host: Host, sinks: Sequence[Sink]) -> None:
    """Tell what may surprise."""
    for text in texts:
        for sink in sinks:
            sink.event(Event("plan", Kind.NOTE, text, host.wall_clock_s(), Verdict.WARN))


def carry_out(steps: Sequence[Step], host: Host, sinks: Sequence[Sink]) -> None:
    """Make the steps true, telling all sinks. Raises what `execute` raises."""

    def tell(event: Event) -> None:
        for sink in sinks:
            sink.event(event)

    execute(steps, host, tell)


def upgraded(plan: UpgradePlan, disk: str, sinks: Sequence[Sink]) -> Result:
    """The good end. One of the sinks is a Memory."""
    told = next(sink for sink in sinks if isinstance(sink, Memory))
    reason = f"slot {plan.target} of {disk} has image {name_of(plan.new)}, and is booted next"
    detail = {"upgrade": plan.to_json(), "seconds": told.seconds_of_steps()}
    return Result(Ending.UPGRADED, EXIT_OK, (reason,), detail=detail)

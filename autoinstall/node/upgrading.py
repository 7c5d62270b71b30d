"""What an upgrade from a medium and one on the node have in common: shown and told."""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall.errors import EXIT_OK
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Memory, Sink, say
from autoinstall.upgrade import UpgradePlan, name_of, to_text


def show(plan: UpgradePlan, disk: str, sinks: Sequence[Sink]) -> None:
    """Say what will be done, before it is."""
    say(to_text(plan, disk), sinks)


def upgraded(plan: UpgradePlan, disk: str, sinks: Sequence[Sink]) -> Result:
    """The good end. One of the sinks is a Memory."""
    reason = f"slot {plan.target} of {disk} has image {name_of(plan.new)}, and is booted next"
    detail = {"upgrade": plan.to_json(), "seconds": Memory.among(sinks).seconds_of_steps()}
    return Result(Ending.UPGRADED, EXIT_OK, (reason,), detail=detail)

"""A plan's steps carried out and told, and the disk asked whether the last of them took place."""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall.errors import AutoinstallError
from autoinstall.execute import Step, execute
from autoinstall.host import Host
from autoinstall.report.sinks import Memory, Sink, tell, warn
from autoinstall.signals import end_no_more


def carry_out(steps: Sequence[Step], host: Host, sinks: Sequence[Sink]) -> None:
    """Make the steps true, telling all sinks. One of them is a Memory. Raises what `execute` raises.

    But not where the last step took place all the same: what the disk says counts, and no signal undoes it.
    """
    try:
        execute(steps, host, lambda event: tell(event, sinks))
        end_no_more()
    except (AutoinstallError, OSError) as error:
        if not _took_place(steps[-1], host, sinks):
            raise
        warn([f"all of it had taken place already when this came: {error}"], host, sinks)


def _took_place(last: Step, host: Host, sinks: Sequence[Sink]) -> bool:
    """Whether the last step was begun, and the world is as it wanted it."""
    if not any(event.name == last.name for event in Memory.among(sinks).events):
        return False
    try:
        return not last.why_not_done(host)
    except (AutoinstallError, OSError):
        return False

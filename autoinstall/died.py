"""A run that could not tell its own end: killed, out of memory, hung, or in a live system that did not come up."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from autoinstall.errors import EXIT_BROKE, EXIT_BUG, EXIT_OK
from autoinstall.host import Host, Run
from autoinstall.install import KERNEL_COMMAND_LINE, leaving_unit
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Consoles, Journal, Port

TOLD_ITSELF = {str(EXIT_BROKE), str(EXIT_BUG)}
LIMIT_S = 60
WAYS = {
    "watchdog": "it told of no progress for too long and was ended",
    "oom-kill": "the machine ran out of memory",
    "core-dump": "it crashed",
}
"""Results of a service (systemd.exec(5), $SERVICE_RESULT) in words."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Tell the result that the run could not, and leave the machine as its line says. Run by a unit only."""
    reason = reason_from(os.environ)
    if not reason:
        return EXIT_OK
    result = Result(Ending.FAILED, EXIT_BROKE, (reason,))
    for sink in (Consoles.of_this_machine(), Port(), Journal()):
        sink.result(result)
    unit = leaving_unit(host.read_text(KERNEL_COMMAND_LINE), result)
    if unit:
        host.run("systemctl", "start", "--no-block", unit, doing=f"starting {unit}", how=Run(timeout_s=LIMIT_S))
    return EXIT_OK


def reason_from(environment: Mapping[str, str]) -> str:
    """What systemd says about the unit that failed ($MONITOR_…, systemd.exec(5)); empty if that told itself.

    Without a unit that failed this is the live system's emergency mode.
    """
    way = environment.get("MONITOR_SERVICE_RESULT")
    if way is None:
        return "the live system did not come up: emergency mode"
    status = environment.get("MONITOR_EXIT_STATUS", "")
    if way == "exit-code" and status in TOLD_ITSELF:
        return ""
    return f"the installer ended without a result: {WAYS.get(way, f'{way} {status}'.strip())}"

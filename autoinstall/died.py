"""A run that could not tell its own end: killed, out of memory, hung, or in a live system that did not come up."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from autoinstall.delivery import tell_servers
from autoinstall.errors import EXIT_BROKE, EXIT_BUG, EXIT_OK, AutoinstallError
from autoinstall.host import Host, Run
from autoinstall.install import leaving_unit
from autoinstall.live import KERNEL_COMMAND_LINE
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Consoles, everywhere

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
    result = result_from(os.environ, _last_status(host, os.environ.get("MONITOR_UNIT")))
    if result is None:
        return EXIT_OK
    line = host.read_text(KERNEL_COMMAND_LINE)
    for text in tell_servers(line, result):
        Consoles.of_this_machine().say(f"report: {text}")
    for sink in everywhere():
        sink.result(result)
    unit = leaving_unit(line, result)
    if unit:
        host.run("systemctl", "start", "--no-block", unit, doing=f"starting {unit}", how=Run(timeout_s=LIMIT_S))
    return EXIT_OK


def result_from(environment: Mapping[str, str], status: str) -> Result | None:
    """The result of a unit that failed, from what systemd says ($MONITOR_…, systemd.exec(5)); None if it told itself.

    `status` is the last that the run told systemd of itself. Without a unit that failed this is the live system's
    emergency mode: systemd then tells of the installer all the same, which did not fail or never ran.
    """
    way = environment.get("MONITOR_SERVICE_RESULT", "success")
    if way == "success":
        return _failed("the live system did not come up: emergency mode")
    exit_status = environment.get("MONITOR_EXIT_STATUS", "")
    if status.startswith("result=") or (way == "exit-code" and exit_status in TOLD_ITSELF):
        return None
    step, colon, _ = status.partition(": ")
    where = f" in the step {step}" if colon else " before its first step"
    return _failed(
        f"the installer ended without a result,{where}: {WAYS.get(way, f'{way} {exit_status}'.strip())}",
        step if colon else "",
    )


def _failed(reason: str, step: str = "") -> Result:
    return Result(Ending.FAILED, EXIT_BROKE, (reason,), detail={"step": step})


def _last_status(host: Host, unit: str | None) -> str:
    """The status line that a unit told last (sd_notify(3)); it outlives the process."""
    if unit is None:
        return ""
    words = ("systemctl", "show", "--value", "--property=StatusText", unit)
    try:
        return host.run(*words, doing=f"asking how far {unit} came", how=Run(timeout_s=LIMIT_S)).stdout.strip()
    except AutoinstallError:
        return ""

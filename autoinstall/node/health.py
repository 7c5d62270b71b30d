"""`autoinstall health`: look at this node, and tell how it is."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoinstall.errors import EXIT_BROKE, EXIT_OK, AutoinstallError, CannotHere
from autoinstall.host import Host
from autoinstall.image.manifest import MANIFEST_NAME, parse_manifest
from autoinstall.node import records
from autoinstall.node.checks import CHECKS, HEALTH_LIMIT_S, Check, local_checks
from autoinstall.node.fallback import fallen_now, keep_reasons, to_lines
from autoinstall.node.state import BOOTED_IMAGE, RUN, booted_slot
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import REPORT_PORT, Consoles, Journal, Port, write_line
from autoinstall.slots import Slot

RECORD = RUN / "health.json"
TRIAL = RUN / "trial"
ISSUE = Path("/run/issue.d/50-autoinstall.issue")
MOTD = Path("/run/motd.d/50-autoinstall")
MESSAGE_ID = "4e7c6d8b0a5f4c7d8e7b9a1f3c5d6e7f"
IMAGE_ID_DIGITS = 12
ERROR, NOTICE, USUAL = 3, 5, 6
"""Priorities of the journal (syslog(3)). A person may have wanted another slot than the first: a notice."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `problem` is empty where all is well."""

    check: str
    problem: str


@dataclass(frozen=True)
class Health:
    """How this boot of this node is. `image_id` is empty where the slot does not tell.

    `rotten`: what is known of slots that rot. It is told, and no reason to be degraded: a boot must not be given up
    because there is less to fall back to.
    """

    slot: Slot
    image_id: str
    on_trial: bool
    findings: tuple[Finding, ...]
    rotten: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What is wrong."""
        return tuple(finding for finding in self.findings if finding.problem)

    @property
    def word(self) -> str:
        """`healthy`, or `degraded`."""
        return "degraded" if self.failed else "healthy"

    @property
    def line(self) -> str:
        """The one line of this boot: stable, for machines too."""
        image = self.image_id[:IMAGE_ID_DIGITS] or "unknown"
        failed = f" failed={','.join(finding.check for finding in self.failed)}" if self.failed else ""
        return f"autoinstall: node={self.word} slot={self.slot} image={image}{failed}"

    @property
    def greeting(self) -> str:
        """The same for who logs in. Not the one line: a login prompt would say that again on the console."""
        return f"This node is {self.word}: slot {self.slot}, image {self.image_id[:IMAGE_ID_DIGITS] or 'unknown'}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: every check by name, with what is wrong or an empty text."""
        return {
            "event_type": "health",
            "origin": "autoinstall",
            "node": self.word,
            "slot": self.slot.value,
            "image_id": self.image_id,
            "on_trial": self.on_trial,
            "checks": {finding.check: finding.problem for finding in self.findings},
            "rotten": list(self.rotten),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall health`."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--tell",
        action="store_true",
        help="tell the journal, every console and the report port too, and keep it for `status`, as at boot",
    )


def main(args: argparse.Namespace, host: Host) -> int:
    """Check and tell. Exit code 0: healthy, 4: degraded.

    Raises CannotHere where this is no node, and for who is not root.
    """
    booted_slot(host)
    if os.geteuid() != 0:
        reason = "the checks of this node read what only root may: a healthy one would be called degraded"
        raise CannotHere(reason, hint="run this as root")
    health = check_node(host)
    if args.tell:
        fallen = fell_back_from(host)
        if health.on_trial and health.failed:
            keep_reasons(health.slot, [f"{finding.check}: {finding.problem}" for finding in health.failed], host)
        tell(health, fallen)
    print(json.dumps(health.to_json(), indent=1) if args.json else to_text(health))
    return EXIT_BROKE if health.failed else EXIT_OK


def check_node(host: Host) -> Health:
    """Run every check. What a check raises is what it found."""
    until_s = host.monotonic_s() + HEALTH_LIMIT_S
    slot = booted_slot(host)
    findings = tuple(find(check, host) for check in _all_checks(until_s))
    return Health(slot, _image_id(), TRIAL.exists(), findings, tuple(rotten_lines(slot, records.rotten())))


def find(check: Check, host: Host) -> Finding:
    """Run one check."""
    try:
        return Finding(check.name, check.look(host))
    except (AutoinstallError, OSError, ValueError, LookupError) as error:
        return Finding(check.name, str(error) or type(error).__name__)


def rotten_lines(booted: Slot, rotten: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """For people: which slots rot, and what to do."""
    for name, problems in sorted(rotten.items()):
        if name == booted.value:
            yield f"slot {name}, which runs, rots: {'; '.join(problems)}: restart, then upgrade"
        else:
            yield f"slot {name} rots, and is no fallback: {'; '.join(problems)}: autoinstall upgrade {BOOTED_IMAGE}"


def to_text(health: Health) -> str:
    """For people: every check, what rots, then the one line."""
    lines = [f"{finding.check:<12} {finding.problem or 'ok'}" for finding in health.findings]
    return "\n".join([*lines, *health.rotten, health.line])


def _all_checks(until_s: float) -> Iterable[Check]:
    yield from CHECKS
    yield from local_checks(until_s)


def _image_id() -> str:
    try:
        return parse_manifest((BOOTED_IMAGE / MANIFEST_NAME).read_bytes()).image_id
    except (AutoinstallError, OSError):
        return ""


def fell_back_from(host: Host) -> dict[str, Any] | None:
    """What this boot fell back from (fallback.fallen_now); later in it what was told first, and no news.

    That it cannot be told is no reason to be ill.
    """
    try:
        if RECORD.exists():
            told = json.loads(RECORD.read_text()).get("fallen")
            return told and {**told, "new": False}
        return fallen_now(host)
    except (AutoinstallError, OSError, ValueError, LookupError):
        return None


def tell(health: Health, fallen: dict[str, Any] | None) -> None:
    """Tell who logs in, the journal, every console and the report port; `fallen` is what this boot fell back from."""
    from systemd import journal

    failed = [f"autoinstall: {finding.check}: {finding.problem}" for finding in health.failed]
    failed += [f"autoinstall: {line}" for line in health.rotten]
    priority = ERROR if failed else USUAL
    if fallen:
        failed = [*(f"autoinstall: {line}" for line in to_lines(fallen)), *failed]
        priority = min(priority, NOTICE if fallen.get("good") else ERROR)
    RECORD.write_text(json.dumps({**health.to_json(), "fallen": fallen}))
    for path in (ISSUE, MOTD):
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([*failed, health.greeting, ""]))
    journal.send(
        "\n".join([health.line, *failed]),
        MESSAGE_ID=MESSAGE_ID,
        PRIORITY=priority,
        AUTOINSTALL_HEALTH=health.word,
        AUTOINSTALL_FAILED=",".join(finding.check for finding in health.failed),
    )
    Consoles.of_this_machine().say("\n".join(["", *failed, health.line]))  # behind a login prompt, a line of its own
    if REPORT_PORT.exists():
        write_line(REPORT_PORT, json.dumps(health.to_json()) + "\n")
    if fallen and fallen["new"]:
        _tell_rolled_back(fallen)


def _tell_rolled_back(fallen: dict[str, Any]) -> None:
    """The upgrade that began before this boot has its one result."""
    result = Result(Ending.ROLLED_BACK, EXIT_BROKE, tuple(to_lines(fallen)), detail={"fallen": fallen})
    for sink in (Port(), Journal()):
        sink.result(result)
    Consoles.of_this_machine().say("\nautoinstall: result=rolled-back")

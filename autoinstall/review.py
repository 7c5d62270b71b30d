"""`autoinstall plan`: what the installer would decide, for this machine or for facts of another; touches no disk."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from autoinstall import advice, cmdline
from autoinstall.codec import from_plain
from autoinstall.difference import differences
from autoinstall.drawing import removal_text, to_text
from autoinstall.errors import EXIT_HERE, EXIT_OK, BadUsage
from autoinstall.facts import Facts
from autoinstall.host import Host
from autoinstall.pin import (
    digest_of,
    document,
    refuse_another,
    refuse_unpinned,
    removal_digest,
    removal_document,
    render,
)
from autoinstall.plan import make_plan
from autoinstall.probe import live_image, probe
from autoinstall.request import Action, Request, request_from
from autoinstall.uninstall import make_removal

WITHOUT_PLAN = {
    Action.NONE: "say storage_init",
    Action.RESCUE: "take rescue off the line",
    Action.STATELESS: "boot it with autoinstall.dry_run",
    Action.UPGRADE: "boot it with autoinstall.dry_run, or on the node say: autoinstall upgrade --dry-run",
}
"""What there is no plan of at a desk, and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall plan`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--cmdline", metavar="WORDS", help="the kernel command line to plan for")
    what.add_argument("--diff", nargs=2, type=Path, metavar="FILE", help="tell what differs between two plans")
    parser.add_argument("--facts", type=Path, metavar="FILE", help="facts of another machine (default: this one's)")
    parser.add_argument("--image", type=Path, metavar="DIR", help="the image (default: the one that runs)")
    parser.add_argument("--json", action="store_true", help="print JSON, with the digest")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write that JSON to a file too")


def main(args: argparse.Namespace, host: Host) -> int:
    """Print the plan or the removal for a line, with the warnings of the installer, or what differs between two.

    Raises what the installer would refuse the line with. Plans with different digests are exit code 3, as a machine
    that is to make the one and makes the other would refuse it.
    """
    if args.diff:
        return _compare(*args.diff)
    words = cmdline.parse(args.cmdline)
    cmdline.refuse_cut(args.cmdline)
    request = request_from(words)
    if request.action in WITHOUT_PLAN:
        raise BadUsage("this line asks for no installation and no removal", hint=WITHOUT_PLAN[request.action])
    facts = read_facts(args.facts) if args.facts else probe(host)
    if args.image:
        facts = replace(facts, image=live_image(host, args.image))
    if request.action is Action.INSTALL and facts.image is None:
        raise BadUsage(
            "there is no image to plan with: none of autoinstall runs here", hint="name an image: --image DIR"
        )
    seen = _seen_removal(request, facts) if request.action is Action.UNINSTALL else _seen_plan(request, facts)
    for warning in (*advice.unread(words), *advice.warnings(args.cmdline, words), *seen.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    text = render(seen.document)
    if args.output:
        _write(args.output, text)
    print(text.rstrip() if args.json else seen.text)
    seen.refuse()
    return EXIT_OK


@dataclass(frozen=True)
class _Seen:
    """What was decided, to be shown; `refuse` raises where the line pins another."""

    document: dict[str, Any]
    text: str
    warnings: tuple[str, ...]
    refuse: Callable[[], None]


def _seen_plan(request: Request, facts: Facts) -> _Seen:
    plan = make_plan(request, facts)
    return _Seen(document(plan), to_text(plan), plan.warnings, partial(refuse_another, request, plan))


def _seen_removal(request: Request, facts: Facts) -> _Seen:
    removal = make_removal(request, facts)
    refuse = partial(refuse_unpinned, request, removal_digest(removal))
    return _Seen(removal_document(removal), removal_text(removal), request.warnings, refuse)


def read_facts(path: Path) -> Facts:
    """The facts in a file that `autoinstall facts` wrote. Raises BadUsage."""
    try:
        return from_plain(Facts, json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise BadUsage(f"{path} holds no facts: {error}", hint="make it with: autoinstall facts") from error


def read_plan(path: Path) -> dict[str, Any]:
    """The content of a plan file, its digest checked. Raises BadUsage."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadUsage(f"{path} holds no plan: {error}", hint="make it with: autoinstall plan -o") from error
    if not isinstance(content, dict) or not isinstance(content.get("plan"), dict):
        raise BadUsage(f"{path} holds no plan", hint="make it with: autoinstall plan -o")
    if content.get("digest") != digest_of(content["plan"]):
        raise BadUsage(f"{path}: its digest is not that of its plan: it was changed", hint="make it anew")
    return content


def _compare(first: Path, second: Path) -> int:
    one, other = read_plan(first), read_plan(second)
    for line in differences(one, other):
        print(line)
    return EXIT_OK if one["digest"] == other["digest"] else EXIT_HERE


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise BadUsage(f"{path} cannot be written: {error.strerror}") from error

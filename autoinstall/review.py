"""`autoinstall plan`: what the installer would decide, for this machine or for facts of another; touches no disk."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoinstall import cmdline
from autoinstall.codec import from_plain
from autoinstall.difference import differences
from autoinstall.drawing import to_text
from autoinstall.errors import EXIT_HERE, EXIT_OK, BadUsage
from autoinstall.facts import Facts
from autoinstall.host import Host
from autoinstall.pin import digest_of, document, refuse_another, render
from autoinstall.plan import make_plan
from autoinstall.probe import live_image, probe
from autoinstall.request import Action, request_from


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
    """Print the plan for a line, or what differs between two.

    Raises what the installer would refuse the line with. Plans with different digests are exit code 3, as a machine
    that is to make the one and makes the other would refuse it.
    """
    if args.diff:
        return _compare(*args.diff)
    request = request_from(cmdline.parse(args.cmdline))
    if request.action is not Action.INSTALL:
        raise BadUsage("this line asks for no installation", hint="say storage_init")
    facts = read_facts(args.facts) if args.facts else probe(host)
    if args.image:
        facts = replace(facts, image=live_image(args.image))
    plan = make_plan(request, facts)
    text = render(document(plan))
    if args.output:
        _write(args.output, text)
    print(text.rstrip() if args.json else to_text(plan))
    refuse_another(request, plan)
    return EXIT_OK


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

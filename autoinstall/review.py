"""`autoinstall plan`: what the installer would decide, for this machine or for facts of another; touches nothing."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from autoinstall import cmdline
from autoinstall.codec import from_plain
from autoinstall.drawing import to_text
from autoinstall.errors import EXIT_OK, BadUsage
from autoinstall.facts import Facts
from autoinstall.host import Host
from autoinstall.plan import digest, make_plan, to_json
from autoinstall.probe import live_image, probe
from autoinstall.request import Action, request_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall plan`."""
    parser.add_argument("--cmdline", required=True, metavar="WORDS", help="the kernel command line to plan for")
    parser.add_argument("--facts", type=Path, metavar="FILE", help="facts of another machine (default: this one's)")
    parser.add_argument("--image", type=Path, metavar="DIR", help="the image (default: the one that runs)")
    parser.add_argument("--json", action="store_true", help="print JSON, with the digest")


def main(args: argparse.Namespace, host: Host) -> int:
    """Print the plan for a line. Raises what the installer would refuse it with."""
    request = request_from(cmdline.parse(args.cmdline))
    if request.action is not Action.INSTALL:
        raise BadUsage("this line asks for no installation", hint="say storage_init")
    facts = read_facts(args.facts) if args.facts else probe(host)
    if args.image:
        facts = replace(facts, image=live_image(args.image))
    plan = make_plan(request, facts)
    print(json.dumps({"digest": digest(plan), "plan": to_json(plan)}, indent=1) if args.json else to_text(plan))
    return EXIT_OK


def read_facts(path: Path) -> Facts:
    """The facts in a file that `autoinstall facts` wrote. Raises BadUsage."""
    try:
        return from_plain(Facts, json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise BadUsage(f"{path} holds no facts: {error}", hint="make it with: autoinstall facts") from error

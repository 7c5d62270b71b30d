"""`autoinstall upgrade`: a newer image into the slot that does not run, while this node works."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from autoinstall.carry import carry_out
from autoinstall.conclude import concluded
from autoinstall.errors import EXIT_OK, Refused
from autoinstall.execute import Step
from autoinstall.facts import LiveImage
from autoinstall.grammar import Force
from autoinstall.host import Host
from autoinstall.image import signature
from autoinstall.node import records
from autoinstall.node.ondisk import made_anew, read_node, this_node
from autoinstall.node.preview import shadowed
from autoinstall.node.staging import Fetch, Offer, clear, look_at, stage_for
from autoinstall.node.state import booted_slot, only_one
from autoinstall.node.upgrading import show, upgraded
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Journal, Memory, Port, Printed, Sink, say, warn
from autoinstall.signals import end_when_told
from autoinstall.slots import MOST_TRIES
from autoinstall.steps import upgrade_steps
from autoinstall.steps.image import hashed_beside
from autoinstall.upgrade import Decision, NewImage, UpgradePlan, already_reason, fallen_reason, make_upgrade


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall upgrade`."""
    parser.add_argument("source", metavar="FILE|DIR|URL", help="an ISO, or the directory of an image, or its URL")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and change nothing")
    parser.add_argument("--reboot", action="store_true", help="reboot into the new image afterwards")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--force",
        action="append",
        default=[],
        choices=[kind.value for kind in Force],
        help="major: to another major version; fallen: to an image that fell back on this node",
    )
    parser.add_argument(
        "--tries",
        type=int,
        choices=range(1, MOST_TRIES + 1),
        default=MOST_TRIES,
        help="boot attempts of the new image before the node falls back to the old one (default: %(default)s)",
    )


def main(args: argparse.Namespace, host: Host) -> int:
    """Upgrade, telling this terminal, the journal and the report port. Takes effect at the next boot."""
    booted_slot(host)
    sinks = (Memory(), Printed(), Port(), Journal())
    end_when_told("the node goes on with the slot that runs")
    result = concluded(lambda: _run(args, host, sinks), sinks)
    for sink in sinks:
        sink.result(result)
    if args.json:
        print(json.dumps(result.to_json(), indent=1))
    if args.reboot and result.ending is Ending.UPGRADED:
        host.run("systemctl", "--no-block", "reboot", doing="rebooting into the new image")
    return result.exit_code


def _run(args: argparse.Namespace, host: Host, sinks: Sequence[Sink]) -> Result:
    with only_one(host), ExitStack() as stack:
        offer = look_at(args.source, host, stack)
        hashing = hashed_beside(offer.directory, stack) if offer.directory and not args.dry_run else None
        node = this_node(host)
        there = read_node(host, node)
        offered = NewImage(offer.manifest, args.tries, frozenset(map(Force, args.force)))
        plan = make_upgrade(there, offered, node.slot_bytes)
        say(signature.told(offer.signer), sinks)
        show(plan, node.disk.path, sinks)
        warn(plan.warnings, host, sinks)
        if plan.decision is Decision.ALREADY:
            return Result(Ending.ALREADY_INSTALLED, EXIT_OK, (already_reason(plan),))
        if plan.decision is Decision.FALLEN:
            raise Refused(fallen_reason(plan), hint="`autoinstall status` tells why; to try again: --force fallen")
        directory = offer.directory or stage_for(offer.manifest, host)
        if args.dry_run:
            return _preview(plan, offer, host, sinks)
        made = made_anew(host, node, plan)
        fetch: list[Step] = []
        if offer.directory is None:
            clear()
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            fetch = [Fetch(offer, directory)]
        image = LiveImage(str(directory), offer.manifest)
        carry_out([*fetch, *upgrade_steps(made, image, hashing)], host, sinks)
        with suppress(OSError):
            records.forget_fallen(plan.new.image_id)  # it was forced: its next end is news
            records.set_rotten(plan.target.value, [])
        return upgraded(plan, node.disk.path, sinks)


def _preview(plan: UpgradePlan, offer: Offer, host: Host, sinks: Sequence[Sink]) -> Result:
    """What an upgrade would do, and what of the node's own /etc would hide a default that is another now."""
    hidden = shadowed(host, offer.directory) if offer.directory else None
    say(_preview_text(hidden), sinks)
    return Result(Ending.PLANNED, EXIT_OK, detail={"upgrade": plan.to_json(), "shadowed": hidden})


def _preview_text(hidden: Sequence[str] | None) -> str:
    if hidden is None:
        return "/etc   which of its files hide a new default is known only of an image that is here, not of a URL"
    lines = [f"/etc   {path}: the node keeps its own; the image's changes" for path in hidden]
    return "\n".join(lines or ["/etc   no file that the node keeps hides a default that changes"])

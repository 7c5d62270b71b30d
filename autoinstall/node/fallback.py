"""Why an image was given up: kept by the boot that failed, told by the boot that fell back."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoinstall.errors import EXIT_OK, AutoinstallError
from autoinstall.host import Host, Run
from autoinstall.node import records
from autoinstall.node.state import RUN, booted_slot, only_one, slot_state
from autoinstall.slots import MOST_TRIES, Slot

if TYPE_CHECKING:
    from autoinstall.upgrade import OnNode

TRIALS = Path("/var/log/autoinstall/trials.jsonl")
"""On Logging, one line for each boot on trial that gave up. boot-failed.sh of the initramfs adds to it too."""
CHECKED = RUN / "health.json"
BOOTED = RUN / "slot-name"
"""The initramfs of this boot wrote it."""
PSTORE = Path("/var/lib/systemd/pstore")
EMERGENCY, OWN_UNIT = "emergency.target", "autoinstall-fallback.service"
LAST_KERNEL_LINES = 6
SERIOUS = re.compile(r"<[0-3]>(.*)")
"""A line with a level from KERN_EMERG to KERN_ERR (linux/kern_levels.h). What is below a panic are registers."""
LAST_REASONS = 4
LONGEST_REASON = 300
ASKING = Run(accept=range(256), timeout_s=20)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`autoinstall give-up` has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """A boot on trial ends: keep what systemd can say, unless `health` found it ill, and so kept its own words.

    One that is healthy gives up where it cannot be marked good.
    """
    checked = records.read(CHECKED)
    if not (isinstance(checked, dict) and checked.get("node") == "degraded"):
        keep_reasons(booted_slot(host), _what_systemd_says(host), host)
    return EXIT_OK


def keep_reasons(slot: Slot, reasons: Sequence[str], host: Host) -> None:
    """Keep why this boot gives up, durably where Logging can be written; else nobody can be told."""
    line = json.dumps({"slot": slot.value, "when": int(host.wall_clock_s()), "why": list(reasons)}) + "\n"
    with suppress(OSError):
        TRIALS.parent.mkdir(exist_ok=True)
        fd = os.open(TRIALS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, line.encode())
            os.fsync(fd)
        finally:
            os.close(fd)


def forget_trials() -> None:
    """What was kept was told, or came up healthy after all."""
    with suppress(OSError):
        TRIALS.unlink(missing_ok=True)


def fallen_now(host: Host) -> dict[str, Any] | None:
    """What this boot fell back from, and why; None where it is the boot that was wanted. Kept on Config.

    `new` is whether that was not known before. To be asked once in a boot: an upgrade that waits, and has fewer
    attempts than most, looks the same. Where the slot that is first holds an image that once was good, it is told of
    and no more: no image is given up.
    """
    if slot_state(host).primary is booted_slot(host):
        return None
    from autoinstall.node.ondisk import read_node, this_node  # all that reads disks; a boot that went well needs none

    with only_one(host):
        node = read_node(host, this_node(host))
    reasons = _trial_reasons(node.state.primary)
    entry = entry_for(node, reasons, _last_kernel_lines())
    if entry is None or entry["good"]:
        return entry and {**entry, "new": False}
    known = next((one for one in records.fallen() if one.get("image_id") == entry["image_id"]), None)
    if known and not reasons:
        return {**known, "new": False}
    entry["when"] = int(host.wall_clock_s())
    with suppress(OSError):
        records.remember_fallen(entry)
        forget_trials()
    return {**entry, "new": True}


def entry_for(node: OnNode, reasons: Sequence[str], kernel_lines: Sequence[str]) -> dict[str, Any] | None:
    """The record of the image that is first, and was given up, or left, for the slot that runs. Pure."""
    from autoinstall.upgrade import name_of  # of no use to a boot that went well, as all of its kind

    slot = node.state.primary
    left, image, good = node.state.tries(slot), node.images.get(slot), node.image_id(slot) in node.good_ids
    if node.booted in (None, slot) or not (good or node.state.good(slot.other)):
        return None
    if left == MOST_TRIES:
        return None  # made first in this boot, by an upgrade or a rollback: the boot loader had counted one
    if left and (good or not reasons):
        reasons = [f"the boot loader could not load it, or slot {slot.other} was chosen in its menu"]
    elif node.state.good(slot):
        reasons = ["none of its last attempts came to a shutdown, or to ten healthy minutes"]
    elif good:
        reasons = reasons or ["none of its attempts was found good"]
    elif not reasons:
        reasons = ["each attempt ended before its health was checked, and left no word"]
    return {
        "slot": slot.value,
        "good": good,
        "image_id": node.image_id(slot),
        "version": image.version if image else "",
        "name": name_of(image),
        "tries_left": left,
        "reasons": list(reasons),
        "kernel": list(kernel_lines),
    }


def to_lines(entry: dict[str, Any]) -> list[str]:
    """For people: what was given up, or left, and why."""
    left = f", {entry['tries_left']} attempts left" if entry.get("tries_left") else ""
    head = f"fell back from slot {entry['slot']}, image {entry['name']}{left}:"
    if entry.get("good"):
        head = (
            f"runs slot {Slot(entry['slot']).other}, not slot {entry['slot']}, which has a good image and was first: "
            f"image {entry['name']}{left or ', no attempts left'}:"
        )
    return [head, *(f"  {text}" for text in (*entry["reasons"], *entry["kernel"]))]


def _trial_reasons(slot: Slot) -> list[str]:
    """What the boots of a slot kept, each reason once, the last ones."""
    found: dict[str, None] = {}
    with suppress(OSError):
        for line in TRIALS.read_text(errors="replace").splitlines():
            with suppress(ValueError, AttributeError):
                trial = json.loads(line)
                if trial.get("slot") == slot.value:
                    found.update(dict.fromkeys(str(why)[:LONGEST_REASON] for why in trial.get("why", [])))
    return list(found)[-LAST_REASONS:]


def _last_kernel_lines() -> list[str]:
    """The end of the newest kernel log that the platform kept over the reset (pstore), if it came in this boot."""
    with suppress(OSError):
        booted_s = BOOTED.stat().st_ctime  # the clock may have been set since
        logs = [path for path in PSTORE.rglob("dmesg*") if path.stat().st_ctime >= booted_s]
        if logs:
            newest = max(logs, key=lambda path: path.stat().st_mtime)
            lines = [line for line in newest.read_text(errors="replace").splitlines() if line.strip()]
            serious = [match[1] for line in lines if (match := SERIOUS.match(line))]
            return (serious or lines)[-LAST_KERNEL_LINES:]
    return []


def _what_systemd_says(host: Host) -> list[str]:
    try:
        active = host.run("systemctl", "is-active", EMERGENCY, doing="asking for the state", how=ASKING).status == 0
        failed, waiting = _names(host, "--failed"), _names(host, "list-jobs")
        if active or EMERGENCY in waiting:
            return [f"systemd went to emergency mode; failed: {failed or 'nothing'}"]
        return [f"it was not found good in time; waiting: {waiting or 'nothing'}; failed: {failed or 'nothing'}"]
    except AutoinstallError as error:
        return [f"it gave up, and systemd did not say why: {error}"]


def _names(host: Host, question: str) -> str:
    """The units that systemctl lists."""
    told = host.run("systemctl", question, "--no-legend", "--plain", doing="asking for units", how=ASKING).stdout
    words = [word for line in told.splitlines() for word in line.split() if "." in word and word != OWN_UNIT]
    return " ".join(words[:12])

"""`autoinstall status`: what this node is, what its slots hold, and how it was at its last check."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoinstall.errors import EXIT_OK, AutoinstallError, Refused, StateUnreadable
from autoinstall.host import Host
from autoinstall.image.manifest import MANIFEST_NAME, Manifest, parse_manifest
from autoinstall.mounts import mounted
from autoinstall.node import health, records
from autoinstall.node.fallback import to_lines
from autoinstall.node.state import BOOTED_IMAGE, booted_slot, only_one, partitions, slot_state
from autoinstall.slots import ROLES, Slot, SlotState, root_slot
from autoinstall.upgrade import OnNode, raised_floor

INSTALL_RECORD = Path("/config/autoinstall/install.json")


@dataclass(frozen=True)
class SlotStatus:
    """One slot. `manifest` is None where it holds no image, and `problem` says why."""

    slot: Slot
    booted: bool
    root: bool
    tries: int
    good: bool
    manifest: Manifest | None
    problem: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        image = self.manifest
        return {
            "booted": self.booted,
            "role": ROLES[self.root],
            "tries": self.tries,
            "good": self.good,
            "version": image.version if image else None,
            "image_id": image.image_id if image else None,
            "security_version": image.security_version if image else None,
            "kernel": image.kernel if image else None,
            "problem": self.problem,
        }

    def to_text(self) -> str:
        """One line for people."""
        image = self.manifest
        what = f"{image.version} ({image.image_id[: health.IMAGE_ID_DIGITS]})" if image else self.problem
        good = "good" if self.good else "not good yet" if self.tries else "not good"
        state = f"{good}, {self.tries} tries left"
        return f"slot {self.slot}  {ROLES[self.root]:<10} {what}  {state}{'  booted' if self.booted else ''}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall status`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace, host: Host) -> int:
    """Print the status. Raises CannotHere where this is no node, StateUnreadable where its ESP cannot be read."""
    booted, state = booted_slot(host), slot_state(host)
    slots = [_slot_status(slot, state, host) for slot in Slot]
    fallen, rotten = records.fallen(), records.rotten()
    install, checked = _json_file(INSTALL_RECORD), _json_file(health.RECORD)
    if args.json:
        images = {status.slot: status.manifest for status in slots}
        whole = {
            "slot": booted.value,
            "primary": state.primary.value,
            "on_trial": health.TRIAL.exists(),
            "slots": {status.slot.value: status.to_json() for status in slots},
            "fallen": fallen,
            "rotten": rotten,
            "security_floor": raised_floor(OnNode(state, booted, images, floor=records.floor())),
            "health": checked,
            "install": install,
        }
        print(json.dumps(whole, indent=1))
    else:
        lines = [*_install_text(install), *_health_text(checked), *health.rotten_lines(booted, rotten)]
        lines += [line for one in fallen for line in to_lines(one)]
        print("\n".join([*(status.to_text() for status in slots), *lines]))
    return EXIT_OK


def _slot_status(slot: Slot, state: SlotState, host: Host) -> SlotStatus:
    booted = slot is booted_slot(host)
    manifest, problem = None, ""
    try:
        manifest = _manifest(BOOTED_IMAGE) if booted else _other_manifest(slot, host)
    except Refused as error:
        problem = f"not looked at: {error}"
    except (AutoinstallError, OSError) as error:
        problem = f"no image: {error}"
    return SlotStatus(slot, booted, slot is root_slot(state), state.tries(slot), state.good(slot), manifest, problem)


def _other_manifest(slot: Slot, host: Host) -> Manifest:
    device = partitions(host).get(slot.partition_label)
    if device is None:
        raise StateUnreadable(f"there is no partition {slot.partition_label}")
    with only_one(host), mounted(host, device, "ro") as where:
        return _manifest(where)


def _manifest(directory: Path) -> Manifest:
    return parse_manifest((directory / MANIFEST_NAME).read_bytes())


def _json_file(path: Path) -> dict[str, Any] | None:
    found = records.read(path)
    return found if isinstance(found, dict) else None


def _install_text(install: dict[str, Any] | None) -> list[str]:
    if install is None:
        return ["install no record: Config is not there, or was not written by an installer"]
    return [f"install {install.get('install_id', 'unknown id')}"]


def _health_text(checked: dict[str, Any] | None) -> list[str]:
    if checked is None:
        return ["health  not checked in this boot"]
    problems = [f"  {name}: {problem}" for name, problem in checked["checks"].items() if problem]
    left = checked.get("fallen") or {}
    return [f"health  {checked['node']}", *problems, *(to_lines(left) if left.get("good") else [])]

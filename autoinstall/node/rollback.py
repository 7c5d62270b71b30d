"""`autoinstall rollback`: back to the image in the other slot, at the next boot."""

from __future__ import annotations

import argparse
import json

from autoinstall.errors import EXIT_OK, Refused
from autoinstall.host import Host
from autoinstall.node.ondisk import read_node, this_node
from autoinstall.node.state import booted_slot, change_slot_state, only_one
from autoinstall.slots import SlotState, roll_back
from autoinstall.upgrade import name_of, refuse_rollback


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall rollback`."""
    parser.add_argument("--reboot", action="store_true", help="reboot into it afterwards")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace, host: Host) -> int:
    """Say which image is booted next. Raises Refused where the other slot never was good, or CannotHere."""
    booted_slot(host)
    with only_one(host):
        node = this_node(host)
        there = read_node(host, node)
        slot = refuse_rollback(there)

        def change(state: SlotState) -> SlotState:
            if state.primary is slot or not state.good(slot):
                raise Refused("the slot state changed meanwhile", hint="look at `autoinstall status`, and try again")
            return roll_back(state)

        change_slot_state(host, change)
    image = there.images[slot]
    if args.json:
        told = {"slot": slot.value, "version": image.version, "image_id": image.image_id} if image else {}
        print(json.dumps({"next": told, "booted": node.booted.value if node.booted else None}, indent=1))
    else:
        running = ", which runs now" if slot is node.booted else ""
        print(f"slot {slot} is booted next: {name_of(image)}{running}")
    if args.reboot:
        host.run("systemctl", "--no-block", "reboot", doing="rebooting")
    return EXIT_OK

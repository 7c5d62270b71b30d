"""The booted slot came up healthy: GRUB is told."""

from __future__ import annotations

import argparse

from autoinstall.errors import EXIT_OK
from autoinstall.host import Host
from autoinstall.node.state import booted_slot, change_slot_state
from autoinstall.slots import SlotState, mark_good, rearm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall mark-good`."""
    parser.add_argument(
        "--rearm",
        action="store_true",
        help="mark nothing, but give the slots that were once good all their boot attempts back",
    )


def main(args: argparse.Namespace, host: Host) -> int:
    """Mark the booted slot good, or re-arm. Raises CannotHere where this is no node, StateUnreadable."""
    slot = booted_slot(host)

    def change(state: SlotState) -> SlotState:
        return rearm(state) if args.rearm else mark_good(state, slot)

    state = change_slot_state(host, change)
    print(f"slot {slot}: {state.tries(slot)} tries left, {'good' if state.good(slot) else 'not good yet'}")
    return EXIT_OK

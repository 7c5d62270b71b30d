"""The booted slot came up healthy: GRUB is told."""

from __future__ import annotations

import argparse

from autoinstall.errors import EXIT_OK, AutoinstallError
from autoinstall.host import Host
from autoinstall.node import records, roles
from autoinstall.node.fallback import forget_trials
from autoinstall.node.state import booted_slot, change_slot_state, only_one
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
    if not args.rearm:
        _follow(host, state)
    print(f"slot {slot}: {state.tries(slot)} tries left, {'good' if state.good(slot) else 'not good yet'}")
    return EXIT_OK


def _follow(host: Host, state: SlotState) -> None:
    """What follows from a good boot: roles, the security floor, and that its image is not a fallen one any more.

    None of it is worth a boot: what fails is told, and tried again at the next one.
    """
    # All that reads disks: a shutdown, which only re-arms, does not wait for these imports.
    from autoinstall.node.ondisk import read_node, this_node
    from autoinstall.upgrade import raised_floor

    try:
        with only_one(host):
            roles.follow(host, state)
            node = read_node(host, this_node(host))
        assert node.booted is not None
        records.set_floor(raised_floor(node))
        records.forget_fallen(node.image_id(node.booted))
        if node.state.primary is node.booted:
            forget_trials()
    except (AutoinstallError, OSError) as error:
        print(f"what follows from a good boot is left for the next one: {error}")

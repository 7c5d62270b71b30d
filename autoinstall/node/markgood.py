"""The booted slot came up healthy: GRUB is told."""

from __future__ import annotations

import argparse

from autoinstall.errors import EXIT_OK, AutoinstallError, Refused
from autoinstall.host import Host
from autoinstall.node import records, roles
from autoinstall.node.fallback import forget_trials
from autoinstall.node.state import booted_slot, change_slot_state, only_one, slot_state
from autoinstall.slots import Slot, SlotState, mark_good, rearm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall mark-good`."""
    parser.add_argument(
        "--rearm",
        action="store_true",
        help="mark nothing, but give the slots that were once good all their boot attempts back",
    )
    parser.add_argument(
        "--read",
        action="store_true",
        help="with --rearm: first read the other slot where it was left, and give it none back if it is not whole; "
        "without, it gets none back that was left after all its attempts",
    )


def main(args: argparse.Namespace, host: Host) -> int:
    """Mark the booted slot good, or re-arm. Raises CannotHere where this is no node, StateUnreadable."""
    slot = booted_slot(host)
    if args.rearm:
        state = _rearm(host, slot.other, args.read)
    else:
        state = change_slot_state(host, lambda state: mark_good(state, slot))
        _follow(host, state)
    print(f"slot {slot}: {state.tries(slot)} tries left, {'good' if state.good(slot) else 'not good yet'}")
    return EXIT_OK


def _rearm(host: Host, other: Slot, read: bool) -> SlotState:
    """The attempts back, but not those of a slot that rots: it would panic three times at each start.

    Nor those of one that is first, and that the boot loader cannot load. Why the other slot was left only reading it
    tells; at a shutdown there is no time for that, and one that has attempts may just not have been chosen.
    """

    def left(state: SlotState) -> bool:
        return state.good(other) and (not state.tries(other) or (read and state.primary is other))

    whole = read and left(slot_state(host)) and _is_whole(host, other)
    return change_slot_state(host, lambda state: rearm(state, other if left(state) and not whole else None))


def _is_whole(host: Host, slot: Slot) -> bool:
    """Whether a slot is what its manifest says, read now; what is not is told, and marked bad."""
    from autoinstall.node import health, verify  # nothing that a shutdown waits for

    try:
        with only_one(host):
            found = verify.look(host, slot)
            news = verify.conclude(host, {slot: found})
    except Refused:
        return False  # an upgrade makes it anew
    if news:
        health.tell(health.check_node(host), health.fell_back_from(host))
    return found.whole


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
        records.forget_forced(node.image_id(node.booted))
        if node.state.primary is node.booted:
            forget_trials()
    except (AutoinstallError, OSError) as error:
        print(f"what follows from a good boot is left for the next one: {error}")

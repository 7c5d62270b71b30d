"""The booted slot rots: GRUB takes the other one from the next start on."""

from __future__ import annotations

import argparse

from autoinstall.errors import EXIT_OK
from autoinstall.host import Host
from autoinstall.node import records
from autoinstall.node.state import booted_slot, change_slot_state
from autoinstall.slots import mark_bad, pick


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Mark the booted slot bad, unless the other one is known to rot: of two the node keeps both.

    Raises CannotHere where this is no node, StateUnreadable.
    """
    slot = booted_slot(host)
    other_rots = slot.other.value in records.rotten()
    state = change_slot_state(host, lambda state: state if other_rots else mark_bad(state, slot))
    following, _ = pick(state)
    if following is slot.other:
        print(f"slot {slot} is left: the next start takes slot {following}")
    else:
        print(f"slot {slot} is not left: slot {slot.other} {'rots too' if other_rots else 'is no fallback'}")
    return EXIT_OK

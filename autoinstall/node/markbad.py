"""The booted slot rots: GRUB takes the other one from the next start on."""

from __future__ import annotations

import argparse

from autoinstall.errors import EXIT_OK
from autoinstall.host import Host
from autoinstall.node.state import booted_slot, change_slot_state
from autoinstall.slots import mark_bad


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Mark the booted slot bad. Raises CannotHere where this is no node, StateUnreadable."""
    slot = booted_slot(host)
    change_slot_state(host, lambda state: mark_bad(state, slot))
    print(f"slot {slot} is left: the next start takes slot {slot.other}")
    return EXIT_OK

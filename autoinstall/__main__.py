"""One command, one verb a room; the only place that exits."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from autoinstall import __version__
from autoinstall.errors import AutoinstallError
from autoinstall.host import Host

VERBS = {
    "build": ("build an image and its ISO", "image.build"),
    "pxe": ("write an image for a PXE server", "image.pxe"),
    "facts": ("tell what this machine is, as JSON", "probe"),
    "lint": ("tell what the installer would say of a kernel command line", "lint"),
    "plan": ("tell what an installation would do", "review"),
    "install": ("do what the kernel command line asks", "install"),
    "rescue": ("mount the volumes of the node on this machine, read-only", "rescue"),
    "died": ("tell of a run that could not tell its end; for autoinstall-died.service", "died"),
    "status": ("tell what this node is and how it is", "node.status"),
    "health": ("check this node", "node.health"),
    "verify": ("read both slots of this node, and compare them with their manifests", "node.verify"),
    "upgrade": ("put a newer image on this node, for its next boot", "node.upgrade"),
    "rollback": ("go back to the image in the other slot, at the next boot", "node.rollback"),
    "downgrade": ("the same as rollback", "node.rollback"),
    "give-up": ("keep why a boot on trial gives up; for autoinstall-fallback.service", "node.fallback"),
    "report": ("deliver the result of the install that no server acknowledged; for a unit", "node.report"),
    "mark-good": ("mark the booted slot good", "node.markgood"),
    "mark-bad": ("leave the booted slot at the next start", "node.markbad"),
}
"""Each verb, what it is for, and its room, which has `add_arguments(parser)` and `main(args, host)`.

A room is imported only for its verb: under emulation that saves a node two seconds at each of its checks.
"""


def main(given: Sequence[str] | None = None) -> int:
    """Run the verb of the command line; the exit codes are those of errors.py."""
    words = sys.argv[1:] if given is None else given
    parser = argparse.ArgumentParser(prog="autoinstall", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (purpose, room) in VERBS.items():
        subparser = verbs.add_parser(verb, help=purpose)
        if words[:1] == [verb]:
            importlib.import_module(f"autoinstall.{room}").add_arguments(subparser)
    args = parser.parse_args(words)
    try:
        return int(importlib.import_module(f"autoinstall.{VERBS[args.verb][1]}").main(args, Host()))
    except AutoinstallError as error:
        print(f"autoinstall: {error}", file=sys.stderr)
        if error.hint:
            print(f"autoinstall: hint: {error.hint}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

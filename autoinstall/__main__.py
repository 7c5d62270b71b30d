"""One command, one verb a room; the only place that exits."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from autoinstall import __version__, install, review
from autoinstall.errors import AutoinstallError
from autoinstall.host import Host
from autoinstall.image import build, pxe
from autoinstall.node import health, markgood, status


@dataclass(frozen=True)
class Verb:
    """One verb: what it is for, its options, and the function that does it and returns the exit code."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    main: Callable[[argparse.Namespace, Host], int]


VERBS = {
    "build": Verb("build an image and its ISO", build.add_build_arguments, build.main_build),
    "install": Verb("do what the kernel command line asks", install.add_install_arguments, install.main_install),
    "pxe": Verb("write an image for a PXE server", pxe.add_pxe_arguments, pxe.main_pxe),
    "facts": Verb("tell what this machine is, as JSON", lambda parser: None, review.main_facts),
    "plan": Verb("tell what an installation would do", review.add_plan_arguments, review.main_plan),
    "status": Verb("tell what this node is and how it is", status.add_status_arguments, status.main_status),
    "health": Verb("check this node", health.add_health_arguments, health.main_health),
    "mark-good": Verb("mark the booted slot good", markgood.add_mark_good_arguments, markgood.main_mark_good),
}


def main() -> int:
    """Run the verb of the command line; the exit codes are those of errors.py."""
    parser = argparse.ArgumentParser(prog="autoinstall", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        verb.arguments(verbs.add_parser(name, help=verb.help))
    args = parser.parse_args()
    try:
        return VERBS[args.verb].main(args, Host())
    except AutoinstallError as error:
        print(f"autoinstall: {error}", file=sys.stderr)
        if error.hint:
            print(f"autoinstall: hint: {error.hint}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())

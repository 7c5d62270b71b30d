"""`autoinstall verify`: the files of both slots, read from the disk, are what their manifests say.

The slot that nobody runs from rots unread, until it is needed.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator

from autoinstall import block
from autoinstall.errors import EXIT_BROKE, EXIT_OK, AutoinstallError
from autoinstall.host import Host
from autoinstall.image.manifest import MANIFEST_NAME, parse_manifest
from autoinstall.mounts import mounted
from autoinstall.node.state import booted_slot, only_one, partitions
from autoinstall.slots import Slot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Read and tell. Exit code 0: all is well, 4: something is not. Raises CannotHere where this is no node.

    Not beside an upgrade: half a slot is not rot, and a slot that is mounted is not made anew.
    """
    booted_slot(host)
    whole = True
    for slot in Slot:
        with only_one(host):
            problems = list(find_problems(host, slot))
        whole = whole and not problems
        for line in problems or ["every file is what the manifest says"]:
            print(f"slot {slot}: {line}")
    return EXIT_OK if whole else EXIT_BROKE


def find_problems(host: Host, slot: Slot) -> Iterator[str]:
    """What is wrong with a slot's files, one line each."""
    try:
        with mounted(host, partitions(host)[slot.partition_label], "ro") as root:
            for file in parse_manifest((root / MANIFEST_NAME).read_bytes()).files:
                digest = hashlib.sha256()
                for chunk in block.chunks_direct(root / file.name):
                    digest.update(chunk)
                if digest.hexdigest() != file.sha256:
                    yield f"{file.name} is not what its manifest says"
    except (AutoinstallError, OSError, LookupError) as error:
        yield str(error)

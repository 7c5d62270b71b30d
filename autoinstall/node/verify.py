"""`autoinstall verify`: the files of both slots, read from the disk, are what their manifests say.

The slot that nobody runs from rots unread, until it is needed. One that does is no fallback: it is marked bad.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from autoinstall import block
from autoinstall.errors import EXIT_BROKE, EXIT_OK, AutoinstallError
from autoinstall.host import Host
from autoinstall.image.manifest import MANIFEST_NAME, parse_manifest
from autoinstall.mounts import mounted
from autoinstall.node import records
from autoinstall.node.health import check_node, tell
from autoinstall.node.state import booted_slot, change_slot_state, only_one, partitions
from autoinstall.slots import Slot, mark_bad


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Read and tell. Exit code 0: all is well, 4: something is not. Raises CannotHere where this is no node.

    Not beside an upgrade: half a slot is not rot, and a slot that is mounted is not made anew.
    """
    booted = booted_slot(host)
    found: dict[Slot, list[str]] = {}
    with only_one(host):
        found[booted] = list(find_problems(host, booted))
    with only_one(host):
        found[booted.other] = list(find_problems(host, booted.other))
        news = conclude(host, found)
    for slot, problems in sorted(found.items()):
        for line in problems or ["every file is what the manifest says"]:
            print(f"slot {slot}: {line}")
    if news:
        tell(check_node(host), None)
    return EXIT_BROKE if any(found.values()) else EXIT_OK


def conclude(host: Host, found: Mapping[Slot, Sequence[str]]) -> bool:
    """Remember what was found, and mark a slot bad that rots beside one that does not. Whether it is news.

    Of two that rot the node keeps both: one that may come up is better than none. Raises StateUnreadable.
    """
    news = False
    for slot, problems in found.items():
        with suppress(OSError):
            news = records.set_rotten(slot.value, problems) or news
        if problems and not found.get(slot.other):
            change_slot_state(host, partial(mark_bad, slot=slot))
    return news


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

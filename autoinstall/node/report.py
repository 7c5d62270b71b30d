"""`autoinstall report`: deliver the ends of runs that no server acknowledged; run by a unit."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from autoinstall.errors import EXIT_BROKE, EXIT_OK
from autoinstall.host import Host
from autoinstall.report.http import fault

KEPT = Path("/etc/autoinstall/report.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Try each URL once, and forget those that acknowledged. Exit code 4: some did not, and the unit tries again."""
    if not KEPT.exists():
        return EXIT_OK
    kept: list[dict[str, Any]] = json.loads(host.read_text(KEPT))
    left = [{**entry, "urls": urls} for entry in kept if (urls := _deaf(entry))]
    if not left:
        KEPT.unlink()
        return EXIT_OK
    if left != kept:
        partial = KEPT.with_suffix(".new")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(left))
        partial.rename(KEPT)
    return EXIT_BROKE


def _deaf(entry: dict[str, Any]) -> list[str]:
    """The URLs that do not acknowledge a result, which are said with the reason."""
    body = json.dumps(entry["result"], sort_keys=True).encode()
    left = {url: why for url in entry["urls"] if (why := fault(url, body))}
    for url, why in left.items():
        print(f"{url}: {why}")
    return list(left)

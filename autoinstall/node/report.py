"""`autoinstall report`: deliver the result of the install that no server acknowledged; run by a unit."""

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
    kept: dict[str, Any] = json.loads(host.read_text(KEPT))
    body = json.dumps(kept["result"], sort_keys=True).encode()
    left = {url: why for url in kept["urls"] if (why := fault(url, body))}
    for url, why in left.items():
        print(f"{url}: {why}")
    if not left:
        KEPT.unlink()
        return EXIT_OK
    if len(left) < len(kept["urls"]):
        partial = KEPT.with_suffix(".new")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps({**kept, "urls": list(left)}))
        partial.rename(KEPT)
    return EXIT_BROKE

"""`autoinstall report`: deliver the ends of runs that no server acknowledged; run by a unit."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from autoinstall.errors import EXIT_BROKE, EXIT_OK, CannotHere, NotDone
from autoinstall.host import Host
from autoinstall.report.http import fault

KEPT = Path("/etc/autoinstall/report.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Try each URL once, and forget those that acknowledged. Exit code 4: some did not, and the unit tries again.

    Raises CannotHere where what is kept cannot be read, NotDone where it cannot be changed.
    """
    kept = _kept(host)
    left = [{**entry, "urls": urls} for entry in kept if (urls := _deaf(entry))]
    if left != kept:
        try:
            _keep(left)
        except OSError as error:
            raise NotDone(f"{KEPT} cannot be changed: {error.strerror}", hint="look at /config") from error
    return EXIT_BROKE if left else EXIT_OK


def _kept(host: Host) -> list[dict[str, Any]]:
    """The results that are to be told, and to whom."""
    try:
        found = json.loads(host.read_text(KEPT))
        return [{"result": entry["result"], "urls": list(entry["urls"])} for entry in found]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CannotHere(f"{KEPT} cannot be read: {error.strerror}", hint="run this as root") from error
    except (ValueError, LookupError, TypeError) as error:
        raise CannotHere(f"{KEPT} is not what an installation leaves: {error}", hint=f"remove {KEPT}") from error


def _deaf(entry: dict[str, Any]) -> list[str]:
    """The URLs that do not acknowledge a result, which are said with the reason."""
    body = json.dumps(entry["result"], sort_keys=True).encode()
    left = {url: why for url in entry["urls"] if (why := fault(url, body))}
    for url, why in left.items():
        print(f"{url}: {why}")
    return list(left)


def _keep(left: list[dict[str, Any]]) -> None:
    if not left:
        KEPT.unlink()
        return
    partial = KEPT.with_suffix(".new")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(left))
    partial.rename(KEPT)

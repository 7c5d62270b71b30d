"""`autoinstall report`: deliver the result of the install that no server acknowledged; run by a unit."""

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
    if kept is None:
        return EXIT_OK
    body = json.dumps(kept["result"], sort_keys=True).encode()
    left = {url: why for url in kept["urls"] if (why := fault(url, body))}
    for url, why in left.items():
        print(f"{url}: {why}")
    if not left or len(left) < len(kept["urls"]):
        try:
            _keep({**kept, "urls": list(left)} if left else None)
        except OSError as error:
            raise NotDone(f"{KEPT} cannot be changed: {error.strerror}", hint="look at /config") from error
    return EXIT_BROKE if left else EXIT_OK


def _kept(host: Host) -> dict[str, Any] | None:
    """The result that is to be told, and to whom; None where there is none."""
    try:
        found = json.loads(host.read_text(KEPT))
        return {"result": found["result"], "urls": list(found["urls"])}
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotHere(f"{KEPT} cannot be read: {error.strerror}", hint="run this as root") from error
    except (ValueError, LookupError, TypeError) as error:
        raise CannotHere(f"{KEPT} is not what an installation leaves: {error}", hint=f"remove {KEPT}") from error


def _keep(kept: dict[str, Any] | None) -> None:
    if kept is None:
        KEPT.unlink()
        return
    partial = KEPT.with_suffix(".new")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(kept))
    partial.rename(KEPT)

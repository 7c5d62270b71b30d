"""Runs in the guest, by its own Python: one install, and what of each step was making and what was checking.

Told as one line of JSON: seconds of both in each step, and of every program; peak memory of the process.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import defaultdict
from typing import Any

from autoinstall import __main__ as product
from autoinstall import execute, host

programs: dict[str, list[float]] = defaultdict(list)
steps: dict[str, dict[str, float]] = {}


def timed(function: Any, tell: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            tell(time.monotonic() - began, *args)

    return wrapper


class Watched:
    """A step whose parts are timed."""

    def __init__(self, step: Any) -> None:
        self._step = step
        for part in ("apply", "why_not_done"):
            tell = lambda seconds, *_, part=part: steps.setdefault(step.name, {}).update({part: seconds})  # noqa: E731
            setattr(self, part, timed(getattr(step, part), tell))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)


turn = execute._Turn
execute._Turn = lambda step, *rest: turn(Watched(step), *rest)  # type: ignore[misc,assignment]
host.Host.run = timed(host.Host.run, lambda seconds, _, program, *rest: programs[str(program)].append(seconds))  # type: ignore[method-assign]
status = product.main(["install", "--cmdline", sys.argv[1]])
peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"steps": steps, "programs": programs, "peak_kib": peak_kib, "status": status}))

"""Words -> how a run is told: read from every line, also one that is refused. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from autoinstall.cmdline import Word
from autoinstall.parameters import canonical, row_of

REPORT_LIMIT_S = 60


@dataclass(frozen=True)
class Telling:
    """Who is told, and for how long the machine waits for them. An empty `trigger` is none."""

    urls: tuple[str, ...] = ()
    limit_s: int = REPORT_LIMIT_S
    trigger: str = ""


def telling_from(words: Sequence[Word]) -> Telling:
    """What can be read; what cannot, the request is refused for."""
    limits = _readable(words, "autoinstall.report_timeout")
    triggers = _readable(words, "local_boot_trigger")
    return Telling(
        urls=tuple(dict.fromkeys(_readable(words, "autoinstall.report"))),
        limit_s=limits[-1] if limits else REPORT_LIMIT_S,
        trigger=triggers[-1] if triggers else "",
    )


def _readable(words: Sequence[Word], name: str) -> list[Any]:
    found = []
    for word in words:
        row = row_of(word.name)
        if row and canonical(word.name) == name:
            with suppress(ValueError):
                found.append(row.parse(word.value))
    return found

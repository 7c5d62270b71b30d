"""Words -> how a run is told: read from every line, also one that is refused. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from autoinstall.cmdline import Word
from autoinstall.grammar_sources import Break, LogLevel
from autoinstall.parameters import canonical, row_of

REPORT_LIMIT_S = 60


@dataclass(frozen=True)
class Telling:
    """Who is told, how much, where the run waits for somebody, and for how long it waits for servers.

    An empty `trigger` is none. After a dry run it is not called: nothing happened.
    """

    urls: tuple[str, ...] = ()
    limit_s: int = REPORT_LIMIT_S
    trigger: str = ""
    dry_run: bool = False
    level: LogLevel = LogLevel.INFO
    breaks: tuple[Break, ...] = ()


def telling_from(words: Sequence[Word]) -> Telling:
    """What can be read; what cannot, the request is refused for."""
    limits = _readable(words, "autoinstall.report_timeout")
    triggers = _readable(words, "local_boot_trigger")
    dry_runs = _readable(words, "autoinstall.dry_run")
    levels = _readable(words, "autoinstall.log_level")
    return Telling(
        urls=tuple(dict.fromkeys(_readable(words, "autoinstall.report"))),
        limit_s=limits[-1] if limits else REPORT_LIMIT_S,
        trigger=triggers[-1] if triggers else "",
        dry_run=bool(dry_runs and dry_runs[-1]),
        level=levels[-1] if levels else LogLevel.INFO,
        breaks=tuple(_readable(words, "autoinstall.break")),
    )


OVER_HTTPS = ("autoinstall.words", "autoinstall.report", "autoinstall.ssh_key", "local_boot_trigger")
"""Words with a URL that the installer itself asks."""


def https_words(words: Sequence[Word]) -> tuple[str, ...]:
    """Those of a line that name a server which has to be checked."""
    named = [canonical(word.name) for word in words if (word.value or "").lower().startswith("https:")]
    return tuple(name for name in OVER_HTTPS if name in named)


def _readable(words: Sequence[Word], name: str) -> list[Any]:
    found = []
    for word in words:
        row = row_of(word.name)
        if row and canonical(word.name) == name:
            with suppress(ValueError):
                found.append(row.parse(word.value))
    return found

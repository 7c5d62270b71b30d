"""Events of a run, in the shape that curtin made common, and the one result that ends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(Enum):
    """Where in a step an event stands."""

    START = "start"
    PROGRESS = "progress"
    FINISH = "finish"
    NOTE = "note"


class Verdict(Enum):
    """How it went so far."""

    SUCCESS = "SUCCESS"
    WARN = "WARN"
    FAIL = "FAIL"


LEVEL = {Verdict.SUCCESS: "INFO", Verdict.WARN: "WARNING", Verdict.FAIL: "ERROR"}


@dataclass(frozen=True)
class Event:
    """One event. `percent` belongs to progress, `seconds` to finish."""

    name: str
    kind: Kind
    description: str
    timestamp_s: float
    verdict: Verdict = Verdict.SUCCESS
    percent: int | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; fields that say nothing are left out."""
        fields: dict[str, Any] = {
            "name": f"install/{self.name}",
            "event_type": self.kind.value,
            "result": self.verdict.value,
            "description": self.description,
            "timestamp": self.timestamp_s,
            "level": LEVEL[self.verdict],
            "origin": "autoinstall",
            "percent": self.percent,
            "seconds": self.seconds,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Ending(Enum):
    """The one way a run ended. NONE: nothing was asked for."""

    INSTALLED = "installed"
    ALREADY_INSTALLED = "already-installed"
    UPGRADED = "upgraded"
    ROLLED_BACK = "rolled-back"
    UNINSTALLED = "uninstalled"
    APPLIED = "applied"
    PLANNED = "planned"
    REFUSED = "refused"
    FAILED = "failed"
    NONE = "none"


@dataclass(frozen=True)
class Result:
    """How a run ended, for people and for machines. `detail` holds whatever else is known, as JSON values."""

    ending: Ending
    exit_code: int
    reasons: tuple[str, ...] = ()
    hint: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The last line of every machine-readable report."""
        return {
            "event_type": "result",
            "origin": "autoinstall",
            "result": self.ending.value,
            "exit_code": self.exit_code,
            "reasons": list(self.reasons),
            "hint": self.hint,
            **self.detail,
        }

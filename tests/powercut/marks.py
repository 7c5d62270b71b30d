"""What a machine had told by which entry of its log of writes: from there on, a cut must not take it back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.vm.machine import Event
from tests.vm.writes import SUPERBLOCK

INSTALLED, HEALTHY = "installed", "healthy"


@dataclass(frozen=True)
class Mark:
    """`at`: so many entries were in the log. `what` was told then, or, where not `acknowledged`, was begun.

    `config`: files below Config, as text; None is no such file. `state`: fields of SlotState. `boots`: the id of the
    image that is booted next. `healthy`: the id of an image that came up healthy.
    """

    at: int
    what: str
    acknowledged: bool = True
    config: Mapping[str, str | None] = field(default_factory=dict)
    state: Mapping[str, object] = field(default_factory=dict)
    boots: str = ""
    healthy: str = ""


class Notes:
    """Marks, taken while a machine runs. A mark is never earlier in the log than what it tells of."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.marks: list[Mark] = []

    def note(self, what: str, *, acknowledged: bool = True, **facts: Any) -> None:
        """Now. The log's head, which QEMU renews with each entry, says how many there are."""
        with self.log.open("rb") as file:
            head = file.read(SUPERBLOCK.size)
        at = SUPERBLOCK.unpack(head)[2] if len(head) == SUPERBLOCK.size else 0
        self.marks.append(Mark(at, what, acknowledged, **facts))

    def on_event(self, event: Event) -> None:
        """A report came."""
        kind = event.get("event_type")
        if kind == "result":
            self.note(INSTALLED if event["result"] == "installed" else str(event["result"]))
        elif kind == "health":
            healthy = event["node"] == HEALTHY
            self.note(str(event["node"]), healthy=event["image_id"] if healthy else "")
        else:
            self.note(f"{kind} {event.get('name', '')}".strip())

    def save(self, path: Path) -> None:
        """Keep them."""
        path.write_text(json.dumps([asdict(mark) for mark in self.marks], indent=1))


def load(path: Path) -> list[Mark]:
    """What `save` kept."""
    return [Mark(**mark) for mark in json.loads(path.read_text())]

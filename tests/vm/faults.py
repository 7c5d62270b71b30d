"""Files of rules for QEMU's blkdebug: what a disk does wrong, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EIO = 5
ENOSPC = 28


def fail_from_write(rules: Path, number: int) -> Path:
    """Writes go well, all before the one of this number (from 1); that and every later one fails."""
    steps = _counted(number)
    last = f'[inject-error]\nevent = "pwritev"\nstate = "{number}"\nerrno = "{EIO}"\niotype = "write"\nonce = "off"\n'
    rules.write_text("\n".join([*steps, last]))
    return rules


def bad_sector(rules: Path, offset: int, kind: str = "write") -> Path:
    """One sector that cannot be written (or read), for ever."""
    return fault(rules, Fault(offset, kind))


@dataclass(frozen=True)
class Fault:
    """A sector that from the write `number` on (from 1; those to any place count) answers with an error."""

    offset: int
    kind: str = "write"
    errno: int = EIO
    number: int = 1


def fault(rules: Path, wrong: Fault) -> Path:
    """The rules for it."""
    later = wrong.number > 1
    event = "pwritev" if wrong.kind == "write" or later else "none"  # none: from the start, in whose state alone
    when = f'state = "{wrong.number}"\n' if later else ""
    last = (
        f'[inject-error]\nevent = "{event}"\n{when}sector = "{wrong.offset // 512}"\nerrno = "{wrong.errno}"\n'
        f'iotype = "{wrong.kind}"\nonce = "off"\n'
    )
    rules.write_text("\n".join([*_counted(wrong.number), last]))
    return rules


def _counted(number: int) -> list[str]:
    """The state is the number of the next write, up to this one."""
    return [
        f'[set-state]\nevent = "pwritev"\nstate = "{count}"\nnew_state = "{count + 1}"\n'
        for count in range(1, number)
    ]

"""Files of rules for QEMU's blkdebug: what a disk does wrong, and when."""

from __future__ import annotations

from pathlib import Path

EIO = 5


def fail_from_write(rules: Path, number: int) -> Path:
    """Writes go well, all before the one of this number (from 1); that and every later one fails."""
    steps = [
        f'[set-state]\nevent = "pwritev"\nstate = "{count}"\nnew_state = "{count + 1}"\n'
        for count in range(1, number)
    ]
    last = f'[inject-error]\nevent = "pwritev"\nstate = "{number}"\nerrno = "{EIO}"\niotype = "write"\nonce = "off"\n'
    rules.write_text("\n".join([*steps, last]))
    return rules


def bad_sector(rules: Path, offset: int, kind: str = "write") -> Path:
    """One sector that cannot be written (or read), for ever."""
    event = "pwritev" if kind == "write" else "none"  # none: from the start
    rules.write_text(
        f'[inject-error]\nevent = "{event}"\nsector = "{offset // 512}"\nerrno = "{EIO}"\n'
        f'iotype = "{kind}"\nonce = "off"\n'
    )
    return rules

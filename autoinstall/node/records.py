"""What a node remembers of its images on Config: which were given up and why, and below which none may be.

Where Config takes no writes, what was given up and what rots is on Logging, until Config takes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

CONFIG = Path("/config")
"""Of the node that runs; another one's is told."""
FLOOR = Path("autoinstall/floor.json")
FALLEN = Path("autoinstall/fallen.json")
FORCED = Path("autoinstall/forced.json")
ROTTEN = Path("autoinstall/rotten.json")
LOGGING = Path("/var/log")
"""Its copy is newer than that on Config."""
MOST_FALLEN = 8
"""Images that are remembered, the newest of them."""


def floor(config: Path | None = None) -> int:
    """The security version that no image may be below; 0 where none was ever found good."""
    found = read((config or CONFIG) / FLOOR)
    value = found.get("security_version") if isinstance(found, dict) else None
    return value if isinstance(value, int) else 0


def set_floor(security_version: int) -> None:
    """Keep a floor. Raises OSError."""
    if security_version != floor():
        write(CONFIG / FLOOR, {"security_version": security_version})


def fallen(config: Path | None = None) -> list[dict[str, Any]]:
    """The images that were given up, the newest last: image_id, version, slot, reasons and when."""
    found = _read(FALLEN, config)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def remember_fallen(entry: dict[str, Any]) -> None:
    """Keep why an image was given up. Raises OSError."""
    others = [one for one in fallen() if one.get("image_id") != entry["image_id"]]
    _write(FALLEN, [*others, entry][-MOST_FALLEN:], None)


def forget_fallen(image_id: str, config: Path | None = None) -> None:
    """An image came up healthy after all. Raises OSError."""
    entries = fallen(config)
    others = [one for one in entries if one.get("image_id") != image_id]
    if others != entries:
        _write(FALLEN, others, config)


def forced(config: Path) -> list[str]:
    """The ids of the images that the line of a medium forced on this node."""
    found = read(config / FORCED)
    return [str(image_id) for image_id in found] if isinstance(found, list) else []


def remember_forced(image_id: str, config: Path) -> None:
    """Keep that an image was forced by a line. Raises OSError."""
    others = [one for one in forced(config) if one != image_id]
    write(config / FORCED, [*others, image_id][-MOST_FALLEN:])


def forget_forced(image_id: str) -> None:
    """It came up healthy after all. Raises OSError."""
    before = forced(CONFIG)
    if image_id in before:
        write(CONFIG / FORCED, [one for one in before if one != image_id])


def rotten(config: Path | None = None) -> dict[str, list[str]]:
    """The slots that are known not to hold what their manifest says, by name, and what is wrong with each."""
    found = _read(ROTTEN, config)
    entries = found.items() if isinstance(found, dict) else ()
    return {slot: [str(line) for line in lines] for slot, lines in entries if isinstance(lines, list)}


def set_rotten(slot: str, problems: Sequence[str], config: Path | None = None) -> bool:
    """Keep what is wrong with a slot, nothing where it is whole. Whether that is news. Raises OSError."""
    before = rotten(config)
    after = {**{name: lines for name, lines in before.items() if name != slot}, slot: list(problems)}
    after = {name: lines for name, lines in sorted(after.items()) if lines}
    if after != before:
        _write(ROTTEN, after, config)
    return after != before


def read(path: Path) -> Any:
    """What a JSON file of ours says; None where there is none, or it is not one."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def write(path: Path, content: Any) -> None:
    """Replace a JSON file: after a cut it is the old one or the new one, whole. Raises OSError."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}.new")
    with partial.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(name: Path, config: Path | None) -> Any:
    if config is None and (LOGGING / name).exists():
        return read(LOGGING / name)
    return read((config or CONFIG) / name)


def _write(name: Path, content: Any, config: Path | None) -> None:
    if config is not None:
        write(config / name, content)
        return
    try:
        write(CONFIG / name, content)
    except OSError:
        write(LOGGING / name, content)
    else:
        with suppress(OSError):
            (LOGGING / name).unlink()

"""What a node remembers of its images on Config: which were given up and why, and below which none may be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

CONFIG = Path("/config")
"""Of the node that runs; another one's is told."""
FLOOR = Path("autoinstall/floor.json")
FALLEN = Path("autoinstall/fallen.json")
MOST_FALLEN = 8
"""Images that are remembered, the newest of them."""


def floor(config: Path | None = None) -> int:
    """The security version that no image may be below; 0 where none was ever found good."""
    found = read((config or CONFIG) / FLOOR)
    value = found.get("security_version") if isinstance(found, dict) else None
    return value if isinstance(value, int) else 0


def set_floor(security_version: int, config: Path | None = None) -> None:
    """Keep a floor. Raises OSError."""
    if security_version != floor(config):
        write((config or CONFIG) / FLOOR, {"security_version": security_version})


def fallen(config: Path | None = None) -> list[dict[str, Any]]:
    """The images that were given up, the newest last: image_id, version, slot, reasons and when."""
    found = read((config or CONFIG) / FALLEN)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def remember_fallen(entry: dict[str, Any], config: Path | None = None) -> None:
    """Keep why an image was given up. Raises OSError."""
    others = [one for one in fallen(config) if one.get("image_id") != entry["image_id"]]
    write((config or CONFIG) / FALLEN, [*others, entry][-MOST_FALLEN:])


def forget_fallen(image_id: str, config: Path | None = None) -> None:
    """An image came up healthy after all. Raises OSError."""
    entries = fallen(config)
    others = [one for one in entries if one.get("image_id") != image_id]
    if others != entries:
        write((config or CONFIG) / FALLEN, others)


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

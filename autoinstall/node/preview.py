"""Which files of the node's own /etc hide a default that another image changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from autoinstall.host import Host
from autoinstall.mounts import below_root, mounted_file

KEPT = Path("/config/etc/upper")
SQUASHFS = "root.squashfs"


def shadowed(host: Host, new: Path) -> list[str]:
    """The files of /etc that the node keeps, and that differ between the image that runs and that in a directory."""
    with below_root(host) as old_root, mounted_file(host, new / SQUASHFS) as new_root:
        return hidden_changes(KEPT, old_root / "etc", new_root / "etc")


def hidden_changes(kept: Path, old: Path, new: Path) -> list[str]:
    """The files below `kept`, an overlay's upper directory, that differ between `old` and `new`; as /etc/…

    What the node deleted counts as kept too: it is a device file there (overlayfs: whiteouts).
    """
    found = []
    for directory, _, names in os.walk(kept):
        for name in names:
            place = Path(directory, name).relative_to(kept)
            if _content(old / place) != _content(new / place):
                found.append(f"/etc/{place}")
    return sorted(found)


def _content(path: Path) -> bytes | str | None:
    """What a file says, a link points to; None where there is neither."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    return path.read_bytes() if stat.S_ISREG(mode) else None

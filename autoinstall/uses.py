"""Who uses which block device, told by the kernel: mounts, swap, and what is stacked on it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from autoinstall.live import LIVE_MOUNT


class Uses:
    """Who uses which block device: mounts, swap, and devices stacked on it."""

    def __init__(self) -> None:
        self._mounts = _mounted_devices()
        self._swaps = {os.path.realpath(line.split()[0]) for line in Path("/proc/swaps").read_text().splitlines()[1:]}
        self._live = {device for device, where in self._mounts if where == str(LIVE_MOUNT)}

    def is_live_medium(self, disk: str) -> bool:
        return any(re.fullmatch(rf"{re.escape(disk)}(p?[0-9]+)?", device) for device in self._live)

    def of(self, sys_path: Path) -> Iterable[str]:
        """One sentence for each use of a disk, of its partitions, and of what is stacked on them."""
        for name in (f"/dev/{user}" for user in with_users(sys_path)):
            yield from (f"{name} is mounted on {where}" for device, where in self._mounts if device == name)
            if name in self._swaps:
                yield f"{name} is swap"


def with_users(sys_path: Path) -> Iterable[str]:
    """The kernel names of a device, of its partitions, and of all that is stacked on them, partitions of it too."""
    yield sys_path.name
    holders = [holder.resolve() for holder in sorted((sys_path / "holders").glob("*"))]
    for above in [*holders, *sorted(entry.parent for entry in sys_path.glob("*/partition"))]:
        yield from with_users(above)


def multipath_of(sys_path: Path) -> str:
    """The multipath device that a disk is a path of; empty where it is of none."""
    maps = [holder.resolve() for holder in (sys_path / "holders").glob("*") if is_multipath(holder)]
    return f"/dev/mapper/{text_of(maps[0] / 'dm/name')}" if maps else ""


def is_multipath(sys_path: Path) -> bool:
    """Whether a device is a map over the paths of one disk."""
    return text_of(sys_path / "dm/uuid").startswith("mpath-")


def _mounted_devices() -> Sequence[tuple[str, str]]:
    """(device, mount point) of every mounted block device (proc(5), mountinfo)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        found.append((os.path.realpath(right.split()[1]), left.split()[4]))
    return found


def text_of(path: str | Path) -> str:
    """A one-line file of sysfs; empty where the kernel has nothing to say."""
    try:
        return Path(path).read_text(errors="backslashreplace").strip()
    except OSError:
        return ""

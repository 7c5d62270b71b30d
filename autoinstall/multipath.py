"""Joins the paths to a disk: a map of device-mapper over them, with the disk's partitions.

A map is made only where several paths are seen to lead to one disk (paths.several_paths); a machine without has no
part in this. While the installer runs the kernel changes paths by itself. On the node the initramfs makes the same
map (dracut/55autoinstall/map-disks.sh), and multipathd looks after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from autoinstall import block
from autoinstall.errors import DeviceLost
from autoinstall.facts import Disk
from autoinstall.host import Host
from autoinstall.paths import several_paths
from autoinstall.sizes import MIB

EDGE_BYTES = MIB
"""How much of both ends of a disk must be the same by each path."""
SECTOR_BYTES = 512
"""Of device-mapper's tables, whatever the disk's."""


def assemble(host: Host, disks: Sequence[Disk]) -> bool:
    """Make a map of each disk that several of `disks` are paths to, with its partitions. Whether one was made.

    Nothing is written. Left alone are paths that do not hold the same, for what their WWID says is wrong, and paths
    that something is stacked on. Raises ToolFailed, DeviceLost.
    """
    made = False
    for wwid, paths in several_paths(disks).items():
        answering = _answering(paths)
        if len({*answering.values()}) == 1 and not any(block.holders(path) for path in paths):
            _make_map(host, wwid, list(answering))
            made = True
    return made


def add_partition(host: Host, disk: str, where: tuple[int, int, int]) -> None:
    """Tell the kernel of a partition: number, start and size in bytes. Raises DeviceLost, ToolFailed."""
    if not block.is_mapped(disk):
        block.add_partition(disk, where)
        return
    number, start, size = where
    name, uuid = block.mapped_name(disk)
    table = f"0 {size // SECTOR_BYTES} linear {disk} {start // SECTOR_BYTES}"
    host.run("dmsetup", "create", f"{name}-part{number}", "--uuid", f"part{number}-{uuid}", "--table", table,
             doing=f"mapping partition {number} of {disk}")  # fmt: skip


def forget_partitions(host: Host, disk: str) -> None:
    """Tell the kernel that a disk has no partitions. Raises DeviceLost, ToolFailed, also where one is in use."""
    if not block.is_mapped(disk):
        block.forget_partitions(disk)
        return
    for number in block.partition_numbers(disk):
        name, _ = block.mapped_name(block.partition_path(disk, number))
        host.run("dmsetup", "remove", "--retry", name, doing=f"forgetting partition {number} of {disk}")


def _answering(paths: Sequence[str]) -> Mapping[str, tuple[bytes, bytes]]:
    """The paths that can be read now, with what is at both ends of the disk. A passive one answers with errors."""
    found = {}
    for path in paths:
        with suppress(DeviceLost):
            end = block.size_bytes(path) - EDGE_BYTES
            found[path] = (block.read_direct(path, 0, EDGE_BYTES), block.read_direct(path, end, EDGE_BYTES))
    return found


def _make_map(host: Host, wwid: str, paths: Sequence[str]) -> None:
    """Each path in a group of its own: one is used, the next when that one fails."""
    partitions = block.partition_places(paths[0])
    for path in paths:
        block.forget_partitions(path)
    groups = " ".join(f"service-time 0 1 2 {path} 1 1" for path in paths)
    table = f"0 {block.size_bytes(paths[0]) // SECTOR_BYTES} multipath 0 0 {len(paths)} 1 {groups}"
    host.run("dmsetup", "create", wwid, "--uuid", f"mpath-{wwid}", "--table", table,
             doing=f"joining {' and '.join(paths)}")  # fmt: skip
    for where in partitions:
        add_partition(host, f"/dev/mapper/{wwid}", where)

"""`autoinstall rescue`: the volumes of the node on this machine, mounted for somebody who comes to look.

Nothing is written: every mount is read-only and replays no journal. What cannot be mounted is told, and the
rest goes on, for a broken node is what this is for.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from autoinstall import block, cmdline
from autoinstall.errors import EXIT_OK, AutoinstallError, BadWords
from autoinstall.facts import Disk
from autoinstall.host import Host
from autoinstall.layout import PARTITIONS
from autoinstall.live import KERNEL_COMMAND_LINE
from autoinstall.marks import our_table
from autoinstall.multipath import add_partition
from autoinstall.probe import disks, join_paths
from autoinstall.report.sinks import Consoles
from autoinstall.request import request_from, rescue_asked
from autoinstall.space import HOST_GROUP, VOLUMES, VolumeRow

MOUNTS = Path("/run/autoinstall/rescue.d")
CONFIG = Path("/config")
OPTIONS = "ro,nosuid,nodev"
UNREPLAYED = f"{OPTIONS},noload"

INTRODUCTION = """
This is autoinstall's rescue system. Nothing was installed, and nothing was written.
Below is what was found of a node; all of it is read-only. To change something, mount it again:
  mount -o remount,rw DIRECTORY"""

UNKNOWN_TO_LINUX = "Linux sees no partitions here: a broken table, or an unfinished install; these are our table's:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(args: argparse.Namespace, host: Host) -> int:
    """Mount what there is of nodes, and say what is where."""
    consoles = Consoles.of_this_machine()
    consoles.say(INTRODUCTION)
    for text in wrong_with(host.read_text(KERNEL_COMMAND_LINE)):
        consoles.say(f"ignored, for rescue wins: {text}")
    join_paths(host)
    there = disks(host, examine=True)
    nodes = [disk for disk in there if disk.node]
    for disk in nodes:
        install_id = disk.node.install_id if disk.node else None
        consoles.say(f"{disk.path}: a node, install id {install_id}")
        members = [one for one in there if one.member and one.member.install_id == install_id]
        lines = [line for one in (disk, *members) for line in _partitions_found(host, one)]
        lines += mount_node(host, disk, MOUNTS / disk.name, single=len(nodes) == 1)
        for line in [*lines, *_volumes(host, MOUNTS / disk.name, members)]:
            consoles.say(f"  {line}")
    if not nodes:
        consoles.say("no disk of this machine carries a node")
    return EXIT_OK


def wrong_with(line: str) -> tuple[str, ...]:
    """What an installer would have refused a line for, or warned of, had it not asked for rescue."""
    try:
        words = cmdline.parse(line)
        return request_from(words).warnings if rescue_asked(words) else ()
    except BadWords as error:
        return error.reasons


def mount_node(host: Host, disk: Disk, root: Path, *, single: bool) -> list[str]:
    """Mount a node's partitions below `root`; Config of the only node on /config. One line each of how that went."""
    wanted = []
    for number, row in enumerate(PARTITIONS, start=1):
        if row.filesystem:
            where = CONFIG if row.label == "Config" and single else root / row.label
            options = OPTIONS if row.filesystem == "vfat" else UNREPLAYED
            wanted.append((number, where, options))
    return [_tried(host, disk, number, (where, options)) for number, where, options in wanted]


def _partitions_found(host: Host, disk: Disk) -> list[str]:
    """Linux reads no backup table by itself: it is told of the partitions, in memory, and people of that."""
    try:
        table = None if block.partition_numbers(disk.path) else our_table(disk)
        for number, entry in enumerate(table[1] if table else (), start=1):
            start, end = entry.first_lba * disk.sector_bytes, (entry.last_lba + 1) * disk.sector_bytes
            add_partition(host, disk.path, (number, start, end - start))
    except AutoinstallError as error:
        return [str(error)]
    return [UNKNOWN_TO_LINUX] if table else []


def _tried(host: Host, disk: Disk, number: int, how: tuple[Path, str]) -> str:
    where, options = how
    try:
        return _mounted(host, block.partition_path(disk.path, number), where, options)
    except AutoinstallError as error:
        return f"not on {where}: {error}"


def _volumes(host: Host, root: Path, members: Sequence[Disk]) -> list[str]:
    """The volumes with a filesystem, of HostVG, and of AppVG where there is a disk of it."""
    groups = {HOST_GROUP, *(disk.member.group for disk in members if disk.member)}
    rows = [row for row in VOLUMES if row.filesystem == "ext4" and row.group in groups]
    return [_data(host, row, root / row.name) for row in rows]


def _data(host: Host, row: VolumeRow, where: Path) -> str:
    try:
        host.run("vgchange", "--activate", "y", row.group, doing=f"activating {row.group}")
        return _mounted(host, f"/dev/{row.group}/{row.name}", where, UNREPLAYED)
    except AutoinstallError as error:
        return f"not on {where}: {error}"


def _mounted(host: Host, device: str, where: Path, options: str) -> str:
    where.mkdir(parents=True, exist_ok=True)
    host.run("mount", "-o", options, device, where, doing=f"mounting {device}")
    return f"{where} is {device}"

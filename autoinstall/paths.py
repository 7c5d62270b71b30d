"""Disks with several paths: which disks are paths, which is the map over them, and what may become of it. Pure.

A disk is known by its WWID, which is its own and no port's. A map stands for its disk, and its paths for the map.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts
from autoinstall.select import describe

MULTIPATH = "multipath"
"""A kind of disk: a map. And the feature of an image whose node looks after the paths to its disks."""

MULTIPATH_WORD = "rd.autoinstall.multipath="
"""Begins the kernel argument that names the disks of a node that have several paths, by their WWIDs."""

LASTING_WWID = re.compile(r"3[0-9a-f]{16}(?:[0-9a-f]{16})?")
"""A name of NAA (SPC-4, 7.8.6.6) as scsi_id gives it: the disk's own, which no other disk has."""


def wwid_of(told: str) -> str:
    """The WWID that a map's UUID tells, or udev's serial of a SCSI disk; empty where it is not the disk's own."""
    wwid = told.removeprefix("mpath-")
    return wwid if LASTING_WWID.fullmatch(wwid) else ""


def wwids_of(disks: Iterable[Disk]) -> tuple[str, ...]:
    """The WWIDs of those that have several paths."""
    return tuple(sorted(disk.wwid for disk in disks if disk.kind == MULTIPATH))


def several_paths(disks: Sequence[Disk]) -> Mapping[str, Sequence[str]]:
    """WWID -> paths to that disk, of which there is no map yet. A disk with a path in use has none."""
    by_wwid: dict[str, list[Disk]] = {}
    for disk in disks:
        if disk.wwid and disk.kind == "disk":
            by_wwid.setdefault(disk.wwid, []).append(disk)
    return {
        wwid: [disk.path for disk in paths]
        for wwid, paths in by_wwid.items()
        if len(paths) > 1
        and len({(disk.size_bytes, disk.sector_bytes) for disk in paths}) == 1
        and not any(disk.multipath or disk.in_use or disk.live_medium for disk in paths)
    }


def with_identity(disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """The disks, each map with what its paths tell of the disk that they lead to, and with their names.

    The medium that this system runs from is that by each of its paths. A path that a map was made without, as it
    answered nothing, is one of it too, unless somebody uses it past the map.
    """
    live = {disk.wwid for disk in disks if disk.live_medium and disk.wwid}
    disks = [replace(disk, live_medium=disk.live_medium or disk.wwid in live) for disk in disks]
    maps = {disk.wwid: disk.multipath for disk in disks if disk.wwid and disk.multipath}
    silent = [
        replace(disk, multipath=maps[disk.wwid])
        for disk in disks
        if disk.wwid in maps and disk.kind == "disk" and not (disk.multipath or disk.in_use)
    ]
    paths = [*disks, *silent]
    known = {disk.path: disk for disk in paths}
    return tuple(_known_by(disk, [one for one in paths if one.multipath in disk.links]) for disk in known.values())


def refuse_paths(target: Disk, facts: Facts) -> None:
    """Raises Refused for a path without a map, and for a map that a node of this image could not keep up."""
    for rule in (refuse_a_path, _refuse_without_multipath, _refuse_without_wwid):
        rule(target, facts)


def refuse_a_path(target: Disk, facts: Facts) -> None:
    """Raises Refused for a path without a map.

    Two disks of one WWN, serial and size are two paths to one disk, and none of them is it: their map is.
    """
    identity = (target.wwn, target.serial, target.size_bytes)
    paths = [disk for disk in facts.disks if (disk.wwn, disk.serial, disk.size_bytes) == identity]
    if target.kind != MULTIPATH and target.wwn and len(paths) > 1:
        raise Refused(
            f"{' and '.join(disk.path for disk in paths)} are paths to one disk, of WWN {target.wwn}, without a map",
            hint="a live system makes the map where all paths hold the same and none is in use; leave one path "
            "connected, or name another disk",
        )


def _refuse_without_multipath(target: Disk, facts: Facts) -> None:
    if target.kind == MULTIPATH and facts.image and MULTIPATH not in facts.image.manifest.features:
        raise Refused(
            f"{describe(target)}: this image has nothing to look after the paths to a node's disk with",
            hint=f"use an image with the feature {MULTIPATH}, or leave one path connected",
        )


def _refuse_without_wwid(target: Disk, facts: Facts) -> None:
    if target.kind == MULTIPATH and not target.wwid:
        raise Refused(
            f"{describe(target)} has no WWID of its own, by which a node could know its paths",
            hint="have the storage tell one (NAA, in its page 0x83), or leave one path connected",
        )


def _known_by(disk: Disk, paths: Sequence[Disk]) -> Disk:
    if disk.kind != MULTIPATH or not paths:
        return disk
    first = paths[0]
    return replace(
        disk,
        bus=first.bus,
        serial=first.serial,
        wwn=first.wwn,
        model=first.model,
        vendor=first.vendor,
        rotational=first.rotational,
        removable=first.removable,
        live_medium=any(one.live_medium for one in paths),
        links=tuple(sorted({link for one in (disk, *paths) for link in one.links})),
        paths=tuple(one.path for one in paths),
    )

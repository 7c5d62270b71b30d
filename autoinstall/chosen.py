"""The disks that take part: the boot disk, those of HostVG, those of AppVG; each is there once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts, NodeMark
from autoinstall.grammar_disks import DiskBy, DiskSelector
from autoinstall.layout import id_mark
from autoinstall.request import Action, Request
from autoinstall.select import describe, disk_word, identity, select_all, select_disk
from autoinstall.space import APP_GROUP, HOST_GROUP


@dataclass(frozen=True)
class Chosen:
    """`host` are the disks of HostVG, the boot disk among them where it is one; `named` the paths of those that a
    word names explicitly, so that foreign data on them may be wiped.
    """

    boot: Disk
    host: tuple[Disk, ...]
    app: tuple[Disk, ...]
    named: frozenset[str]

    @property
    def members(self) -> tuple[Disk, ...]:
        """The disks beside the boot disk: those of HostVG, then those of AppVG."""
        return (*(disk for disk in self.host if disk != self.boot), *self.app)

    @property
    def disks(self) -> tuple[Disk, ...]:
        """All of them, the boot disk first."""
        return (self.boot, *self.members)

    def others(self, facts: Facts) -> list[Disk]:
        """The disks of the machine that take no part."""
        paths = {disk.path for disk in self.disks}
        return [disk for disk in facts.disks if disk.path not in paths]


def choose_boot(request: Request, disks: Sequence[Disk]) -> Disk:
    """The boot disk that a request means, whatever there is of the others. Raises Refused."""
    assert request.disk is not None
    alone = not (request.host_disks or request.app_disks)
    return select_disk(request.disk, disks, alone=alone, of_node=request.action is Action.UNINSTALL)


def staying(request: Request, disks: Sequence[Disk]) -> Disk | None:
    """The boot disk, where it carries a finished node that is not installed over: nothing is written then.

    Raises Refused where it is not clear which disk is meant.
    """
    boot = choose_boot(request, disks)
    return boot if boot.node and boot.node.finished and not why_over(request, boot.node) else None


def why_over(request: Request, node: NodeMark) -> str:
    """Why a finished node is installed over; empty where it stays."""
    if request.reinstall:
        return "as `reinstall` asks; take that word away, or the next boot of this line does so again"
    if request.id_text is not None and node.id_mark != id_mark(node.install_id, request.id_text):
        return f"for it was not installed as autoinstall.id={request.id_text}"
    return ""


def choose(request: Request, disks: Sequence[Disk]) -> Chosen:
    """The disks that a request means: the same one named twice counts once.

    The first one is exactly one, also of BUS:ALL. Behind it BUS:ALL is every eligible disk of that bus, in the order
    of their identities: for HostVG the boot disk too, for AppVG those that hold neither boot disk nor HostVG.
    Raises Refused.
    """
    assert request.disk is not None
    named: set[str] = set()

    def found(selector: DiskSelector, some: Sequence[Disk]) -> list[Disk]:
        if selector.by is DiskBy.BUS_ALL:
            return sorted(select_all(selector, some), key=identity)
        disk = select_disk(selector, some, alone=False, of_node=request.action is Action.UNINSTALL)
        named.update([disk.path] if selector.explicit else [])
        return [disk]

    boot = choose_boot(request, disks)
    named.update([boot.path] if request.disk.explicit else [])
    host = _once(disk for selector in request.host_disks for disk in found(selector, disks)) or (boot,)
    free = [disk for disk in disks if disk not in (boot, *host)]
    app = _once(
        disk
        for selector in request.app_disks
        for disk in found(selector, free if selector.by is DiskBy.BUS_ALL else disks)
    )
    chosen = Chosen(boot, host, app, frozenset(named))
    _refuse_two_places(chosen)
    for group, members in ((HOST_GROUP, host), (APP_GROUP, app)):
        _refuse_mixed_sectors(group, members)
    return chosen


def refuse_left_behind(chosen: Chosen, facts: Facts) -> None:
    """Raises Refused where a disk that is not named holds a part of a node: two of that would be in the machine."""
    for disk in chosen.others(facts):
        if disk.member and disk.member.finished:
            raise Refused(
                f"{describe(disk)} holds {disk.member.group} of the node {disk.member.install_id}, and is not named",
                hint=f"name it too: {disk_word(disk, facts.disks)}; or take the node away first: uninstall",
            )


def refuse_same_groups(chosen: Chosen, facts: Facts) -> None:
    """Raises Refused where a disk that is not named holds a group of the name of one of the node's: that node would
    come up without swap and /data.
    """
    names = (HOST_GROUP, APP_GROUP) if chosen.app else (HOST_GROUP,)
    for disk in chosen.others(facts):
        twins = [mark.group for mark in disk.signatures if mark.group and mark.group.name in names]
        if twins:
            raise Refused(
                f"{describe(disk)} holds a volume group {twins[0].name} too: LVM starts neither of two of one name",
                hint=f"take that disk out of the machine; or rename its group: vgrename {twins[0].uuid} NAME; or "
                f"name it too, and what it holds is lost: {disk_word(disk, facts.disks)}",
            )


def _refuse_two_places(chosen: Chosen) -> None:
    for disk in chosen.app:
        if disk in (chosen.boot, *chosen.host):
            raise Refused(
                f"{describe(disk)} is asked for AppVG, and holds the node's system or HostVG already",
                hint="a disk of AppVG is of AppVG alone: name another one",
            )


def _refuse_mixed_sectors(group: str, disks: Sequence[Disk]) -> None:
    """LVM makes no group of both kinds (lvm.conf, allow_mixed_block_sizes): filesystems break that move between."""
    if len({disk.sector_bytes for disk in disks}) > 1:
        kinds = [f"{disk.path} has sectors of {disk.sector_bytes} bytes" for disk in disks]
        raise Refused(f"{group} needs disks of one kind of sectors", *kinds, hint="name disks of one kind for it")


def _once(disks: Iterable[Disk]) -> tuple[Disk, ...]:
    return tuple({disk.path: disk for disk in disks}.values())

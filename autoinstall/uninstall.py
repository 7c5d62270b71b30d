"""Request + facts -> Removal: the node goes, and its disks are blank. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoinstall.chosen import choose
from autoinstall.codec import to_plain
from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts
from autoinstall.grammar_disks import DiskBy
from autoinstall.request import Request
from autoinstall.select import describe, foreign_marks, refuse_unknown, strange_partitions
from autoinstall.services import refuse_unchecked
from autoinstall.stacks import has_stack, refuse_stacks


@dataclass(frozen=True)
class Removal:
    """A decided removal: `target` is the disk with the node, finished or not, `members` are those beside it, of the
    same install id or, where the node is half gone, named and blank; all as they were when this was decided.
    """

    target: Disk
    members: tuple[Disk, ...]
    dry_run: bool

    @property
    def has_stack(self) -> bool:
        """Whether a disk carries something that must be torn down, not just overwritten."""
        return has_stack(mark for disk in self.disks for mark in disk.signatures)

    @property
    def disks(self) -> tuple[Disk, ...]:
        """All of them, the members first: the disk with the node is what finds them after a cut."""
        return (*self.members, self.target)


def make_removal(request: Request, facts: Facts) -> Removal:
    """Decide. Raises Refused (nothing was written) where the disk carries no node of ours, where one is in use or
    another system's by now, or where storage_init names other disks than those of the install.
    """
    if request.disk is None:
        raise ValueError("a removal has a disk")
    if facts.image:
        refuse_unchecked(request.https, facts.image.manifest.features)
    chosen = choose(request, facts.disks)
    target = chosen.boot
    refuse_unknown(target)
    if target.node is None:
        raise Refused(f"{describe(target)} carries no node of ours", hint="uninstall takes nothing else off a disk")
    if strangers := strange_partitions(target):
        raise Refused(
            f"{describe(target)} holds a node, and beside it:",
            *(f"  {one}" for one in strangers),
            hint="uninstall takes nothing else off a disk: save what is there, and delete these partitions first",
        )
    install_id = target.node.install_id
    there_yet = tuple(disk for disk in facts.disks if disk.member and disk.member.install_id == install_id)
    cleared = () if target.node.finished else tuple(filter(_is_blank, chosen.members))
    members = tuple(disk for disk in facts.disks if disk in (*there_yet, *cleared))
    if request.disk.by is not DiskBy.NODE and {disk.path for disk in members} != {d.path for d in chosen.members}:
        there = [f"  {describe(disk)}" for disk in (target, *there_yet)]
        raise Refused(f"the node {install_id} is not on the disks of storage_init, but on", *there,
                      hint="take storage_init off the line, or name just these")  # fmt: skip
    for disk in (target, *members):
        _refuse_taken(disk)
    refuse_stacks(request, (target, *members), facts)
    return Removal(target, members, request.dry_run)


def _refuse_taken(disk: Disk) -> None:
    if disk.in_use:
        raise Refused(f"{disk.path} is in use: {'; '.join(disk.in_use)}", hint="free it first")
    if foreign_marks(disk, disk.node or disk.member):
        raise Refused(
            f"{describe(disk)} holds what is none of the node's:",
            *(f"  {mark}" for mark in disk.signatures),
            hint=f"uninstall takes nothing else off a disk: save what is there, and clear it first: "
            f"wipefs -a {disk.path}",
        )


def _is_blank(disk: Disk) -> bool:
    return disk.examined and not (disk.unread or disk.signatures or disk.node or disk.member)


def to_json(removal: Removal) -> dict[str, Any]:
    """The removal as plain JSON values."""
    plain: dict[str, Any] = to_plain(removal)
    return plain

"""Request + facts -> Removal: the node goes, and its disk is blank. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autoinstall.codec import to_plain
from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts
from autoinstall.request import Request
from autoinstall.select import describe, select_disk
from autoinstall.stacks import has_stack, refuse_stacks


@dataclass(frozen=True)
class Removal:
    """A decided removal: `target` is the disk with the node, finished or not, as it was when this was decided."""

    target: Disk
    dry_run: bool

    @property
    def has_stack(self) -> bool:
        """Whether the disk carries something that must be torn down, not just overwritten."""
        return has_stack(self.target.signatures)


def make_removal(request: Request, facts: Facts) -> Removal:
    """Decide. Raises Refused (nothing was written) where the disk carries no node of ours, or is in use."""
    if request.disk is None:
        raise ValueError("a removal has a disk")
    target = select_disk(request.disk, facts.disks)
    if not target.examined:
        raise Refused(f"what is on {target.path} is unknown: reading it needs root", hint="run this as root")
    if target.node is None:
        raise Refused(f"{describe(target)} carries no node of ours", hint="uninstall takes nothing else off a disk")
    if target.in_use:
        raise Refused(f"{target.path} is in use: {'; '.join(target.in_use)}", hint="free it first")
    refuse_stacks(request, target, facts)
    return Removal(target, request.dry_run)


def to_json(removal: Removal) -> dict[str, Any]:
    """The removal as plain JSON values."""
    plain: dict[str, Any] = to_plain(removal)
    return plain

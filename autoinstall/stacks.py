"""What is stacked on a target and reaches beyond it, or is another's: it is not taken apart. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from autoinstall.errors import Refused
from autoinstall.facts import UNREADABLE, Disk, Facts, Signature
from autoinstall.request import Request

MD_MEMBER = "linux_raid_member"
STACK_KINDS = frozenset({"LVM2_member", MD_MEMBER, "crypto_LUKS", "mpath_member"})
RAID_MEMBER = "_raid_member"
"""How blkid's names of RAID members end; those but MD's are of BIOS RAID (fakeraid)."""
STORAGE_DOMAIN = "storage_domain"
"""Part of the tag that oVirt's engine gives a VG that holds virtual machines (VDSM: RHAT_storage_domain)."""


def has_stack(marks: Iterable[Signature]) -> bool:
    """Whether something must be torn down, not just overwritten."""
    return any(mark.kind in STACK_KINDS for mark in marks)


def refuse_stacks(request: Request, targets: Sequence[Disk], facts: Facts) -> None:
    """Raises Refused where what is on the targets may not be taken apart, however they were named."""
    paths = {target.path for target in targets}
    others = [disk for disk in facts.disks if disk.path not in paths]
    for target in targets:
        for rule in (_unreadable_group, _storage_domain, _spread_group, _spread_array, _spread_fakeraid):
            rule(target, others)
        _fakeraid(request, target)


def _unreadable_group(target: Disk, others: Sequence[Disk]) -> None:
    for mark in target.signatures:
        if mark.group and mark.group.name == UNREADABLE:
            raise Refused(
                f"{mark.device} is of a volume group that LVM cannot read: what else it is on is unknown",
                hint=f"if it may go, clear it first: wipefs -a {mark.device}",
            )


def _storage_domain(target: Disk, others: Sequence[Disk]) -> None:
    for mark in target.signatures:
        if mark.group and any(STORAGE_DOMAIN in tag for tag in mark.group.tags):
            raise Refused(
                f"{mark.device} is of VG {mark.group.name}, a storage domain of virtual machines",
                hint="name another disk, or take the storage domain out of its engine first",
            )


def _spread_group(target: Disk, others: Sequence[Disk]) -> None:
    for group in [mark.group for mark in target.signatures if mark.group]:
        there = [disk.path for disk in others if any(mark.group == group for mark in disk.signatures)]
        if there:
            raise Refused(
                f"VG {group.name} is on {target.path}, and on {' and '.join(there)}, which was not named",
                hint=f"remove the VG, or take {target.path} out of it (vgreduce), or name another disk",
            )


def _spread_array(target: Disk, others: Sequence[Disk]) -> None:
    arrays = {mark.uuid for mark in target.signatures if mark.kind == MD_MEMBER and mark.uuid}
    there = _who_else(others, lambda mark: mark.uuid in arrays)
    if there:
        raise Refused(
            f"{target.path} is a member of an MD array, and so is {' and '.join(there)}",
            hint="stop the array and clear its members, or name another disk",
        )


def _spread_fakeraid(target: Disk, others: Sequence[Disk]) -> None:
    """Few formats tell which set a member is of: those of one format are of one set, unless their ids differ."""
    mine = [mark for mark in target.signatures if _is_fakeraid(mark)]
    there = _who_else(others, lambda mark: any(_may_be_one_set(mark, own) for own in mine))
    if there:
        raise Refused(
            f"{target.path} is a member of a BIOS RAID, and so is {' and '.join(there)}, which was not named",
            hint="delete the RAID in the set-up of its firmware, or name another disk",
        )


def _fakeraid(request: Request, target: Disk) -> None:
    found = [mark for mark in target.signatures if _is_fakeraid(mark)]
    if found and not request.wipe_fakeraid:
        raise Refused(
            f"{target.path} carries the mark of a BIOS RAID: {found[0].kind}",
            hint="to have it erased say wipe_fakeraid; the firmware's own RAID should be off then",
        )


def _is_fakeraid(mark: Signature) -> bool:
    return mark.kind.endswith(RAID_MEMBER) and mark.kind != MD_MEMBER


def _may_be_one_set(one: Signature, other: Signature) -> bool:
    return one.kind == other.kind and (one.uuid == other.uuid or not one.uuid or not other.uuid)


def _who_else(others: Iterable[Disk], holds: Callable[[Signature], bool]) -> list[str]:
    return [disk.path for disk in others if any(holds(mark) for mark in disk.signatures)]

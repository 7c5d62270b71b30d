"""Which disk, which NIC: a selector and what is there -> exactly one answer, or a table of reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoinstall.errors import Refused
from autoinstall.facts import Disk, Nic
from autoinstall.grammar import DiskBy, DiskSelector, NicBy, NicSelector
from autoinstall.sizes import for_people

FIXED_DISK_KINDS = ("disk",)


def select_disk(selector: DiskSelector, disks: Sequence[Disk]) -> Disk:
    """The one disk that `selector` names.

    Raises Refused where none or several fit, with one line per disk of the machine: accepted, or the first
    clause that ruled it out; and with a ready word for each disk that could be meant.
    """
    reasons = {disk.path: ineligible(disk, selector) or _unlike(disk, selector) for disk in disks}
    chosen = [disk for disk in disks if not reasons[disk.path]]
    if len(chosen) == 1:
        return chosen[0]
    table = [f"  {describe(disk)}: {reasons[disk.path] or 'fits'}" for disk in disks]
    named = f"storage_init={selector}" if selector.explicit else "storage_init without a value"
    if not chosen:
        raise Refused(f"{named} fits no disk of this machine", *(table or ["  it has no disk at all"]),
                      hint=_offer([disk for disk in disks if not ineligible(disk, selector)]))  # fmt: skip
    raise Refused(f"{named} fits {len(chosen)} disks; it must name exactly one", *table, hint=_offer(chosen))


def ineligible(disk: Disk, selector: DiskSelector) -> str:
    """Why a disk can never be a target, however named; empty where it can."""
    clauses: Sequence[tuple[bool, str]] = (
        (disk.live_medium, "it is the medium this system runs from"),
        (disk.kind not in FIXED_DISK_KINDS, f"it is not a disk but a {disk.kind} device"),
        (disk.size_bytes == 0, "it has no size"),
        (disk.read_only, "it is read-only"),
        (disk.removable and not selector.explicit, "it is removable, and not named"),
    )
    return next((reason for holds, reason in clauses if holds), "")


def selector_for(disk: Disk, disks: Sequence[Disk]) -> str:
    """A word that names just this disk, by the most lasting of its identities."""
    if disk.serial and sum(other.serial == disk.serial for other in disks) == 1:
        return f"storage_init=serial:{disk.serial}"
    by_id = [link for link in disk.links if link.startswith("/dev/disk/by-id/")]
    return f"storage_init={(by_id or [disk.path])[0]}"


def describe(disk: Disk) -> str:
    """A disk for people: path, size, what it calls itself."""
    bus = disk.bus.value if disk.bus else "bus unknown"
    serial = f", serial {disk.serial}" if disk.serial else ""
    return f"{disk.path} ({for_people(disk.size_bytes)}, {bus}{serial})"


def select_nic(selector: NicSelector, nics: Sequence[Nic]) -> Nic:
    """The NIC that `selector` names. Raises Refused with the NICs there are."""
    fits: Callable[[Nic], bool] = {
        NicBy.LINK: lambda nic: nic.carrier and nic.wired,
        NicBy.NAME: lambda nic: nic.name == selector.value,
        NicBy.MAC: lambda nic: nic.mac == selector.value,
    }[selector.by]
    for nic in nics:
        if fits(nic):
            return nic
    there = [f"  {nic.name} {nic.mac} {'carrier' if nic.carrier else 'no carrier'}" for nic in nics]
    raise Refused(f"BOOTIF={selector} fits no NIC of this machine", *(there or ["  it has no NIC at all"]),
                  hint="name one of them, or BOOTIF=link with a cable plugged in")  # fmt: skip


def _unlike(disk: Disk, selector: DiskSelector) -> str:
    if selector.by is DiskBy.PATH and selector.value not in (disk.path, *disk.links):
        return f"it is not {selector.value}"
    if selector.bus is not None and disk.bus is not selector.bus:
        return f"it is on {disk.bus.value if disk.bus else 'an unknown bus'}, not on {selector.bus.value}"
    if selector.by in (DiskBy.SERIAL, DiskBy.BUS_SERIAL) and disk.serial != selector.value:
        return f"its serial is {disk.serial or 'unknown'}, not {selector.value}"
    return ""


def _offer(disks: Sequence[Disk]) -> str:
    if not disks:
        return "attach a disk, or wait for it to be attached"
    return "say one of: " + "  ".join(selector_for(disk, disks) for disk in disks)

"""Which disk, which NIC: a selector and what is there -> exactly one answer, or a table of reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial

from autoinstall.errors import Refused
from autoinstall.facts import Disk, MemberMark, Nic, NodeMark, Signature
from autoinstall.grammar_disks import Clause, DiskBy, DiskSelector, Key
from autoinstall.grammar_network import NicBy, NicSelector
from autoinstall.sizes import for_people

FIXED_DISK_KINDS = ("disk", "multipath")
BY_PATH = "/dev/disk/by-path/"
NO_NODE = "no disk that could be meant carries a node of ours; to install one say storage_init=DISK and nothing else"


def select_disk(selector: DiskSelector, disks: Sequence[Disk], *, alone: bool = True, of_node: bool = False) -> Disk:
    """The one disk that `selector` names, which is `alone` or one of several of a line.

    Raises Refused where none or several fit, with one line per disk of the machine: accepted, or the first
    clause that ruled it out; and with a ready word for each disk that could be meant, `of_node` one of ours.
    """
    reasons = {disk.path: why_not(disk, selector) for disk in disks}
    chosen = [disk for disk in disks if not reasons[disk.path]]
    if len(chosen) == 1:
        return chosen[0]
    shown = [disk for disk in disks if disk.kind in FIXED_DISK_KINDS or disk.size_bytes]  # no idle loop devices
    table = [f"  {describe(disk)}: {reasons[disk.path] or 'fits'}" for disk in shown]
    named = _UNNAMED.get(selector.by) or (f"storage_init={selector}" if alone else f"{selector}, one of several,")
    offer = partial(_offer, alone=alone or selector.by in _UNNAMED)
    if not chosen:
        of_node = of_node or selector.by is DiskBy.NODE
        could = [disk for disk in disks if not ineligible(disk, selector)]
        could = [disk for disk in could if disk.node or disk.member] if of_node else could
        raise Refused(f"{named} fits no disk of this machine", *(table or ["  it has no disk at all"]),
                      hint=NO_NODE if of_node and not could else offer(could))  # fmt: skip
    raise Refused(f"{named} fits {len(chosen)} disks; it must name exactly one", *table, hint=offer(chosen))


def refuse_unknown(disk: Disk, *, hint: str = "look at the disk and its cable, or replace it") -> None:
    """Raises Refused where nobody could tell what is on a disk: blank is what was read, and is blank."""
    if not disk.examined:
        raise Refused(f"what is on {disk.path} is unknown: reading it needs root", hint="run this as root")
    if disk.unread:
        raise Refused(f"{describe(disk)} does not tell all that is on it: {disk.unread}", hint=hint)


def strange_partitions(disk: Disk) -> list[str]:
    """The partitions of others on a disk with a node, for people."""
    return [
        f"a partition {label!r} that is none of the node's" for label in (disk.node.strangers if disk.node else ())
    ]


def foreign_marks(disk: Disk, ours: NodeMark | MemberMark | None) -> list[Signature]:
    """What is on a disk and not of the install that is `ours`: all of it where there is none.

    Of a finished install nothing but its table is seen on the disk as a whole, of an unfinished one not even that:
    what else is seen there came later, and is somebody else's.
    """
    if ours is None:
        return list(disk.signatures)
    table = "gpt" if ours.finished else None
    return [mark for mark in disk.signatures if mark.device == disk.path and mark.kind != table]


def select_all(selector: DiskSelector, disks: Sequence[Disk]) -> list[Disk]:
    """The disks that fit, of several on a line. Raises Refused, with the same table, where none does."""
    return [disk for disk in disks if not why_not(disk, selector)] or [select_disk(selector, disks, alone=False)]


def identity(disk: Disk) -> tuple[str, ...]:
    """What orders disks: what they keep from boot to boot first, the kernel's name last."""
    return disk.wwn, disk.serial, *sorted(link for link in disk.links if link.startswith(BY_PATH)), disk.path


def fitting_nic(selector: NicSelector, nics: Sequence[Nic]) -> Nic | None:
    """The NIC that fits, of several the first by name; of wireless ones none is taken for having a link."""
    fits: Callable[[Nic], bool] = {
        NicBy.LINK: lambda nic: nic.carrier and nic.wired,
        NicBy.NAME: lambda nic: nic.name == selector.value,
        NicBy.MAC: lambda nic: nic.mac == selector.value,
    }[selector.by]
    return min((nic for nic in nics if fits(nic)), key=lambda nic: nic.name, default=None)


def why_not(disk: Disk, selector: DiskSelector) -> str:
    """The first clause that rules a disk out; empty where it fits."""
    return ineligible(disk, selector) or _unlike(disk, selector)


def ineligible(disk: Disk, selector: DiskSelector) -> str:
    """Why a disk can never be a target, however named; empty where it can."""
    clauses: Sequence[tuple[bool, str]] = (
        (disk.live_medium, "it is the medium this system runs from"),
        (bool(disk.multipath), f"it is a path of {disk.multipath}, which is taken in its place"),
        (disk.kind not in FIXED_DISK_KINDS, f"it is not a disk but a {disk.kind} device"),
        (disk.size_bytes == 0, "it has no size"),
        (disk.read_only, "it is read-only"),
        (disk.removable and not selector.asks_for_removable, "it is removable, and not named"),
    )
    return next((reason for holds, reason in clauses if holds), "")


def wanted(selector: DiskSelector) -> str:
    """What a selector asks for, for people."""
    unnamed = {DiskBy.RULE: "a disk", DiskBy.NODE: "a disk with a node"}
    return unnamed.get(selector.by) or f"the disk {selector}"


def selector_for(disk: Disk, disks: Sequence[Disk]) -> str:
    """A word that names just this disk, by the most lasting of its identities."""
    others = [other for other in disks if other.path != disk.path and not other.multipath]
    if disk.serial and disk.serial not in [other.serial for other in others]:
        return f"storage_init=serial:{disk.serial}"
    elsewhere = {link for other in others for link in other.links}
    by_id = [link for link in disk.links if link.startswith("/dev/disk/by-id/") and link not in elsewhere]
    return f"storage_init={(by_id or [disk.path])[0]}"


def disk_word(disk: Disk, disks: Sequence[Disk]) -> str:
    """The same as one DISK among others."""
    return selector_for(disk, disks).removeprefix("storage_init=")


def describe(disk: Disk) -> str:
    """A disk for people: path, size, what it calls itself."""
    bus = disk.bus.value if disk.bus else "bus unknown"
    serial = f", serial {disk.serial}" if disk.serial else ""
    paths = f", multipath over {' and '.join(disk.paths)}" if disk.paths else ""
    return f"{disk.path} ({for_people(disk.size_bytes)}, {bus}{serial}{paths})"


def select_nic(selector: NicSelector, nics: Sequence[Nic]) -> Nic:
    """The NIC that `selector` names. Raises Refused with the NICs there are."""
    nic = fitting_nic(selector, nics)
    if nic:
        return nic
    there = [f"  {nic.name} {nic.mac} {'carrier' if nic.carrier else 'no carrier'}" for nic in nics]
    raise Refused(f"BOOTIF={selector} fits no NIC of this machine", *(there or ["  it has no NIC at all"]),
                  hint="name one of them, or BOOTIF=link with a cable plugged in")  # fmt: skip


def _unlike(disk: Disk, selector: DiskSelector) -> str:
    """Why a disk is not the one that is meant; empty where it is."""
    if selector.bus is not None and selector.bus not in disk.buses:
        return f"it is on {disk.bus.value if disk.bus else 'an unknown bus'}, not on {selector.bus.value}"
    return _UNLIKE[selector.by](disk, selector)


def _not_among(names: Sequence[str], wanted: str) -> str:
    return "" if wanted in names else f"it is not {wanted}"


def _fits_no_name(disk: Disk, selector: DiskSelector) -> str:
    fits = any(fnmatchcase(name, selector.value) for name in disk.names)
    return "" if fits else f"no name of it fits {selector.value}"


def _without_node(disk: Disk) -> str:
    return (
        ""
        if disk.node
        else disk.unread or ("it carries no node of ours" if disk.examined else "reading it needs root")
    )


def _other(what: str, there: str, wanted: str) -> str:
    return "" if there == wanted else f"its {what} is {there or 'unknown'}, not {wanted}"


def _failed_clause(disk: Disk, selector: DiskSelector) -> str:
    return next((f"{clause.text} does not hold" for clause in selector.clauses if not _holds(clause, disk)), "")


def _holds(clause: Clause, disk: Disk) -> bool:
    if clause.key is Key.SIZE:
        most = disk.size_bytes if clause.most_bytes is None else clause.most_bytes
        fits = clause.least_bytes <= disk.size_bytes <= most
        return fits is not clause.negated
    fits = any(fnmatchcase(text, clause.pattern) for text in _TEXTS[clause.key](disk))
    return fits is not clause.negated


def _yes_or_no(flag: bool) -> tuple[str, ...]:
    return ("1", "yes", "true", "on") if flag else ("0", "no", "false", "off")


_UNLIKE: Mapping[DiskBy, Callable[[Disk, DiskSelector], str]] = {
    DiskBy.RULE: lambda disk, selector: "",
    DiskBy.NODE: lambda disk, selector: _without_node(disk),
    DiskBy.BUS: lambda disk, selector: "",
    DiskBy.BUS_ALL: lambda disk, selector: "",
    DiskBy.PATH: lambda disk, selector: _not_among(disk.names, selector.value),
    DiskBy.ID: lambda disk, selector: _not_among(disk.links, f"/dev/disk/by-id/{selector.value}"),
    DiskBy.BY_PATH: lambda disk, selector: _not_among(disk.links, f"/dev/disk/by-path/{selector.value}"),
    DiskBy.GLOB: _fits_no_name,
    DiskBy.SERIAL: lambda disk, selector: _other("serial", disk.serial, selector.value),
    DiskBy.BUS_SERIAL: lambda disk, selector: _other("serial", disk.serial, selector.value),
    DiskBy.WWN: lambda disk, selector: _other("WWN", disk.wwn, selector.value),
    DiskBy.MATCH: _failed_clause,
}
_TEXTS: Mapping[Key, Callable[[Disk], Sequence[str]]] = {
    Key.MODEL: lambda disk: (disk.model,),
    Key.VENDOR: lambda disk: (disk.vendor,),
    Key.SERIAL: lambda disk: (disk.serial,),
    Key.WWN: lambda disk: (disk.wwn,),
    Key.BUS: lambda disk: tuple(bus.value for bus in disk.buses) or ("",),
    Key.PATH: lambda disk: disk.names,
    Key.NAME: lambda disk: (disk.name,),
    Key.ROTATIONAL: lambda disk: _yes_or_no(disk.rotational),
    Key.REMOVABLE: lambda disk: _yes_or_no(disk.removable),
    Key.SECTOR_SIZE: lambda disk: (str(disk.sector_bytes),),
}


_UNNAMED = {
    DiskBy.RULE: "storage_init without a value",
    DiskBy.NODE: "reinstall, upgrade or uninstall without storage_init",
}


def _offer(disks: Sequence[Disk], *, alone: bool) -> str:
    if not disks:
        return "attach a disk, or wait for it to be attached"
    if not alone:
        return "put one of these in its place: " + "  ".join(disk_word(disk, disks) for disk in disks)
    return "say one of: " + "  ".join(selector_for(disk, disks) for disk in disks)

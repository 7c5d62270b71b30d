"""A plan for people: the disks before and after, drawn and told. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall.facts import Disk
from autoinstall.layout import ALIGNMENT_BYTES, DiskTable
from autoinstall.pin import digest, removal_digest
from autoinstall.plan import Decision, Plan
from autoinstall.select import describe
from autoinstall.sizes import for_people
from autoinstall.space import HOST_GROUP
from autoinstall.uninstall import Removal

WIDTH_CELLS = 72
LABEL_CELLS = 9


def to_text(plan: Plan) -> str:
    """The plan: the disks, what is lost, what will be, in bytes and as pictures."""
    if plan.decision is Decision.ALREADY_INSTALLED and plan.target.node:
        stays = f"node   {plan.target.node.install_id}: finished, and stays as it is"
        return "\n".join([f"disk   {describe(plan.target)}", stays, f"plan   {digest(plan)}"])
    before = [line for disk in plan.disks for line in _before(disk)]
    return "\n".join([*before, *_after(plan), *_rest(plan)])


def removal_text(removal: Removal) -> str:
    """What is lost, and that nothing is left."""
    before = [line for disk in removal.disks for line in _before(disk)]
    what = "the disks are" if removal.members else "the disk is"
    return "\n".join([*before, f"after  nothing: {what} blank", f"plan   {removal_digest(removal)}"])


def draw(parts: Sequence[tuple[str, int]]) -> list[str]:
    """Boxes side by side for (name, size in bytes): wide enough for their names, and wider the larger they are."""
    total = sum(size for _, size in parts) or 1
    room = max(WIDTH_CELLS - sum(min(len(name), LABEL_CELLS) + 1 for name, _ in parts), 0)
    cells = [min(len(name), LABEL_CELLS) + room * size // total for name, size in parts]
    return [
        "┌" + "┬".join("─" * width for width in cells) + "┐",
        "│" + "│".join(name[:LABEL_CELLS].ljust(width) for (name, _), width in zip(parts, cells, strict=True)) + "│",
        "└" + "┴".join("─" * width for width in cells) + "┘",
    ]


def _before(target: Disk) -> list[str]:
    lost = target.signatures
    lines = [f"disk   {describe(target)}"]
    if target.node and target.node.finished:
        lines.append(f"lost   the node {target.node.install_id}: its configuration, its logs, all of /data")
    elif target.member and target.member.finished:
        lines.append(f"lost   {target.member.group} of the node {target.member.install_id}")
    elif target.unread:
        lines.append(f"lost   whatever is on it: {target.unread}")
    elif not lost:
        cut = target.node or target.member
        what = "an install that was not finished" if cut else "nothing: the disk is blank"
        lines.append(f"lost   {what}")
    if not lost:
        return lines
    on_partitions = [signature for signature in lost if signature.device != target.path]
    parts = [(signature.label or signature.kind, signature.size_bytes) for signature in on_partitions or lost]
    return [*lines, *(f"lost   {signature}" for signature in lost), "before", *draw(parts)]


def _after(plan: Plan) -> list[str]:
    lines = []
    for path, table in plan.tables:
        lines += [f"after  {path}" if plan.members else "after"]
        lines += draw(_with_rest(table))
        for part in table.partitions:
            what = part.filesystem_label or part.filesystem or "-"
            lines.append(f"{part.number:>4}   {part.label:<10} {for_people(part.size_bytes):>12}  {what}")
    for volume in plan.layout.volumes:
        group = "  VG" if volume.group == HOST_GROUP else " VG2"
        what = f"swap, {volume.cipher}" if volume.cipher else volume.filesystem
        lines.append(f"{group}   {volume.name:<10} {for_people(volume.size_bytes):>12}  {what}")
    return lines


def _with_rest(table: DiskTable) -> list[tuple[str, int]]:
    """The partitions, and what is left behind them where that is more than alignment."""
    left = table.disk_bytes - table.partitions[-1].end_bytes
    rest = [("unused", left)] if left > 2 * ALIGNMENT_BYTES else []
    return [*((part.label, part.size_bytes) for part in table.partitions), *rest]


def _rest(plan: Plan) -> list[str]:
    nic = f"{plan.nic.name} {plan.nic.mac}" if plan.nic else "any wired one"
    return [
        f"image  {plan.image.manifest.version} ({plan.image.manifest.image_id[:12]}), in both slots",
        f"NIC    {nic}",
        f"plan   {digest(plan)}",
    ]

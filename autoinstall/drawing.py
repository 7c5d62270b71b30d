"""A plan for people: the disk before and after, drawn and told. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall.facts import Disk
from autoinstall.pin import digest, removal_digest
from autoinstall.plan import Decision, Plan
from autoinstall.select import describe
from autoinstall.sizes import for_people
from autoinstall.uninstall import Removal

WIDTH_CELLS = 72
LABEL_CELLS = 9


def to_text(plan: Plan) -> str:
    """The plan: the disk, what is lost, what will be, in bytes and as pictures."""
    if plan.decision is Decision.ALREADY_INSTALLED and plan.target.node:
        stays = f"node   {plan.target.node.install_id}: finished, and stays as it is"
        return "\n".join([f"disk   {describe(plan.target)}", stays, f"plan   {digest(plan)}"])
    return "\n".join([*_before(plan.target), *_after(plan), *_rest(plan)])


def removal_text(removal: Removal) -> str:
    """What is lost, and that nothing is left."""
    rest = ["after  nothing: the disk is blank", f"plan   {removal_digest(removal)}"]
    return "\n".join([*_before(removal.target), *rest])


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
    elif not lost:
        what = "an install that was not finished" if target.node else "nothing: the disk is blank"
        lines.append(f"lost   {what}")
    if not lost:
        return lines
    on_partitions = [signature for signature in lost if signature.device != target.path]
    parts = [(signature.label or signature.kind, signature.size_bytes) for signature in on_partitions or lost]
    return [*lines, *(f"lost   {signature}" for signature in lost), "before", *draw(parts)]


def _after(plan: Plan) -> list[str]:
    partitions = plan.layout.partitions
    lines = ["after", *draw([(part.label, part.size_bytes) for part in partitions])]
    for part in partitions:
        what = part.filesystem_label or part.filesystem or "-"
        lines.append(f"{part.number:>4}   {part.label:<10} {for_people(part.size_bytes):>12}  {what}")
    volumes = plan.layout.volumes
    return [*lines, *(f"  VG   {v.name:<10} {for_people(v.size_bytes):>12}  {v.filesystem}" for v in volumes)]


def _rest(plan: Plan) -> list[str]:
    nic = f"{plan.nic.name} {plan.nic.mac}" if plan.nic else "any wired one"
    return [
        f"image  {plan.image.manifest.version} ({plan.image.manifest.image_id[:12]}), in both slots",
        f"NIC    {nic}",
        f"plan   {digest(plan)}",
    ]

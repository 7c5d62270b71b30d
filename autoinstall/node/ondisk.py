"""A node as its disk tells it, whether it runs from there or from a medium: its partitions, slots and records."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from autoinstall import block, gpt
from autoinstall.errors import AutoinstallError, MountFailed, StateUnreadable
from autoinstall.facts import Disk, NodeMark
from autoinstall.host import Host
from autoinstall.image.manifest import MANIFEST_NAME, Manifest, parse_manifest
from autoinstall.layout import Partition
from autoinstall.marks import our_table
from autoinstall.mounts import mounted
from autoinstall.node import records
from autoinstall.node.state import BOOTED_IMAGE, ESP_LABEL, booted_disk, booted_slot, state_on
from autoinstall.plan import SlotPlan
from autoinstall.slotcfg import SLOT_CFG, kernel_arguments_of
from autoinstall.slots import Slot
from autoinstall.steps import MadeAnew
from autoinstall.upgrade import OnNode, UpgradePlan, for_slot, raised_floor


@dataclass(frozen=True)
class NodeDisk:
    """The disk of a node. `booted` is the slot that this system runs from; None in a system from a medium."""

    disk: Disk
    partitions: tuple[Partition, ...]
    booted: Slot | None

    def partition(self, label: str) -> Partition:
        """The partition of that label."""
        return next(part for part in self.partitions if part.label == label)

    def device(self, label: str) -> str:
        """Its device node. Raises DeviceLost."""
        return block.partition_path(self.disk.path, self.partition(label).number)

    @property
    def slot_bytes(self) -> dict[Slot, int]:
        """The sizes of the slots."""
        return {slot: self.partition(slot.partition_label).size_bytes for slot in Slot}


def this_node(host: Host) -> NodeDisk:
    """The disk of the node that runs. Raises CannotHere where this is none, or StateUnreadable."""
    slot, path = booted_slot(host), booted_disk(host)
    sector_bytes = int(host.read_text(path / "queue/logical_block_size"))
    name = f"/dev/{path.name}"
    return node_on(Disk(name, "disk", block.size_bytes(name), sector_bytes), slot)


def node_on(disk: Disk, booted: Slot | None = None) -> NodeDisk:
    """The node on a disk. Raises StateUnreadable where its table is not ours any more, or DeviceLost."""
    table = our_table(disk)
    if table is None or not isinstance(table[0], NodeMark):
        raise StateUnreadable(f"{disk.path}: its partition table is not that of a node", hint="reinstall this node")
    mark, entries = table
    return NodeDisk(disk, gpt.partitions(mark.install_id, entries, disk.sector_bytes), booted)


def read_node(host: Host, node: NodeDisk) -> OnNode:
    """What there is of it. Reads only. Raises StateUnreadable where the slot state cannot be read."""
    state = state_on(host, node.device(ESP_LABEL))
    images = {slot: _image(host, node, slot) for slot in Slot}
    there = OnNode(state, node.booted, images)
    if node.booted is not None:
        return _remembering(there, None)
    try:
        with mounted(host, node.device("Config"), "ro", "noload") as config:
            return replace(_remembering(there, config), forced=frozenset(records.forced(config)))
    except MountFailed:  # a broken Config: what the slots tell, and nobody can count what is forced
        return replace(there, floor=raised_floor(there), forced=there.fallen_ids)


def made_anew(host: Host, node: NodeDisk, plan: UpgradePlan) -> MadeAnew:
    """The slot that an upgrade makes anew, with the kernel arguments of the one that is kept."""
    partition = node.partition(plan.target.partition_label)
    try:
        with ExitStack() as stack:
            kept = _mounted_slot(host, node, plan.kept, stack)
            words = for_slot(kernel_arguments_of((kept / SLOT_CFG).read_bytes()), partition, plan.new)
    except OSError as error:
        raise StateUnreadable(f"slot {plan.kept} of {node.disk.path} cannot be read: {error}") from error
    slot = SlotPlan(plan.target.value, partition.label, plan.new.version, words)
    return MadeAnew(slot, partition, node.disk.path, plan.tries, None if node.booted else node.disk)


def _remembering(node: OnNode, config: Path | None) -> OnNode:
    fallen = frozenset(str(entry.get("image_id")) for entry in records.fallen(config))
    rotten = frozenset(slot for slot in Slot if slot.value in records.rotten(config))
    there = replace(node, fallen=fallen, floor=records.floor(config), rotten=rotten)
    return replace(there, floor=raised_floor(there))  # also where Config is not there, or what it says is no floor


def _image(host: Host, node: NodeDisk, slot: Slot) -> Manifest | None:
    """What a slot says that it holds; None where it says nothing."""
    try:
        with ExitStack() as stack:
            where = _mounted_slot(host, node, slot, stack)
            return parse_manifest((where / MANIFEST_NAME).read_bytes())
    except (AutoinstallError, OSError):
        return None


def _mounted_slot(host: Host, node: NodeDisk, slot: Slot, stack: ExitStack) -> Path:
    if slot is node.booted:
        return BOOTED_IMAGE
    return stack.enter_context(mounted(host, node.device(slot.partition_label), "ro"))

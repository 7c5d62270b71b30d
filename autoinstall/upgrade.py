"""What a node's slots hold + a new image -> which slot gets it, or why none does. Pure.

The rule behind all others: the slot that is kept once came up healthy, and stays as it is, byte for byte, until
the other one did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from autoinstall.errors import Refused
from autoinstall.grammar import Force
from autoinstall.image.manifest import Manifest
from autoinstall.layout import Partition
from autoinstall.paths import MULTIPATH, MULTIPATH_WORD
from autoinstall.sizes import MIB, mib_up
from autoinstall.slots import MOST_TRIES, Slot, SlotState, pick

FILESYSTEM_MIB = 8
"""What ext4 keeps for itself in a slot of any size; and one 32nd of the slot beside it (mke2fs.conf: inodes)."""
IMAGE_ID_DIGITS = 12
_ROOT = re.compile(r"(?:^|(?<= ))root=\S+")


class Decision(Enum):
    """What a run will do."""

    UPGRADE = "upgrade"
    ALREADY = "already"
    FALLEN = "fallen"


@dataclass(frozen=True)
class OnNode:
    """What there is of a node: slot state, the slot it runs from (None from a medium), both slots' images.

    `fallen`: the ids of images that were tried here and given up. `floor`: the security version that no image
    may be below. `rotten`: the slots that do not hold what their manifest says, as far as is known. `forced`: the ids
    that are not forced once more: a line that stays would write an image that falls back again and again.
    """

    state: SlotState
    booted: Slot | None
    images: Mapping[Slot, Manifest | None]
    fallen: frozenset[str] = frozenset()
    floor: int = 0
    rotten: frozenset[Slot] = frozenset()
    forced: frozenset[str] = frozenset()

    def image_id(self, slot: Slot) -> str:
        """Of the image in a slot; empty where it holds none."""
        image = self.images.get(slot)
        return image.image_id if image else ""

    def fell(self, slot: Slot) -> bool:
        """Whether the image in `slot` was tried, never came up healthy, and has no attempt left.

        A slot that an upgrade left half-way has none either, but nothing says that it is to be booted.
        """
        return self.state.primary is slot and self.state.on_trial(slot) and not self.state.tries(slot)

    @property
    def good_ids(self) -> frozenset[str]:
        """The images of the slots that once came up healthy; the same image may be in both."""
        return frozenset(self.image_id(slot) for slot in Slot if self.state.good(slot)) - {""}

    @property
    def fallen_ids(self) -> frozenset[str]:
        """All that were given up, as recorded and as the slots themselves tell."""
        fell = {self.image_id(slot) for slot in Slot if self.fell(slot)}
        return (self.fallen | fell) - self.good_ids - {""}


@dataclass(frozen=True)
class NewImage:
    """The image that is offered, and how: attempts that it gets, and what is forced."""

    manifest: Manifest
    tries: int = MOST_TRIES
    force: frozenset[Force] = field(default_factory=frozenset)


@dataclass(frozen=True)
class UpgradePlan:
    """A decided upgrade: `kept` stays as it is, `target` is made anew."""

    decision: Decision
    kept: Slot
    old: Manifest | None
    new: Manifest
    tries: int
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> Slot:
        """The slot that gets the image."""
        return self.kept.other

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        old = {"image_id": self.old.image_id, "version": self.old.version} if self.old else None
        return {
            "decision": self.decision.value,
            "kept": self.kept.value,
            "target": self.target.value,
            "old": old,
            "new": {"image_id": self.new.image_id, "version": self.new.version},
            "tries": self.tries,
            "size_bytes": self.new.size_bytes,
        }


def make_upgrade(node: OnNode, offered: NewImage, target_bytes: Mapping[Slot, int]) -> UpgradePlan:
    """Decide. `target_bytes` is the size of each slot.

    ALREADY: the node runs this image, or will at its next boot; or from a medium, which may stay in, it is first and
    was left. FALLEN: it was tried here and given up. Raises Refused (nothing was written) where no slot may be given
    up for this image.
    """
    kept = _kept(node)
    new, old = offered.manifest, node.images.get(kept)
    decision = _decide(node, kept, offered)
    if decision is Decision.UPGRADE:
        _refuse_below_floor(node, new)
        _refuse_another_major(old, offered)
        _refuse_small_slot(new, target_bytes[kept.other])
    return UpgradePlan(decision, kept, old, new, offered.tries, tuple(_warnings(old, new)))


def needed_bytes(image: Manifest) -> int:
    """The smallest slot that holds an image."""
    return (image.size_bytes + FILESYSTEM_MIB * MIB) * 32 // 31


def for_slot(kernel_arguments: str, partition: Partition, new: Manifest) -> str:
    """A slot's kernel arguments, made those of the slot on `partition`: only its root is another.

    Raises Refused where they name none, or ask for what the new image has not.
    """
    if MULTIPATH_WORD in kernel_arguments and MULTIPATH not in new.features:
        raise Refused(
            f"image {name_of(new)} has nothing that looks after the paths to this node's disks",
            hint=f"use an image with the feature {MULTIPATH}",
        )
    root = f"root=autoinstall:PARTUUID={partition.partition_uuid}"
    changed, count = _ROOT.subn(root, kernel_arguments)
    if count != 1:
        raise Refused("the kernel arguments of the slot that is kept name no root", hint="reinstall this node")
    return changed


def name_of(image: Manifest | None) -> str:
    """An image for people: its version, and the start of its id."""
    return f"{image.version} ({image.image_id[:IMAGE_ID_DIGITS]})" if image else "no image"


def already_reason(plan: UpgradePlan) -> str:
    """What is there instead of an upgrade."""
    return f"this node has image {name_of(plan.new)} already"


def fallen_reason(plan: UpgradePlan) -> str:
    """Why a FALLEN image is not taken."""
    return f"image {name_of(plan.new)} was tried on this node and fell back"


def to_text(plan: UpgradePlan, disk: str) -> str:
    """The upgrade for people."""
    lines = [f"node   {disk}: slot {plan.kept} is kept, with {name_of(plan.old)}"]
    if plan.decision is Decision.UPGRADE:
        lines.append(f"image  {name_of(plan.new)}, {mib_up(plan.new.size_bytes)} MiB, into slot {plan.target}")
        lines.append(f"then   it is booted; not found good in {plan.tries} attempts, the node falls back")
    return "\n".join(lines)


def raised_floor(node: OnNode) -> int:
    """The floor once the booted slot was marked good: no good slot is ever below it, so a fallback stays legal."""
    good = [image.security_version for slot in Slot if node.state.good(slot) and (image := node.images.get(slot))]
    return max(node.floor, min(good, default=0))


def refuse_rollback(node: OnNode) -> Slot:
    """The slot that a rollback goes to. Raises Refused where its image was never good, or is below the floor."""
    other = node.state.primary.other
    image = node.images.get(other)
    if not node.state.good(other) or image is None:
        raise Refused(
            f"slot {other} holds no image that was ever found good on this node",
            hint="there is nothing to go back to; `autoinstall status` tells what the slots hold",
        )
    if other in node.rotten:
        raise Refused(f"slot {other} rots: its files are not what its manifest says", hint="upgrade: it is made anew")
    if image.security_version < node.floor:
        raise Refused(
            f"slot {other} has security version {image.security_version}, and this node takes none below {node.floor}"
        )
    return other


def _kept(node: OnNode) -> Slot:
    """The slot that must stay: the one that runs or, from a medium, the good one that would be booted next."""
    if node.booted is not None:
        other = node.booted.other
        if node.state.good(node.booted):
            return node.booted
        if node.state.good(other) and node.state.primary is other:
            raise Refused(
                f"slot {node.booted}, which runs, is not good, and is left at the next start",
                hint=f"restart into slot {other}, and upgrade from there",
            )
        raise Refused(
            f"slot {node.booted}, which runs, was not found good yet: an upgrade could leave nothing to fall back to",
            hint="wait until this boot was found good; `autoinstall health` tells what is wrong",
        )
    following = pick(node.state)[0]
    for slot in (following, following.other):
        if node.state.good(slot):
            return slot
    raise Refused(
        "neither slot of this node was ever found good: an upgrade could leave nothing to fall back to",
        hint="boot the node once, or reinstall it",
    )


def _decide(node: OnNode, kept: Slot, offered: NewImage) -> Decision:
    new = offered.manifest.image_id
    state = node.state
    gone = kept.other in node.rotten or not (state.good(kept.other) or state.tries(kept.other))
    if new == node.image_id(kept) and state.primary is kept:
        return Decision.UPGRADE if gone else Decision.ALREADY  # the same image makes a slot that is gone whole again
    if new in node.fallen_ids:
        heard = Force.FALLEN in offered.force and new not in node.forced
        return Decision.UPGRADE if heard else Decision.FALLEN
    if state.primary is not kept.other or new != node.image_id(kept.other):
        return Decision.UPGRADE
    waits = state.tries(kept.other) > 0
    left = node.booted is None and kept.other not in node.rotten  # a line that stays would write it at each fallback
    return Decision.ALREADY if waits or left else Decision.UPGRADE


def _refuse_below_floor(node: OnNode, new: Manifest) -> None:
    if new.security_version < node.floor:
        raise Refused(
            f"image {new.version} has security version {new.security_version}, and this node takes none below "
            f"{node.floor}",
            hint="use a newer image; to go below, reinstall",
        )


def _refuse_another_major(old: Manifest | None, offered: NewImage) -> None:
    new = offered.manifest
    if old and _major(old) != _major(new) and Force.MAJOR not in offered.force:
        raise Refused(
            f"version {new.version} is of another major version than {old.version}, which this node runs",
            hint="read its notes, then force it: autoinstall.force=major, or --force major",
        )


def _refuse_small_slot(new: Manifest, slot_bytes: int) -> None:
    missing = needed_bytes(new) - slot_bytes
    if missing > 0:
        raise Refused(
            f"the image has {mib_up(new.size_bytes)} MiB; a slot of this node has {mib_up(slot_bytes)} MiB, "
            f"{mib_up(missing)} MiB too few",
            hint="build a smaller image, or reinstall with larger slots: storage_vol=SIZE,Root",
        )


def _warnings(old: Manifest | None, new: Manifest) -> Sequence[str]:
    if old is None:
        return []
    found = []
    if old.recipe != new.recipe:
        found.append(f"this node runs an image of the recipe {old.recipe}; this one is of {new.recipe}")
    if new.security_version < old.security_version:
        found.append(f"security version {new.security_version} is below the {old.security_version} that runs now")
    return found


def _major(image: Manifest) -> str:
    return image.version.partition(".")[0]

"""An upgrade: nothing points to the slot that is made anew, and at the end one write makes it the one to boot."""

from __future__ import annotations

import os
from dataclasses import dataclass

from autoinstall import block
from autoinstall.errors import NotDone, Refused
from autoinstall.host import Host
from autoinstall.marks import partition_of_node
from autoinstall.mounts import mounted
from autoinstall.node import records
from autoinstall.node.state import ESP_LABEL, change_state_on, mounts, state_on
from autoinstall.slots import Slot, SlotState, disarm, flip


@dataclass(frozen=True)
class FreeSlot:
    """Nobody uses the slot that is made anew. Else mke2fs would refuse it, when there is no fallback any more."""

    target: Slot
    disk: str

    name = "free-slot"
    writes = False

    @property
    def title(self) -> str:
        return f"Looking whether slot {self.target} of {self.disk} is free"

    def apply(self, host: Host) -> None:
        """Raises Refused."""
        device = partition_of_node(self.disk, self.target.partition_label)
        if not block.is_free(device):
            users = _users(host, device) or [f"{device} is busy, and who has it is not seen from here"]
            raise Refused(f"slot {self.target} is in use: {'; '.join(users)}", hint="unmount it, then upgrade")

    def why_not_done(self, host: Host) -> str:
        return ""


@dataclass(frozen=True)
class CountForce:
    """The node remembers that a line forced this image. Where it cannot, no slot is touched."""

    image_id: str
    disk: str

    name = "count-force"
    writes = True

    @property
    def title(self) -> str:
        return f"Noting on Config of {self.disk} that this image is forced"

    def apply(self, host: Host) -> None:
        with mounted(host, partition_of_node(self.disk, "Config"), "rw") as config:
            records.remember_forced(self.image_id, config)

    def why_not_done(self, host: Host) -> str:
        with mounted(host, partition_of_node(self.disk, "Config"), "ro") as config:
            return "" if self.image_id in records.forced(config) else "Config does not say so"


@dataclass(frozen=True)
class Disarm:
    """GRUB boots the slot that is kept, and gives the other one no attempt: the first write of an upgrade."""

    target: Slot
    disk: str

    name = "disarm"
    writes = True

    @property
    def title(self) -> str:
        return f"Taking slot {self.target} of {self.disk} out of the boot order"

    def apply(self, host: Host) -> None:
        """Raises NotDone where the slot that is kept is not good any more: somebody else changed it."""
        change_state_on(host, _esp(self.disk), lambda state: disarm(_kept_good(state, self.target), self.target))

    def why_not_done(self, host: Host) -> str:
        state = state_on(host, _esp(self.disk))
        return "" if state == disarm(state, self.target) else f"the slot state is {state}"


@dataclass(frozen=True)
class Flip:
    """The new image is booted next: one write of one sector in each copy of the slot state, and the last one."""

    target: Slot
    tries: int
    disk: str

    name = "flip"
    writes = True

    @property
    def title(self) -> str:
        return f"Making slot {self.target} of {self.disk} the one to boot, in {self.tries} attempts at most"

    def apply(self, host: Host) -> None:
        """Raises NotDone where the slot that is kept is not good any more."""

        def change(state: SlotState) -> SlotState:
            return flip(_kept_good(state, self.target), self.target, self.tries)

        change_state_on(host, _esp(self.disk), change)

    def why_not_done(self, host: Host) -> str:
        state = state_on(host, _esp(self.disk))
        return "" if state == flip(state, self.target, self.tries) else f"the slot state is {state}"


def _kept_good(state: SlotState, target: Slot) -> SlotState:
    kept = target.other
    if not state.good(kept):
        raise NotDone(f"slot {kept}, which is to be kept, is not good: {state}")
    return state


def _users(host: Host, device: str) -> list[str]:
    number = os.stat(device).st_rdev
    name = f"{os.major(number)}:{os.minor(number)}"
    mounted_on = [mount.target for mount in mounts(host).values() if mount.device == name]
    held = [f"{device} is held by {holder}" for holder in block.holders(device)]
    return [*(f"{device} is mounted on {target}" for target in mounted_on), *held]


def _esp(disk: str) -> str:
    return partition_of_node(disk, ESP_LABEL)

"""Booting the installed node from here, by kexec, as its GRUB would: same choice, same counting.

A machine whose firmware comes back to this medium (PXE left on, an ISO left in) still reaches its own disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import AutoinstallError, DeviceLost, MountFailed, StateUnreadable, ToolFailed
from autoinstall.grammar import After
from autoinstall.host import Host
from autoinstall.marks import partition_of_node
from autoinstall.mounts import mounted
from autoinstall.node.state import read_state_files, write_state
from autoinstall.report.sinks import Sink, warn
from autoinstall.slotcfg import SLOT_CFG, kernel_arguments_of, words_of_every_boot
from autoinstall.slots import Slot, SlotState, pick
from autoinstall.slotsums import SLOT_SUMS, SUMMED, differ, sums_of

GRUB_CFG = "grub/grub.cfg"
NOT_STARTED = (DeviceLost, MountFailed, StateUnreadable, ToolFailed)
"""How a slot fails whose kernel cannot be read, or is none that this one takes."""


def load_installed(host: Host, disk: str) -> Slot:
    """Pick a slot of the node on `disk`, have its kernel loaded for kexec, and count the attempt.

    Raises StateUnreadable or another error of exit code 4; then nothing is loaded, and nothing counted: GRUB may boot
    what this kernel does not take.
    """
    slot, menu = _menu(host, disk)
    menu.load(slot, host)
    menu.count(host)
    return slot


def load_either(host: Host, disk: str, sinks: Sequence[Sink]) -> Slot:
    """The same, and where the slot cannot be started the other one is: within the same attempt, and whatever attempts
    it has itself, as the fallback of GRUB's menu. For a machine that a reboot would bring back to this medium.
    """
    slot, menu = _menu(host, disk)
    try:
        menu.load(slot, host)
    except NOT_STARTED as error:
        warn([f"slot {slot} cannot be started, and slot {slot.other} is tried: {error}"], host, sinks)
        slot = slot.other
        menu.load(slot, host)
    menu.count(host)
    return slot


@dataclass(frozen=True)
class _Menu:
    """The menu that GRUB makes of a slot state. `counted` is what it then saves; `always` ends every entry's line."""

    disk: str
    state: SlotState
    counted: SlotState
    always: str

    def load(self, slot: Slot, host: Host) -> None:
        """Have the kernel of an entry loaded."""
        try:
            with mounted(host, partition_of_node(self.disk, slot.partition_label), "ro") as root:
                line = self._line(slot, (root / SLOT_CFG).read_bytes())
                _look(root)
                host.run("kexec", "--load", root / "vmlinuz", f"--initrd={root / 'initrd.img'}",
                         f"--command-line={line}", doing=f"loading slot {slot.value}")  # fmt: skip
        except OSError as error:
            reason = f"slot {slot.value} of {self.disk} cannot be read: {error}"
            raise StateUnreadable(reason, hint="boot the disk") from error

    def count(self, host: Host) -> None:
        """Count the attempt, before it begins: what is loaded starts only when this system ends."""
        try:
            with mounted(host, partition_of_node(self.disk, "EFI")) as esp:
                write_state(esp, self.counted)
        except AutoinstallError:
            host.run("kexec", "--unload", doing="unloading a boot that could not be counted")
            raise

    def _line(self, slot: Slot, slot_cfg: bytes) -> str:
        trial = "rd.autoinstall.trial=1" if self.state.on_trial(slot) else ""
        words = [kernel_arguments_of(slot_cfg), f"rd.autoinstall.slot={slot.value}", trial, self.always]
        return " ".join(filter(None, words))


def _look(root: Path) -> None:
    """Raises StateUnreadable where kernel or initramfs is not what was written."""
    if differ(root, sums_of(root)):
        raise StateUnreadable(f"{' or '.join(SUMMED)} is not what {SLOT_SUMS} says", hint="boot the disk")


def _menu(host: Host, disk: str) -> tuple[Slot, _Menu]:
    """The slot whose turn it is. A grub.cfg that cannot be read keeps no node from its boot."""
    with mounted(host, partition_of_node(disk, "EFI"), "ro") as esp:
        state = read_state_files(esp)
        slot, counted = pick(state)
        always = ""
        with suppress(OSError):
            always = words_of_every_boot((esp / GRUB_CFG).read_bytes())
    return slot, _Menu(disk, state, counted, always)


def kexec_or_reboot(disk: str, host: Host, sinks: Sequence[Sink]) -> dict[str, str]:
    """Have the new node's kernel loaded. Where that fails the node is there all the same: it is a warning, and the
    result's detail, which is returned, says that the machine reboots instead.
    """
    try:
        load_installed(host, disk)
    except (AutoinstallError, OSError) as error:
        warn([f"no kexec: this machine reboots through its firmware instead: {error}"], host, sinks)
        return {"after": After.REBOOT.value}
    return {}

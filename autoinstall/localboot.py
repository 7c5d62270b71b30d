"""Booting the installed node from here, by kexec, as its GRUB would: same choice, same counting.

A machine whose firmware comes back to this medium (PXE left on, an ISO left in) still reaches its own disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall.carry import warn
from autoinstall.errors import AutoinstallError, StateUnreadable
from autoinstall.grammar import After
from autoinstall.host import Host
from autoinstall.marks import partition_of_node
from autoinstall.mounts import mounted
from autoinstall.node.state import read_state_files, write_state
from autoinstall.report.sinks import Sink
from autoinstall.slotcfg import SLOT_CFG, kernel_arguments_of
from autoinstall.slots import Slot, pick


def load_installed(host: Host, disk: str) -> Slot:
    """Pick a slot of the node on `disk`, count the attempt, and have its kernel loaded for kexec.

    Raises StateUnreadable or another error of exit code 4; then nothing is loaded.
    """
    with mounted(host, partition_of_node(disk, "EFI")) as esp:
        state = read_state_files(esp)
        slot, counted = pick(state)
        write_state(esp, counted)
    try:
        with mounted(host, partition_of_node(disk, slot.partition_label), "ro") as root:
            words = [kernel_arguments_of((root / SLOT_CFG).read_bytes()), f"rd.autoinstall.slot={slot.value}"]
            if state.on_trial(slot):
                words.append("rd.autoinstall.trial=1")
            host.run("kexec", "--load", root / "vmlinuz", f"--initrd={root / 'initrd.img'}",
                     f"--command-line={' '.join(words)}", doing=f"loading slot {slot.value}")  # fmt: skip
    except OSError as error:
        raise StateUnreadable(f"slot {slot.value} of {disk} cannot be read: {error}", hint="boot the disk") from error
    return slot


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

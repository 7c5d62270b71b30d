"""A finished node that was never booted, with a configuration of its operator's on Config."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autoinstall.node.state import STATE_COPIES
from autoinstall.slots import SlotState, read_state, render_env
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk
from tests.vm.live import LiveSystem

CONFIG = "/dev/disk/by-partlabel/Config"
UPPER = "/run/config/etc/upper"
SHELL = {
    "systemd/system/sysinit.target.d/shell.conf": "[Unit]\nWants=debug-shell.service\n",
    "systemd/system/debug-shell.service.d/shell.conf": (
        "[Unit]\nConditionPathExists=\nConditionPathExists=/dev/ttyS1\n[Service]\nTTYPath=/dev/ttyS1\n"
        "Environment=SYSTEMD_PAGER=\n"
    ),
}
"""A root shell on the second serial port, for Machine.shell."""


@dataclass(frozen=True)
class Finished:
    """Where copies of a finished node come from."""

    live: LiveSystem
    path: Path

    def copy(self, place: Path, files: Mapping[str, str], state: SlotState | None = None) -> DiskImage:
        """A copy with these files below /etc, written by a live system as an operator would, and this slot state."""
        disk = DiskImage(self.path).copy(place / "disk.raw")
        with self.live.start(place, Disk(disk.path, boot_index=None), name="configure") as machine:
            machine.shell(f"udevadm wait --timeout=30 {CONFIG} && mkdir -p /run/config && mount {CONFIG} /run/config")
            for name, text in files.items():
                path = PurePosixPath(UPPER, name)
                machine.shell(f"mkdir -p {path.parent} && printf %s {shlex.quote(text)} >{path}")
                if text.startswith("#!"):
                    machine.shell(f"chmod 755 {path}")
            machine.shell("umount /run/config")
        if state:
            put_slot_state(disk, state)
        return disk


def put_slot_state(disk: DiskImage, state: SlotState) -> None:
    """What GRUB will read from now on."""
    for name in STATE_COPIES:
        disk.put_esp_file(name, render_env(state))


def slot_state(disk: DiskImage) -> SlotState:
    """What GRUB will read."""
    first, second = (disk.esp_file(name) for name in STATE_COPIES)
    return read_state(first, second)

"""A live system that has booted once, and goes on from there as often as wanted, in a second and not in forty.

The installer is started as on a real boot, by its unit; what it reads as the kernel command line is laid over
/proc/cmdline with a bind mount. The product has no hook for this.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from tests.vm.hardware import Bus, Direct, Disk, Hardware
from tests.vm.image import Image, Shared
from tests.vm.machine import Event, Machine

BOOT_LIMIT_S = 480
INSTALL_LIMIT_S = 480
UNIT = "autoinstall.service"
BY_ID = {Bus.VIRTIO: "virtio-", Bus.SCSI: "scsi-0QEMU_QEMU_HARDDISK_", Bus.NVME: "nvme-QEMU_NVMe_Ctrl_",
         Bus.USB: "usb-QEMU_QEMU_HARDDISK_"}  # fmt: skip
BY_ID_END = {Bus.USB: "-0:0"}
CONSOLE = "console=ttyS0 panic=30 no_timer_check"


@dataclass(frozen=True)
class LiveSystem:
    """A saved live system of an image."""

    image: Image
    hardware: Hardware
    state: Path

    def start(self, work_dir: Path, *disks: Disk, name: str = "live") -> Machine:
        """A machine that goes on from the saved state, with these disks plugged in and known to udev."""
        machine = Machine(replace(self.hardware, incoming=True), work_dir, name=name)
        try:
            machine.resume(self.state)
            for disk in disks:
                machine.plug(disk)
                machine.shell(f"udevadm wait --timeout=30 {by_id(disk)}")
        except BaseException:
            machine.kill()
            raise
        return machine


def by_id(disk: Disk) -> str:
    """The stable name of a disk in the guest."""
    if disk.wwn is not None:
        return f"/dev/disk/by-id/wwn-{disk.wwn:#018x}"
    return f"/dev/disk/by-id/{BY_ID[disk.bus]}{disk.serial}{BY_ID_END.get(disk.bus, '')}"


def boot_live(image: Image, medium: Hardware, shared: Shared, name: str = "live") -> LiveSystem:
    """Boot once, on `medium`, without any of our words, and save the machine as `name`; later calls find it saved."""
    line = f"{image.live_words} {CONSOLE} systemd.debug_shell=ttyS1"
    hardware = replace(medium, direct=Direct(image.kernel, image.initrd, line))

    def make(place: Path) -> None:
        with Machine(hardware, place, name="live") as machine:
            machine.wait_for_line("^autoinstall: result=none", BOOT_LIMIT_S)
            machine.shell("systemctl is-system-running --wait || systemctl --failed --no-legend", BOOT_LIMIT_S)
            machine.save(place / "state")

    return LiveSystem(image, hardware, shared.once(name, make) / "state")


def begin(machine: Machine, words: str) -> None:
    """Start the installer as if the machine had been booted with `words`; returns at once."""
    direct = machine.hardware.direct
    assert direct
    line = shlex.quote(f"{direct.command_line} {words}")
    machine.shell(f"printf '%s\\n' {line} >/run/words && mount --bind /run/words /proc/cmdline")
    machine.shell(f"systemctl restart --no-block {UNIT}")


def install(machine: Machine, words: str, limit_s: float = INSTALL_LIMIT_S) -> Event:
    """The result of the installer with `words`."""
    begin(machine, words)
    return machine.result(limit_s)

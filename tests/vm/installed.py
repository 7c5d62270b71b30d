"""A machine that installed itself from an ISO, nobody at the keyboard, and what it left behind."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image, Shared, build
from tests.vm.machine import FATAL, Event, Machine
from tests.vm.watch import plain

LIVE_LIMIT_S = 480
INSTALL_LIMIT_S = 480
NODE_LIMIT_S = 480
SSH_LIMIT_S = 120
# A whole line: half of `result=installed` is not yet something else.
NOT_INSTALLED = re.compile(rf"{FATAL.pattern}|^autoinstall: result=(?!installed).*\n", re.MULTILINE)
HEALTHY = r"^autoinstall: node=healthy slot=(\S+) image=(\S+)$"
# A change that replaces a file by rename, as tools do; /etc/motd says `a word of mine` from then on.
MINE = "echo 'a line of mine' >/etc/motd && sed -i s/line/word/ /etc/motd"
ADMIN_HASH = (
    "$6$autoinstalltest$uJr1sbqkgAVO6ezOJL/X/zM8fzThdt.q/e/6FlQd38Xllia2BAERXjnQclEO4OPWEJwX7XWzeuDhn1HN/XoIj0"
)
"""Of `correct horse battery staple`."""


def came_up(machine: Machine) -> re.Match[str]:
    """The line in which a node says that it is healthy, from which slot and image, once all of its boot went well."""
    healthy = machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
    machine.ssh.wait(SSH_LIMIT_S)
    machine.ssh.read("systemctl is-system-running --wait", NODE_LIMIT_S)
    return healthy


@dataclass(frozen=True)
class Line:
    """What is baked into the ISO. Under UEFI an admin password too: it must survive GRUB, and change nothing."""

    firmware: Firmware
    key: Path

    @property
    def words(self) -> str:
        """The words themselves."""
        kind, base64, _ = self.key.with_suffix(".pub").read_text().split()
        words = f"storage_init BOOTIF=link ip=dhcp autoinstall.ssh_key={kind}:{base64}:test console=ttyS0"
        return f"{words} adminpw={ADMIN_HASH}" if self.has_password else f"{words} hostname=node-one"

    @property
    def has_password(self) -> bool:
        """Whether admin has a password, and so needs it for sudo."""
        return self.firmware is Firmware.UEFI


@dataclass(frozen=True)
class Installed:
    """A directory with the disk after its first boot as a node, and everything that was said on the way."""

    place: Path
    line: Line

    @property
    def disk(self) -> DiskImage:
        """The disk; to be copied before a machine runs from it."""
        return DiskImage(self.place / "disk.raw")

    @property
    def image(self) -> Image:
        """What was installed."""
        return Image(self.place / "image")

    @cached_property
    def events(self) -> list[Event]:
        """Everything on the report port."""
        return [json.loads(line) for line in (self.place / "install-report.log").read_text().splitlines()]

    @property
    def result(self) -> Event:
        """The one final result."""
        (result,) = [event for event in self.events if event["event_type"] == "result"]
        return result

    @property
    def console(self) -> str:
        """Everything on the serial console."""
        return plain((self.place / "install-console.log").read_bytes())

    def boot(self, work_dir: Path, firmware: Firmware | None = None, **more: Any) -> Machine:
        """A machine that runs from a copy of the disk, under the firmware of the install or another."""
        disk = self.disk.copy(work_dir / "disk.raw")
        hardware = Hardware(firmware or self.line.firmware, disks=(Disk(disk.path),), **more)
        return Machine(hardware, work_dir, key=self.line.key, name="node")


def install_from_iso(line: Line, shared: Shared) -> Installed:
    """Insert the ISO, switch on, wait for a node, change something of it. Later calls find it done."""

    def make(place: Path) -> None:
        (place / "image").mkdir()
        build(place / "image", line.words)
        run(place)

    def run(place: Path) -> None:
        disk = Disk(new_disk(place / "disk.raw"))
        iso = Image(place / "image").iso
        hardware = Hardware(line.firmware, disks=(disk,), cdrom=iso, reboots=True)
        with Machine(hardware, place, key=line.key, name="install") as machine:
            machine.wait_for_line("^autoinstall: command line: ", LIVE_LIMIT_S)
            machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)
            machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
            machine.ssh.wait(SSH_LIMIT_S)
            machine.ssh.read("systemctl is-system-running --wait || systemctl --failed --no-legend", NODE_LIMIT_S)
            if not line.has_password:
                as_root(machine, MINE)
            machine.power_off()

    return Installed(shared.once(f"installed-{line.firmware.value}", make), line)


def as_root(node: Machine, command: str, limit_s: float = 60) -> str:
    """What a command prints as root, by admin's sudo, on a node that asks no password for it."""
    return node.ssh.read(f"sudo -n sh -c {shlex.quote(command)}", limit_s)

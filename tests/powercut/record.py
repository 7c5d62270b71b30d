"""A machine that installs itself, becomes a node and is configured, with every write to its disk on record.

One log holds it all, from the blank disk on; each phase is a stretch of it, and a trace. A new verb: a row in PHASES.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.powercut.marks import INSTALLED, Notes
from tests.vm.hardware import DISK_BYTES, Bus, Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image, build
from tests.vm.installed import HEALTHY, INSTALL_LIMIT_S, LIVE_LIMIT_S, NODE_LIMIT_S, NOT_INSTALLED, as_root
from tests.vm.machine import Machine
from tests.vm.ssh import new_key

BOOT_FILES = ("boot.img", "core.img", "BOOTX64.EFI", "grub.cfg")
SSH_LIMIT_S = 120


@dataclass(frozen=True)
class Setting:
    """The machine: what it starts from, and what its disk hangs on."""

    firmware: Firmware = Firmware.BIOS
    bus: Bus = Bus.VIRTIO

    @property
    def name(self) -> str:
        """For people, and for the words of the command."""
        return f"{self.firmware.value}-{self.bus.name.lower()}"


@dataclass(frozen=True)
class Session:
    """A machine under record, and who takes notes."""

    machine: Machine
    notes: Notes

    def change(self, what: str, script: str, **facts: Any) -> None:
        """Do something as root on the node; when it says that it is done, `facts` must last."""
        self.notes.note(what, acknowledged=False, **facts)
        as_root(self.machine, script, SSH_LIMIT_S)
        self.notes.note(what, **facts)


def install(session: Session) -> None:
    """From the blank disk to the result."""
    machine = session.machine
    machine.wait_for_line("^autoinstall: command line: ", LIVE_LIMIT_S)
    machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)
    result = machine.result(INSTALL_LIMIT_S)
    keys = {f"etc/upper/ssh/ssh_host_{kind(key)}_key.pub": f"{key}\n" for key in result["host_keys"]}
    session.notes.note("result", config=keys, state={"primary": "A", "end": True})


def first_boot(session: Session) -> None:
    """GRUB counts, the node comes up, and is marked good."""
    machine = session.machine
    machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
    machine.ssh.wait(SSH_LIMIT_S)
    machine.ssh.read("systemctl is-system-running --wait || systemctl --failed --no-legend", NODE_LIMIT_S)
    session.notes.note("marked good", state={"a_ok": True, "primary": "A"})


def configure(session: Session) -> None:
    """What an operator and his tools do to /etc."""
    for number in range(4):
        text = f"value {number}\n"
        new = f"printf '{text}' | dd of=/etc/lab.new{number} conv=fsync status=none"
        session.change("a new file, fsync", new, config={f"etc/upper/lab.new{number}": text})
        rename = f"printf '{text}' >/etc/.lab && sync /etc/.lab && mv /etc/.lab /etc/lab.conf && sync /etc"
        session.change("a file replaced by rename", rename, config={"etc/upper/lab.conf": text})
    hostname = "hostnamectl hostname node-two && sync -f /etc"
    session.change("hostnamectl", hostname, config={"etc/upper/hostname": "node-two\n"})
    gone = "rm /etc/lab.new0 && sync /etc"
    session.change("a file removed", gone, config={"etc/upper/lab.new0": None})


def rearm(session: Session) -> None:
    """Ten healthy minutes are over."""
    session.change("rearm", "systemctl start autoinstall-rearm.service", state={"a_try": 3, "a_ok": True})


def reboot(session: Session) -> None:
    """Down in order, and up again."""
    machine = session.machine
    session.notes.note("reboot", acknowledged=False, state={"a_try": 2})
    as_root(machine, "systemctl reboot --no-block")
    machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
    machine.ssh.wait(SSH_LIMIT_S)
    machine.ssh.read("systemctl is-system-running --wait || systemctl --failed --no-legend", NODE_LIMIT_S)


PHASES: dict[str, Callable[[Session], None]] = {
    "install": install,
    "first-boot": first_boot,
    "config": configure,
    "rearm": rearm,
    "reboot": reboot,
}
"""In their order. The name is the name of the trace."""


def record(setting: Setting, place: Path) -> None:
    """Run the machine; log, marks, and what the oracles compare with, to `place`."""
    key = new_key(place / "key")
    kind_, base64, _ = key.with_suffix(".pub").read_text().split()
    words = f"storage_init BOOTIF=link autoinstall.ssh_key={kind_}:{base64}:lab console=ttyS0"
    (place / "image").mkdir()
    build(place / "image", words)
    image = Image(place / "image")
    log = place / "writes.log"
    disk = Disk(new_disk(place / "disk.raw", DISK_BYTES), bus=setting.bus, write_log=log)
    hardware = Hardware(setting.firmware, disks=(disk,), cdrom=image.iso, reboots=True, cpus=2)
    notes = Notes(log)
    with Machine(hardware, place, key=key) as machine:
        machine.hand_events_to(notes.on_event)
        for name, run in PHASES.items():
            run(Session(machine, notes))
            notes.note(f"end of {name}")
    assert any(mark.what == INSTALLED for mark in notes.marks)
    notes.save(place / "marks.json")
    _keep(image, place)
    disk.path.unlink()


def _keep(image: Image, place: Path) -> None:
    """What the oracles compare with; and the ISO, for real boots."""
    for name in BOOT_FILES:
        words: list[str | Path] = [
            "unsquashfs",
            "-cat",
            image.place / "root.squashfs",
            f"usr/lib/autoinstall/boot/{name}",
        ]
        (place / name).write_bytes(subprocess.run(words, check=True, capture_output=True).stdout)
    for name in ("manifest.json", image.iso.name):
        (image.place / name).rename(place / name)
    for left in image.place.iterdir():
        left.unlink()
    image.place.rmdir()


def kind(host_key: str) -> str:
    """`ed25519` of a public key line; `ecdsa` of an ECDSA one."""
    return host_key.split()[0].removeprefix("ssh-").split("-")[0]

"""A machine that installs itself, becomes a node, is configured, upgraded and rolled back: every write on record.

One log holds it all, from the blank disk on; each phase is a stretch of it, and a trace. A new verb: a row in PHASES.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.powercut.marks import INSTALLED, Notes
from tests.vm.hardware import DISK_BYTES, MIB, Bus, Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image, build
from tests.vm.installed import INSTALL_LIMIT_S, LIVE_LIMIT_S, NOT_INSTALLED, SSH_LIMIT_S, as_root, came_up
from tests.vm.kept import config_hash
from tests.vm.machine import Event, Machine
from tests.vm.newer import derived, write_iso
from tests.vm.ssh import new_key

BOOT_FILES = ("boot.img", "core.img", "BOOTX64.EFI", "grub.cfg")
NEWER = "newer.medium"
"""The file with the second image, as a medium has it; and the machine has it as its second disk."""
NEWER_DEVICE = "/dev/disk/by-id/virtio-NEWER"
BALLAST_BYTES = 9 * MIB
"""By which the initrd of the second image is larger: what lies behind it in the slot does not lie where it lay."""
UPGRADE_LIMIT_S = 300


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
    """A machine under record, and who takes notes. The image that it installs itself from, and the one after that."""

    machine: Machine
    notes: Notes
    first: Image
    second: Image

    def change(self, what: str, script: str, limit_s: float = SSH_LIMIT_S, **facts: Any) -> None:
        """Do something as root on the node; when it says that it is done, `facts` must last."""
        self.notes.note(what, acknowledged=False, **facts)
        as_root(self.machine, script, limit_s)
        self.notes.note(what, **facts)

    def comes_up(self, slot: str) -> None:
        """The node does, from this slot, with all that it does at boot."""
        assert came_up(self.machine).group(1) == slot

    def reboot(self, slot: str, **may_be: object) -> None:
        """Down in order, and up again, with the Config that was there."""
        before = config_hash(self.machine)
        self.notes.note("reboot", acknowledged=False, state=may_be)
        as_root(self.machine, "systemctl reboot --no-block")
        self.comes_up(slot)
        assert config_hash(self.machine) == before


def install(session: Session) -> None:
    """From the blank disk to the result."""
    machine = session.machine
    machine.wait_for_line("^autoinstall: command line: ", LIVE_LIMIT_S)
    machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)
    result = machine.result(INSTALL_LIMIT_S)
    session.notes.note("result", **told_by(result, session.first.image_id))


def first_boot(session: Session) -> None:
    """GRUB counts, the node comes up, and is marked good."""
    session.comes_up("A")
    session.notes.note("marked good", state={"a_ok": True, "primary": "A", "b_ok": False, "b_try": 3})


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


def upgrade(session: Session) -> None:
    """The second image into the slot that does not run."""
    newer = session.machine.work_dir / NEWER
    session.machine.plug(Disk(newer, serial="NEWER", boot_index=None))
    as_root(session.machine, f"udevadm wait --timeout=30 {NEWER_DEVICE}")
    session.notes.note("disarm", acknowledged=False, state={"b_try": 0})
    after = {"primary": "B", "b_try": 3, "b_ok": False}
    command = f"autoinstall upgrade {NEWER_DEVICE}"
    session.change("upgrade", command, UPGRADE_LIMIT_S, state=after, boots=session.second.image_id)


def new_image(session: Session) -> None:
    """Down in order, up with the second image, which is marked good."""
    session.reboot("B", b_try=2, b_ok=True)
    session.notes.note("marked good", state={"b_ok": True})


def rollback(session: Session) -> None:
    """The first image is to be booted again."""
    after = {"primary": "A", "a_try": 3}
    session.change("rollback", "autoinstall rollback", state=after, boots=session.first.image_id)


def old_image(session: Session) -> None:
    """Down in order, and up again with the first image, which was good before."""
    session.reboot("A", a_try=2)


PHASES: dict[str, Callable[[Session], None]] = {
    "install": install,
    "first-boot": first_boot,
    "config": configure,
    "rearm": rearm,
    "upgrade": upgrade,
    "new-image": new_image,
    "rollback": rollback,
    "old-image": old_image,
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
    ballast = {"ballast": random.Random(1).randbytes(BALLAST_BYTES)}
    newer = derived(image, place / "newer", f"{image.manifest['version']}+newer", ballast)
    write_iso(newer, place / NEWER)
    log = place / "writes.log"
    disk = Disk(new_disk(place / "disk.raw", DISK_BYTES), bus=setting.bus, write_log=log)
    hardware = Hardware(setting.firmware, disks=(disk,), cdrom=image.iso, reboots=True, cpus=2)
    notes = Notes(log)
    with Machine(hardware, place, key=key) as machine:
        machine.hand_events_to(notes.on_event)
        session = Session(machine, notes, image, newer)
        for name, run in PHASES.items():
            run(session)
            notes.note(f"end of {name}")
    assert any(mark.what == INSTALLED for mark in notes.marks)
    notes.save(place / "marks.json")
    _keep(image, place)
    (newer.place / "manifest.json").rename(place / "manifest-newer.json")
    shutil.rmtree(newer.place)
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


def told_by(result: Event, image_id: str) -> dict[str, Any]:
    """What lasts once an install of that image gave this result, as a mark has it."""
    keys = {f"etc/upper/ssh/ssh_host_{kind(key)}_key.pub": f"{key}\n" for key in result["host_keys"]}
    return {"config": keys, "state": {"primary": "A", "end": True}, "boots": image_id}


def kind(host_key: str) -> str:
    """`ed25519` of a public key line; `ecdsa` of an ECDSA one."""
    return host_key.split()[0].removeprefix("ssh-").split("-")[0]

"""Images that do not come up, each in another way: the machine goes back by itself, and the old one says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autoinstall.image.manifest import parse_manifest
from autoinstall.live import ROOT_IMAGE
from autoinstall.slots import MOST_TRIES, Slot, SlotState
from autoinstall.slotsums import SUMMED
from tests.vm.configured import SHELL, Finished
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Firmware, Hardware, erst
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem
from tests.vm.machine import Machine
from tests.vm.newer import PANIC, derived, describe, put_image
from tests.vm.test_bit_rot import NEEDED, rot
from tests.vm.watch import NEVER

pytestmark = pytest.mark.vm

BAD_LIMIT_S = 300
TELL_LIMIT_S = 60
NO_WORD = "each attempt ended before its health was checked, and left no word"
NOT_LOADED = "the boot loader could not load it"
WATCHDOG = ("-device", "i6300esb")
"""One that resets the machine. It is asked for rarely: a busy host must not make it bite."""
WATCHDOG_S = 20
ONLY_B = "ConditionKernelCommandLine=rd.autoinstall.slot=B"
"""Both slots have one /etc."""


@dataclass(frozen=True)
class Bad:
    """What is wrong with an image, or with a node that boots it, and what is said of it.

    `vmlinuz` is what it has for a kernel, empty for no such file. `rots` is the file of the slot in which a bit flips
    later. `kernel_line` is what the platform kept of it: in an ERST, whose driver is in the kernel; or, unless the
    initramfs ends `at_once`, in the variables of UEFI, whose driver is in there.
    """

    why: str
    initramfs: Mapping[str, bytes] = field(default_factory=dict)
    etc: Mapping[str, str] = field(default_factory=dict)
    vmlinuz: bytes | None = None
    rots: str = ""
    kernel_line: str = ""
    at_once: bool = False
    more: tuple[str, ...] = ()

    @property
    def is_loaded(self) -> bool:
        """GRUB goes to the other slot within one attempt where it is not."""
        return self.vmlinuz is None and self.rots not in SUMMED


def hook(script: str) -> dict[str, bytes]:
    """Of the initramfs, before anything of ours."""
    return {"var/lib/dracut/hooks/mount/10-bad.sh": script.encode()}


def unit(name: str, *lines: str) -> dict[str, str]:
    """A service that runs once, in slot B alone."""
    text = "\n".join(("[Unit]", ONLY_B, *lines))
    return {f"systemd/system/{name}.service": f"{text}\n"}


def drop_in(name: str, *lines: str) -> dict[str, str]:
    """What changes a unit."""
    return {f"systemd/system/{name}.d/bad.conf": "\n".join((*lines, ""))}


def short(timer: str) -> str:
    """For a deadline that takes five minutes."""
    return f"[Timer]\nOnActiveSec=\nOnActiveSec={timer}\n"


CHECK = {"autoinstall/health.d/tyre": "#!/bin/sh\necho flat\n! grep -q rd.autoinstall.slot=B /proc/cmdline\n"}
SLOW = {
    **unit("slow", "Before=boot-complete.target", "[Service]", "Type=oneshot", "ExecStart=/usr/bin/sleep infinity"),
    **drop_in("autoinstall-health.service", "[Unit]", "Requires=slow.service", "After=slow.service"),
    "systemd/system/autoinstall-deadline.timer.d/short.conf": short("30s"),
}
EMERGENCY = {
    **unit(
        "gone", "DefaultDependencies=no", "Before=local-fs.target", "[Service]", "Type=oneshot", "ExecStart=false"
    ),
    **drop_in("local-fs.target", "[Unit]", "Requires=gone.service"),
}
UNMARKED = drop_in(
    "autoinstall-mark-good.service",
    "[Unit]",
    "OnFailure=autoinstall-fallback.service",  # else the deadline ends it
    "[Service]",
    "ExecStart=",
    "ExecStart=/usr/bin/sh -c '! grep -q rd.autoinstall.slot=B /proc/cmdline && exec autoinstall mark-good'",
)
FREEZE = "ExecStart=/usr/bin/sh -c 'echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze'"
HANG = {
    **unit("freeze", "Before=autoinstall-health.service", "[Service]", "Type=oneshot", FREEZE),
    **drop_in("autoinstall-health.service", "[Unit]", "Wants=freeze.service"),
    "systemd/system.conf.d/short.conf": f"[Manager]\nRuntimeWatchdogSec={WATCHDOG_S}s\n",
}
SHORT_PLACE = "etc/systemd/system/autoinstall-hung.timer.d/"
STUCK = {
    **hook("sleep 3600"),
    SHORT_PLACE: b"",
    f"{SHORT_PLACE}short.conf": short("30s").encode(),
}
NO_KERNEL = b"no kernel at all\n" * 512
BAD = {
    "no-kernel": Bad(NOT_LOADED, vmlinuz=b""),
    "kernel": Bad(NOT_LOADED, vmlinuz=NO_KERNEL),
    "panic": Bad(NO_WORD, initramfs=PANIC, kernel_line="Attempted to kill init", at_once=True),
    "initramfs": Bad("no root today", initramfs=hook("die 'no root today'")),
    "stuck": Bad("it did not get to the system in time; waiting: dracut-mount.service", initramfs=STUCK),
    "kernel-rots": Bad(NOT_LOADED, rots="vmlinuz"),
    "initrd-rots": Bad(NOT_LOADED, rots="initrd.img"),
    "rots": Bad(NO_WORD, rots=ROOT_IMAGE, kernel_line="dm-verity device corrupted"),
    "health": Bad("health.d/tyre: exit status 1: flat", etc=CHECK),
    "deadline": Bad("it was not found good in time; waiting: ", etc=SLOW),
    "unmarked": Bad("failed: autoinstall-mark-good.service", etc=UNMARKED),
    "emergency": Bad("systemd went to emergency mode; failed: gone.service", etc=EMERGENCY),
    "hang": Bad(NO_WORD, etc=HANG, kernel_line="Software Watchdog Timer expired"),
    "hang-watched": Bad(NO_WORD, etc=HANG, more=WATCHDOG),
}
QUICK = {("kernel-rots", Firmware.BIOS), ("initramfs", Firmware.BIOS)}
"""Every day; a root that rots is another, in test_bit_rot.py."""


def rows() -> list[object]:
    """Each under both firmwares."""
    return [
        pytest.param(
            name,
            firmware,
            marks=() if (name, firmware) in QUICK else pytest.mark.exhaustive,
            id=f"{name}-{firmware.value}",
        )
        for name in BAD
        for firmware in Firmware
    ]


@pytest.mark.parametrize(("name", "firmware"), rows())
def test_an_image_that_does_not_come_up_gives_way_and_the_old_one_says_why(
    live: LiveSystem, image: Image, finished: Path, tmp_path: Path, name: str, firmware: Firmware
) -> None:
    bad = BAD[name]
    waiting = SlotState(Slot.B, MOST_TRIES, True, 1 if bad.is_loaded else 2, False)
    disk = Finished(live, finished).copy(tmp_path, {**SHELL, **bad.etc}, waiting)
    new = put_bad(bad, disk, image, tmp_path / "new")
    memory = erst(tmp_path / "erst") if firmware is Firmware.BIOS or bad.at_once else ()
    more = (*bad.more, *memory)
    hardware = Hardware(firmware, disks=(Disk(disk.path),), reboots=True, more=more)
    with Machine(hardware, tmp_path, name="node") as machine:
        machine.wait_for_line("^autoinstall: booting slot B", BAD_LIMIT_S)
        machine.wait_for_line("^autoinstall: booting slot A", BAD_LIMIT_S, unless=NEVER)
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S, unless=NEVER).group(1) == "A"
        result = machine.wait_for_event(TELL_LIMIT_S, event_type="result", result="rolled-back")
        assert bad.why in "\n".join(result["reasons"])
        machine.wait_for_line("^autoinstall: result=rolled-back", TELL_LIMIT_S)
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        for where in ("autoinstall status", "cat /run/motd.d/50-autoinstall"):
            assert bad.why in machine.shell(where)
            assert bad.kernel_line in machine.shell(where)
        status = json.loads(machine.shell("autoinstall status --json"))
        assert [one["image_id"] for one in status["fallen"]] == [new.image_id]
        assert status["slots"]["A"]["role"] == ("RootBackup" if result["fallen"]["tries_left"] else "Root")
        machine.power_off()


def put_bad(bad: Bad, disk: DiskImage, image: Image, place: Path) -> Image:
    """The image, in slot B of a disk."""
    version = f"{image.manifest['version']}+bad"
    new = derived(image, place, version, bad.initramfs)
    if bad.vmlinuz:
        (place / "vmlinuz").unlink()
        (place / "vmlinuz").write_bytes(bad.vmlinuz)
        describe(place, version, parse_manifest((place / "manifest.json").read_bytes()))
    put_image(disk, "Root-B", new)
    if bad.vmlinuz == b"":
        disk.remove_ext_file("Root-B", "vmlinuz")
    if bad.rots == ROOT_IMAGE:
        rot(disk, image, NEEDED, "Root-B")
    elif bad.rots:
        rot_file(disk, new, "Root-B", bad.rots)
    return new


def rot_file(disk: DiskImage, image: Image, slot: str, name: str) -> None:
    """Flip a bit in the middle of a slot's file: of a kernel that is where it is packed."""
    disk.flip_bit(disk.ext_offset(slot, f"/{name}", (image.place / name).stat().st_size // 2))

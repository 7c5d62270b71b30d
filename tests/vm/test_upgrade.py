"""A node gets a newer image: from a medium, or while it works. Its configuration stays, and so does a way back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from autoinstall.image.manifest import parse_manifest
from autoinstall.slots import MOST_TRIES, Slot, SlotState
from tests.vm.configured import SHELL, Finished, slot_state
from tests.vm.disk import DiskImage, partition_bytes
from tests.vm.hardware import Disk, Firmware, Hardware
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S, SSH_LIMIT_S, Installed, as_root
from tests.vm.kept import config_hash
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Machine
from tests.vm.newer import PANIC, derived, describe, put_image, write_iso
from tests.vm.writes import written

pytestmark = pytest.mark.vm

LINE = "upgrade console=ttyS0 autoinstall.after=hold autoinstall.installed=hold"
MEDIUM = "/run/initramfs/live/autoinstall"
UPGRADE_LIMIT_S = 300
NEVER = re.compile(r"(?!)")
"""A boot that fails is what these tests wait for."""
GOOD_A = SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, False)


def version_of(image: Image, more: str) -> str:
    """A version of the same major."""
    return f"{image.manifest['version']}{more}"


def places(disk: DiskImage, log: Path) -> set[str]:
    """The partitions that were written to; empty text for what lies outside of all."""
    spans = [(*partition_bytes(part), part.label) for part in disk.table.partitions]
    return {
        next((label for start, end, label in spans if start <= write.start_bytes < write.end_bytes <= end), "")
        for write in written(log)
    }


@pytest.fixture
def older(live: LiveSystem, image: Image, finished: Path, tmp_path: Path) -> DiskImage:
    """A node whose slots hold another image, an older one, that once was good."""
    disk = Finished(live, finished).copy(tmp_path, SHELL, GOOD_A)
    old = derived(image, tmp_path / "old", version_of(image, "~old"))
    for slot in ("Root-A", "Root-B"):
        put_image(disk, slot, old)
    return disk


def test_a_newer_medium_upgrades_the_other_slot_and_nothing_else(
    live: LiveSystem, older: DiskImage, tmp_path: Path
) -> None:
    log = tmp_path / "writes.log"
    with live.start(tmp_path, Disk(older.path, boot_index=None, write_log=log)) as machine:
        machine.shell(f"echo bad >/run/bad && mount --bind /run/bad {MEDIUM}/initrd.img")
        corrupt = install(machine, LINE)
        assert (corrupt["result"], corrupt["exit_code"]) == ("refused", 3), corrupt
        assert "is not what its manifest says" in corrupt["reasons"][0]
        machine.shell(f"umount {MEDIUM}/initrd.img")
        assert _again(machine, f"{LINE} autoinstall.dry_run")["result"] == "planned"
        assert not written(log), "a byte of the node changed before the image was found whole"
        done = _again(machine, f"{LINE} autoinstall.tries=2")
        assert (done["result"], done["exit_code"]) == ("upgraded", 0), done
        assert done["upgrade"]["target"] == "B"
        assert _again(machine, LINE)["result"] == "already-installed"
    disk = DiskImage(older.path)
    assert places(disk, log) == {"EFI", "Root-B"}
    assert slot_state(disk) == SlotState(Slot.B, MOST_TRIES, True, 2, False)
    for name, entry in live.image.manifest["files"].items():
        assert disk.ext_sha256("Root-B", f"/{name}") == entry["sha256"]
    root = disk.table["Root-B"].uuid
    assert disk.ext_file("Root-B", "/slot.cfg").decode().lower().count(root.lower()) == 1
    with Machine(Hardware(disks=(Disk(disk.path),)), tmp_path, name="node") as machine:
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
        machine.shell("systemctl is-system-running --wait", NODE_LIMIT_S)
        machine.power_off()
    disk = DiskImage(older.path)
    assert slot_state(disk) == SlotState(Slot.B, MOST_TRIES, True, MOST_TRIES, True)
    assert [disk.ext_superblock(slot)["Filesystem volume name"] for slot in ("Root-A", "Root-B")] == [
        "RootBackup",
        "Root",
    ]


def _again(machine: Machine, words: str) -> dict[str, Any]:
    machine.shell("umount /proc/cmdline")
    machine.events.clear()
    return install(machine, words)


@pytest.mark.parametrize("installed", [Firmware.BIOS], indirect=True, ids=["bios"])
def test_a_node_that_works_is_upgraded_and_rolled_back(installed: Installed, tmp_path: Path) -> None:
    new = derived(installed.image, tmp_path / "new", version_of(installed.image, "+new"))
    iso = write_iso(new, tmp_path / "new.iso")
    with installed.boot(tmp_path, cdrom=iso, reboots=True) as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.wait(SSH_LIMIT_S)
        machine.ssh.read("systemctl is-system-running --wait", NODE_LIMIT_S)
        config = config_hash(machine)
        refused = machine.ssh.run("sudo -n autoinstall rollback")
        assert refused.returncode == 3, refused
        assert "slot B holds no image that was ever found good" in refused.stderr
        preview = json.loads(as_root(machine, "autoinstall upgrade --dry-run --json /dev/sr0"))
        assert (preview["result"], preview["shadowed"]) == ("planned", [])
        done = json.loads(as_root(machine, "autoinstall upgrade --json /dev/sr0", UPGRADE_LIMIT_S))
        assert done["result"] == "upgraded", done
        assert "already-installed" in as_root(machine, "autoinstall upgrade --json /dev/sr0")
        as_root(machine, "systemctl --no-block reboot")
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
        machine.ssh.wait(SSH_LIMIT_S)
        machine.ssh.read("systemctl is-system-running --wait", NODE_LIMIT_S)
        assert config_hash(machine) == config
        status = json.loads(as_root(machine, "autoinstall status --json"))
        assert (status["slot"], status["slots"]["B"]["image_id"]) == ("B", new.image_id)
        assert (status["slots"]["B"]["good"], status["slots"]["A"]["role"]) == (True, "RootBackup")
        assert "slot A is booted next" in as_root(machine, "autoinstall rollback")
        machine.power_off()
    disk = DiskImage(tmp_path / "disk.raw")
    assert slot_state(disk) == SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, True)


HEALTH_D = {
    "autoinstall/health.d/tyre": "#!/bin/sh\necho flat\n! grep -q rd.autoinstall.slot=B /proc/cmdline\n",
}
ONLY_B = "ConditionKernelCommandLine=rd.autoinstall.slot=B"
HANG = {
    "systemd/system/hang.service": f"[Unit]\n{ONLY_B}\nBefore=boot-complete.target\n"
    "[Service]\nType=oneshot\nExecStart=/usr/bin/sleep infinity\n",
    "systemd/system/autoinstall-health.service.d/hang.conf": "[Unit]\nRequires=hang.service\nAfter=hang.service\n",
    "systemd/system/autoinstall-deadline.timer.d/short.conf": "[Timer]\nOnActiveSec=\nOnActiveSec=30s\n",
}
EMERGENCY = {
    "systemd/system/gone.service": f"[Unit]\n{ONLY_B}\nDefaultDependencies=no\nBefore=local-fs.target\n"
    "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n",
    "systemd/system/local-fs.target.d/gone.conf": "[Unit]\nRequires=gone.service\n",
}
NO_ROOT = {"var/lib/dracut/hooks/mount/10-bad.sh": b"die 'no root today'\n"}
BAD: dict[str, tuple[dict[str, bytes], dict[str, str], str]] = {
    "health": ({}, HEALTH_D, "health.d/tyre: exit status 1: flat"),
    "panic": (PANIC, {}, "left no word"),
    "initramfs": (NO_ROOT, {}, "no root today"),
    "deadline": ({}, HANG, "it was not found good in time; waiting: "),
    "emergency": ({}, EMERGENCY, "systemd went to emergency mode; failed: gone.service"),
    "kernel": ({}, {}, "the boot loader could not load it"),
}
BAD_LIMIT_S = 300


@pytest.mark.exhaustive
@pytest.mark.parametrize("bad", BAD)
def test_an_image_that_does_not_come_up_gives_way_and_the_old_one_says_why(
    live: LiveSystem, image: Image, finished: Path, tmp_path: Path, bad: str
) -> None:
    initramfs, etc, why = BAD[bad]
    new = derived(image, tmp_path / "new", version_of(image, "+bad"), initramfs)
    if bad == "kernel":
        (new.place / "vmlinuz").unlink()
        (new.place / "vmlinuz").write_bytes(b"no kernel at all\n" * 512)
        describe(new.place, version_of(image, "+bad"), parse_manifest((new.place / "manifest.json").read_bytes()))
    attempts = 2 if bad == "kernel" else 1  # GRUB goes to the other slot within one attempt
    waiting = SlotState(Slot.B, MOST_TRIES, True, attempts, False)
    disk = Finished(live, finished).copy(tmp_path, {**SHELL, **etc}, waiting)
    put_image(disk, "Root-B", new)
    with Machine(Hardware(disks=(Disk(disk.path),), reboots=True), tmp_path, name="node") as machine:
        machine.wait_for_line("^autoinstall: booting slot B", BAD_LIMIT_S)
        machine.wait_for_line("^autoinstall: booting slot A", BAD_LIMIT_S, unless=NEVER)
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S, unless=NEVER).group(1) == "A"
        result = machine.wait_for_event(60, event_type="result", result="rolled-back")
        assert why in "\n".join(result["reasons"])
        machine.wait_for_line("^autoinstall: result=rolled-back", 60)
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        assert why in machine.shell("autoinstall status")
        assert why in machine.shell("cat /run/motd.d/50-autoinstall")
        status = json.loads(machine.shell("autoinstall status --json"))
        assert [one["image_id"] for one in status["fallen"]] == [Image(new.place).image_id]
        assert status["slots"]["A"]["role"] == ("RootBackup" if result["fallen"]["tries_left"] else "Root")
        machine.power_off()

"""A node gets a newer image: from a medium, or while it works. Its configuration stays, and so does a way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoinstall.slots import MOST_TRIES, Slot, SlotState
from tests.vm.configured import SHELL, Finished, slot_state
from tests.vm.disk import DiskImage, partition_bytes
from tests.vm.hardware import Disk, Firmware, Hardware
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S, Installed, as_root, came_up
from tests.vm.kept import config_hash
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Machine
from tests.vm.newer import derived, put_image, write_iso
from tests.vm.newroot import with_another_root
from tests.vm.writes import written

pytestmark = pytest.mark.vm

LINE = "upgrade console=ttyS0 autoinstall.after=hold autoinstall.installed=hold"
MEDIUM = "/run/initramfs/live/autoinstall"
UPGRADE_LIMIT_S = 300
PREVIEW_LIMIT_S = 120
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


HIDDEN, SEEN = "etc/motd", "etc/issue.net"
"""Files that the new image changes: of the first the node keeps its own, see installed.MINE."""
NEWS = b"a line of the new image\n"


@pytest.mark.parametrize("installed", [Firmware.BIOS], indirect=True, ids=["bios"])
def test_a_node_that_works_is_upgraded_to_another_root_and_rolled_back(installed: Installed, tmp_path: Path) -> None:
    changes = dict.fromkeys((HIDDEN, SEEN), NEWS)
    new = with_another_root(installed.image, tmp_path / "new", version_of(installed.image, "+new"), changes)
    iso = write_iso(new, tmp_path / "new.iso")
    with installed.boot(tmp_path, cdrom=iso, reboots=True) as machine:
        assert came_up(machine).group(1) == "A"
        config, old = config_hash(machine), seen(machine)
        refused = machine.ssh.run("sudo -n autoinstall rollback")
        assert refused.returncode == 3, refused
        assert "slot B holds no image that was ever found good" in refused.stderr
        preview = json.loads(as_root(machine, "autoinstall upgrade --dry-run --json /dev/sr0", PREVIEW_LIMIT_S))
        assert (preview["result"], preview["shadowed"]) == ("planned", [f"/{HIDDEN}"])
        done = json.loads(as_root(machine, "autoinstall upgrade --json /dev/sr0", UPGRADE_LIMIT_S))
        assert done["result"] == "upgraded", done
        assert "already-installed" in as_root(machine, "autoinstall upgrade --json /dev/sr0")
        reboot(machine, "B")
        assert config_hash(machine) == config
        assert seen(machine) == (NEWS.decode(), old[1]) != old
        status = json.loads(as_root(machine, "autoinstall status --json"))
        assert (status["slot"], status["slots"]["B"]["image_id"]) == ("B", new.image_id)
        assert (status["slots"]["B"]["good"], status["slots"]["A"]["role"]) == (True, "RootBackup")
        assert "slot A is booted next" in as_root(machine, "autoinstall rollback")
        reboot(machine, "A")
        assert (config_hash(machine), seen(machine)) == (config, old)
        machine.power_off()
    disk = DiskImage(tmp_path / "disk.raw")
    assert slot_state(disk) == SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, True)


def reboot(machine: Machine, slot: str) -> None:
    """Down in order, and up again from this slot."""
    as_root(machine, "systemctl --no-block reboot")
    assert came_up(machine).group(1) == slot


def seen(machine: Machine) -> tuple[str, str]:
    """A default of the image, and what the node has in the place of one."""
    return machine.ssh.read(f"cat /{SEEN}"), machine.ssh.read(f"cat /{HIDDEN}")

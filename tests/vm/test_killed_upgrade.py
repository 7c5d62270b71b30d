"""An upgrade of a node that works, and is killed, or gets an image that is wrong: the next one finds all in order."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoinstall.slots import MOST_TRIES, Slot, SlotState, flip
from tests.vm.configured import SHELL, Finished, slot_state
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Hardware
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem
from tests.vm.machine import Machine
from tests.vm.newer import derived, write_iso

pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]

UPGRADE_LIMIT_S = 300
GOOD_A = SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, True)
MOUNTED = "grep -c /run/autoinstall/mnt /proc/self/mountinfo || true"
SERVED = "python3 -m http.server --bind 127.0.0.1 --directory /run/new 8000"
OF_THE_STAGE = "fetch"
"""The step that writes to it."""
BREAKS = """\
import fcntl, os, struct
from http.server import HTTPServer, SimpleHTTPRequestHandler

class Handler(SimpleHTTPRequestHandler):
    def copyfile(self, source, target):
        if "root" in self.path:
            target.write(source.read(1 << 20))
            fcntl.ioctl(os.open("/data", os.O_RDONLY), 0x8004587D, struct.pack("I", 2))
        super().copyfile(source, target)

os.chdir("/run/new")
HTTPServer(("127.0.0.1", 8001), Handler).serve_forever()
"""
"""A server that ends the filesystem of /data in the middle of an image, as if its disk were gone.

By ext4's own call, EXT4_IOC_SHUTDOWN with NOLOGFLUSH (linux/ext4.h): each write is an I/O error from then on.
"""


def upgrade(machine: Machine, source: str) -> dict[str, Any]:
    """The result of an upgrade."""
    said = machine.shell(f"autoinstall upgrade --json {source} 2>/dev/null", UPGRADE_LIMIT_S, check=False)
    result: dict[str, Any] = json.loads(said[said.index("{") :])
    return result


def kill_while(machine: Machine, pattern: str) -> None:
    """Start an upgrade, and kill it when it says this."""
    program = (
        "autoinstall upgrade /dev/sr0 2>/run/said & "
        f"until grep -q {shlex.quote(pattern)} /run/said; do sleep 0.1; done; kill -KILL $!; wait $! || true"
    )
    machine.shell(f"sh -c {shlex.quote(program)}", UPGRADE_LIMIT_S)


def primary(machine: Machine) -> tuple[str, bool]:
    """The slot to boot, and whether slot B may be."""
    status = json.loads(machine.shell("autoinstall status --json"))
    return status["primary"], bool(status["slots"]["B"]["tries"])


def test_an_upgrade_that_is_killed_leaves_nothing_in_the_way_of_the_next(
    live: LiveSystem, image: Image, finished: Path, tmp_path: Path
) -> None:
    disk = Finished(live, finished).copy(tmp_path, SHELL, GOOD_A)
    iso = write_iso(derived(image, tmp_path / "new", f"{image.manifest['version']}+new"), tmp_path / "new.iso")
    with Machine(Hardware(disks=(Disk(disk.path),), cdrom=iso), tmp_path, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        costs_nothing_where_it_cannot_be_done(machine)
        kill_while(machine, "^autoinstall: image-b:")
        assert machine.shell(MOUNTED).strip() == "0"
        assert primary(machine) == ("A", False)
        assert upgrade(machine, "/dev/sr0")["result"] == "upgraded"
        assert machine.shell(MOUNTED).strip() == "0"
        machine.kill()
    counted = replace(GOOD_A, a_try=MOST_TRIES - 1)  # GRUB did, and a machine that is switched off gives none back
    assert slot_state(DiskImage(disk.path)) == flip(counted, Slot.B, MOST_TRIES)


def costs_nothing_where_it_cannot_be_done(machine: Machine) -> None:
    """A directory and a server with a file that is too short, no room to stage what is whole, a slot in use."""
    machine.shell(
        "mkdir -p /run/iso /run/new && mount -o ro /dev/sr0 /run/iso && cp /run/iso/autoinstall/m* /run/new"
    )
    machine.shell("ln -s /run/iso/autoinstall/root.squashfs /run/iso/autoinstall/initrd.img /run/new")
    machine.shell("head -c -1 /run/iso/autoinstall/vmlinuz >/run/new/vmlinuz")
    machine.shell(f"printf %s {shlex.quote(BREAKS)} >/run/breaks.py")
    machine.shell(f"systemd-run --unit=served {SERVED} && systemd-run --unit=breaks python3 /run/breaks.py")
    for source in ("/run/new", "http://127.0.0.1:8000"):
        refused = upgrade(machine, source)
        assert (refused["result"], refused["exit_code"]) == ("refused", 3), refused
        assert "vmlinuz" in refused["reasons"][0]
        assert primary(machine) == ("A", True)
    machine.shell("cp /run/iso/autoinstall/vmlinuz /run/new")
    machine.shell(
        "for at in /data /var/log; do mountpoint $at && "
        "fallocate -l $(($(stat -f -c %a*%S $at) - (80 << 20))) $at/full || true; done"
    )
    full = upgrade(machine, "http://127.0.0.1:8000")
    assert (full["result"], full["exit_code"]) == ("refused", 3), full
    assert "MiB are missing" in full["reasons"][0]
    assert primary(machine) == ("A", True)
    machine.shell("mkdir /run/b && mount -o ro /dev/disk/by-partlabel/Root-B /run/b")
    used = upgrade(machine, "/run/new")
    assert (used["result"], used["exit_code"]) == ("refused", 3), used
    assert used["reasons"] == ["slot B is in use: /dev/vda4 is mounted on /run/b"]
    assert primary(machine) == ("A", True)
    machine.shell("ls /run/b/slot.cfg && umount /run/b")
    machine.shell("rm -f /data/full /var/log/full; systemctl stop served")
    costs_nothing_where_the_stage_fails(machine)
    machine.shell("umount /run/iso")


def costs_nothing_where_the_stage_fails(machine: Machine) -> None:
    """Half of the image was fetched."""
    failed = upgrade(machine, "http://127.0.0.1:8001")
    assert (failed["result"], failed["exit_code"], failed["step"]) == ("failed", 4, OF_THE_STAGE), failed
    assert "to /data/autoinstall-upgrade: Input/output error" in failed["reasons"][0]
    assert primary(machine) == ("A", True)
    machine.shell("systemctl stop breaks && umount /data && mount /data && touch /data/works")

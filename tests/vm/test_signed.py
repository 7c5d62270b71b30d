"""A system whose image has keys takes no other images than those that are signed by one of them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoinstall.image.manifest import MANIFEST_NAME, SIGNATURE_NAME
from autoinstall.slots import MOST_TRIES, Slot, SlotState, flip
from tests.keys import Keys, new_keys
from tests.vm.configured import SHELL, Finished, put_slot_state, slot_state
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Hardware
from tests.vm.image import Image
from tests.vm.installed import HEALTHY, NODE_LIMIT_S
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Event, Machine
from tests.vm.newer import derived, put_image, write_iso
from tests.vm.test_killed_upgrade import SERVED, primary, upgrade
from tests.vm.test_upgrade import places
from tests.vm.writes import written

pytestmark = pytest.mark.vm

LINE = "upgrade console=ttyS0 autoinstall.after=hold autoinstall.installed=hold"
MEDIUM = "/run/initramfs/live/autoinstall"
OURS = "/usr/lib/autoinstall"
GOOD_A = SlotState(Slot.A, MOST_TRIES, True, MOST_TRIES, True)
NOT_OURS = "is not one of this system's"
NOT_THIS = r"the manifest is not the one that builder \([0-9A-F]{16}\) signed"
NOT_SIGNED = "the image is not signed"


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    """Of a builder, whose images are taken, and of a stranger."""
    with new_keys() as made:
        made.make("builder", "stranger")
        yield made


def lay_over(machine: Machine, directory: str, files: dict[str, bytes]) -> None:
    """A directory of the machine has these files too, until it is unmounted."""
    above = f"/run/over{directory}"
    machine.shell(f"rm -rf {above} && mkdir -p {above}")
    for name, content in files.items():
        put(machine, f"{above}/{name}", content)
    machine.shell(f"mount -t overlay over -o lowerdir={above}:{directory} {directory}")


def taken(machine: Machine, files: dict[str, bytes]) -> Event:
    """How an upgrade ends where the medium has these files too."""
    lay_over(machine, MEDIUM, files)
    machine.events.clear()
    result = install(machine, LINE)
    machine.shell(f"umount {MEDIUM} && umount /proc/cmdline")
    return result


def refusal(result: dict[str, Any]) -> str:
    """Why nothing was taken, which it must say with what to do."""
    assert (result["result"], result["exit_code"]) == ("refused", 3), result
    assert "from who makes it" in result["hint"]
    return "\n".join(result["reasons"])


def test_an_image_that_nobody_we_know_signed_costs_no_byte_at_all(
    live: LiveSystem, image: Image, finished: Path, keys: Keys, tmp_path: Path
) -> None:
    disk, log = DiskImage(finished).copy(tmp_path / "disk.raw"), tmp_path / "writes.log"
    old = derived(image, tmp_path / "old", f"{image.manifest['version']}~old")
    for slot in ("Root-A", "Root-B"):
        put_image(disk, slot, old)
    put_slot_state(disk, GOOD_A)
    kept = disk.digest("EFI", "Root-B")
    manifest = (image.place / MANIFEST_NAME).read_bytes()
    older = (old.place / MANIFEST_NAME).read_bytes()
    with live.start(tmp_path, Disk(disk.path, boot_index=None, write_log=log)) as machine:
        lay_over(machine, OURS, {"keys.gpg": keys.public("builder")})
        assert NOT_SIGNED in refusal(taken(machine, {}))
        assert NOT_OURS in refusal(taken(machine, {SIGNATURE_NAME: keys.sign("stranger", manifest)}))
        assert re.search(NOT_THIS, refusal(taken(machine, {SIGNATURE_NAME: keys.sign("builder", older)})))
        assert not written(log), "a byte changed for an image that is not taken"
        good = keys.sign("builder", manifest)
        result = taken(machine, {SIGNATURE_NAME: good})
        assert (result["result"], result["exit_code"]) == ("upgraded", 0), result
        assert re.search(r"^autoinstall: the image is signed by builder \([0-9A-F]{16}\)$", machine.console.all, re.M)
    disk = DiskImage(disk.path)
    assert disk.digest("EFI", "Root-B") == kept
    assert slot_state(disk) == flip(GOOD_A, Slot.B, MOST_TRIES)
    assert disk.ext_file("Root-B", f"/{SIGNATURE_NAME}") == good
    assert disk.ext_file("Root-B", f"/{MANIFEST_NAME}") == manifest


@pytest.mark.exhaustive
def test_a_node_that_works_takes_signed_images_only_wherever_they_come_from(
    live: LiveSystem, image: Image, finished: Path, keys: Keys, tmp_path: Path
) -> None:
    """From a directory, from a server, and from an ISO; and no word of the command forces another."""
    disk = Finished(live, finished).copy(tmp_path, SHELL, GOOD_A)
    log = tmp_path / "writes.log"
    new = derived(image, tmp_path / "new", f"{image.manifest['version']}+new")
    manifest = (new.place / MANIFEST_NAME).read_bytes()
    iso = write_iso(new, tmp_path / "new.iso")
    with Machine(Hardware(disks=(Disk(disk.path, write_log=log),), cdrom=iso), tmp_path, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.shell("systemctl is-system-running --wait || true", NODE_LIMIT_S)
        lay_over(machine, OURS, {"keys.gpg": keys.public("builder")})
        machine.shell("mkdir -p /run/iso /run/new && mount -o ro /dev/sr0 /run/iso")
        machine.shell("ln -s /run/iso/autoinstall/* /run/new")
        machine.shell(f"systemd-run --unit=served {SERVED}")
        assert NOT_SIGNED in refusal(upgrade(machine, "/dev/sr0"))
        for signature, why in (
            (b"", "holds none"),
            (keys.sign("stranger", manifest), NOT_OURS),
            (keys.sign("builder", manifest[:-1]), NOT_THIS),
        ):
            put(machine, f"/run/new/{SIGNATURE_NAME}", signature)
            for source in ("/run/new", "http://127.0.0.1:8000"):
                assert re.search(why, refusal(upgrade(machine, f"--force fallen --force major {source}")))
        assert not {"Root-A", "Root-B"} & places(disk, log), "a slot was written for an image that is not taken"
        assert primary(machine) == ("A", True)
        good = keys.sign("builder", manifest)
        put(machine, f"/run/new/{SIGNATURE_NAME}", good)
        assert upgrade(machine, "http://127.0.0.1:8000")["result"] == "upgraded"
        machine.kill()
    assert json.loads(DiskImage(disk.path).ext_file("Root-B", f"/{MANIFEST_NAME}"))["image_id"] == new.image_id
    assert DiskImage(disk.path).ext_file("Root-B", f"/{SIGNATURE_NAME}") == good


def put(machine: Machine, path: str, content: bytes) -> None:
    """A file of the machine."""
    machine.shell(f"echo {base64.b64encode(content).decode()} | base64 -d >{path}")

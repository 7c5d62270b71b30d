"""A virtual machine with a blank disk installs itself from an ISO and boots as a node, while you watch.

make demo         ends by itself, with one line that says how it went
make demo-node    leaves the node running, and says how to log in
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.vm.hardware import Disk, Firmware, Hardware, new_disk
from tests.vm.image import Image, build, cache
from tests.vm.installed import HEALTHY, INSTALL_LIMIT_S, LIVE_LIMIT_S, NODE_LIMIT_S, NOT_INSTALLED
from tests.vm.machine import Machine
from tests.vm.ssh import new_key

SSH_LIMIT_S = 60


def main() -> int:
    """Build, install, boot, log in; 0 if all of it went well."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--firmware", type=Firmware, default=Firmware.BIOS, help="bios or uefi")
    parser.add_argument("--stay", action="store_true", help="leave the node running")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="demo-", dir=cache()))
    try:
        _demo(place, arguments.firmware, arguments.stay)
    except KeyboardInterrupt:
        say("ended by you")
        return 130
    except AssertionError as error:
        say("\n".join(["", str(error), *getattr(error, "__notes__", [])]))
        say(f"FAILED; logs: {place}")
        return 1
    shutil.rmtree(place)
    say("OK")
    return 0


def _demo(place: Path, firmware: Firmware, stay: bool) -> None:
    key = new_key(place / "key")
    kind, base64, _ = key.with_suffix(".pub").read_text().split()
    words = f"storage_init BOOTIF=link autoinstall.ssh_key={kind}:{base64}:demo console=ttyS0"
    say(f"building the image, and an ISO whose menu says: {words}")
    (place / "image").mkdir()
    build(place / "image", words, log=sys.stdout)
    disk = Disk(new_disk(place / "disk.raw"))
    hardware = Hardware(firmware, disks=(disk,), cdrom=Image(place / "image").iso, reboots=True, cpus=2)
    say(f"switching on: {firmware.value}, one blank disk, the ISO; nobody at the keyboard")
    switched_on = time.monotonic()
    with Machine(hardware, place, key=key) as machine:
        machine.console.also = _show
        machine.wait_for_line("^autoinstall: command line: ", LIVE_LIMIT_S)
        machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)
        installed = time.monotonic()
        slot, image = machine.wait_for_line(HEALTHY, NODE_LIMIT_S).groups()
        machine.ssh.wait(SSH_LIMIT_S)
        name = machine.ssh.read("hostname").strip()
        up = time.monotonic()
        login = " ".join(machine.ssh.command("admin"))
        if stay:
            say(f"the node runs; log in with:\n\n    {login}\n\nEnter, or power it off in there, ends it")
            _wait_for_enter()
        machine.console.also = None
    say(f"installed itself in {installed - switched_on:.0f} s, a node {up - installed:.0f} s later: "
        f"{name}, slot {slot}, image {image}, admin logged in over ssh")  # fmt: skip


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _wait_for_enter() -> None:
    with contextlib.suppress(EOFError):
        input()


def say(text: str) -> None:
    """One message of the demo itself, apart from what the machine says."""
    print(f"demo: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

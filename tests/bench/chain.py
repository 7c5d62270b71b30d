"""From switching a machine on, with an ISO in it, to a login on its node."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.vm.hardware import Disk, Hardware, new_disk
from tests.vm.image import Image, build
from tests.vm.installed import HEALTHY, INSTALL_LIMIT_S, LIVE_LIMIT_S, NODE_LIMIT_S, NOT_INSTALLED, Line
from tests.vm.machine import Machine

LOGIN_LIMIT_S = 60
INSTALLED, PROMPT, LOGIN = "installed", "login prompt on the console", "first login over ssh"
LIVE_MARKS = {
    "the live system's kernel": b"Linux version",
    "the installer reads its line": b"autoinstall: command line: ",
    INSTALLED: b"autoinstall: result=installed",
}
NODE_MARKS = {
    "the node's kernel": b"Linux version",
    PROMPT: b"login: ",
    "node healthy": b"autoinstall: node=healthy",
}
LONGEST_MARK_BYTES = 64


@dataclass(frozen=True)
class Chain:
    """Seconds since QEMU's start, and what systemd-analyze says on the node."""

    marks_s: Mapping[str, float]
    boot: str
    blame: str


class Clock:
    """When each of `marks` was first seen on a console; those of a node are looked for once an install is over."""

    def __init__(self, marks: Mapping[str, bytes]) -> None:
        self.began_s = time.monotonic()
        self._marks = marks
        self.marks_s: dict[str, float] = {}
        self._last = b""

    def mark(self, name: str) -> None:
        """It is seen now, if it was not before."""
        self.marks_s.setdefault(name, round(time.monotonic() - self.began_s, 1))

    def feed(self, data: bytes) -> None:
        """More of the console."""
        text = self._last + data
        for name, mark in (NODE_MARKS if INSTALLED in self.marks_s else self._marks).items():
            if mark in text:
                self.mark(name)
        self._last = text[-LONGEST_MARK_BYTES:]


def run_chain(line: Line, place: Path) -> Chain:
    """Insert the ISO, switch on, wait, log in."""
    (place / "image").mkdir(parents=True)
    build(place / "image", line.words)
    hardware = Hardware(
        line.firmware,
        disks=(Disk(new_disk(place / "disk.raw")),),
        cdrom=Image(place / "image").iso,
        reboots=True,
        cpus=2,
    )
    clock = Clock(LIVE_MARKS)
    with Machine(hardware, place, key=line.key, name="chain") as machine:
        machine.console.also = clock.feed
        machine.wait_for_line("^autoinstall: command line: ", LIVE_LIMIT_S)
        machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)
        machine.ssh.wait(NODE_LIMIT_S)
        machine.ssh.read("true")
        clock.mark(LOGIN)
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.read("systemctl is-system-running --wait || systemctl --failed --no-legend", NODE_LIMIT_S)
        boot, blame = (machine.ssh.read(f"systemd-analyze {verb} --no-pager") for verb in ("time", "blame"))
    print(f"bench: {clock.marks_s}", flush=True)
    return Chain(clock.marks_s, boot, blame)

"""The product's install, dd of the same bytes, and a script by hand: in turns, on blank disks of one machine."""

from __future__ import annotations

import json
import re
import shlex
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.debian import tree_of
from tests.vm.hardware import Disk, new_disk
from tests.vm.live import INSTALL_LIMIT_S, UNIT, LiveSystem, begin, by_id
from tests.vm.machine import Machine

ROUNDS = 3
HERE = Path(__file__).parent
IMAGE = "/run/initramfs/live/autoinstall"
FILES = ("vmlinuz", "initrd.img", "root.squashfs")
WORDS = "storage_init=serial:{serial} BOOTIF=link console=ttyS0 autoinstall.after=hold autoinstall.ssh_key={key}"
GRUB_PACKAGES = ("grub2-common", "grub-common", "grub-pc-bin", "grub-efi-amd64-bin")
GRUB_FILES = ("./usr/sbin/grub-*", "./usr/bin/grub-*", "./usr/lib/grub", "./usr/share/grub", "./usr/lib/*/libefi*")
CLOCKS = "systemctl show -p InactiveExitTimestampMonotonic -p InactiveEnterTimestampMonotonic -p MemoryPeak"
MEASURED_LIMIT_S = 120


@dataclass(frozen=True)
class Install:
    """One run of autoinstall.service, in seconds: the whole, each step, and what came before and behind them."""

    whole_s: float
    before_s: float
    behind_s: float
    steps_s: Mapping[str, float]
    memory_peak_bytes: int


@dataclass(frozen=True)
class Compared:
    """What was measured. `by_hand` holds the seconds of each part of the script, `parts` what in_guest.py tells."""

    installs: tuple[Install, ...]
    dd_s: tuple[float, ...]
    by_hand: tuple[Mapping[str, float], ...]
    parts: Mapping[str, Any]
    image_bytes: int

    @property
    def install_s(self) -> float:
        """The median."""
        return statistics.median(run.whole_s for run in self.installs)

    @property
    def by_hand_s(self) -> float:
        """The median."""
        return statistics.median(sum(run.values()) for run in self.by_hand)


def compare(live: LiveSystem, place: Path, public_key: str) -> Compared:
    """Measure. Each run starts with nothing of the programs or the image in memory, as a machine just booted has."""
    tools = Disk(tree_of("grub-tools", GRUB_PACKAGES), serial="TOOLS", boot_index=None)
    with live.start(place, tools) as machine:
        machine.shell(f"tar -xf {by_id(tools)} -C / --wildcards {shlex.join(GRUB_FILES)}", MEASURED_LIMIT_S)
        bench = _Bench(machine, place, public_key)
        installs, dds, by_hand = [], [], []
        for number in range(ROUNDS):
            installs.append(bench.on_a_disk(f"OURS{number}", bench.install))
            dds.append(bench.on_a_disk(f"DD{number}", bench.dd))
            by_hand.append(bench.on_a_disk(f"HAND{number}", bench.by_hand))
        parts = bench.on_a_disk("PARTS", bench.parts)
        size = sum(int(machine.shell(f"stat -c %s {IMAGE}/{name}")) for name in FILES)
    return Compared(tuple(installs), tuple(dds), tuple(by_hand), parts, size)


@dataclass(frozen=True)
class _Bench:
    machine: Machine
    place: Path
    public_key: str

    def on_a_disk(self, serial: str, measure: Callable[[Disk], Any]) -> Any:
        """What `measure` says of a blank disk that is there for it alone."""
        disk = Disk(new_disk(self.place / f"{serial}.raw"), serial=serial, boot_index=None)
        self.machine.plug(disk)
        self.machine.shell(f"udevadm wait --settle --timeout=30 {by_id(disk)}")
        self.machine.shell("sync; echo 3 >/proc/sys/vm/drop_caches")
        measured = measure(disk)
        print(f"bench: {serial}: {measured}", flush=True)
        self.machine.unplug(disk)
        self.machine.wait_for_qmp("DEVICE_DELETED", MEASURED_LIMIT_S, device=f"{disk.id}-dev")
        disk.path.unlink()
        return measured

    def install(self, disk: Disk) -> Install:
        """The installer, started by its unit."""
        self.machine.events.clear()
        begin(self.machine, self._words(disk))
        result = self.machine.result(INSTALL_LIMIT_S)
        assert result["result"] == "installed", result
        self.machine.shell(f'until [ "$(systemctl show -P ActiveState {UNIT})" = inactive ]; do sleep 0.1; done')
        clocks = dict(re.findall(r"(\w+)=(\d+)", self.machine.shell(f"{CLOCKS} {UNIT}")))
        began_s, ended_s = (int(clocks[f"Inactive{end}TimestampMonotonic"]) / 1e6 for end in ("Exit", "Enter"))
        wall_s, up_s = map(float, self.machine.shell("date +%s.%N; cut -d' ' -f1 /proc/uptime").split())
        steps = [event for event in self.machine.events if event["event_type"] in ("start", "finish")]
        first_s, last_s = (event["timestamp"] - wall_s + up_s for event in (steps[0], steps[-1]))
        return Install(
            whole_s=ended_s - began_s,
            before_s=first_s - began_s,
            behind_s=ended_s - last_s,
            steps_s=result["seconds"],
            memory_peak_bytes=int(clocks["MemoryPeak"]),
        )

    def dd(self, disk: Disk) -> float:
        """dd of the image's files, twice, past the page cache and with an fsync at the end of each."""
        commands = [
            f"dd if={IMAGE}/{name} of={by_id(disk)} bs=4M seek={64 * number} oflag=direct conv=fsync,notrunc,nocreat"
            for number, name in enumerate(FILES * 2)
        ]
        timed = " && ".join(["read -r began _ </proc/uptime", *commands, "read -r ended _ </proc/uptime"])
        command = f"({timed} && echo $began $ended) 2>/run/complaints || ! cat /run/complaints"
        began, ended = self.machine.shell(command, MEASURED_LIMIT_S).split()
        return float(ended) - float(began)

    def by_hand(self, disk: Disk) -> dict[str, float]:
        """The script, and how long each of its parts took."""
        self._bring("by-hand.sh")
        node = self.machine.shell(f"readlink -f {by_id(disk)}").strip()
        command = f"sh /run/by-hand.sh {node} {IMAGE} '{self.public_key}' 2>/run/complaints"
        said = self.machine.shell(f"{command} || ! cat /run/complaints", MEASURED_LIMIT_S)
        marks = [(name, float(at)) for name, at in (line.split() for line in said.split("\n") if line.strip())]
        return {name: round(now - before, 2) for (_, before), (name, now) in pairwise(marks)}

    def parts(self, disk: Disk) -> dict[str, Any]:
        """What of each step is making, and what is checking that it is made."""
        self._bring("in_guest.py")
        command = f"python3 -I /run/in_guest.py {shlex.quote(self._words(disk))}"
        told: dict[str, Any] = json.loads(self.machine.shell(command, INSTALL_LIMIT_S).strip().splitlines()[-1])
        return told

    def _bring(self, name: str) -> None:
        """Put a file of this directory into the machine's /run."""
        self.machine.shell(f"cat >/run/{name} <<'END OF FILE'\n{(HERE / name).read_text()}END OF FILE")

    def _words(self, disk: Disk) -> str:
        kind, base64, *_ = self.public_key.split()
        return WORDS.format(serial=disk.serial, key=f"{kind}:{base64}:bench")

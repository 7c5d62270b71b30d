"""An upgrade of a node beside RAUC's, in turns on one machine; and for how long a node is away for it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoinstall.image.manifest import MANIFEST_NAME, parse_manifest
from tests.bench.chain import LOGIN, NODE_MARKS, Clock
from tests.bench.rauc import make_disk
from tests.vm.hardware import Disk
from tests.vm.installed import HEALTHY, NODE_LIMIT_S, Installed, as_root, came_up
from tests.vm.live import by_id
from tests.vm.machine import Machine
from tests.vm.newer import derived

ROUNDS = 5
MEASURED_LIMIT_S = 900
PLACE = "/run/bench"
IN_GUEST = Path(__file__).with_name("upgrade_in_guest.py")
KINDS = ("directory", "url", "rauc")
"""Of a run: the product with a directory, and with a URL; RAUC with a bundle."""


@dataclass(frozen=True)
class Run:
    """One upgrade; `steps_s` only of the product's."""

    seconds: float
    peak_kib: int
    steps_s: Mapping[str, float]


@dataclass(frozen=True)
class Upgrades:
    """Rounds, each with a run of every kind; seconds to the marks of the reboot that followed, and of one more."""

    rounds: tuple[Mapping[str, Run], ...]
    into_new_s: Mapping[str, float]
    again_s: Mapping[str, float]
    image_bytes: int

    def of(self, kind: str, what: Callable[[Run], float]) -> list[float]:
        """A figure of each run of a kind."""
        return [what(runs[kind]) for runs in self.rounds]

    def ratios(self, kind: str) -> list[float]:
        """The product's seconds over RAUC's, of each round."""
        return [runs[kind].seconds / runs["rauc"].seconds for runs in self.rounds]

    def median_s(self, kind: str) -> float:
        """Of all rounds."""
        return statistics.median(self.of(kind, lambda run: run.seconds))


def run_upgrades(installed: Installed, place: Path) -> Upgrades:
    """Boot the node, measure, reboot it into what was written last, and reboot it once more."""
    version = installed.image.manifest["version"]
    images = {name: derived(installed.image, place / name, f"{version}+{name}") for name in ("one", "two")}
    disk = Disk(make_disk(place, images), "RAUC", boot_index=None)
    with installed.boot(place, cpus=2, reboots=True) as machine:
        came_up(machine)
        machine.plug(disk)
        as_root(machine, f"udevadm wait --timeout=30 {by_id(disk)} && mkdir {PLACE} && mount {by_id(disk)} {PLACE}")
        rounds = _measured(machine)
        into_new_s, again_s = _reboot(machine), _reboot(machine)
    size_bytes = parse_manifest((images["one"].place / MANIFEST_NAME).read_bytes()).size_bytes
    return Upgrades(rounds, into_new_s, again_s, size_bytes)


def _measured(machine: Machine) -> tuple[Mapping[str, Run], ...]:
    as_root(machine, f"cat >/run/in_guest.py <<'END OF FILE'\n{IN_GUEST.read_text()}END OF FILE")
    told = as_root(machine, f"python3 -I /run/in_guest.py {PLACE} {ROUNDS}", MEASURED_LIMIT_S)
    rounds = []
    for number, found in enumerate(json.loads(told.strip().splitlines()[-1]), 1):
        runs = {kind: Run(one["seconds"], one["peak_kib"], one.get("steps_s", {})) for kind, one in found.items()}
        print(f"bench: round {number}: {runs}", flush=True)
        rounds.append(runs)
    return tuple(rounds)


def _reboot(machine: Machine) -> Mapping[str, float]:
    """Seconds from the word to reboot to each mark of the other slot's boot."""
    clock = Clock(NODE_MARKS)
    machine.console.also = clock.feed
    as_root(machine, "systemctl --no-block reboot")
    machine.wait_for_line("Linux version", NODE_LIMIT_S)
    machine.ssh.wait(NODE_LIMIT_S)
    machine.ssh.read("true")
    clock.mark(LOGIN)
    assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "B"
    machine.ssh.read("systemctl is-system-running --wait || systemctl --failed --no-legend", NODE_LIMIT_S)
    return clock.marks_s

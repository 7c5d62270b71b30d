"""No promise is broken in any state that a power cut may leave on a disk, of thousands that were tried.

The same from the command line, and with other seeds: python -m tests.powercut --help.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autoinstall.image.manifest import parse_manifest
from autoinstall.node.state import STATE_COPIES
from autoinstall.slots import Slot, parse_env
from tests.powercut.boots import Eyes
from tests.powercut.cuts import Cut
from tests.powercut.lab import TRACES, Lab
from tests.powercut.marks import HEALTHY
from tests.powercut.recording import SETTINGS
from tests.powercut.seeded import SEEDED
from tests.vm.image import ROOT

pytestmark = pytest.mark.vm

SEED = 1
# Distinct states of each trace, for every day (2,515), and of each machine for `make test-all`: 54,460 of both.
# `rearm` and `rollback` may be six writes of one moment.
WANTED = {
    "install": (500, 4000),
    "first-boot": (450, 5000),
    "config": (314, 4514),
    "rearm": (8, 8),
    "upgrade": (250, 3000),
    "new-image": (300, 4500),
    "rollback": (8, 8),
    "old-image": (285, 4000),
    "uninstall": (100, 100),
    "wipe": (100, 100),
    "reinstall": (200, 2000),
}


def keeps_its_promises(lab: Lab, name: str, wanted: int) -> None:
    """Cut it; each state in which something is broken is told, with how to see it again."""
    outcome = lab.run(lab.trace(name), wanted, SEED)
    told = "\n".join(map(str, outcome.violations[:20]))
    assert not outcome.violations, f"{len(outcome.violations)} of {outcome.states} states:\n{told}"
    assert outcome.distinct >= wanted, f"{outcome.states} cuts gave only {outcome.distinct} distinct states"


@pytest.mark.parametrize("name", TRACES)
def test_every_promise_is_kept_whenever_the_power_fails(lab: Lab, name: str) -> None:
    keeps_its_promises(lab, name, WANTED[name][0])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_promise_is_kept_in_tens_of_thousands_of_states(
    lab_of: Callable[[str], Lab], setting: str, name: str
) -> None:
    keeps_its_promises(lab_of(setting), name, WANTED[name][1])


@pytest.mark.parametrize("cut", ["prefix@{begin}", "subset@{end}.5", "reordered@{end}.1", "prefix@{end}"])
def test_grub_itself_reads_what_our_readers_read(lab: Lab, tmp_path: Path, cut: str) -> None:
    """grub-fstest is GRUB's own code. The cuts are around the writes with which GRUB counts and a slot is marked."""
    trace = lab.trace("first-boot")
    healthy = next(mark.at for mark in trace.marks if mark.what == HEALTHY and mark.at > trace.begin)
    content = lab.state(trace, Cut.parse(cut.format(begin=trace.begin + 1, end=healthy + 3)), SEED)
    eyes = Eyes(content, lab.recording.brought)
    disk = content.write_to(tmp_path / "disk.raw")
    first, second = (grub_reads(disk, f"(loop0,gpt2)/{name}") for name in STATE_COPIES)
    assert eyes.esp.copies == (parse_env(first), parse_env(second))
    manifest = parse_manifest(grub_reads(disk, "(loop0,gpt3)/manifest.json"))
    assert eyes.image_id(Slot.A) == manifest.image_id
    kernel = grub_reads(disk, f"(loop0,gpt3)/{manifest.files[0].name}")
    assert hashlib.sha256(kernel).hexdigest() == manifest.files[0].sha256


def grub_reads(disk: Path, name: str) -> bytes:
    """A file, as GRUB reads it."""
    done = subprocess.run(["grub-fstest", disk, "cat", name], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_numbers_are_those_that_the_documentation_gives() -> None:
    page = " ".join((ROOT / "docs/reliability.md").read_text().split())
    quick, many = map(sum, zip(*WANTED.values(), strict=True))
    many *= len(SETTINGS)
    assert quick >= 2000
    assert many >= 50000
    assert f"`make test` looks at {quick:,} states, puts {sum(bug.quick for bug in SEEDED.values())} bugs in" in page
    assert f"`make test-all` looks at {many:,}, puts in {len(SEEDED)}" in page

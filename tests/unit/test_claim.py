"""Between the look at the disks and the first write minutes may pass: the claim is of the disks that were meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from autoinstall import block, probe
from autoinstall.errors import EXIT_HERE, Refused
from autoinstall.execute import execute
from autoinstall.facts import Disk
from autoinstall.host import Host
from autoinstall.report.sinks import Memory
from autoinstall.steps.disk import Claim
from tests.unit.machines import VDA, VDB


@pytest.fixture
def claimed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The disks that were claimed."""
    paths: list[str] = []

    def claim(path: str) -> int:
        paths.append(path)
        return -1

    monkeypatch.setattr(block, "claim", claim)
    return paths


def claim(monkeypatch: pytest.MonkeyPatch, there: Sequence[Disk], *, has_stack: bool = False) -> None:
    """Claim both disks of a plan on a machine that has these by now."""
    monkeypatch.setattr(probe, "disks", lambda host, *, examine: tuple(there))
    execute([Claim((VDA, VDB), has_stack)], Host(), Memory().event)


@pytest.mark.parametrize(
    "there", [(VDB, VDA), (replace(VDA, signatures=(), in_use=("/dev/vda1 is swap",), links=()), VDB)]
)
def test_the_disks_that_were_meant_are_claimed(
    monkeypatch: pytest.MonkeyPatch, claimed: list[str], there: Sequence[Disk]
) -> None:
    claim(monkeypatch, there)
    assert claimed == ["/dev/vda", "/dev/vdb"]


def test_disks_that_something_is_stacked_on_are_claimed_when_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, claimed: list[str]
) -> None:
    claim(monkeypatch, (VDA, VDB), has_stack=True)
    assert not claimed


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ((VDB,), "/dev/vda is gone"),
        ((replace(VDB, path="/dev/vda"), VDB), "/dev/vda is another disk by now"),
        ((replace(VDA, wwn="0x5000"), VDB), "another disk"),
        ((replace(VDA, size_bytes=VDA.size_bytes - 512), VDB), "another disk"),
        ((replace(VDA, sector_bytes=4096), VDB), "another disk"),
        ((VDA, replace(VDB, serial="SWAPPED")), "/dev/vdb is another disk by now"),
    ],
)
def test_a_disk_that_changed_its_name_is_not_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, claimed: list[str], there: Sequence[Disk], says: str
) -> None:
    """A refusal, of which the result says that nothing was written; and the one that is still there is let be."""
    with pytest.raises(Refused, match=says) as caught:
        claim(monkeypatch, there)
    assert caught.value.exit_code == EXIT_HERE
    assert not claimed

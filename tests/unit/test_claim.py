"""Between the look at the disks and the first write minutes may pass: the claim is of the disks that were meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from autoinstall import probe
from autoinstall.facts import Disk
from autoinstall.host import Host
from autoinstall.steps.disk import Claim
from tests.unit.machines import VDA, VDB


@pytest.mark.parametrize(
    ("there", "says"),
    [
        ((VDB, VDA), ""),
        ((replace(VDA, signatures=(), in_use=("/dev/vda1 is swap",), links=()), VDB), ""),
        ((VDB,), "/dev/vda is gone"),
        ((replace(VDB, path="/dev/vda"), VDB), "/dev/vda is another disk by now"),
        ((replace(VDA, wwn="0x5000"), VDB), "another disk"),
        ((replace(VDA, size_bytes=VDA.size_bytes - 512), VDB), "another disk"),
        ((replace(VDA, sector_bytes=4096), VDB), "another disk"),
        ((VDA, replace(VDB, serial="SWAPPED")), "/dev/vdb is another disk by now"),
    ],
)
def test_a_disk_that_changed_its_name_is_not_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, there: Sequence[Disk], says: str
) -> None:
    monkeypatch.setattr(probe, "disks", lambda host, *, examine: tuple(there))
    why = Claim((VDA, VDB), has_stack=False).why_not(Host())
    assert says in why if says else not why

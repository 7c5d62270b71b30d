"""Facts as a file: what is dumped reads back, and what is not facts is refused with its place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from autoinstall.codec import from_plain, to_plain
from autoinstall.errors import BadUsage
from autoinstall.facts import Facts, NodeMark, Signature
from autoinstall.review import read_facts
from tests.unit.machines import MACHINE, SR0, VDA

FULL = replace(
    MACHINE,
    disks=(SR0, replace(VDA, signatures=(Signature("/dev/vda1", "ext4"),), node=NodeMark(UUID(int=5), False))),
)


def test_facts_read_back_as_they_were() -> None:
    assert from_plain(Facts, json.loads(json.dumps(to_plain(FULL)))) == FULL


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"firmware": "coreboot"}, "Facts.firmware: 'coreboot' is no Firmware"),
        ({"memory_bytes": "much"}, "Facts.memory_bytes"),
        ({"disks": [{"path": 3}]}, r"Facts.disks\[0\].path"),
        ({"colour": "blue"}, "unknown colour"),
        ({"disks": [{}]}, r"Facts.disks\[0\]"),
    ],
)
def test_a_file_without_facts_is_refused_with_the_place(tmp_path: Path, change: dict[str, object], says: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps({**to_plain(FULL), **change}))
    with pytest.raises(BadUsage, match=says):
        read_facts(path)

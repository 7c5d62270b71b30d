"""The security floor of a node: what Config keeps of it, and what its good slots tell where that is gone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from autoinstall.errors import MountFailed
from autoinstall.host import Host
from autoinstall.node import ondisk, records, status
from autoinstall.node.state import write_state
from autoinstall.node.status import SlotStatus
from autoinstall.slots import Slot, SlotState
from tests.unit.node_machine import Node, esp, node
from tests.unit.test_upgrade import image

__all__ = ["esp", "node"]
IMAGES = {Slot.A: image(1, security_version=3), Slot.B: image(2, security_version=2)}
GOOD = SlotState(Slot.A, 3, True, 3, True)
KEPT = [(None, 2), ("{", 2), ('{"security_version": 1}', 2), ('{"security_version": 4}', 4)]
"""What Config says, and the floor."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Config, of a node whose two slots are good."""
    monkeypatch.setattr(ondisk, "state_on", lambda host, device: GOOD)
    monkeypatch.setattr(ondisk, "_image", lambda host, node, slot: IMAGES[slot])
    place = tmp_path / "config"
    (place / "autoinstall").mkdir(parents=True)
    monkeypatch.setattr(records, "CONFIG", place)
    monkeypatch.setattr(records, "LOGGING", tmp_path / "logging")
    return place


@pytest.mark.parametrize(("kept", "floor"), KEPT)
@pytest.mark.parametrize("booted", [Slot.A, None])
def test_no_image_may_be_below_all_good_slots_whatever_config_says(
    config: Path, monkeypatch: pytest.MonkeyPatch, booted: Slot | None, kept: str | None, floor: int
) -> None:
    """Of a node that runs, and from a medium."""
    if kept:
        (config / records.FLOOR).write_text(kept)

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        if kept is None:
            raise MountFailed("mounting Config: Structure needs cleaning")
        yield config

    monkeypatch.setattr(ondisk, "mounted", mounted)
    there = ondisk.read_node(Host(), SimpleNamespace(booted=booted, device=str))  # type: ignore[arg-type]
    assert there.floor == floor


@pytest.mark.parametrize(("kept", "floor"), KEPT)
def test_status_tells_the_floor_that_counts(
    node: Node,
    esp: Path,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kept: str | None,
    floor: int,
) -> None:
    if kept:
        (config / records.FLOOR).write_text(kept)
    write_state(esp, GOOD)
    monkeypatch.setattr(
        status, "_slot_status", lambda slot, state, host: SlotStatus(slot, True, True, 3, True, IMAGES[slot], "")
    )
    status.main(argparse.Namespace(json=True), node)
    assert json.loads(capsys.readouterr().out)["security_floor"] == floor

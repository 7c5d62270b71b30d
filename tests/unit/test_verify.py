"""The files of both slots, read and compared."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoinstall import block
from autoinstall.errors import CannotHere, DeviceLost, Refused
from autoinstall.host import Host
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, ImageFile, Manifest, render_manifest
from autoinstall.node import verify
from autoinstall.node.state import only_one
from tests.unit.node_machine import Node, node

__all__ = ["node"]
WHOLE = "slot A: every file is what the manifest says\nslot B: every file is what the manifest says\n"


@pytest.fixture(autouse=True)
def slots(node: Node, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two directories in the place of the slots' filesystems, by their devices."""
    places = {"/dev/vda3": node.root / "a", "/dev/vda4": node.root / "b"}
    for place in places.values():
        place.mkdir()
        for name in FILE_NAMES:
            (place / name).write_bytes(name.encode())
        files = tuple(ImageFile(name, len(name), hashlib.sha256(name.encode()).hexdigest()) for name in FILE_NAMES)
        manifest = Manifest("1", 1, "vm", "trixie", "6.12", (), files, {})
        (place / MANIFEST_NAME).write_bytes(render_manifest(manifest))

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        assert options == ("ro",)
        yield places[device]

    def chunks(path: Path) -> Iterator[memoryview]:
        yield memoryview(path.read_bytes())

    monkeypatch.setattr(verify, "mounted", mounted)
    monkeypatch.setattr(block, "chunks_direct", chunks)
    return places


def run(node: Node, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and what is printed."""
    return verify.main(argparse.Namespace(), node), capsys.readouterr().out


def test_slots_that_are_whole_are_told(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(node, capsys) == (0, WHOLE)


@pytest.mark.parametrize("name", FILE_NAMES)
@pytest.mark.parametrize(("slot", "device"), [("A", "/dev/vda3"), ("B", "/dev/vda4")])
def test_a_file_that_rotted_is_named(
    node: Node, slots: dict[str, Path], capsys: pytest.CaptureFixture[str], name: str, slot: str, device: str
) -> None:
    (slots[device] / name).write_bytes(b"rotten")
    sound = f"slot {slot}: every file is what the manifest says"
    told = WHOLE.replace(sound, f"slot {slot}: {name} is not what its manifest says")
    assert run(node, capsys) == (4, told)


def test_a_slot_that_cannot_be_read_is_told_and_the_other_is_read(
    node: Node, slots: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (slots["/dev/vda3"] / MANIFEST_NAME).write_text("{")

    def lost(path: Path) -> Iterator[memoryview]:
        raise DeviceLost(f"reading back: {path}: Input/output error")

    monkeypatch.setattr(block, "chunks_direct", lost)
    code, told = run(node, capsys)
    a, b = told.splitlines()
    assert (code, a.startswith("slot A: manifest: not valid JSON"), b.endswith("Input/output error")) == (
        4,
        True,
        True,
    )


def test_no_slot_is_read_while_one_is_made_anew_nor_the_other_way_round(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    with only_one(node), pytest.raises(Refused, match="is under way"):
        verify.main(argparse.Namespace(), node)

    def chunks(path: Path) -> Iterator[memoryview]:
        with pytest.raises(Refused, match="a verify of this node is under way"), only_one(node):
            pass
        yield memoryview(path.read_bytes())

    monkeypatch.setattr(block, "chunks_direct", chunks)
    assert verify.main(argparse.Namespace(), node) == 0


def test_a_live_system_has_no_slots(node: Node) -> None:
    (node.root / "run/slot-name").unlink()
    with pytest.raises(CannotHere):
        verify.main(argparse.Namespace(), node)

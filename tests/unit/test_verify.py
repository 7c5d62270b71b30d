"""The files of both slots, read and compared."""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoinstall import block
from autoinstall.errors import AutoinstallError, CannotHere, DeviceLost, MountFailed, Refused, StateUnreadable
from autoinstall.host import Host
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, ImageFile, Manifest, render_manifest
from autoinstall.node import health, markgood, records, verify
from autoinstall.node.health import Health
from autoinstall.node.state import only_one, slot_state, write_state
from autoinstall.slots import Slot, SlotState
from autoinstall.slotsums import SLOT_SUMS, sums_of
from tests.unit.node_machine import Node, esp, node

__all__ = ["esp", "node"]
GOOD = SlotState(Slot.A, 3, True, 3, True)
WHOLE = "slot A: every file is what the manifest says\nslot B: every file is what the manifest says\n"


@pytest.fixture
def told() -> list[Any]:
    """What was known of rot each time that the node told how it is."""
    return []


@pytest.fixture(autouse=True)
def slots(node: Node, esp: Path, told: list[Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two directories in the place of the slots' filesystems, by their devices."""
    places = {"/dev/vda3": node.root / "a", "/dev/vda4": node.root / "b"}
    for place in places.values():
        place.mkdir()
        for name in FILE_NAMES:
            (place / name).write_bytes(name.encode())
        files = tuple(ImageFile(name, len(name), hashlib.sha256(name.encode()).hexdigest()) for name in FILE_NAMES)
        manifest = Manifest("1", 1, "vm", "trixie", "6.12", (), files, {})
        (place / MANIFEST_NAME).write_bytes(render_manifest(manifest))
        (place / SLOT_SUMS).write_bytes(sums_of(place))

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        assert options == ("ro",)
        yield places[device]

    def chunks(path: Path) -> Iterator[memoryview]:
        yield memoryview(path.read_bytes())

    monkeypatch.setattr(verify, "mounted", mounted)
    monkeypatch.setattr(verify, "check_node", lambda host: Health(Slot.A, "", False, ()))
    monkeypatch.setattr(health, "check_node", lambda host: Health(Slot.A, "", False, ()))
    for module in (verify, health):
        monkeypatch.setattr(module, "tell", lambda health, fallen: told.append(records.rotten()))
    monkeypatch.setattr(records, "CONFIG", node.root / "config")
    monkeypatch.setattr(records, "LOGGING", node.root / "logging")
    for name in ("config", "logging"):
        (node.root / name).mkdir()
    write_state(esp, GOOD)
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


def test_sums_that_rotted_are_told_for_grub_boots_the_other_slot(
    node: Node, slots: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (slots["/dev/vda3"] / SLOT_SUMS).write_bytes(b"rotten")
    code, told = run(node, capsys)
    assert (code, told.splitlines()[0]) == (4, "slot A: slot.crc32 is not that of its files")


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


def rot(slots: dict[str, Path], *devices: str) -> None:
    """Change a byte of the kernel."""
    for device in devices:
        (slots[device] / "vmlinuz").write_bytes(b"vmlinux")


ROTTEN_B = {"B": ["vmlinuz is not what its manifest says"]}


@pytest.mark.parametrize(
    ("before", "rotten", "after"),
    [
        (GOOD, ["/dev/vda4"], replace(GOOD, b_ok=False, b_try=0)),
        (GOOD, ["/dev/vda3"], SlotState(Slot.B, 0, False, 3, True)),
        (GOOD, ["/dev/vda3", "/dev/vda4"], GOOD),
        # An upgrade that waits for its boot, and rots: it is not booted.
        (SlotState(Slot.B, 3, True, 3, False), ["/dev/vda4"], SlotState(Slot.A, 3, True, 0, False)),
        # The slot that runs is on trial: what it would fall back to is still better than nothing.
        (SlotState(Slot.A, 2, False, 3, True), ["/dev/vda4"], SlotState(Slot.A, 2, False, 3, True)),
    ],
)
def test_a_slot_that_rots_beside_a_good_one_is_no_fallback(
    node: Node, esp: Path, slots: dict[str, Path], before: SlotState, rotten: list[str], after: SlotState
) -> None:
    write_state(esp, before)
    rot(slots, *rotten)
    assert verify.main(argparse.Namespace(), node) == 4
    assert slot_state(node) == after
    assert len(records.rotten()) == len(rotten)


def test_rot_is_told_once_known_until_it_is_gone_and_kept_where_config_takes_no_writes(
    node: Node, slots: dict[str, Path], told: list[Any]
) -> None:
    (node.root / "config").rmdir()
    rot(slots, "/dev/vda4")
    for _ in range(2):
        verify.main(argparse.Namespace(), node)
    assert told == [ROTTEN_B]
    (node.root / "config").mkdir()
    (slots["/dev/vda4"] / "vmlinuz").write_bytes(b"vmlinuz")
    assert verify.main(argparse.Namespace(), node) == 0
    assert (told, records.rotten()) == ([ROTTEN_B, {}], {})
    assert not (node.root / "logging" / records.ROTTEN).exists()


def unreadable(error: AutoinstallError | OSError, number: int) -> AutoinstallError | OSError:
    """An error that began with the kernel's answer."""
    error.__cause__ = OSError(number, os.strerror(number))
    return error


@pytest.mark.parametrize(
    ("error", "number", "rots"),
    [
        (MountFailed("mounting /dev/vda4: busy"), errno.EBUSY, False),
        (MountFailed("mounting /dev/vda4: no memory"), errno.ENOMEM, False),
        (MountFailed("mounting /dev/vda4: no room for one more"), errno.ENOSPC, False),
        (MountFailed("mounting /dev/vda4: no filesystem"), errno.EINVAL, True),
        (MountFailed("mounting /dev/vda4: failed"), errno.EIO, True),
        (DeviceLost("reading back: failed"), errno.ENODATA, True),
        (DeviceLost("reading back: no memory"), errno.ENOMEM, False),
        (StateUnreadable("finding the partitions of the booted disk: nothing there"), errno.ENOENT, False),
        (OSError(errno.EMFILE, "too many of them"), errno.EMFILE, False),
        (OSError(errno.ENOENT, "no manifest"), errno.ENOENT, True),
    ],
)
def test_a_slot_that_somebody_else_has_mounted_or_memory_is_short_for_is_not_looked_at_and_does_not_rot(
    node: Node,
    slots: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: AutoinstallError | OSError,
    number: int,
    rots: bool,
) -> None:
    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        if device == "/dev/vda4":
            raise unreadable(error, number)
        yield slots[device]

    monkeypatch.setattr(verify, "mounted", mounted)
    code, told = run(node, capsys)
    said = "" if rots else "not looked at: "
    assert (code, told.splitlines()[1]) == (4, f"slot B: {said}{error}")
    assert (bool(records.rotten()), slot_state(node).good(Slot.B)) == (rots, not rots)


def test_what_is_known_of_a_slot_stays_known_while_nobody_can_look_and_counts(
    node: Node, slots: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that rot both are kept, also where only one of them was read."""
    records.set_rotten("B", ROTTEN_B["B"])
    rot(slots, "/dev/vda3")
    rotten = verify.look(node, Slot.A)
    assert (rotten.whole, rotten.unread) == (False, ())
    for found in ({Slot.A: rotten, Slot.B: verify.Found((), ("not looked at: busy",))}, {Slot.A: rotten}):
        verify.conclude(node, found)
        assert (sorted(records.rotten()), slot_state(node)) == (["A", "B"], GOOD)
    verify.conclude(node, {Slot.A: rotten, Slot.B: verify.Found()})
    assert (sorted(records.rotten()), slot_state(node)) == (["A"], SlotState(Slot.B, 0, False, 3, True))


def test_a_slot_that_was_left_and_cannot_be_looked_at_gets_no_attempts_back_and_is_not_marked(
    node: Node, esp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(esp, LEFT)

    def mounted(*_: object) -> None:
        raise unreadable(MountFailed("mounting /dev/vda4: busy"), errno.EBUSY)

    monkeypatch.setattr(verify, "mounted", mounted)
    assert markgood.main(argparse.Namespace(rearm=True, read=True), node) == 0
    assert (slot_state(node), records.rotten()) == (replace(LEFT, a_try=3), {})


LEFT = SlotState(Slot.B, 2, True, 0, True)
"""The primary was left after all its attempts; the node runs from A."""


@pytest.mark.parametrize(
    ("rotten", "read", "after"),
    [
        (False, True, replace(LEFT, a_try=3, b_try=3)),
        (True, True, SlotState(Slot.A, 3, True, 0, False)),
        (False, False, replace(LEFT, a_try=3)),
        (True, False, replace(LEFT, a_try=3)),
    ],
)
def test_a_slot_that_was_left_gets_attempts_back_only_where_it_was_read_and_is_whole(
    node: Node, esp: Path, slots: dict[str, Path], told: list[Any], after: SlotState, rotten: bool, read: bool
) -> None:
    """Else a primary that rots panics three times at each start, for ever."""
    write_state(esp, LEFT)
    if rotten:
        rot(slots, "/dev/vda4")
    assert markgood.main(argparse.Namespace(rearm=True, read=read), node) == 0
    assert slot_state(node) == after
    assert told == ([ROTTEN_B] if rotten and read else [])


@pytest.mark.parametrize(
    ("rotten", "read", "after"),
    [
        (False, True, replace(LEFT, a_try=3, b_try=3)),
        (True, True, SlotState(Slot.A, 3, True, 0, False)),
        # At a shutdown: it may just not have been chosen.
        (True, False, replace(LEFT, a_try=3, b_try=3)),
    ],
)
def test_a_slot_that_is_first_and_does_not_run_is_read_before_it_gets_attempts_back(
    node: Node, esp: Path, slots: dict[str, Path], after: SlotState, rotten: bool, read: bool
) -> None:
    """Else one that the boot loader cannot load is tried at each start, for ever."""
    write_state(esp, replace(LEFT, b_try=2))
    if rotten:
        rot(slots, "/dev/vda4")
    assert markgood.main(argparse.Namespace(rearm=True, read=read), node) == 0
    assert slot_state(node) == after


def test_a_slot_that_is_made_anew_gets_no_attempts_meanwhile(node: Node, esp: Path) -> None:
    write_state(esp, LEFT)
    with only_one(node):
        markgood.main(argparse.Namespace(rearm=True, read=True), node)
    assert slot_state(node) == replace(LEFT, a_try=3)


def test_only_a_slot_with_no_attempt_left_is_read_again(node: Node, esp: Path, slots: dict[str, Path]) -> None:
    write_state(esp, replace(GOOD, b_try=1))
    rot(slots, "/dev/vda4")
    markgood.main(argparse.Namespace(rearm=True, read=True), node)
    assert slot_state(node) == GOOD
    assert records.rotten() == {}


def test_what_rots_is_said_to_who_logs_in(node: Node) -> None:
    idle, own = ([*health.rotten_lines(slot, ROTTEN_B)] for slot in (Slot.A, Slot.B))
    assert idle == [
        "slot B rots, and is no fallback: vmlinuz is not what its manifest says: "
        f"autoinstall upgrade {node.root}/run/slot"
    ]
    assert own == ["slot B, which runs, rots: vmlinuz is not what its manifest says: restart, then upgrade"]
    told = Health(Slot.A, "", False, (), tuple(idle))
    assert (told.word, told.to_json()["rotten"]) == ("healthy", idle)
    assert idle[0] in health.to_text(told)


def test_a_read_that_was_missed_comes_at_a_start_and_keeps_no_lock_from_who_tells_of_that_start() -> None:
    """`only_one` is waited for for seconds: a fallback would not be told, and the floor not raised."""
    units = Path(__file__).parents[2] / "units"
    assert "Persistent=yes\n" in (units / "autoinstall-verify.timer").read_text()
    service = (units / "autoinstall-verify.service").read_text()
    assert "After=autoinstall-health.service autoinstall-mark-good.service\n" in service

"""The slot state on the ESP: found on the booted disk, changed in place, second copy first."""

from __future__ import annotations

import argparse
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoinstall.errors import CannotHere, StateUnreadable
from autoinstall.host import Host
from autoinstall.node import markbad, records, state, status
from autoinstall.node.markgood import main
from autoinstall.node.state import change_slot_state, only_one, partitions, slot_state, write_state
from autoinstall.slots import Slot, SlotState, fresh, mark_bad, mark_good, parse_env, render_env
from tests.unit.node_machine import Node, esp, node

__all__ = ["esp", "node"]
BOTH_GOOD = SlotState(Slot.A, 3, True, 3, True)


def test_partitions_are_those_of_the_disk_that_was_booted(node: Node) -> None:
    found = partitions(node)
    assert (found["EFI"], found["Root-B"], found["Config"]) == ("/dev/vda2", "/dev/vda4", "/dev/vda5")


def test_where_no_slot_is_mounted_there_are_no_partitions(node: Node) -> None:
    node.files["/proc/self/mountinfo"] = ""
    with pytest.raises(StateUnreadable, match="finding the disk of the booted slot"):
        partitions(node)


def test_mark_good_marks_the_booted_slot_in_both_copies(node: Node, esp: Path) -> None:
    assert main(argparse.Namespace(rearm=False), node) == 0
    for copy in state.STATE_COPIES:
        assert parse_env((esp / copy).read_bytes()) == mark_good(fresh(), Slot.A)


@pytest.mark.parametrize(
    ("before", "rotten", "after", "says"),
    [
        (BOTH_GOOD, [], mark_bad(BOTH_GOOD, Slot.A), "is left: the next start takes slot B"),
        (BOTH_GOOD, ["A"], mark_bad(BOTH_GOOD, Slot.A), "is left: the next start takes slot B"),
        (BOTH_GOOD, ["B"], BOTH_GOOD, "is not left: slot B rots too"),
        (replace(BOTH_GOOD, primary=Slot.B), ["B"], replace(BOTH_GOOD, primary=Slot.B), "is left: the next start"),
        (SlotState(Slot.A, 3, True, 0, False), [], SlotState(Slot.A, 3, True, 0, False), "slot B is no fallback"),
    ],
)
def test_mark_bad_leaves_the_booted_slot_for_one_that_is_not_known_to_rot(
    node: Node,
    esp: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: SlotState,
    rotten: list[str],
    after: SlotState,
    says: str,
) -> None:
    """In both copies. Of two that rot both stay as they are: one that may come up is better than none."""
    monkeypatch.setattr(records, "CONFIG", node.root)
    monkeypatch.setattr(records, "LOGGING", node.root / "logging")
    for slot in rotten:
        records.set_rotten(slot, ["root.squashfs is not what its manifest says"])
    write_state(esp, before)
    assert markbad.main(argparse.Namespace(), node) == 0
    for copy in state.STATE_COPIES:
        assert parse_env((esp / copy).read_bytes()) == after
    said = capsys.readouterr().out
    assert (said.startswith("slot A is "), says in said) == (True, True), said


def test_rearm_gives_attempts_back_and_marks_nothing(node: Node, esp: Path) -> None:
    write_state(esp, SlotState(Slot.A, 1, True, 0, False))
    assert main(argparse.Namespace(rearm=True, read=False), node) == 0
    assert slot_state(node) == SlotState(Slot.A, 3, True, 0, False)


def test_a_state_that_needs_no_change_is_not_written(node: Node, esp: Path) -> None:
    before = [os.stat(esp / copy).st_mtime_ns for copy in state.STATE_COPIES]
    assert change_slot_state(node, lambda there: there) == fresh()
    assert [os.stat(esp / copy).st_mtime_ns for copy in state.STATE_COPIES] == before


@pytest.mark.parametrize("copy", state.STATE_COPIES)
def test_a_copy_that_rotted_or_was_left_behind_is_made_whole_by_whoever_asks(
    node: Node, esp: Path, copy: str
) -> None:
    """GRUB reads a copy of which the filler is damaged, and cannot count in it: attempts would have no end."""
    for damaged in (render_env(fresh())[:-1] + b"\n", render_env(mark_good(fresh(), Slot.B))):
        (esp / copy).write_bytes(damaged)
        as_grub_reads = slot_state(node)
        assert change_slot_state(node, lambda there: there) == as_grub_reads
        assert {(esp / name).read_bytes() for name in state.STATE_COPIES} == {render_env(as_grub_reads)}


def test_a_copy_that_cannot_be_made_whole_fails_nobody_who_changes_nothing(node: Node, esp: Path) -> None:
    (esp / state.STATE_COPIES[1]).write_bytes(render_env(fresh())[:512])
    assert change_slot_state(node, lambda there: there) == fresh()
    with pytest.raises(StateUnreadable, match="1024 bytes"):
        change_slot_state(node, lambda there: mark_good(there, Slot.A))


def test_a_live_system_cannot_be_marked_good(node: Node, esp: Path) -> None:
    (node.root / "run/slot-name").write_text("\n")
    with pytest.raises(CannotHere):
        main(argparse.Namespace(rearm=False), node)


def test_the_second_copy_is_written_first_and_in_place(esp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What GRUB and a power cut see: the same files, the same inodes, never shorter, one after the other."""
    opened: list[tuple[str, int]] = []
    real = os.open

    def watch(path: Any, flags: int, *rest: Any) -> int:
        opened.append((str(path), flags))
        return real(path, flags, *rest)

    inodes = [os.stat(esp / copy).st_ino for copy in state.STATE_COPIES]
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", watch)
        write_state(esp, mark_good(fresh(), Slot.B))
    assert [path for path, _ in opened] == [str(esp / copy) for copy in reversed(state.STATE_COPIES)]
    assert not any(flags & (os.O_TRUNC | os.O_CREAT) for _, flags in opened)
    assert all(flags & os.O_DSYNC for _, flags in opened)
    assert [os.stat(esp / copy).st_ino for copy in state.STATE_COPIES] == inodes


@pytest.mark.parametrize("data", [b"", render_env(fresh())[:512], render_env(fresh()) * 2])
def test_a_copy_of_another_length_is_left_alone(esp: Path, data: bytes) -> None:
    (esp / state.STATE_COPIES[1]).write_bytes(data)
    with pytest.raises(StateUnreadable, match="1024 bytes"):
        write_state(esp, fresh())
    assert (esp / state.STATE_COPIES[1]).read_bytes() == data


def test_a_copy_that_is_gone_is_told(node: Node, esp: Path) -> None:
    (esp / state.STATE_COPIES[0]).unlink()
    with pytest.raises(StateUnreadable, match="reading the slot state"):
        slot_state(node)


@pytest.mark.parametrize("bad", [state.STATE_COPIES[:1], state.STATE_COPIES[1:], state.STATE_COPIES])
def test_of_a_copy_that_cannot_be_read_the_other_one_counts_and_writing_heals_it(
    node: Node, esp: Path, monkeypatch: pytest.MonkeyPatch, bad: tuple[str, ...]
) -> None:
    """As for GRUB. A cut within the write of a physical sector leaves one that answers nothing until written."""
    write_state(esp, BOTH_GOOD)
    for copy in bad:
        (esp / copy).write_bytes(b"?" * len(render_env(BOTH_GOOD)))
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        data = real(path)
        if data.startswith(b"?"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data

    monkeypatch.setattr(Path, "read_bytes", read)
    if len(bad) == 2:
        with pytest.raises(StateUnreadable, match="Input/output error"):
            change_slot_state(node, lambda there: there)
        return
    assert change_slot_state(node, lambda there: there) == BOTH_GOOD
    assert {real(esp / copy) for copy in state.STATE_COPIES} == {render_env(BOTH_GOOD)}


def test_the_state_is_not_read_while_it_is_changed(node: Node, esp: Path) -> None:
    """The mount of one would be refused to the other."""
    seen: list[str] = []

    def change(there: SlotState) -> SlotState:
        reader = threading.Thread(target=lambda: seen.append(slot_state(node).primary.value))
        reader.start()
        reader.join(0.2)
        seen.append("changed")
        readers.append(reader)
        return replace(there, primary=Slot.B)

    readers: list[threading.Thread] = []
    change_slot_state(node, change)
    readers[0].join(5)
    assert seen == ["changed", "B"]


def test_who_may_not_lock_the_state_is_told(node: Node, esp: Path) -> None:
    (node.root / "run/slots.lock").mkdir()
    with pytest.raises(CannotHere, match=r"cannot be locked: .*: Is a directory"):
        slot_state(node)


def test_status_does_not_mount_a_slot_that_is_made_anew(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """mke2fs would refuse it, when the fallback is already gone."""
    mounts: list[str] = []

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        mounts.append(device)
        yield node.root

    monkeypatch.setattr(status, "mounted", mounted)
    with only_one(node):
        busy = status._slot_status(Slot.B, fresh(), node)
    assert (mounts, busy.manifest) == ([], None)
    assert busy.problem.startswith("not looked at: an upgrade, ")
    assert status._slot_status(Slot.B, fresh(), node).problem.startswith("no image: ")
    assert mounts == ["/dev/vda4"]

"""The plan for people."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from autoinstall.drawing import WIDTH_CELLS, draw, to_text
from autoinstall.facts import NodeMark, Signature
from autoinstall.pin import digest
from autoinstall.plan import make_plan
from autoinstall.sizes import GIB, MIB
from tests.unit.machines import MACHINE, VDA, asked


def test_boxes_are_of_one_width_and_grow_with_their_size() -> None:
    top, middle, bottom = draw([("small", 1 * MIB), ("middle", 1 * GIB), ("large", 100 * GIB)])
    assert len(top) == len(middle) == len(bottom) <= WIDTH_CELLS + 2
    small, medium, large = (len(cell) for cell in middle.strip("│").split("│"))
    assert small == len("small")
    assert small <= medium < large


def test_a_name_that_is_too_long_is_cut_and_nothing_shifts() -> None:
    rows = draw([("a-very-long-label", GIB), ("b", GIB)])
    assert len({len(row) for row in rows}) == 1


def test_the_text_shows_what_is_lost_and_what_will_be_and_the_digest() -> None:
    lost = (
        Signature("/dev/vda", "gpt", size_bytes=16 * GIB),
        Signature("/dev/vda1", "ext4", "photos", size_bytes=GIB),
    )
    plan = make_plan(asked("storage_init=/dev/vda"), replace(MACHINE, disks=(replace(VDA, signatures=lost),)))
    text = to_text(plan)
    assert "│photos" in text
    assert "lost   /dev/vda1: ext4 'photos', 1024 MiB" in text
    assert "│BIOS-boot│EFI" in text
    assert digest(plan) in text


def test_of_a_finished_node_nothing_is_said_to_be_lost() -> None:
    there = (Signature("/dev/vda6", "ext4", "LOGGING", size_bytes=GIB),)
    disk = replace(VDA, signatures=there, node=NodeMark(UUID(int=7), finished=True))
    text = to_text(make_plan(asked("storage_init"), replace(MACHINE, disks=(disk,))))
    assert f"node   {UUID(int=7)}: finished, and stays as it is" in text
    assert "lost" not in text
    assert "after" not in text


def test_of_a_disk_that_does_not_answer_everything_may_be_lost() -> None:
    disk = replace(VDA, unread="reading /dev/vda: Input/output error")
    text = to_text(make_plan(asked("storage_init=/dev/vda reinstall"), replace(MACHINE, disks=(disk,))))
    assert "lost   whatever is on it: reading /dev/vda: Input/output error" in text
    assert "blank" not in text

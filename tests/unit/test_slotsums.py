"""The sums by which GRUB sees that kernel and initramfs of a slot did not rot."""

from __future__ import annotations

from pathlib import Path

from autoinstall.slotsums import SLOT_SUMS, SUMMED, Sums, differ, sums_of

SUMS = b"cbf43926  vmlinuz\ne8b7be43  initrd.img\n"
"""CRC-32 of `123456789` (the check value of every catalogue of CRCs) and of `a`, as `hashsum --check` reads them."""
PIECES = {
    name: [memoryview(piece) for piece in pieces]
    for name, pieces in {
        "vmlinuz": (b"1234", b"5678", b"9"),
        "initrd.img": (b"a",),
        "root.squashfs": (b"nobody's",),
    }.items()
}


def test_the_file_is_as_grub_reads_it(tmp_path: Path) -> None:
    for name, content in zip(SUMMED, (b"123456789", b"a"), strict=True):
        (tmp_path / name).write_bytes(content)
    assert sums_of(tmp_path) == SUMS


def test_what_goes_by_in_pieces_is_summed_as_one_and_passed_on() -> None:
    sums = Sums()
    passed = {name: list(sums.counted(name, iter(pieces))) for name, pieces in PIECES.items()}
    assert sums.render() == SUMS
    assert passed == PIECES


def test_a_slot_differs_where_it_says_other_sums_and_not_where_it_says_none(tmp_path: Path) -> None:
    assert not differ(tmp_path, SUMS)
    (tmp_path / SLOT_SUMS).write_bytes(SUMS)
    assert not differ(tmp_path, SUMS)
    (tmp_path / SLOT_SUMS).write_bytes(SUMS[:-1])
    assert differ(tmp_path, SUMS)

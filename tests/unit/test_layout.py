"""Sizes -> placements, and the bytes of their table."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstall import block, gpt
from autoinstall.errors import Refused
from autoinstall.grammar_disks import volumes
from autoinstall.layout import (
    ALIGNMENT_BYTES,
    PARTITIONS,
    Layout,
    holes,
    id_mark,
    place,
    smallest_disk_bytes,
)
from autoinstall.marks import partition_of_node
from autoinstall.sizes import GIB, MIB
from autoinstall.space import EXTENT_BYTES, Space

ID = UUID("01234567-89ab-cdef-0123-456789abcdef")
SPACES = st.builds(
    Space,
    disk_bytes=st.integers(8 * 1024, 4 * 1024 * 1024).map(lambda mib: mib * MIB)
    | st.integers(8 * GIB, 64 * GIB).map(lambda size: size // 4096 * 4096),
    sector_bytes=st.sampled_from([512, 4096]),
    memory_bytes=st.integers(256 * MIB, 1024 * GIB),
)


@given(SPACES)
def test_a_layout_is_ordered_aligned_and_inside_the_disk(space: Space) -> None:
    layout = place(ID, space)
    position = ALIGNMENT_BYTES
    for part, row in zip(layout.partitions, PARTITIONS, strict=True):
        assert part.start_bytes == position
        assert part.start_bytes % ALIGNMENT_BYTES == part.size_bytes % ALIGNMENT_BYTES == 0
        assert row.size_bytes in (None, part.size_bytes)
        position = part.end_bytes
    assert position <= space.disk_bytes - 33 * 512
    assert space.disk_bytes - position < 2 * ALIGNMENT_BYTES
    in_group = sum(volume.size_bytes for volume in layout.volumes)
    assert all(volume.size_bytes % EXTENT_BYTES == 0 for volume in layout.volumes)
    assert 0 <= layout.partitions[-1].size_bytes - in_group < 2 * EXTENT_BYTES


@given(st.sampled_from([512, 4096]), st.integers(256 * MIB, 1024 * GIB))
def test_the_smallest_disk_is_just_large_enough(sector: int, memory: int) -> None:
    least = smallest_disk_bytes(Space(0, sector, memory))
    place(ID, Space(least, sector, memory))
    with pytest.raises(Refused, match=r"1 MiB more"):
        place(ID, Space(least - MIB, sector, memory))


def test_the_refusal_says_how_many_mib_are_missing() -> None:
    least = smallest_disk_bytes(Space(0, 512, 2 * GIB))
    with pytest.raises(Refused, match=f"needs {least // MIB} MiB, {(least - GIB) // MIB} MiB more"):
        place(ID, Space(GIB, 512, 2 * GIB))


@given(SPACES)
def test_partitions_and_holes_cover_the_disk_without_overlap(space: Space) -> None:
    layout = place(ID, space)
    ranges = sorted([*holes(layout), *((part.start_bytes, part.size_bytes) for part in layout.partitions)])
    position = 0
    for start, size in ranges:
        assert start == position
        position += size
    assert position == space.disk_bytes


def _halves(layout: Layout) -> list[tuple[gpt.Header, list[gpt.Entry]]]:
    table, sector = gpt.render(layout), layout.sector_bytes
    disk = {table.primary_start: table.primary, table.backup_start: table.backup}
    found = []
    for lba in (1, layout.disk_bytes // sector - 1):
        start, data = next((s, d) for s, d in disk.items() if s <= lba * sector < s + len(d))
        header = gpt.parse_header(data[lba * sector - start :])
        assert header
        entries = gpt.parse_entries(header, data[header.entries_lba * sector - start :])
        assert entries
        found.append((header, list(entries)))
    return found


@given(SPACES)
def test_both_halves_of_the_table_read_back_as_the_layout(space: Space) -> None:
    layout = place(ID, space)
    for header, entries in _halves(layout):
        assert header.disk_guid == ID
        for entry, part in zip(entries, layout.partitions, strict=True):
            assert entry.label == part.label
            assert entry.type_guid == part.type_guid
            assert entry.partition_uuid == part.partition_uuid
            assert entry.first_lba * space.sector_bytes == part.start_bytes
            assert (entry.last_lba + 1) * space.sector_bytes == part.end_bytes


def _sized(text: str, disk_bytes: int = 64 * GIB) -> Layout:
    return place(ID, Space(disk_bytes, 512, 2 * GIB, volumes(text)))


def test_asked_sizes_are_had_to_the_byte() -> None:
    layout = _sized("300,EFI:3G,Root:100,Config:1G,Logging:1000,Swap:5G,Data")
    sizes = {part.label: part.size_bytes for part in layout.partitions}
    assert sizes["EFI"] == 300 * MIB
    assert sizes["Root-A"] == sizes["Root-B"] == 3 * GIB
    assert sizes["Config"] == 100 * MIB
    assert sizes["Logging"] == GIB
    assert {volume.name: volume.size_bytes for volume in layout.volumes} == {"Swap": 1000 * MIB, "Data": 5 * GIB}


def test_volumes_that_are_not_wanted_are_not_made() -> None:
    assert [volume.name for volume in _sized("none,Swap").volumes] == ["Data"]
    assert _sized("none,Swap:0,Data").volumes == ()


@pytest.mark.parametrize("text", ["100G,Data", "60G,Swap", "40G,Root"])
def test_sizes_that_do_not_fit_are_refused_with_the_missing_mib(text: str) -> None:
    with pytest.raises(Refused, match=r"MiB more"):
        _sized(text)


def test_our_table_is_recognised_and_sector_0_tells_whether_it_is_finished() -> None:
    layout = place(ID, Space(16 * GIB, 512, 2 * GIB))
    header, entries = _halves(layout)[0]
    unfinished = gpt.recognise(header, entries, bytes(512))
    finished = gpt.recognise(header, entries, gpt.protective_mbr(layout, b"\xeb" * 512))
    assert unfinished and not unfinished.finished
    assert finished and finished.finished
    assert finished.install_id == ID


def test_a_partition_of_a_node_is_known_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "partition_path", lambda disk, number: f"{disk}{number}")
    placed = place(ID, Space(16 * GIB, 512, 2 * GIB)).partitions
    for number, partition in enumerate(placed, start=1):
        assert partition_of_node("/dev/vda", partition.label) == f"/dev/vda{number}"


def test_the_id_is_told_by_one_uuid_alone() -> None:
    plain, one = (place(ID, Space(16 * GIB, 512, 2 * GIB, id_text=text)) for text in (None, "one"))
    differ = [a.label for a, b in zip(plain.partitions, one.partitions, strict=True) if a != b]
    assert differ == ["BIOS-boot"]
    marks = [gpt.recognise(*_halves(layout)[0], bytes(512)) for layout in (plain, one)]
    assert [mark.id_mark if mark else mark for mark in marks] == [None, id_mark(ID, "one")]
    assert id_mark(ID, "one") not in (id_mark(ID, "two"), id_mark(UUID(int=7), "one"))


@pytest.mark.parametrize("number", range(1, len(PARTITIONS) - 1))
def test_every_other_uuid_must_be_ours(number: int) -> None:
    header, entries = _halves(place(ID, Space(16 * GIB, 512, 2 * GIB, id_text="one")))[0]
    entries[number] = replace(entries[number], partition_uuid=UUID(int=8))
    assert gpt.recognise(header, entries, bytes(512)) is None


def test_a_partition_behind_those_of_a_node_makes_it_no_other_disk() -> None:
    """And one in the place of HostVG, which may be on other disks, is nobody's of ours by its name alone."""
    header, entries = _halves(place(ID, Space(16 * GIB, 512, 2 * GIB)))[0]
    scratch = replace(entries[-1], partition_uuid=UUID(int=8), label="scratch")
    node = gpt.recognise(header, entries, bytes(512))
    assert node and not node.strangers
    assert gpt.own_entries(header, entries) == entries
    for labels, table in (
        (["scratch"], [*entries, scratch]),
        (["scratch"], [*entries[:-1], scratch]),
        (["HostVG", "scratch"], [*entries[:-1], replace(scratch, label="HostVG"), scratch]),
    ):
        assert gpt.recognise(header, table, bytes(512)) == replace(node, strangers=tuple(labels))
        assert gpt.own_entries(header, table) == table[: len(table) - len(labels)]
    assert gpt.recognise(header, [scratch, *entries], bytes(512)) is None
    assert gpt.recognise(header, [*entries[:3], scratch, *entries[3:]], bytes(512)) is None


def test_a_table_with_our_labels_but_other_uuids_is_not_ours() -> None:
    layout = place(ID, Space(16 * GIB, 512, 2 * GIB))
    header, entries = _halves(layout)[0]
    other = gpt.Header(UUID(int=7), header.entries_lba, header.entries_crc)
    assert gpt.recognise(other, entries, bytes(512)) is None


@given(st.integers(0, 91), st.integers(1, 255))
def test_a_header_with_any_byte_changed_is_not_one(position: int, change: int) -> None:
    data = bytearray(gpt.render(place(ID, Space(16 * GIB, 512, 2 * GIB))).primary)
    data[position] ^= change
    assert gpt.parse_header(bytes(data)) is None


def test_the_protective_mbr_is_one_sector_with_the_boot_code() -> None:
    layout = place(ID, Space(16 * GIB, 4096, 2 * GIB))
    mbr = gpt.protective_mbr(layout, b"\x90" * 512)
    assert len(mbr) == 4096
    assert mbr[:440] == b"\x90" * 440
    assert gpt.has_protective_mbr(mbr)
    assert not gpt.has_protective_mbr(bytes(512))

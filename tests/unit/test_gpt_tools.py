"""The table as other programs read it, on a sparse file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from autoinstall import gpt
from autoinstall.layout import Layout, place
from autoinstall.sizes import GIB
from autoinstall.space import Space

pytestmark = pytest.mark.runs_programs
ID = UUID("01234567-89ab-cdef-0123-456789abcdef")


@pytest.fixture
def layout() -> Layout:
    return place(ID, Space(16 * GIB, 512, 2 * GIB))


def _disk(tmp_path: Path, layout: Layout, sector_0: bytes) -> Path:
    path, table = tmp_path / "disk", gpt.render(layout)
    with path.open("wb") as file:
        file.truncate(layout.disk_bytes)
        for start, data in ((0, sector_0), (table.primary_start, table.primary), (table.backup_start, table.backup)):
            file.seek(start)
            file.write(data)
    return path


def test_sfdisk_reads_the_planned_table_and_finds_no_fault(tmp_path: Path, layout: Layout) -> None:
    disk = _disk(tmp_path, layout, gpt.protective_mbr(layout, b""))
    told = subprocess.run(["sfdisk", "--json", disk], capture_output=True, check=True)
    table = json.loads(told.stdout)["partitiontable"]
    assert table["label"] == "gpt"
    assert UUID(table["id"]) == ID
    assert [
        (UUID(row["uuid"]), UUID(row["type"]), row["name"], row["start"] * 512, row["size"] * 512)
        for row in table["partitions"]
    ] == [
        (part.partition_uuid, part.type_guid, part.label, part.start_bytes, part.size_bytes)
        for part in layout.partitions
    ]
    verdict = subprocess.run(["sfdisk", "--verify", disk], capture_output=True, text=True, check=True)
    assert "No errors detected" in verdict.stdout


def test_before_the_commit_no_program_takes_the_disk_for_partitioned(tmp_path: Path, layout: Layout) -> None:
    disk = _disk(tmp_path, layout, bytes(512))
    assert subprocess.run(["blkid", "-p", disk], capture_output=True).returncode == 2


@pytest.mark.parametrize("sector", gpt.SECTOR_SIZES)
@pytest.mark.parametrize("half", ["primary", "backup"])
def test_a_table_is_seen_whatever_its_sectors_and_whichever_half_is_left(
    tmp_path: Path, sector: int, half: str
) -> None:
    layout = place(ID, Space(16 * GIB, sector, 2 * GIB))
    table = gpt.render(layout)
    data, start = getattr(table, half), getattr(table, f"{half}_start")
    disk = bytearray(2 * gpt.ENTRIES_BYTES)
    at = start if half == "primary" else len(disk) - (layout.disk_bytes - start)
    disk[at : at + len(data)] = data
    header = gpt.any_header(bytes(disk[: gpt.EDGE_BYTES]), bytes(disk[-gpt.EDGE_BYTES :]))
    assert header and header.disk_guid == ID


def test_a_blank_disk_has_no_table_of_any_size() -> None:
    assert gpt.any_header(bytes(gpt.EDGE_BYTES), bytes(gpt.EDGE_BYTES)) is None

"""A raw file, as the oracles of the laboratory see it."""

from __future__ import annotations

from pathlib import Path

from tests.powercut.content import Content
from tests.powercut.raw import PIECE_SECTORS, raw_content
from tests.powercut.trace import SECTOR, Entry, Store

SECTORS = 4 * PIECE_SECTORS
REGIONS = {"left": (0, 80), "right": (80, SECTORS)}
WRITES = {
    3: b"code" * 128,
    72: b"over the edge and on" * 512,
    PIECE_SECTORS + 8: b"\1" * SECTOR * (PIECE_SECTORS + 9),
}


def test_a_raw_file_is_read_as_the_writes_that_made_it(tmp_path: Path) -> None:
    store = Store()
    written = Content(store, SECTORS * SECTOR, REGIONS)
    for sector, data in WRITES.items():
        written.apply(Entry(sector, len(data) // SECTOR, store.add(data)))
    disk = written.write_to(tmp_path / "disk.raw")
    with disk.open("r+b") as file:
        file.seek((SECTORS - 8) * SECTOR)
        file.write(bytes(8 * SECTOR))  # allocated, and zeros
    seen = raw_content(disk, REGIONS)
    assert seen.read(0, SECTORS * SECTOR) == disk.read_bytes()
    assert seen.digest() == written.digest()
    for name in REGIONS:
        assert list(seen.runs(name)) == list(written.runs(name))

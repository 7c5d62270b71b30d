"""Files past the page cache: whole, whatever their size."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstall import block

PAGE = mmap.PAGESIZE
PIECE_BYTES = 4 * PAGE


def pieces(data: bytes) -> Iterator[memoryview]:
    """The data through one piece of aligned memory, as the installer reads an image."""
    buffer = mmap.mmap(-1, PIECE_BYTES)
    for start in range(0, len(data), PIECE_BYTES):
        piece = data[start : start + PIECE_BYTES]
        buffer[: len(piece)] = piece
        yield memoryview(buffer)[: len(piece)]


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, PAGE + 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 1])
def test_a_file_written_directly_holds_just_what_was_given(tmp_path: Path, size: int) -> None:
    data, file = os.urandom(size), tmp_path / "file"
    block.write_file_direct(file, pieces(data))
    assert file.read_bytes() == data
    assert b"".join(bytes(chunk) for chunk in block.chunks_direct(file)) == data


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileExistsError):
        block.write_file_direct(tmp_path / "file", pieces(b"new"))
    assert (tmp_path / "file").read_text() == "old"


def test_no_end_of_the_program_waits_for_who_reads_ahead(tmp_path: Path) -> None:
    """Whoever ends it may still hold the reader: the last error does, with the frames that it went through."""
    before = set(threading.enumerate())
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", 3 * block.CHUNK_BYTES)
    held = block.chunks_direct(tmp_path / "file")
    next(held)
    assert [thread.daemon for thread in set(threading.enumerate()) - before] == [True]
    assert list(map(len, held))
    assert set(threading.enumerate()) == before

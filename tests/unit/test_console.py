"""The serial line of a test's machine comes in pieces, as its UART has them: what is taken for a line is one."""

from __future__ import annotations

import re
from pathlib import Path

from tests.vm.watch import Console

LINE = re.compile(r"^autoinstall: NIC +(.+)$", re.MULTILINE)


def test_half_a_line_is_none_and_a_prompt_has_no_end(tmp_path: Path) -> None:
    console = Console(tmp_path / "log")
    for piece in (b"booting\r\nautoinstall: NIC    ens5 52:54:0", b"0:01", b"\r"):
        console.feed(piece)
        assert console.find(LINE) is None
    console.feed(b"\n\x1b[?2004hroot# ")
    line = console.find(LINE)
    assert line and line[1] == "ens5 52:54:00:01"
    assert console.find(re.compile("# $"))
    console.close()

"""GRUB: its patched images, and its menus."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from autoinstall.cmdline import parse
from autoinstall.errors import AskedWrongly, BadWords, BuildFailed
from autoinstall.image.grub import ISO_MARK, iso_mark, marked, patched_boot_sector, patched_core
from autoinstall.image.iso import Medium, render_menu
from autoinstall.image.layers import NODE_GRUB_CFG, node_menu
from autoinstall.image.pxe import grub_menu
from autoinstall.request import request_from
from tests.unit.test_manifest import MANIFEST

TEMPLATE = NODE_GRUB_CFG.with_name("iso.cfg").read_text()
LABEL = f"AI-{MANIFEST.image_id[:8]}"
END = " autoinstall.end"
KEPT_BYTES = 2046
"""Of a line, by every loader (Linux' header.S, Syslinux' load_linux.c, iPXE's bzimage.c)."""


def _menu(line: str) -> str:
    return render_menu(Medium(Path("image"), Path("loader"), TEMPLATE, MANIFEST, ("console=ttyS0",), line))


def _entry(menu: str, name: str) -> str:
    """The `linux` line of an entry."""
    body = menu.partition(f"--id {name} {{")[2]
    return next(line.strip() for line in body.splitlines() if line.strip().startswith("linux"))


def test_the_boot_sector_loads_the_core_from_the_bios_boot_partition() -> None:
    sector = bytearray(512)
    struct.pack_into("<Q", sector, 0x5C, 1)
    sector[0x66:0x68] = b"\xeb\x05"
    sector[-2:] = b"\x55\xaa"
    patched = patched_boot_sector(bytes(sector))
    assert struct.unpack_from("<Q", patched, 0x5C) == (2048,)
    assert patched[0x66:0x68] == b"\x90\x90"
    assert [i for i in range(512) if patched[i] != sector[i]] == [0x5C, 0x5D, 0x66, 0x67]


def test_the_core_finds_its_rest_behind_its_first_sector() -> None:
    image = bytearray(512 * 3 + 7)
    struct.pack_into("<QHH", image, 500, 2, 3, 0x820)
    patched = patched_core(bytes(image))
    assert struct.unpack_from("<QHH", patched, 500) == (2049, 3, 0x820)
    assert len(patched) == 512 * 4


@pytest.mark.parametrize("image", [b"", b"\0" * 512, b"\0" * 1024, b"\0" * ((1 << 20) + 1)])
def test_images_that_are_not_grubs_are_refused(image: bytes) -> None:
    with pytest.raises(BuildFailed):
        patched_core(image)
    with pytest.raises(BuildFailed):
        patched_boot_sector(image)


def test_the_loader_of_a_medium_searches_for_its_own_medium() -> None:
    mark = iso_mark(b"menu", b"image")
    assert len(mark) == len(ISO_MARK)
    assert mark != iso_mark(b"other menu", b"image")
    assert marked(f"\0search {ISO_MARK}\0".encode(), mark) == f"\0search {mark}\0".encode()


def test_a_line_that_asks_for_an_install_is_the_default_entry() -> None:
    menu = _menu("storage_init BOOTIF=link")
    assert "set default=install\n" in menu
    assert _entry(menu, "install").endswith(" console=ttyS0 storage_init BOOTIF=link" + END)
    assert _entry(menu, "install").startswith(f"linux /autoinstall/vmlinuz root=live:LABEL={LABEL} rd.live.image ")
    assert "storage_init" not in _entry(menu, "live")
    assert _entry(menu, "rescue").endswith(" console=ttyS0 rescue" + END)


@pytest.mark.parametrize("line", ["", "console=tty1 adminpw=x", "my.storage_init=1", "storage_initx"])
def test_without_an_asked_install_the_default_entry_installs_nothing(line: str) -> None:
    menu = _menu(line)
    assert "set default=live\n" in menu
    assert _entry(menu, "live").endswith(" ".join(["console=ttyS0", *line.split()]) + END)
    assert _entry(menu, "install").endswith(" ".join(["console=ttyS0 storage_init", *line.split()]) + END)


@pytest.mark.parametrize("word", ["ovirt_init", "storage-init=/dev/vda", "autoinstall.storage_init", "reinstall"])
def test_every_spelling_of_an_install_is_one(word: str) -> None:
    assert "set default=install\n" in _menu(word)


def test_what_grub_would_eat_is_quoted() -> None:
    line = "storage_init=/dev/a;/dev/b adminpw=$6$salt$hash match:size<1T&x {a} #b"
    assert _entry(_menu(line), "install").endswith(
        " 'storage_init=/dev/a;/dev/b' 'adminpw=$6$salt$hash' 'match:size<1T&x' '{a}' '#b'" + END
    )


def test_double_quotes_protect_blanks_and_are_left_to_grub() -> None:
    entry = _entry(_menu('storage_init autoinstall.id="a b"  "d e" f'), "install")
    assert entry.endswith(" storage_init 'autoinstall.id=a b' 'd e' f" + END)


BAD_LINES = {
    "a\nb": "control character",
    'a="b': "double quote .* never ends",
    'a=b"c d"': "double quote inside",
    "a='b'": "single quotes",
    "a\\b": "backslashes",
    "x" * 2048: "2048 bytes; the kernel keeps 2047",
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.items(), ids=list(BAD_LINES.values()))
def test_a_line_that_no_kernel_would_get_whole_is_refused(line: str, message: str) -> None:
    with pytest.raises(AskedWrongly, match=message):
        _menu(line)


def test_a_line_that_the_kernel_keeps_no_more_is_refused_with_what_grub_and_the_medium_add() -> None:
    line = "storage_init autoinstall.id="
    short = _entry(_menu(line + "x"), "install").replace("linux ", "BOOT_IMAGE=")
    most = line + "x" * (KEPT_BYTES - len(short) + 1)
    assert _entry(_menu(most), "install").endswith("x" + END)
    with pytest.raises(BadWords, match=f"would have {KEPT_BYTES + 1} bytes.*: {KEPT_BYTES} is the most") as caught:
        _menu(most + "x")
    assert "autoinstall.words" in caught.value.hint


def test_a_line_that_ends_already_is_not_ended_again() -> None:
    entry = _entry(_menu("storage_init autoinstall.end"), "install")
    assert entry.endswith(" storage_init autoinstall.end")
    assert request_from(parse(entry.partition("vmlinuz ")[2])).warnings == ()


@pytest.mark.runs_programs
@pytest.mark.skipif(shutil.which("grub-script-check") is None, reason="package grub-common")
@pytest.mark.parametrize(
    "menu",
    [
        node_menu(NODE_GRUB_CFG.read_text(), ("loglevel=6",)),
        _menu("storage_init=/dev/a;/dev/b adminpw=$6$s$h x&y <a> {b} (c) #d !e ~f [g] *h ?i `j` | k"),
        _menu(""),
        grub_menu(parse("root=live:http://192.0.2.1/a{b}|c#d"), parse('adminpw=$6$s$h "a b"')),
    ],
    ids=["node", "medium", "live", "network"],
)
def test_grub_can_read_the_menus(menu: str, tmp_path: Path) -> None:
    (tmp_path / "grub.cfg").write_text(menu)
    assert "@" not in menu.replace("@h", "")
    subprocess.run(["grub-script-check", tmp_path / "grub.cfg"], check=True)

"""What a PXE server hands out, and where the live system finds its image again."""

from __future__ import annotations

import argparse
import urllib.request
from http.client import BadStatusLine
from pathlib import Path

import pytest

from autoinstall import live
from autoinstall.cmdline import parse
from autoinstall.errors import AskedWrongly, BadUsage, ImageInvalid
from autoinstall.host import Host
from autoinstall.image import pxe
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, render_manifest
from autoinstall.live import MEDIUM, find_image
from tests.unit.machines import MANIFEST

URL = "http://192.0.2.1:8080/node"


def _image(place: Path) -> Path:
    for name in (*FILE_NAMES, pxe.NETWORK_LOADER):
        (place / name).write_bytes(name.encode())
    (place / MANIFEST_NAME).write_bytes(render_manifest(MANIFEST))
    (place / pxe.WORDS_NAME).write_text("loglevel=6 console=tty0\n")
    return place


def _options(image: Path, output: Path) -> argparse.Namespace:
    return argparse.Namespace(image=image, output=output, url=f"{URL}/", cmdline="storage_init console=ttyS0")


def test_the_directory_holds_the_image_and_what_machines_start_with(tmp_path: Path) -> None:
    image = _image(tmp_path)
    pxe.main(_options(image, tmp_path / "out"), Host())
    for name in (*FILE_NAMES, MANIFEST_NAME, pxe.NETWORK_LOADER):
        assert (tmp_path / "out" / name).read_bytes() == (image / name).read_bytes()
    script = (tmp_path / "out" / pxe.IPXE_SCRIPT).read_text()
    menu = (tmp_path / "out" / pxe.PXELINUX_MENU).read_text()
    grub = (tmp_path / "out" / pxe.GRUB_MENU).read_text()
    for text in (script, menu, grub):
        assert f"root=live:{URL}/root.squashfs rd.live.image rd.shell=0 panic=30 loglevel=6 console=tty0 " in text
        assert "storage_init console=ttyS0\n" in text
    assert script.startswith("#!ipxe\n")
    assert "BOOTIF=01-${netX/mac:hexhyp}" in script
    assert "IPAPPEND 2" in menu
    assert "BOOTIF=$net_default_mac storage_init" in grub


def test_what_grub_would_eat_is_quoted_and_its_own_variables_are_not() -> None:
    words = parse('storage_init=/dev/a;/dev/b adminpw=$6$salt$hash autoinstall.id="a b"')
    menu = pxe.grub_menu(parse("rd.live.image"), words)
    assert " BOOTIF=$net_default_mac 'storage_init=/dev/a;/dev/b' 'adminpw=$6$salt$hash' 'autoinstall.id=a b'" in menu


@pytest.mark.parametrize("words", ["adminpw='x'", 'a="b', "a=${b}", 'a="b  c"'])
def test_words_that_not_every_loader_hands_on_are_refused(tmp_path: Path, words: str) -> None:
    options = _options(_image(tmp_path), tmp_path / "out")
    options.cmdline = words
    with pytest.raises(AskedWrongly):
        pxe.main(options, Host())


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageInvalid, match="copying the image"):
        pxe.main(_options(tmp_path, tmp_path / "out"), Host())


@pytest.mark.parametrize("url", ["", "node", "ftp://h/x", "http://", "http://h/a b", "http://h/x?y", "http://h/$x"])
def test_a_url_that_no_line_can_carry_is_refused(url: str) -> None:
    with pytest.raises(BadUsage, match="--url"):
        pxe.checked_url(url)


@pytest.mark.parametrize("line", ["root=live:LABEL=AI-1234", "root=live:/dev/sr0", "quiet", "root="])
def test_on_a_medium_the_image_is_on_it(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(live, "booted_words", lambda host: parse(line))
    assert find_image(Host()) == MEDIUM


def test_an_answer_that_is_no_http_is_told_and_no_bug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def urlopen(*_: object, **__: object) -> None:
        raise BadStatusLine("220 mail.example")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(live, "booted_words", lambda host: parse("root=live:http://192.0.2.1/node/root.squashfs"))
    monkeypatch.setattr(live, "NETWORK_LIMIT_S", 0)
    monkeypatch.setattr(live, "FETCHED", tmp_path)
    (tmp_path / live.ROOT_IMAGE).symlink_to("/dev/loop0")
    with pytest.raises(ImageInvalid, match=r"manifest\.json cannot be fetched: 220 mail\.example"):
        find_image(Host())

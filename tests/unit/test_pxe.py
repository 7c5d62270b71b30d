"""What a PXE server hands out, and where the live system finds its image again."""

from __future__ import annotations

import argparse
import urllib.request
from http.client import BadStatusLine
from pathlib import Path

import pytest

from autoinstall import live
from autoinstall.cmdline import parse
from autoinstall.errors import AskedWrongly, BadUsage, BadWords, ImageInvalid
from autoinstall.host import Host
from autoinstall.image import pxe
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, SIGNATURE_NAME, render_manifest
from autoinstall.live import MEDIUM, find_image
from tests.unit.machines import MANIFEST

URL = "http://192.0.2.1:8080/node"
MAC = "52-54-00-12-34-56"


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
        assert "storage_init console=ttyS0 autoinstall.end\n" in text
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


def test_words_that_the_kernel_keeps_no_more_behind_those_of_image_and_loaders_are_refused(tmp_path: Path) -> None:
    """The installer sees what is left of a line, and would wipe a disk that the rest kept it from."""
    options, out = _options(_image(tmp_path), tmp_path / "out"), tmp_path / "out"

    def taken(more: int) -> bool:
        options.cmdline = f"storage_init autoinstall.id={'x' * more} autoinstall.wipe=none"
        try:
            pxe.main(options, Host())
        except BadWords as error:
            assert "2046 is the most" in str(error)
            assert not out.exists()
            return False
        return True

    assert next(more for more in range(1960, 0, -1) if taken(more)) > 1700
    grub = (out / pxe.GRUB_MENU).read_text().replace("linux $prefix", f"BOOT_IMAGE={URL}")
    pxelinux = (out / pxe.PXELINUX_MENU).read_text().replace("  APPEND", f"BOOT_IMAGE=vmlinuz BOOTIF=01-{MAC}")
    ipxe = (out / pxe.IPXE_SCRIPT).read_text().replace(f"kernel {URL}/vmlinuz ", "")
    texts = "\n".join([grub, pxelinux, ipxe]).replace("$net_default_mac", MAC).replace("${netX/mac:hexhyp}", MAC)
    sizes = [
        len(line.strip()) for line in texts.splitlines() if line.endswith(" autoinstall.wipe=none autoinstall.end")
    ]
    assert len(sizes) == 3
    assert 2000 < max(sizes) <= 2046


def test_the_directory_of_the_image_is_no_place_for_what_is_made_of_it(tmp_path: Path) -> None:
    image = _image(tmp_path)
    (image / SIGNATURE_NAME).write_bytes(b"signed")
    (image / "menus").mkdir()
    before = {path.name for path in image.iterdir()}
    with pytest.raises(BadUsage, match=r"-o: \S+ is the image itself"):
        pxe.main(_options(image, image / "menus/.."), Host())
    assert {path.name for path in image.iterdir()} == before


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageInvalid, match="copying the image"):
        pxe.main(_options(tmp_path, tmp_path / "out"), Host())


@pytest.mark.parametrize(
    "url",
    ["", "node", "ftp://h/x", "http://", "http://h/a b", "http://h/x?y", "http://h/$x", "http://[h/x", "http://h:x/y",
     "http://user:secret@h/x"],
)  # fmt: skip
def test_a_url_that_no_line_can_carry_or_nobody_can_fetch_from_is_refused(url: str) -> None:
    with pytest.raises(BadUsage, match="--url") as caught:
        pxe.checked_url(url)
    assert "secret" not in str(caught.value)


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

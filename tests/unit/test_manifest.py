"""Manifests: what is written is read back, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstall.errors import EXIT_HERE, ImageInvalid
from autoinstall.image.manifest import (
    FILE_NAMES,
    LARGEST_BYTES,
    ImageFile,
    Manifest,
    parse_manifest,
    render_manifest,
    volume_label,
)

SHA = "0123456789abcdef" * 4
FILES = tuple(ImageFile(name, 4096 + number, SHA) for number, name in enumerate(FILE_NAMES))
MANIFEST = Manifest("1.2.3", 1, "vm", "trixie", "6.12.1-amd64", ("kexec",), FILES, {"bash": "5.2.37-2+b1"})


def _changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    content = json.loads(render_manifest(MANIFEST))
    change(content)
    return json.dumps(content).encode()


def test_what_is_written_is_read_back() -> None:
    assert parse_manifest(render_manifest(MANIFEST)) == MANIFEST


def test_the_image_id_names_the_bits_and_nothing_else() -> None:
    same = Manifest("9", 7, "metal", "sid", "7", (), FILES, {})
    other = Manifest("9", 7, "metal", "sid", "7", (), (ImageFile(FILE_NAMES[0], 1, SHA), *FILES[1:]), {})
    assert same.image_id == MANIFEST.image_id != other.image_id
    assert volume_label(MANIFEST) == f"AI-{MANIFEST.image_id[:8]}"


BAD: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("other-format", lambda m: m.update(format=2), "format 2, this program reads format 1"),
    ("other-product", lambda m: m.update(product="toaster"), "product is 'toaster'"),
    ("other-arch", lambda m: m.update(arch="arm64"), "arch is 'arm64'"),
    ("missing-key", lambda m: m.pop("suite"), "without suite"),
    ("unknown-key", lambda m: m.update(extra=1), "unknown extra"),
    ("other-id", lambda m: m.update(image_id=SHA), "is not that of the files"),
    ("missing-file", lambda m: m["files"].pop("vmlinuz"), "an image has vmlinuz, initrd.img, root.squashfs"),
    ("path-in-name", lambda m: m["files"].update({"../etc/shadow": {}}), "an image has"),
    ("negative-size", lambda m: m["files"]["vmlinuz"].update(size=-1), "not a whole number"),
    ("no-size", lambda m: m["files"]["vmlinuz"].update(size=0), "0 bytes is no size"),
    ("huge-size", lambda m: m["files"]["vmlinuz"].update(size=1 << 70), "is no size"),
    ("size-is-true", lambda m: m["files"]["vmlinuz"].update(size=True), "not a whole number"),
    ("size-is-float", lambda m: m["files"]["vmlinuz"].update(size=1.5), "not a whole number"),
    ("short-hash", lambda m: m["files"]["vmlinuz"].update(sha256="ab"), "not 64 hex digits"),
    ("more-in-file", lambda m: m["files"]["vmlinuz"].update(mode=4755), "and nothing else"),
    ("file-is-list", lambda m: m["files"].update(vmlinuz=[]), "vmlinuz is not an object"),
    ("version-with-newline", lambda m: m.update(version="1\nset x"), "is not a name or version"),
    ("version-with-quote", lambda m: m.update(version='1"'), "is not a name or version"),
    ("features-is-text", lambda m: m.update(features="all"), "features is not a list"),
    ("security-version-is-text", lambda m: m.update(security_version="1"), "not a whole number"),
    ("packages-is-list", lambda m: m.update(packages=[]), "packages is not an object"),
]


@pytest.mark.parametrize(("change", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_manifest_that_is_not_exactly_one_is_refused(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ImageInvalid, match=message) as caught:
        parse_manifest(_changed(change))
    assert caught.value.exit_code == EXIT_HERE


RAW = {
    "empty": b"",
    "not-json": b"{",
    "not-utf8": b"\xff{}",
    "bom": b"\xef\xbb\xbf{}",
    "list": b"[]",
    "nan": b'{"format": NaN}',
    "deep": b"[" * 100_000,
    "huge": b" " * (LARGEST_BYTES + 1),
    "duplicate": b'{"format": 1, "format": 1}',
    "trailing": render_manifest(MANIFEST) + b"x",
    "truncated": render_manifest(MANIFEST)[:-10],
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(ImageInvalid, match=r"^manifest: "):
        parse_manifest(data)


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=4))
def test_a_damaged_manifest_is_refused_or_names_the_same_bits(position: int, junk: bytes) -> None:
    good = render_manifest(MANIFEST)
    place = position % len(good)
    try:
        read = parse_manifest(good[:place] + junk + good[place + len(junk) :])
    except ImageInvalid:
        return
    assert read.files == MANIFEST.files

"""Keys of people who sign images, and a system that takes images of some of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoinstall.image.manifest import MANIFEST_NAME, SIGNATURE_NAME, render_manifest
from tests.keys import Keys, new_keys
from tests.unit.machines import MANIFEST

MANIFEST_BYTES = render_manifest(MANIFEST)
DAY_OF_OLD = "20200101T120000"
YEARS_AHEAD = "20900101T000000"


@pytest.fixture(scope="session")
def keys() -> Iterator[Keys]:
    """Of a builder, of one who left, of a stranger, of one long ago, and of one whose clock is ahead."""
    with new_keys() as made:
        made.make("builder", "gone", "stranger")
        made.make("old", days=1, when=DAY_OF_OLD)
        made.make("ahead", when=YEARS_AHEAD)
        made.home.joinpath(SIGNATURE_NAME).write_bytes(made.sign("gone", MANIFEST_BYTES))
        revocation = made.home / f"openpgp-revocs.d/{fingerprint(made, 'gone')}.rev"
        made.gpg("--import", data=revocation.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))
        yield made


def fingerprint(keys: Keys, name: str) -> str:
    """Of a key."""
    (found,) = re.findall(r"[0-9A-F]{40}", keys.gpg("--list-keys", name).decode())
    return str(found)


@pytest.fixture(scope="session")
def keyring(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a system that takes images of all but the stranger."""
    path = tmp_path_factory.mktemp("keys") / "keys.gpg"
    path.write_bytes(keys.public("builder", "gone", "old", "ahead"))
    return path


def place_image(place: Path, sig: bytes | None) -> Path:
    """A directory with a manifest and perhaps a signature."""
    place.mkdir(exist_ok=True)
    (place / MANIFEST_NAME).write_bytes(MANIFEST_BYTES)
    if sig is not None:
        (place / SIGNATURE_NAME).write_bytes(sig)
    return place

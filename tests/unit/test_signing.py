"""How an image gets its signature and its keys, when it is built and after."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from autoinstall.errors import BadRecipe, BadUsage, NotTrusted
from autoinstall.host import Host
from autoinstall.image import build, layers, pxe, signature
from autoinstall.image.layers import Layers
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, SIGNATURE_NAME
from autoinstall.image.recipe import parse_recipe
from autoinstall.image.signature import Papers, checked, read_papers
from autoinstall.image.tree import Tree
from tests.keys import Keys
from tests.unit.signed import MANIFEST_BYTES, keyring, keys, place_image
from tests.unit.test_build_errors import RECIPE
from tests.unit.test_pxe import _image, _options
from tests.unit.test_recipe import GOOD

__all__ = ["keyring", "keys"]


def test_a_directory_of_pxe_has_the_signature_of_its_image_and_of_no_other(tmp_path: Path) -> None:
    image, output = _image(tmp_path), tmp_path / "out"
    (image / SIGNATURE_NAME).write_bytes(b"of this image")
    pxe.main(_options(image, output), Host())
    assert (output / SIGNATURE_NAME).read_bytes() == b"of this image"
    (image / SIGNATURE_NAME).unlink()
    pxe.main(_options(image, output), Host())
    assert not (output / SIGNATURE_NAME).exists()


def test_a_recipe_names_a_file_of_keys() -> None:
    assert parse_recipe(GOOD, "mine", {}).keys == ""
    assert parse_recipe(GOOD.replace("[image]", "[image]\nkeys = our-keys.gpg"), "mine", {}).keys == "our-keys.gpg"


@pytest.mark.runs_programs
def test_only_public_keys_go_into_an_image(keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "keys.gpg"
    path.write_bytes(keys.public("builder"))
    assert signature.public_keys(path) == path.read_bytes()
    bad = [keys.gpg("--export-secret-keys", "builder"), keys.gpg("--armor", "--export", "builder"), b"", b"\xff"]
    for content in bad:
        path.write_bytes(content)
        with pytest.raises(BadRecipe, match="does not begin with a public key"):
            signature.public_keys(path)
    with pytest.raises(BadRecipe, match=r"nowhere\.gpg cannot be read: No such file") as caught:
        signature.public_keys(tmp_path / "nowhere.gpg")
    assert caught.value.hint.startswith("make it with: gpg --export KEYID")


@pytest.mark.runs_programs
def test_who_builds_signs_with_a_key_that_is_there(
    keys: Keys, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    for key in ("nobody", "", "--version"):
        with pytest.raises(BadUsage, match=f"--sign: GnuPG has no secret key '{key}'"):
            signature.require_key(key, Host())
    signature.require_key("builder", Host())
    place_image(tmp_path, b"of before")
    signature.sign(tmp_path, "builder", Host())
    assert checked(read_papers(tmp_path), Host(), keyring).startswith("builder (")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A build whose image and ISO take no time; `iso` is told which papers go on it."""
    made = tmp_path / "made"
    (made / "network").mkdir(parents=True)
    for name in (*FILE_NAMES, f"network/{pxe.NETWORK_LOADER}"):
        (made / name).touch()
    place_image(made, None)
    seen: dict[str, Any] = {"made": made, "keys": None}

    def iso(builder: build.Builder, image: Path, line: str, output: Path) -> None:
        seen.update(iso=read_papers(image), keys=builder.keys)
        output.touch()

    for name, value in {"image": lambda _: made, "boot_files": lambda _: made, "iso": iso}.items():
        monkeypatch.setattr(build.Builder, name, value)
    monkeypatch.setattr(build, "_require_tools", lambda: None)
    monkeypatch.setattr(build, "require_space", lambda *_: None)
    monkeypatch.setenv(build.IN_NAMESPACE, "1")
    return seen


def build_it(place: Path, recipe: str = "vm", sign: str | None = None) -> None:
    """`autoinstall build`."""
    build.main(argparse.Namespace(recipe=recipe, cmdline="", sign=sign, output=place / "out"), Host())


def test_a_signature_that_was_made_elsewhere_goes_on_the_iso_of_its_image(
    built: dict[str, Any], tmp_path: Path
) -> None:
    build_it(tmp_path)
    assert built["iso"] == Papers(MANIFEST_BYTES)
    (tmp_path / "out" / SIGNATURE_NAME).write_bytes(b"made elsewhere")
    build_it(tmp_path)
    assert built["iso"] == Papers(MANIFEST_BYTES, b"made elsewhere")
    other = json.dumps({**json.loads(MANIFEST_BYTES), "version": "2"}).encode()
    (built["made"] / MANIFEST_NAME).write_bytes(other)
    build_it(tmp_path)
    assert built["iso"] == Papers(other), "a signature of another image stayed"


@pytest.mark.runs_programs
def test_an_image_with_keys_is_built_with_a_signature_that_it_takes(
    built: dict[str, Any], keys: Keys, keyring: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(keys.home))
    recipe = tmp_path / "ours.ini"
    recipe.write_text(f"[image]\nextends = vm\nkeys = {keyring.name}\n")
    (tmp_path / keyring.name).write_bytes(keyring.read_bytes())
    build_it(tmp_path, str(recipe))
    assert built["keys"] == keyring.read_bytes()
    assert "takes signed images only" in capsys.readouterr().err
    build_it(tmp_path, str(recipe), "builder")
    assert "the image is signed by builder" in capsys.readouterr().err
    built["iso"] = None
    with pytest.raises(NotTrusted, match="is not one of this system's"):
        build_it(tmp_path, str(recipe), "stranger")
    assert built["iso"] is None


def test_the_keys_are_in_the_root_of_an_image_that_has_some(tmp_path: Path) -> None:
    for name in ("base", "boot/node", "python"):
        (tmp_path / name).mkdir(parents=True)
    for content in (b"", b"a keyring"):
        root = tmp_path / f"root{len(content)}"
        parts = Layers(RECIPE, tmp_path / "base", tmp_path / "boot", tmp_path / "python", 0, Host(), content)
        layers._add_ours(Tree(root, Host()), parts)
        keys = root / "usr/lib/autoinstall/keys.gpg"
        assert (keys.read_bytes() if keys.exists() else b"") == content

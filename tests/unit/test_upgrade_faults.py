"""An upgrade that goes wrong, at any write or with any image: the slot that is kept is the one to boot."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoinstall.errors import EXIT_BROKE, EXIT_HERE, AutoinstallError, ImageInvalid, NoSpace
from autoinstall.execute import Step, execute
from autoinstall.facts import LiveImage
from autoinstall.host import Host
from autoinstall.image.manifest import FILE_NAMES, MANIFEST_NAME, ImageFile, Manifest, render_manifest
from autoinstall.image.signature import Papers
from autoinstall.node import staging
from autoinstall.node import state as node_state
from autoinstall.node.state import read_state_files
from autoinstall.report.sinks import Memory
from autoinstall.slots import Slot, disarm, flip, pick
from autoinstall.steps import MadeAnew, upgrade, upgrade_steps
from tests.unit.machines import MANIFEST
from tests.unit.test_execute import Fake
from tests.unit.test_upgrade_steps import GOOD_A, PART, SLOT, esp

__all__ = ["esp"]
HALF = disarm(GOOD_A, Slot.B)


def steps(error: OSError | None = None) -> list[Step]:
    """All that writes in an upgrade; between the two writes of the slot state there may be an error."""
    return [upgrade.Disarm(Slot.B, "vda"), Fake("image-b", writes=True, error=error), upgrade.Flip(Slot.B, 2, "vda")]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize(("write", "after"), [(0, GOOD_A), (1, GOOD_A), (2, HALF), (3, HALF)])
def test_each_write_of_the_slot_state_may_fail(
    esp: Path, monkeypatch: pytest.MonkeyPatch, write: int, after: Any, number: int
) -> None:
    real, count = node_state._overwrite, iter(range(9))

    def fails(path: Path, data: bytes) -> None:
        if next(count) == write:
            raise OSError(number, os.strerror(number), str(path))
        real(path, data)

    monkeypatch.setattr(node_state, "_overwrite", fails)
    with pytest.raises(AutoinstallError) as told:
        execute(steps(), Host(), Memory().event)
    assert (told.value.exit_code, os.strerror(number) in str(told.value)) == (EXIT_BROKE, True)
    assert read_state_files(esp) == after
    assert pick(after)[0] is Slot.A


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_slot_that_cannot_be_written_is_never_the_one_to_boot(esp: Path, number: int) -> None:
    with pytest.raises(AutoinstallError) as told:
        execute(steps(OSError(number, os.strerror(number))), Host(), Memory().event)
    assert told.value.exit_code == EXIT_BROKE
    assert read_state_files(esp) == HALF


def test_without_a_fault_the_new_slot_is_the_one_to_boot(esp: Path) -> None:
    execute(steps(), Host(), Memory().event)
    assert read_state_files(esp) == flip(GOOD_A, Slot.B, 2)


# An image that is not what it says


def described(directory: Path) -> Manifest:
    """Files of an image, and the manifest that fits them."""
    directory.mkdir()
    for name in FILE_NAMES:
        (directory / name).write_bytes(name.encode() * 64)
    files = tuple(
        ImageFile(
            name, (directory / name).stat().st_size, hashlib.sha256((directory / name).read_bytes()).hexdigest()
        )
        for name in FILE_NAMES
    )
    manifest = replace(MANIFEST, files=files)
    (directory / MANIFEST_NAME).write_bytes(render_manifest(manifest))
    return manifest


def truncate(path: Path) -> None:
    """The last byte is not there."""
    path.write_bytes(path.read_bytes()[:-1])


def corrupt(path: Path) -> None:
    """One bit is another."""
    data = path.read_bytes()
    path.write_bytes(data[:9] + bytes([data[9] ^ 1]) + data[10:])


def lengthen(path: Path) -> None:
    """There is a byte more."""
    path.write_bytes(path.read_bytes() + b"x")


def exchange(path: Path) -> None:
    """The manifest speaks of another file."""
    path.write_bytes(path.read_bytes()[::-1])


WRONG: list[Callable[[Path], None]] = [truncate, corrupt, lengthen, exchange, Path.unlink]


@pytest.mark.parametrize("name", FILE_NAMES)
@pytest.mark.parametrize("wrong", WRONG)
def test_an_image_that_is_wrong_costs_nothing_from_a_directory(
    esp: Path, tmp_path: Path, wrong: Callable[[Path], None], name: str
) -> None:
    manifest = described(tmp_path / "image")
    wrong(tmp_path / "image" / name)
    made = MadeAnew(SLOT, PART, "/dev/vda", 3)
    with pytest.raises(ImageInvalid) as told:
        execute(upgrade_steps(made, LiveImage(str(tmp_path / "image"), manifest)), Host(), Memory().event)
    assert (told.value.exit_code, read_state_files(esp)) == (EXIT_HERE, GOOD_A)


@pytest.mark.parametrize("name", FILE_NAMES)
@pytest.mark.parametrize("wrong", WRONG)
def test_an_image_that_is_wrong_costs_nothing_from_a_server(
    esp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Path], None], name: str
) -> None:
    manifest = described(tmp_path / "image")
    wrong(tmp_path / "image" / name)
    served(tmp_path / "image", monkeypatch)
    offer = staging.Offer(manifest, Papers(render_manifest(manifest)), None, "http://192.0.2.1")
    made, image = MadeAnew(SLOT, PART, "/dev/vda", 3), LiveImage(str(tmp_path / "stage"), manifest)
    with pytest.raises(ImageInvalid, match=name) as told:
        execute([staging.Fetch(offer, tmp_path / "stage"), *upgrade_steps(made, image)], Host(), Memory().event)
    assert (told.value.exit_code, read_state_files(esp)) == (EXIT_HERE, GOOD_A)


def test_a_stage_that_is_full_is_told_as_that_and_costs_nothing(
    esp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = described(tmp_path / "image")
    served(tmp_path / "image", monkeypatch)
    real = Path.open

    def full(path: Path, *words: Any, **more: Any) -> Any:
        return real(Path("/dev/full") if words == ("wb",) and path.name == FILE_NAMES[1] else path, *words, **more)

    monkeypatch.setattr(Path, "open", full)
    offer = staging.Offer(manifest, Papers(render_manifest(manifest)), None, "http://192.0.2.1")
    with pytest.raises(NoSpace, match="No space left on device") as told:
        execute([staging.Fetch(offer, tmp_path / "stage"), *steps()], Host(), Memory().event)
    assert told.value.hint.startswith("make room")
    assert read_state_files(esp) == GOOD_A


def served(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a directory, without a network."""

    def urlopen(url: str, timeout: float) -> Any:
        path = directory / url.rpartition("/")[2]
        return path.open("rb")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)

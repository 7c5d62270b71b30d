"""The hashing of an image beside the rest of a run, and what is told of it."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from autoinstall import block
from autoinstall.errors import ImageInvalid
from autoinstall.facts import LiveImage
from autoinstall.host import Host
from autoinstall.image.manifest import render_manifest
from autoinstall.slotsums import SLOT_SUMS
from autoinstall.steps import image as steps_image
from autoinstall.steps.image import Hashing, SlotImage, VerifyImage, hashed_beside
from tests.unit.machines import MANIFEST
from tests.unit.test_upgrade_steps import PART, SLOT

DIGEST = hashlib.sha256(b"12345").hexdigest()
SMALL = replace(MANIFEST, files=tuple(replace(file, size_bytes=5, sha256=DIGEST) for file in MANIFEST.files))


@pytest.fixture
def image(tmp_path: Path) -> LiveImage:
    """An image of 15 bytes."""
    for file in SMALL.files:
        (tmp_path / file.name).write_bytes(b"12345")
    return LiveImage(str(tmp_path), SMALL)


def test_a_medium_that_hangs_is_no_progress(image: LiveImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told again and again, the watchdog of autoinstall.service would never end such a run."""
    hashing = Hashing(Path(image.directory))
    assert hashing.wait(60)
    waits = iter([False, False, False, True])
    monkeypatch.setattr(hashing, "wait", lambda limit_s: next(waits))
    host, told = Host(), list[int]()
    host.progress = lambda done, total: told.append(done)
    VerifyImage(image, hashing).apply(host)
    assert told == [15]


def test_a_slot_is_progress_while_it_is_written_and_while_it_is_read_back(
    image: LiveImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow disk the reading alone takes longer than the watchdog of autoinstall.service waits."""
    (tmp_path / "slot").mkdir()
    Path(image.directory, "manifest.json").write_bytes(render_manifest(SMALL))
    monkeypatch.setattr(steps_image, "mounted", lambda *_: nullcontext(tmp_path / "slot"))
    monkeypatch.setattr(block, "partition_path", lambda disk, number: f"{disk}{number}")
    host, told = Host(), list[tuple[int, int]]()
    host.progress = lambda done, total: told.append((done, total))
    step = SlotImage(image, SLOT, PART, "/dev/vda")
    step.apply(host)
    assert told == [(5, 30), (10, 30), (15, 30)]
    assert step.why_not_done(host) == ""
    assert told[3:] == [(20, 30), (25, 30), (30, 30)]
    (tmp_path / "slot" / SLOT_SUMS).write_bytes(b"other")
    assert step.why_not_done(host).startswith("slot.crc32 read back from /dev/vda")


def test_a_file_that_is_not_the_manifest_s_or_gone_is_told(image: LiveImage) -> None:
    Path(image.directory, "vmlinuz").write_bytes(b"54321")
    with pytest.raises(ImageInvalid, match="vmlinuz is not what its manifest says"):
        VerifyImage(image).apply(Host())
    Path(image.directory, "vmlinuz").unlink()
    with pytest.raises(ImageInvalid, match="vmlinuz cannot be read: No such file"):
        VerifyImage(image).apply(Host())


def test_what_is_not_wanted_any_more_is_not_read(image: LiveImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ISO that is still read cannot be unmounted."""
    monkeypatch.setattr(steps_image, "_pieces", lambda path: repeat(memoryview(b"12345")))
    with ExitStack() as stack:
        hashing = hashed_beside(Path(image.directory), stack)
        assert not hashing.wait(0)
    assert hashing.wait(0)

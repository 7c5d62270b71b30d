"""A finished recording: made where it is not there yet, kept outside the clone by the content of what matters.

The cache forgets old recordings, whoever reads them: hold one by names of your own while you need it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autoinstall.host import Host
from autoinstall.image.cache import Cache, Product, digest
from tests.powercut.boots import Brought
from tests.powercut.marks import Mark, load
from tests.powercut.record import BOOT_FILES, NEWER, PHASES, Setting, record
from tests.vm.hardware import Bus, Firmware
from tests.vm.image import ROOT, Image, cache

INGREDIENTS = ("autoinstall", "dracut", "units", "tests/powercut/record.py", "tests/powercut/marks.py")
NEEDS_MIB = 4096
SETTINGS = {setting.name: setting for setting in (Setting(), Setting(Firmware.UEFI, Bus.SATA))}
"""The machines, the everyday one first."""


@dataclass(frozen=True)
class Recording:
    """A directory with the log, the marks, and what the image's files should be."""

    place: Path

    @property
    def log(self) -> Path:
        """Every write and flush, from a blank disk of DISK_BYTES on."""
        return self.place / "writes.log"

    @cached_property
    def marks(self) -> Sequence[Mark]:
        """What was told when."""
        return load(self.place / "marks.json")

    @property
    def image_id(self) -> str:
        """Of the image that the machine installed itself from."""
        return Image(self.place).image_id

    @property
    def iso(self) -> Path:
        """What the machine installed itself from."""
        return Image(self.place).iso

    @property
    def newer(self) -> Path:
        """The second image, as a disk with a medium on it."""
        return self.place / NEWER

    @property
    def key(self) -> Path:
        """admin's ssh key."""
        return self.place / "key"

    @cached_property
    def brought(self) -> Brought:
        """GRUB as the image brings it, and every image that was ever brought to this machine."""
        manifests = (json.loads(path.read_text()) for path in self.place.glob("manifest*.json"))
        ids = frozenset(str(manifest["image_id"]) for manifest in manifests)
        return Brought({name: (self.place / name).read_bytes() for name in BOOT_FILES}, ids)

    def stretch(self, phase: str) -> tuple[int, int]:
        """The entries of the log that belong to a phase: from, and up to."""
        names = list(PHASES)
        ends = {mark.what.removeprefix("end of "): mark.at for mark in self.marks if mark.what.startswith("end of ")}
        before = names[: names.index(phase)]
        return (ends[before[-1]] if before else 0), ends[phase]

    def held_in(self, place: Path) -> Recording:
        """The same by other names, in a directory that is there: it lasts as long as that."""
        for file in self.place.iterdir():
            try:
                os.link(file, place / file.name)
            except OSError:  # another filesystem
                shutil.copy(file, place / file.name)
        return Recording(place)


def product_of(setting: Setting, image_id: str) -> Product:
    """What a recording is made of: our own files do not tell which packages the image got."""
    ingredients = {
        "content": digest(*(ROOT / name for name in INGREDIENTS)),
        "setting": setting.name,
        "image": image_id,
    }
    return Product(f"powercut-{setting.name}", ingredients, NEEDS_MIB)


def recorded(setting: Setting, image_id: str) -> Recording:
    """The recording of a setting, with the image that a build makes now; made where it is not there.

    That takes six minutes. AssertionError if the build then makes another image.
    """

    def make(place: Path) -> None:
        record(setting, place)
        assert Recording(place).image_id == image_id, "the image changed while this was recorded"

    return Recording(Cache(cache(), Host()).get(product_of(setting, image_id), make))

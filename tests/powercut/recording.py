"""A finished recording: made where it is not there yet, kept outside the clone by the content of what matters."""

from __future__ import annotations

import json
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


def recorded(setting: Setting) -> Recording:
    """The recording of a setting; made now where it is not there, which takes three to five minutes."""
    ingredients = {
        "content": digest(*(ROOT / name for name in INGREDIENTS)),
        "setting": setting.name,
    }
    product = Product(f"powercut-{setting.name}", ingredients, NEEDS_MIB)
    return Recording(Cache(cache(), Host()).get(product, lambda place: record(setting, place)))

"""The recordings, ready to be cut; made by whoever needs one first."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.powercut.lab import Lab
from tests.powercut.recording import SETTINGS, Recording, recorded
from tests.vm.conftest import image as image
from tests.vm.conftest import shared as shared
from tests.vm.image import Image, Shared


@pytest.fixture(scope="session")
def lab_of(shared: Shared, image: Image) -> Callable[[str], Lab]:
    """Of one machine, by the name of its setting. The session holds the recording."""

    @functools.cache
    def made(setting: str) -> Lab:
        def hold(place: Path) -> None:
            recorded(SETTINGS[setting], image.image_id).held_in(place)

        return Lab(Recording(shared.once(f"recording-{setting}", hold)))

    return made


@pytest.fixture(scope="session")
def lab(lab_of: Callable[[str], Lab]) -> Lab:
    """The everyday machine."""
    return lab_of(next(iter(SETTINGS)))

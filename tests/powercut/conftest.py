"""The recordings, ready to be cut; made by whoever needs one first."""

from __future__ import annotations

import functools

import pytest

from tests.powercut.lab import Lab
from tests.powercut.recording import SETTINGS, recorded


@functools.cache
def lab_of(setting: str) -> Lab:
    """Of one machine."""
    return Lab(recorded(SETTINGS[setting]))


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The everyday machine."""
    return lab_of(next(iter(SETTINGS)))

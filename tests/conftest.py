"""What unit and VM tests share: where they work."""

from __future__ import annotations

import os

import pytest

from tests.vm.image import cache


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files go beside the product's cache: /tmp may be memory, and disks are big."""
    place = cache() / "tests"
    place.mkdir(exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))

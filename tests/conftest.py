"""What unit and VM tests share: where they work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files go beside the product's cache: /tmp may be memory, and disks are big."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(os.environ.get("AUTOINSTALL_CACHE") or Path(home) / "autoinstall") / "tests"
    place.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))

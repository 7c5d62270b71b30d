"""Unit tests need no root, no devices and no programs: one that would run a command fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any-host", deadline=None)  # beside two virtual machines an example may take long
settings.load_profile("any-host")


class ACommandWasRun(AssertionError):
    """A unit test reached for the world outside."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whoever asks for the unit tests asks for seconds; the exhaustive ones run where -m speaks of them."""
    if "exhaustive" not in config.getoption("markexpr"):
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("exhaustive"):
                item.add_marker(pytest.mark.skip("takes minutes: make test-all, or -m exhaustive"))


@pytest.fixture(autouse=True)
def _no_commands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("runs_programs"):
        return

    def refuse(*words: object, **_: object) -> None:
        raise ACommandWasRun(f"a unit test would run {words[1]!r}: use a recording host")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)

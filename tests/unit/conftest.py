"""Unit tests need no root, no devices and no programs: one that would run a command fails."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import settings

settings.register_profile("any-host", deadline=None)  # beside two virtual machines an example may take long
settings.load_profile("any-host")


class ACommandWasRun(AssertionError):
    """A unit test reached for the world outside."""


@pytest.fixture(autouse=True)
def _no_commands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("runs_programs"):
        return

    def refuse(*words: object, **_: object) -> None:
        raise ACommandWasRun(f"a unit test would run {words[1]!r}: use a recording host")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)

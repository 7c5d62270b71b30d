"""The laboratory reports what it is made to report: each bug that is put into a trace on purpose is caught."""

from __future__ import annotations

import pytest

from tests.powercut.lab import Lab
from tests.powercut.seeded import SEEDED, caught

pytestmark = pytest.mark.vm

SEED = 1


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if bug.quick else (pytest.mark.exhaustive,)) for name, bug in SEEDED.items()],
)
def test_a_bug_that_was_put_in_is_caught(lab: Lab, name: str) -> None:
    assert caught(lab, name, SEED)

"""Real machines, as they were captured, and what is planned for each: to the letter."""

from __future__ import annotations

import pytest

from tests.unit.captured import FACTS, LINES, answers


def test_every_captured_machine_is_planned_for() -> None:
    assert {path.stem for path in FACTS.glob("*.json")} - {"manifest"} == set(LINES)


@pytest.mark.parametrize("name", LINES)
def test_the_answer_for_a_machine_is_the_one_that_was_looked_at(name: str) -> None:
    assert answers(name) == (FACTS / f"{name}.txt").read_text()

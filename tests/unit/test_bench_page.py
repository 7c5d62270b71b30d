"""The page of measurements: its sections are there, and a new table takes the place of the old one alone."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import PAGE
from tests.bench.page import judged, with_section

SECTIONS = ["install", "chain", "live-boot", "node-boot", "contents"]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_of_the_page_is_replaced_and_nothing_else(section: str) -> None:
    page = PAGE.read_text()
    once = with_section(page, section, "first")
    again = with_section(once, section, "second")
    assert again == once.replace("\nfirst\n", "\nsecond\n")
    assert with_section(again, section, "first") == once


def test_a_page_without_the_section_is_told() -> None:
    with pytest.raises(AssertionError, match="no section install"):
        with_section("# Empty\n", "install", "text")


@pytest.mark.parametrize(("value", "verdict"), [(1.0, "the aim"), (1.2, "within the bound"), (1.6, "over the bound")])
def test_a_figure_stands_beside_its_aim_and_its_bound(value: float, verdict: str) -> None:
    assert verdict in judged(value, (1.0, 1.5))

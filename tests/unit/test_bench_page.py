"""The page of measurements: its sections are there, and a new table takes the place of the old one alone."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import PAGE
from tests.bench.page import judged, upgraded, verity, with_section
from tests.bench.upgrade import Run, Upgrades
from tests.bench.verity import HOOK, MAP, parts

SECTIONS = ["install", "chain", "live-boot", "node-boot", "upgrade", "verity", "contents"]


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


def test_the_upgrade_is_judged_by_the_medians_and_told_with_its_spread() -> None:
    def runs(ours_s: float, rauc_s: float) -> dict[str, Run]:
        steps = {"fetch": 1.0, "flip": 0.5}
        ours = Run(ours_s, 30 << 10, {"flip": 0.5})
        return {"directory": ours, "url": Run(ours_s + 1, 31 << 10, steps), "rauc": Run(rauc_s, 18 << 10, {})}

    marks = {"first login over ssh": 60.0, "the node's kernel": 20.0}
    text = upgraded(Upgrades((runs(5, 10), runs(6, 10), runs(7, 8)), marks, marks, 100 << 20))
    assert "Upgrade / RAUC: 0.6 (aim 0.6, bound 1: within the aim); of single rounds 0.50 to 0.88." in text
    assert "| rauc install BUNDLE | 10.00 | 10.0 | 10.0 | 8.0 | 18.0 |" in text
    assert "| fetch |  | 1.00 |\n| flip | 0.50 | 0.50 |\n| beside the steps | 5.50 | 5.50 |" in text
    assert text.index("the node's kernel") < text.index("first login")


def test_the_parts_of_a_boot_are_read_in_minutes_and_seconds() -> None:
    told = "Startup finished in 6.567s (kernel) + 15.851s (initrd) + 1min 4.767s (userspace) = 1min 27.187s"
    assert parts(told) == {"kernel": 6.567, "initrd": 15.851, "userspace": 64.767}


def test_the_hook_without_verity_is_made_of_the_one_there_is() -> None:
    assert len(MAP.findall(HOOK.read_text())) == 1


def test_boots_with_verity_are_told_beside_those_without() -> None:
    with_it = [{"kernel": 5.0, "initrd": 6.0}, {"kernel": 5.0, "initrd": 7.0}]
    without = [{"kernel": 5.0, "initrd": 5.0}, {"kernel": 5.0, "initrd": 5.0}]
    text = verity({"with": with_it, "without": without})
    assert "With / without, the whole boot: 1.15; of single pairs 1.10 to 1.20." in text
    assert "| with: initrd | 6.50 | 6.0 | 7.0 |" in text

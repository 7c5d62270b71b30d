"""rescue wins over whatever line there is: what is wrong with the rest of it is told, and stops nobody."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from autoinstall import install as story
from autoinstall.cmdline import parse
from autoinstall.errors import BadWords
from autoinstall.host import Host
from autoinstall.lint import opinion
from autoinstall.report.events import Ending
from autoinstall.request import Action, request_from
from autoinstall.rescue import wrong_with
from tests.unit.machines import HASH
from tests.unit.test_install import Paper

HOOK = Path(__file__).resolve().parents[2] / "dracut/55autoinstall/parse-autoinstall.sh"
WRONG = "storage_inti upgrade uninstall ip=yes autoinstall.aftr=x adminpw=plain swap_encrypt=Swap2"


@pytest.mark.parametrize("word", ["rescue", "rescue=1", "autoinstall.rescue=yes", "rescue=no rescue"])
def test_a_wrong_line_is_no_hindrance_and_every_problem_of_it_is_told(word: str) -> None:
    with pytest.raises(BadWords) as caught:
        request_from(parse(f"{WRONG} quiet"))
    problems = set(caught.value.reasons)
    assert len(problems) >= 5
    request = request_from(parse(f"{WRONG} quiet {word}"))
    assert request.action is Action.RESCUE
    assert problems <= set(request.warnings)


@pytest.mark.parametrize("word", ["rescue=perhaps", "rescue=no", "rescue rescue=off"])
def test_a_line_that_does_not_ask_for_it_is_refused_as_ever(word: str) -> None:
    with pytest.raises(BadWords):
        request_from(parse(f"{WRONG} {word}"))


def test_lint_installer_and_rescue_system_say_the_same_of_it() -> None:
    line = f"{WRONG} rescue autoinstall.words=https://nowhere.invalid/words"
    paper = Paper()
    result = story.install(line, Host(), [paper])
    warned = [event.description for event in paper.events]
    said = opinion(line)
    assert (result.ending, said.errors, said.action) == (Ending.NONE, (), "rescue")
    assert sorted(warned) == sorted(said.warnings)
    assert set(wrong_with(line)) < set(warned)
    assert "storage_inti: unknown, and one slip away from storage_init; did you mean that?" in wrong_with(line)
    assert HASH not in "".join(warned)


def test_the_rescue_system_tells_of_a_line_that_is_none_and_of_nothing_else() -> None:
    assert "never ends" in wrong_with('rescue a="b')[0]
    assert wrong_with("rescue storage_init quiet") == wrong_with(f"{WRONG} rescue=no") == ()


@pytest.mark.runs_programs
@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ({"rescue": ""}, "rescue"),
        ({"rescue": "1"}, "rescue"),
        ({"autoinstall.rescue": "true"}, "rescue"),
        ({"rescue": "false", "autoinstall.rescue": ""}, "rescue"),
        ({"rescue": "false"}, "live"),
        ({"rescue": "off", "autoinstall.rescue": "no"}, "live"),
        ({}, "live"),
    ],
)
def test_the_initramfs_reads_the_word_as_the_installer_does(values: dict[str, str], mode: str) -> None:
    """getarg and getargbool are dracut's: the last value, and 0, no and off are no."""
    found = re.search(r"^autoinstall_is_rescue\(\).*?^}", HOOK.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    cases = "".join(f"{name}) echo '{value}' ;;\n" for name, value in values.items())
    script = (
        f"getarg() {{ case $1 in\n{cases}*) return 1 ;;\nesac; }}\n"
        'getargbool() { _b=$(getarg "$2") || _b=$1; case $_b in 0|no|off) return 1 ;; esac; }\n'
        f"{found[0]}\nautoinstall_is_rescue && echo rescue || echo live"
    )
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip() == mode

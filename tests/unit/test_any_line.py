"""Whatever stands on a line: it is asked for, or it is refused with reasons. Nothing else ever comes out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from autoinstall.advice import READ_BY_OTHERS
from autoinstall.cmdline import parse
from autoinstall.errors import AutoinstallError
from autoinstall.lint import opinion
from autoinstall.parameters import PARAMETERS, REFUSED
from autoinstall.request import on_failure_from, redacted, request_from

SPELLINGS = [name for row in PARAMETERS for name in (row.name, *row.aliases)]
ENDINGS = ("", "=", "=1", "=:", "=,", "=;", "=[", "=match:", "=/dev/")
TEXTS = [
    *(example for row in PARAMETERS for example in (row.example, row.bad_example)),
    *(f"{name}{value}" for name in SPELLINGS for value in ENDINGS),
    *sorted(REFUSED),
    *READ_BY_OTHERS,
]
CHARACTERS = st.sampled_from("""abz019-_.,:;/=+*?[]{}()<>|&$#!~^%@'"\\ \té²\u00a0\u0660\udc80\x07""")
SLIPS = st.tuples(st.sampled_from("insert delete replace swap double cut".split()), st.integers(0, 120), CHARACTERS)
PIECES = st.tuples(st.sampled_from(TEXTS), st.lists(SLIPS, max_size=3))
LINES = st.lists(PIECES, max_size=6)


def slipped(text: str, slips: list[tuple[str, int, str]]) -> str:
    """The text after some slips of a hand, each at a place counted from the beginning, and round again."""
    for how, where, character in slips:
        at = where % (len(text) + 1)
        before, behind = text[:at], text[at:]
        text = {
            "insert": before + character + behind,
            "delete": before + behind[1:],
            "replace": before + character + behind[1:],
            "swap": before + behind[1:2] + behind[:1] + behind[2:],
            "double": before + behind + behind,
            "cut": before,
        }[how]
    return text


def comes_to_an_end(pieces: list[tuple[str, list[tuple[str, int, str]]]]) -> None:
    """The line of these pieces is a request or a refusal, for the installer, its logs and `lint`."""
    line = " ".join(slipped(text, slips) for text, slips in pieces)
    said = opinion(line)
    try:
        words = parse(line)
        redacted(words)
        on_failure_from(words)
        request_from(words)
    except AutoinstallError as error:
        assert error.exit_code == 2
        assert all(error.reasons)
        assert said.errors[: len(error.reasons)] == error.reasons
    else:
        assert said.action


def test_every_word_of_the_table_with_every_ending_is_asked_for_or_refused() -> None:
    for text in TEXTS:
        comes_to_an_end([(text, [])])


@settings(max_examples=400)
@given(LINES)
def test_any_slip_on_a_line_is_asked_for_or_refused(pieces: list[tuple[str, list[tuple[str, int, str]]]]) -> None:
    comes_to_an_end(pieces)

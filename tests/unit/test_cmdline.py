"""Text -> words, as the kernel splits it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoinstall.cmdline import LIMIT_BYTES, Word, parse, refuse_cut, render
from autoinstall.errors import BadWords

ROWS = [
    ("", []),
    ("  quiet \t ro\n", [Word("quiet"), Word("ro")]),
    ("a=1", [Word("a", "1")]),
    ("a=", [Word("a", "")]),
    ("root=live:LABEL=X", [Word("root", "live:LABEL=X")]),
    ('a="b c" d', [Word("a", "b c"), Word("d")]),
    ('"a=b c" d', [Word("a", "b c"), Word("d")]),
    ('a=b" c"d', [Word("a", 'b" c"d')]),
    ("a.b-c=1", [Word("a.b-c", "1")]),
    ("=a =b=c", [Word("=a"), Word("=b", "c")]),
    ('"" a=""', [Word(""), Word("a", "")]),
    ('"a="b""', [Word("a", 'b"')]),
]


@pytest.mark.parametrize(("line", "words"), ROWS)
def test_a_line_splits_as_the_kernel_splits_it(line: str, words: list[Word]) -> None:
    assert list(parse(line)) == words


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a\x1b[2J", "control character"),
        ("a\nb", "control character"),
        ('a="b c', "never ends"),
        ("x" * LIMIT_BYTES, "its end is missing"),
    ],
)
def test_what_no_line_may_hold_is_refused(line: str, says: str) -> None:
    with pytest.raises(BadWords, match=says):
        parse(line)


BEGUN = "storage_init autoinstall.id="


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (BEGUN.ljust(2045, "x"), False),
        (BEGUN.ljust(2046, "x"), True),
        (BEGUN.ljust(2045, "x") + "\n", False),
        (BEGUN.ljust(2045, "x") + " \n", True),
        (BEGUN.ljust(2035, "x") + " autoinstall", True),
        (BEGUN.ljust(2031, "x") + " autoinstall.end\n", False),
        (BEGUN.ljust(2031, "x") + "autoinstall.end", True),
        (" " * 2046, True),
    ],
)
def test_a_line_that_is_as_long_as_one_that_was_cut_and_has_no_end_is_refused(line: str, refused: bool) -> None:
    parse(line)
    with pytest.raises(BadWords, match="words may be missing") if refused else nullcontext():
        refuse_cut(line)


def test_every_problem_is_listed() -> None:
    with pytest.raises(BadWords) as caught:
        parse('a\x07 "' + "x" * LIMIT_BYTES)
    assert len(caught.value.reasons) == 3


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,20}", fullmatch=True)
VALUES = st.none() | st.text(
    st.characters(min_codepoint=32, exclude_characters='"\x7f', exclude_categories=["C", "Z"])
)
SPACED = st.lists(st.from_regex(r"[a-z]+", fullmatch=True), min_size=2, max_size=4).map(" ".join)
WORDS = st.builds(Word, NAMES, VALUES | SPACED)


@given(st.lists(WORDS, max_size=8))
def test_parse_of_render_is_the_identity(words: list[Word]) -> None:
    assert parse(render(tuple(words))) == tuple(words)


LINES = st.text('ab=" \t.', max_size=30)


@given(LINES)
def test_what_a_line_says_can_always_be_said_again(line: str) -> None:
    assume(line.count('"') % 2 == 0)
    words = parse(line)
    assert parse(render(words)) == words


@given(LINES)
def test_any_line_splits_as_the_kernel_splits_it(line: str) -> None:
    assume(line.count('"') % 2 == 0)
    assert parse(line) == tuple(_kernel(line))


def _kernel(line: str) -> Iterator[Word]:
    """next_arg of lib/cmdline.c (Linux 6.12), index by index, over a buffer in which it writes NULs."""
    rest = line.strip()
    while rest:
        quoted = in_quotes = rest[0] == '"'
        buffer = [*(rest[1:] if quoted else rest), "\0"]
        end = equals = 0
        while buffer[end] != "\0" and (in_quotes or buffer[end] not in " \t"):
            if buffer[end] == "=" and not equals:
                equals = end
            in_quotes ^= buffer[end] == '"'
            end += 1
        rest = "".join(buffer[end:-1]).strip()
        buffer[end] = "\0"
        start = equals + 1
        if equals and buffer[start] == '"':
            start += 1
            if buffer[end - 1] == '"':
                buffer[end - 1] = "\0"
        if quoted and buffer[end - 1] == '"':
            buffer[end - 1] = "\0"
        text = "".join(buffer)
        name = text[: equals or end].partition("\0")[0]
        yield Word(name, text[start:].partition("\0")[0] if equals else None)


@given(st.text(max_size=3000))
def test_any_text_parses_or_is_refused(line: str) -> None:
    try:
        parse(line)
    except BadWords as error:
        assert error.reasons

"""What each boot loader makes of its line, by readers written from their sources, and what that must be."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoinstall.cmdline import Word, parse
from autoinstall.errors import BadWords
from autoinstall.loaders import BLS, GRUB, IPXE, LOADERS, PXELINUX, Loader
from tests.unit.machines import HASH

VARIABLE = re.compile(r"\$(\w+|\{\w*\}|[?#*@])")


def from_pxelinux(line: str) -> str:
    """The kernel's line: readconfig.c skips blanks before the words of APPEND, and takes `-` for none."""
    text = line.lstrip(" \t")
    return "BOOT_IMAGE=vmlinuz " + ("" if text == "-" else text)


def from_grub(line: str) -> str:
    """The kernel's line: yylex.l splits into arguments, lib/cmdline.c joins them. Variables are unset."""
    joined = ["BOOT_IMAGE=/vmlinuz"]
    rest = line.lstrip(" \t")
    while rest and not rest.startswith("#"):
        argument = ""
        while rest and rest[0] not in " \t":
            piece, rest = _grub_piece(rest)
            argument += piece
        joined.append(_grub_joined(argument))
        rest = rest.lstrip(" \t")
    return " ".join(joined)


def _grub_piece(text: str) -> tuple[str, str]:
    """What the beginning of a word means, and what follows."""
    if text[0] == "'":
        inner, _, rest = text[1:].partition("'")
        return inner, rest
    if text[0] == '"':
        match = re.match(r'"((?:\\.|[^"\\])*)"', text)
        assert match, "a quote that never ends"
        return re.sub(r'\\([$\\"])', r"\1", VARIABLE.sub("", match[1])), text[match.end() :]
    if text[0] == "\\":
        return text[1:2], text[2:]
    if text[0] == "$":
        match = VARIABLE.match(text)
        assert match, "a syntax error"
        return "", text[match.end() :]
    assert text[0] not in "{}|&;<>", "the end of the command, or a syntax error"
    assert text[0] not in "*?[", "a name of files, which GRUB completes (commands/wildcard.c)"
    return text[0], text[1:]


def _grub_joined(argument: str) -> str:
    escaped = re.sub(r"([\\'\"])", r"\\\1", argument)
    return f'"{escaped}"' if " " in argument else escaped


def from_ipxe(line: str) -> str:
    """The kernel's line: core/exec.c splits at blanks, ends at a comment or separator, expands settings, joins."""
    assert not line.endswith("\\"), "the line goes on"
    tokens = []
    for token in line.split():
        if token.startswith("#") or token in ("||", "&&", ";"):
            break
        tokens.append(_ipxe_expanded(token))
    return " ".join(tokens)


def _ipxe_expanded(token: str) -> str:
    """expand_settings: the last `${` before the first `}`, again and again; no setting is set."""
    while (start := token.find("${")) >= 0 and (end := token.find("}", start)) >= 0:
        start = token.rfind("${", 0, end)
        token = token[:start] + token[end + 1 :]
    return token


def from_bls(line: str) -> str:
    """The kernel's line: line_get_key_value takes off blanks at both ends, then quotes that stand at both ends."""
    text = line.strip(" \t")
    return text[1:-1] if text.startswith('"') and text.endswith('"') and len(text) > 1 else text


READERS: dict[str, Callable[[str], str]] = {
    "pxelinux": from_pxelinux, "grub": from_grub, "ipxe": from_ipxe, "bls": from_bls,
}  # fmt: skip

BY_NAME = pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.name)
ANY_LINE = st.text("""ab= \t."'\\$;&<>|{}#*?[]()!~`-+6é""", max_size=24)


def at_the_kernel(loader: Loader, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The words that arrive; what loaders put before them is not counted."""
    got = parse(READERS[loader.name](loader.quoted(words)))
    return tuple(word for word in got if word.name != "BOOT_IMAGE")


@BY_NAME
@given(ANY_LINE)
def test_the_kernel_gets_exactly_these_words_or_the_line_is_refused(loader: Loader, line: str) -> None:
    assume(line.count('"') % 2 == 0)
    words = parse(line)
    try:
        assert at_the_kernel(loader, words) == words
    except BadWords as error:
        assert error.reasons


CARRIED = "a;b a&b a<1 a>1 a|b a$6$b {a} #a [a] a* a? ~a !a `a` (a) ; &&".split()


@BY_NAME
@pytest.mark.parametrize("text", [*CARRIED, 'a="b c"', '"a b"', f"adminpw={HASH}", "a=", "é", 'x "a b=c"'])
def test_what_every_loader_can_hand_on(loader: Loader, text: str) -> None:
    words = parse(f"first {text} last")
    assert at_the_kernel(loader, words) == words


@BY_NAME
def test_a_line_of_no_special_words_is_written_as_it_is(loader: Loader) -> None:
    line = "storage_init=/dev/vda,/dev/vdb BOOTIF=01-52-54-00-12-34-56 ip=[2001:db8::7]::[2001:db8::1]:64"
    plain = line if loader is not GRUB else line.replace("ip=", "'ip=") + "'"
    assert loader.quoted(parse(line)) == plain
    assert not loader.warning(parse(line)) or loader is BLS


REFUSED = [
    (GRUB, "a\\b", "doubles backslashes"),
    (GRUB, "a='b'", "single quotes"),
    (GRUB, 'a=b"c d"', "double quote inside"),
    (GRUB, 'a="b\tc"', "tab"),
    (GRUB, '""', "empty word"),
    (IPXE, "a=${b}", "expands"),
    (IPXE, 'a="b  c"', "one blank of several"),
    (IPXE, 'a="b\tc"', "one blank of several"),
    (IPXE, 'a="b #c"', "comment"),
    (IPXE, 'a="b ; c"', "ends a command"),
    (PXELINUX, "-", "no words at all"),
    (BLS, '"a b" c="d e"', "takes off the quotes"),
]


@pytest.mark.parametrize(("loader", "line", "says"), REFUSED)
def test_what_a_loader_cannot_hand_on_is_refused_with_its_reason(loader: Loader, line: str, says: str) -> None:
    with pytest.raises(BadWords, match=says):
        loader.quoted(parse(line))
    with pytest.raises((AssertionError, BadWords)):
        assert parse(READERS[loader.name](_as_it_is(loader, line))) == parse(line)


def _as_it_is(loader: Loader, line: str) -> str:
    """How somebody would write it who knew no better; for GRUB in single quotes."""
    if loader is GRUB:
        return " ".join(f"'{word.plain}'" if "'" not in word.plain else word.plain for word in parse(line))
    return line


def test_every_word_that_cannot_be_handed_on_is_told_and_no_value_is() -> None:
    with pytest.raises(BadWords) as caught:
        GRUB.quoted(parse("adminpw=se'cret b rootpw=se\\cret"))
    assert len(caught.value.reasons) == 2
    assert "se" not in str(caught.value).replace("backslashes", "").replace("escapes", "").replace("doubles", "")


@given(ANY_LINE)
def test_a_bls_line_without_a_warning_reads_the_same_as_a_script_of_grub(line: str) -> None:
    """Fedora's GRUB (blscfg.c) runs it as the words of a `linux` command."""
    assume(line.count('"') % 2 == 0)
    words = parse(line)
    assume("" not in [word.plain for word in words])
    if not BLS.warning(words) and not BLS.fault(" ".join(map(str, words))):
        assert parse(from_grub(BLS.quoted(words)))[1:] == words


@pytest.mark.parametrize("line", ['a=b"c d"', "a;b", "a=$6", "a*"])
def test_a_bls_line_that_grub_would_read_otherwise_is_warned_of(line: str) -> None:
    assert "as a script" in BLS.warning(parse(line))

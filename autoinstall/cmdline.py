"""Text of a kernel command line -> words, split exactly as the kernel splits them (lib/cmdline.c, next_arg)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoinstall.errors import BadWords

LIMIT_BYTES = 2048
"""COMMAND_LINE_SIZE on x86, its terminating NUL included; what is longer was cut before we saw it."""

HANDED_ON_BYTES = LIMIT_BYTES - 2
"""What every loader hands on: pxelinux and iPXE count a NUL among the 2047 bytes of the kernel's own header."""
END = "autoinstall.end"
"""The word that a line may end with. pxelinux and iPXE cut a long one at that byte, which is seen. GRUB and the EFI
stub of the kernel leave out whole words, which is not: a menu of ours is not written where it would be too long.
"""

WHITE_SPACE = " \t\n\r\v\f"
HINT_SHORTER = "give fewer words; a file can have more of them: autoinstall.words"
QUOTES = (
    ("", "", ""), ("", '"', '"'), ('"', "", '"'), ('"', "", ""), ("", '"', ""), ('"', '"', ""), ("", "", '"'),
    ('"', '"', '"'),
)  # fmt: skip
"""Where a word may have quotes that are no part of it: before it, before its value, behind it."""


@dataclass(frozen=True)
class Word:
    """One word: `name` or `name=value`. A bare word has no value, which differs from an empty one."""

    name: str
    value: str | None = None

    @property
    def plain(self) -> str:
        """The word without the quotes that protect its blanks on a line."""
        return self.name if self.value is None else f"{self.name}={self.value}"

    def __str__(self) -> str:
        return next(spellings(self), self.plain)


def parse(line: str) -> tuple[Word, ...]:
    """The words of `line`, in order.

    Raises BadWords for what no command line of ours may hold: control characters (white space at the end
    of the line is not part of it), a quote that never ends, more bytes than the kernel keeps.
    """
    line = line.strip(WHITE_SPACE + "\0")
    problems = _problems(line)
    if problems:
        raise BadWords(*problems, hint="give the line again, without them")
    return tuple(_word(text) for text in _split(line))


def refuse_cut(line: str) -> None:
    """Raises BadWords for a line as long as one that was cut, whose last word is not END."""
    size = _size_bytes(line.rstrip("\n\0"))
    if size >= HANDED_ON_BYTES and line.strip(WHITE_SPACE + "\0").split()[-1:] != [END]:
        told = f"the command line has {size} bytes, as one that was cut, and does not end with {END}"
        raise BadWords(f"{told}: words may be missing", hint=HINT_SHORTER)


def ended(words: Sequence[Word], added: Sequence[Word]) -> tuple[Word, ...]:
    """The words for a menu of ours, with END behind them.

    `added` is what the kernel gets beside them. Raises BadWords where not all of it is sure to get there.
    """
    whole = (*words, *(() if list(words[-1:]) == [Word(END)] else (Word(END),)))
    size = _size_bytes(render([*added, *whole]))
    if size > HANDED_ON_BYTES:
        told = f"the menu's line would have {size} bytes, with what image and boot loaders add"
        raise BadWords(f"{told}: {HANDED_ON_BYTES} is the most", hint=HINT_SHORTER)
    return whole


def render(words: Sequence[Word]) -> str:
    """The line that parses to `words`."""
    return " ".join(str(word) for word in words)


def spellings(word: Word) -> Iterator[str]:
    """Every text that is this word to the kernel, the simplest first; none for a word that no line can hold."""
    for first, inner, last in QUOTES:
        value = "" if word.value is None else f"={inner}{word.value}"
        text = f"{first}{word.name}{value}{last}"
        if text.count('"') % 2 == 0 and _split(text) == [text] and _word(text) == word:
            yield text


def _problems(line: str) -> list[str]:
    found = []
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in line.replace("\t", " ")):
        found.append("the command line holds a control character")
    if line.count('"') % 2:
        found.append('the command line holds a double quote (") that never ends')
    size = _size_bytes(line)
    if size >= LIMIT_BYTES:
        found.append(f"the command line has {size} bytes; the kernel keeps {LIMIT_BYTES - 1}, so its end is missing")
    return found


def _size_bytes(line: str) -> int:
    return len(line.encode(errors="surrogateescape"))


def _split(line: str) -> list[str]:
    pieces, current, quoted = [], "", False
    for character in line:
        if character == '"':
            quoted = not quoted
        if character in WHITE_SPACE and not quoted:
            pieces.append(current)
            current = ""
        else:
            current += character
    return [piece for piece in [*pieces, current] if piece]


def _word(text: str) -> Word:
    """As next_arg: `=` in the first place is part of the name, and one quote at the end goes, however many began."""
    quoted = text.startswith('"')
    text = text.removeprefix('"')
    equals = text.find("=", 1)
    if equals < 0:
        return Word(text.removesuffix('"') if quoted else text)
    value = text[equals + 1 :]
    if value.startswith('"'):
        value, quoted = value[1:], True
    return Word(text[:equals], value.removesuffix('"') if quoted else value)

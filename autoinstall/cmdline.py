"""Text of a kernel command line -> words, split exactly as the kernel splits them (lib/cmdline.c, next_arg)."""

from __future__ import annotations

from dataclasses import dataclass

from autoinstall.errors import BadWords

LIMIT_BYTES = 2048
"""COMMAND_LINE_SIZE on x86, its terminating NUL included; what is longer was cut before we saw it."""

WHITE_SPACE = " \t\n\r\v\f"


@dataclass(frozen=True)
class Word:
    """One word: `name` or `name=value`. A bare word has no value, which differs from an empty one."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        text = self.name if self.value is None else f"{self.name}={self.value}"
        return f'"{text}"' if any(c in WHITE_SPACE for c in text) else text


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


def render(words: tuple[Word, ...]) -> str:
    """The line that parses to `words`."""
    return " ".join(str(word) for word in words)


def _problems(line: str) -> list[str]:
    found = []
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in line.replace("\t", " ")):
        found.append("the command line holds a control character")
    if line.count('"') % 2:
        found.append('the command line holds a double quote (") that never ends')
    size = len(line.encode(errors="surrogateescape"))
    if size >= LIMIT_BYTES:
        found.append(f"the command line has {size} bytes; the kernel keeps {LIMIT_BYTES - 1}, so its end is missing")
    return found


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
    if text.startswith('"'):
        text = text[1:].removesuffix('"')
    name, equals, value = text.partition("=")
    if not equals:
        return Word(name)
    if value.startswith('"'):
        value = value[1:].removesuffix('"')
    return Word(name, value)

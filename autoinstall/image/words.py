"""The words of a kernel command line as a boot menu holds them: checked, and quoted for GRUB. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall.errors import BadUsage

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/=+@%^")
LONGEST_LINE = 2048


def checked_words(line: str) -> list[str]:
    """The words of a line that a boot menu is to hold. Raises BadUsage for one that no kernel could get whole."""
    if any(ord(char) < 32 or ord(char) == 127 for char in line):
        raise BadUsage("--cmdline: control characters have no place on a kernel command line")
    if set(line) & set("\\'"):
        raise BadUsage("--cmdline: GRUB doubles backslashes and single quotes; write the word without them")
    if line.count('"') % 2:
        raise BadUsage("--cmdline: a double quote is not closed")
    if len(line.encode()) >= LONGEST_LINE:
        raise BadUsage(f"--cmdline: {len(line.encode())} bytes; the kernel reads {LONGEST_LINE - 1}")
    return split_words(line)


def quoted(word: str) -> str:
    """A word that GRUB's shell hands on as it is."""
    return f"'{word}'" if set(word) - PLAIN else word


def quoted_words(words: Sequence[str]) -> str:
    """The words as they stand in a menu of GRUB."""
    return " ".join(quoted(word) for word in words)


def split_words(line: str) -> list[str]:
    """The words of a kernel command line. Double quotes protect blanks, and go: GRUB puts its own."""
    words, word, inside = [], "", False
    for char in line:
        inside ^= char == '"'
        if char.isspace() and not inside:
            words.append(word)
            word = ""
        elif char != '"':
            word += char
    return [found for found in (*words, word) if found]

"""The words of a kernel command line as a boot menu holds them: checked, and quoted for GRUB. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autoinstall import cmdline
from autoinstall.errors import BadUsage

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/=+@%^")


def checked_words(line: str) -> list[str]:
    """The words as the kernel is to see them: GRUB itself quotes those with blanks, and escapes what is refused.

    Raises BadUsage or BadWords for a line that no kernel could get whole.
    """
    if set(line) & set("\\'"):
        raise BadUsage("--cmdline: GRUB doubles backslashes and single quotes; write the word without them")
    words = [_text(word) for word in cmdline.parse(line)]
    if any('"' in word for word in words):
        raise BadUsage("--cmdline: GRUB escapes a double quote inside a word; put it around the whole word or value")
    return words


def quoted(word: str) -> str:
    """A word that GRUB's shell hands on as it is."""
    return f"'{word}'" if set(word) - PLAIN else word


def quoted_words(words: Sequence[str]) -> str:
    """The words as they stand in a menu of GRUB."""
    return " ".join(quoted(word) for word in words)


def _text(word: cmdline.Word) -> str:
    return word.name if word.value is None else f"{word.name}={word.value}"

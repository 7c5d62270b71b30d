"""Boot loaders: how each must be given a line, so that the kernel gets exactly its words.

Told by their sources: GRUB's script/yylex.l and lib/cmdline.c, Syslinux' readconfig.c, iPXE's core/exec.c,
core/settings.c and image/script.c, systemd-boot's line_get_key_value, and blscfg.c of Fedora's GRUB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoinstall.cmdline import Word, render, spellings
from autoinstall.errors import BadWords

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/=+@%^")
"""What GRUB's shell hands on as it is."""


@dataclass(frozen=True)
class Loader:
    """One boot loader. `command` is what stands before the words in its configuration.

    `written` gives one word as it is to be written there, or raises ValueError with why it cannot be handed on;
    `fault` says why a whole line cannot, where its words can; `warning` what may happen to one that can.
    """

    name: str
    title: str
    command: str
    written: Callable[[Word], str] = str
    fault: Callable[[str], str] = lambda line: ""
    warning: Callable[[Sequence[Word]], str] = lambda words: ""

    def quoted(self, words: Sequence[Word]) -> str:
        """The words as they stand in its configuration. Raises BadWords, with every word that cannot."""
        pieces, problems = [], []
        for word in words:
            try:
                pieces.append(self.written(word))
            except ValueError as error:
                problems.append(f"{word.name}: {error}")
        line = " ".join(pieces)
        if not problems and self.fault(line):
            problems.append(self.fault(line))
        if problems:
            raise BadWords(*problems, hint=f"write it so that {self.title} can hand it on to the kernel")
        return line


def _for_grub(word: Word) -> str:
    """GRUB takes quotes off, and puts its own around what has a blank: a word is given to it without any."""
    text = word.plain
    if set(text) & set("\\'"):
        raise ValueError("GRUB doubles backslashes and escapes single quotes")
    if '"' in text:
        raise ValueError("GRUB escapes a double quote inside a word; put it around the whole word or value")
    if "\t" in text:
        raise ValueError("GRUB does not protect a tab")
    if not text:
        raise ValueError("GRUB drops an empty word")
    return f"'{text}'" if set(text) - PLAIN else text


def _for_ipxe(word: Word) -> str:
    """iPXE knows no quotes; those for the kernel hide a `#` or `;` in the first place, a backslash in the last."""
    faults = []
    for text in spellings(word):
        fault = _ipxe_fault(text)
        if not fault:
            return text
        faults.append(fault)
    raise ValueError(faults[0])


def _ipxe_fault(text: str) -> str:
    tokens = text.split(" ")
    if "" in tokens or "\t" in text:
        return "iPXE makes one blank of several, and of a tab"
    if any(re.search(r"\$\{.*\}", token) for token in tokens):
        return "iPXE expands ${…}"
    if any(token.startswith("#") for token in tokens):
        return "iPXE takes what begins with # as a comment"
    if set(tokens) & {"||", "&&", ";"}:
        return "iPXE ends a command at ||, && and ;"
    return "iPXE goes on with the next line after a backslash" if text.endswith("\\") else ""


def _pxelinux_fault(line: str) -> str:
    return "Syslinux reads APPEND - as no words at all" if line == "-" else ""


def _bls_fault(line: str) -> str:
    if len(line) > 1 and line[0] == line[-1] == '"':
        return "systemd-boot takes off the quotes of a line that begins and ends with one; put another word first"
    return ""


def _bls_warning(words: Sequence[Word]) -> str:
    if set(render(words)) - PLAIN - set(' "') or any('"' in word.plain for word in words):
        return "systemd-boot hands this on as it is; Fedora's GRUB (blscfg) changes it: it runs as a script"
    return ""


PXELINUX = Loader("pxelinux", "pxelinux", "APPEND", fault=_pxelinux_fault)
GRUB = Loader("grub", "GRUB", "linux /vmlinuz", written=_for_grub)
IPXE = Loader("ipxe", "iPXE", "kernel vmlinuz", written=_for_ipxe)
BLS = Loader("bls", "systemd-boot", "options", fault=_bls_fault, warning=_bls_warning)
LOADERS = (PXELINUX, GRUB, IPXE, BLS)

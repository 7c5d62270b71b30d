"""slot.cfg: what GRUB, kexec and `status` read of a slot: its version and its kernel arguments. Pure.

And what grub.cfg adds to them.
"""

from __future__ import annotations

import re

from autoinstall.errors import StateUnreadable

SLOT_CFG = "slot.cfg"
_LINE = re.compile(r"set slot_kargs=((?:'[^']*'|\\')+)")
_ALWAYS = re.compile(r'set always="([^"]*)"')


def render_slot_cfg(version: str, kernel_arguments: str) -> bytes:
    """The file, a GRUB script. Single quotes: no word of the command line is ever evaluated."""
    return f"set slot_version={_quoted(version)}\nset slot_kargs={_quoted(kernel_arguments)}\n".encode()


def kernel_arguments_of(data: bytes) -> str:
    """The kernel arguments that a slot.cfg of ours sets. Raises StateUnreadable."""
    for line in data.decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match:
            return _unquoted(match[1])
    raise StateUnreadable(f"{SLOT_CFG} sets no kernel arguments", hint="boot the other slot, or install again")


def words_of_every_boot(grub_cfg: bytes) -> str:
    """What a node's grub.cfg puts behind the kernel arguments of either slot; empty where it says nothing."""
    matches = map(_ALWAYS.fullmatch, grub_cfg.decode(errors="replace").splitlines())
    return next((match[1] for match in matches if match), "").strip()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _unquoted(text: str) -> str:
    return text.replace("'\\''", "\0").replace("'", "").replace("\0", "'")

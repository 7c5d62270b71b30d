"""Contents of GRUB's slot state, drawn with a seed: sound, unfinished, mixed, spoilt, or not there. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from autoinstall.image.grub import SECTOR_BYTES
from autoinstall.slots import ENV_BYTES, ENV_SIGNATURE, Slot, SlotState, render_env
from tests.vm.hardware import Firmware

SEED = 14
SHARES = {
    "bios": (Firmware.BIOS, 30),
    "uefi": (Firmware.UEFI, 4),
    "bios-more": (Firmware.BIOS, 274),
    "uefi-more": (Firmware.UEFI, 26),
}
"""How many pairs GRUB gets under which firmware; those of the first two every day."""
# No name twice: save_env would change the first of them, and load_env believes the last. We write none.
ODD_LINES = (b"primary=B", b"A_try=7", b"B_try=\\1", b"A_ok=1 ", b"B_ok=yes", b"end=1", b"prefix=/x", b"# =")

Content = bytes | None
Env = tuple[Content, Content]
"""Both copies; None is a file that is not there."""


def shares(seed: int) -> dict[str, list[Env]]:
    """The pairs of each of SHARES: none is there twice, in its own share or in another."""
    drawn = envs(seed)
    return {name: [*islice(drawn, count)] for name, (_, count) in SHARES.items()}


def envs(seed: int) -> Iterator[Env]:
    """Pairs without end, none of them twice, the same ones for the same seed; of ten, each copy is of each kind."""
    dice = random.Random(seed)
    seen = set()
    while True:
        for env in zip(_deck(dice), _deck(dice), strict=True):
            if env not in seen:
                seen.add(env)
                yield env


def _deck(dice: random.Random) -> list[Content]:
    """A content of each kind, in any order; sound ones more often."""
    usual = [_whole(dice) for _ in range(3)]
    spoilt = [_odd(dice), _mixed(dice), _whole(dice)[1:], _whole(dice)[:SECTOR_BYTES], _random(dice), b"", None]
    return dice.sample([*usual, *spoilt], 10)


def _state(dice: random.Random) -> SlotState:
    tries = (dice.randint(0, 3), dice.randint(0, 3))
    good = (dice.random() < 0.5, dice.random() < 0.5)
    return SlotState(dice.choice(list(Slot)), tries[0], good[0], tries[1], good[1], dice.random() < 0.8)


def _whole(dice: random.Random) -> bytes:
    return render_env(_state(dice))


def _odd(dice: random.Random) -> bytes:
    lines = dice.sample(ODD_LINES, dice.randint(2, len(ODD_LINES)))
    return (ENV_SIGNATURE + b"\n".join([*lines, b""])).ljust(ENV_BYTES, b"#")


def _long(dice: random.Random) -> bytes:
    """A state with half of its variables in the second sector: two such can be mixed, and two of ours cannot."""
    lines = render_env(_state(dice)).rstrip(b"#").splitlines(keepends=True)
    first, second = b"".join(lines[:4]), b"".join(lines[4:])
    return first.ljust(SECTOR_BYTES - 1, b"#") + b"\n" + second.ljust(SECTOR_BYTES, b"#")


def _mixed(dice: random.Random) -> bytes:
    """The first sector of one content and the second of another, where that is neither, and save_env has no hole."""
    kinds = (_whole, _odd, _long, _random)
    while True:
        one, other = dice.choice(kinds)(dice), dice.choice(kinds)(dice)
        mixed = one[:SECTOR_BYTES] + other[SECTOR_BYTES:]
        if mixed not in (one, other) and _can_be_counted_in(mixed):
            return mixed


def _random(dice: random.Random) -> bytes:
    return dice.randbytes(ENV_BYTES)


def _can_be_counted_in(content: bytes) -> bool:
    """Whether save_env changes what load_env believes, in what it takes for a file of its own.

    It wants nothing but # behind the last line (GRUB 2.12, lib/envblk.c), and no name twice.
    """
    if not content.startswith(ENV_SIGNATURE):
        return True
    lines = content.rstrip(b"#").split(b"\n")
    names = [line.partition(b"=")[0] for line in lines if not line.startswith(b"#")]
    return lines[-1] == b"" and len(names) == len(set(names))

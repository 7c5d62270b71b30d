"""The contents of the slot state that GRUB is given: no two alike, and of each kind some, every day."""

from __future__ import annotations

import pytest

from autoinstall.image.grub import SECTOR_BYTES
from autoinstall.slots import ENV_BYTES, ENV_SIGNATURE, parse_env, render_env
from tests.vm.env_files import SEED, Content, Env, shares

KINDS = {"missing", "empty", "short", "unsigned", "random", "whole", "unfinished", "odd", "mixed"}


def kind(content: Content) -> str:
    """What it is, told by its bytes alone."""
    if not content:
        return "missing" if content is None else "empty"
    if len(content) < ENV_BYTES:
        return "short" if content.startswith(ENV_SIGNATURE) else "unsigned"
    second = content[SECTOR_BYTES:].strip(b"#")
    if not content.startswith(ENV_SIGNATURE):
        return "random" if b"#" not in content[-3:] else "mixed"
    if second or content[SECTOR_BYTES - 1 : SECTOR_BYTES] == b"\n":
        return "mixed"
    state = parse_env(content.replace(b"end=0", b"end=1"))
    if state is None or render_env(state) != content.replace(b"end=0", b"end=1"):
        return "odd"
    return "whole" if b"end=1" in content else "unfinished"


def all_of(seed: int) -> list[Env]:
    """Every pair of every share."""
    return [env for share in shares(seed).values() for env in share]


def test_every_pair_is_another() -> None:
    drawn = all_of(SEED)
    assert len(set(drawn)) == len(drawn) == 334


@pytest.mark.parametrize("share", ["bios", "bios-more", "uefi-more"])
@pytest.mark.parametrize("copy", [0, 1])
def test_every_kind_is_there_in_either_copy(share: str, copy: int) -> None:
    assert {kind(env[copy]) for env in shares(SEED)[share]} == KINDS


def test_every_day_there_is_a_disk_with_neither_copy() -> None:
    assert (None, None) in shares(SEED)["bios"]


def test_the_same_seed_gives_the_same_and_another_gives_others() -> None:
    assert shares(SEED) == shares(SEED)
    assert all_of(SEED) != all_of(SEED + 1)

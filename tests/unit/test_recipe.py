"""Recipes: what a file says, and what it is told when it says something else."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from textwrap import dedent

import pytest

from autoinstall.errors import EXIT_ASKED, BadRecipe
from autoinstall.image.build import SHIPPED, read_recipe
from autoinstall.image.recipe import LAST_ALLOTTED_ID, AccountId, PythonPin, User, parse_recipe
from tests.documents import DOCS

GOOD = """
[image]
distribution = debian
suite = trixie
kernel = linux-image-amd64
words = console=tty0 console=ttyS0,115200n8
packages =
    python3 lvm2    # both are needed
    less

[python]
blivet = 3.13.2 sha256:{sha}

[users]
sshd = 202:65534 /run/sshd
messagebus = 201

[groups]
kvm = 224

[trim]
drop = usr/share/doc boot/*
""".format(sha="a" * 64)


def test_a_recipe_is_read_into_a_value() -> None:
    recipe = parse_recipe(GOOD, "mine", {})
    assert recipe.name == "mine"
    assert recipe.packages == ("python3", "lvm2", "less")
    assert recipe.words == ("console=tty0", "console=ttyS0,115200n8")
    assert recipe.python == (PythonPin("blivet", "3.13.2", "a" * 64),)
    assert recipe.users[0] == User("sshd", 202, 65534, "/run/sshd")  # type: ignore[arg-type]
    assert recipe.users[1].home == "/nonexistent"
    assert recipe.groups == {"kvm": 224}
    assert recipe.security_version == 1


BAD = [
    ("words = ", "word = ", r"\[image\] unknown key word; did you mean words\?"),
    ("words = ", "colour = ", r"\[image\] unknown key colour \(known: components, distribution, extends"),
    ("suite = trixie", "", r"\[image\] suite is missing"),
    ("suite = trixie", "suite = ../x", r"\[image\] suite has a bad value: '../x'"),
    ("[trim]", "[trin]", r"unknown section \[trin\]; did you mean trim\?"),
    ("lvm2", "lvm2;reboot", r"\[image\] packages has a bad word: 'lvm2;reboot'"),
    ("sha256:", "md5:", r"\[python\] blivet is not VERSION sha256:HEX"),
    ("sshd = 202:65534 /run/sshd", "sshd = two", r"\[users\] sshd is not UID\[:GID\] \[HOME\]: 'two'"),
    ("kvm = 224", "kvm = many", r"\[groups\] kvm is not a number: 'many'"),
    ("boot/*", "/boot/*", r"\[trim\] drop: '/boot/\*' is not relative to the root of the tree"),
    ("boot/*", "boot/../../x", r"\[trim\] drop: 'boot/../../x' is not relative"),
    ("kvm = 224", "kvm = 224\nkvm = 225", r".*option 'kvm' in section 'groups' already exists"),
    ("[image]", "", r"File contains no section headers"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=[new or f"no {old}" for old, new, _ in BAD])
def test_what_a_recipe_cannot_say_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(BadRecipe, match=f"^recipe mine: {message}") as caught:
        parse_recipe(GOOD.replace(old, new), "mine", {})
    assert caught.value.exit_code == EXIT_ASKED
    assert len(caught.value.reasons) == 1


def test_every_problem_is_listed() -> None:
    with pytest.raises(BadRecipe) as caught:
        parse_recipe(GOOD.replace("suite", "suit").replace("kvm = 224", "kvm = x"), "mine", {})
    assert len(caught.value.reasons) == 3


EXTENDING = """
[image]
extends = good
kernel = linux-image-cloud-amd64
components = non-free-firmware
packages = firmware-bnx2

[users]
sshd = 203

[groups]
disks = 230

[units]
mask = a.service
"""


def test_a_recipe_that_extends_another_adds_to_its_lists_and_replaces_the_rest() -> None:
    good, recipe = parse_recipe(GOOD, "good", {}), parse_recipe(EXTENDING, "mine", {"good": GOOD})
    assert recipe == replace(
        good,
        name="mine",
        kernel="linux-image-cloud-amd64",
        components=("non-free-firmware",),
        packages=(*good.packages, "firmware-bnx2"),
        users=(User("sshd", AccountId(203), AccountId(203), "/nonexistent"), good.users[1]),
        groups={"kvm": AccountId(224), "disks": AccountId(230)},
        masked_units=("a.service",),
    )


def test_a_recipe_may_extend_one_that_extends_another_even_of_its_own_name() -> None:
    bases = {"mine": EXTENDING, "good": GOOD}
    recipe = parse_recipe("[image]\nextends = mine\nversion = 7\npackages = nano\n", "mine", bases)
    assert recipe.packages == ("python3", "lvm2", "less", "firmware-bnx2", "nano")
    assert (recipe.version, recipe.suite) == ("7", "trixie")


MADE_WRONGLY = {
    "no such base": ("goof", {"good": GOOD}, r"\[image\] extends an unknown recipe: goof; did you mean good\?"),
    "itself": ("a", {"a": "[image]\nextends = a\n"}, r"\[image\] extends goes in a circle: a -> a"),
    "a circle": (
        "a",
        {"a": "[image]\nextends = b\n", "b": "[image]\nextends = a\n"},
        r"\[image\] extends goes in a circle: a -> b -> a",
    ),
    "an unknown key": ("good", {"good": GOOD}, r"\[image\] unknown key firmware \(known: .*\)"),
}


@pytest.mark.parametrize(("base", "bases", "message"), MADE_WRONGLY.values(), ids=MADE_WRONGLY)
def test_what_cannot_be_extended_is_refused(base: str, bases: dict[str, str], message: str) -> None:
    with pytest.raises(BadRecipe, match=f"^recipe mine: {message}$") as caught:
        parse_recipe(f"[image]\nextends = {base}\nfirmware = all\n", "mine", bases)
    assert len(caught.value.reasons) == 1


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.ini")])
def test_shipped_recipes_are_good_and_fix_every_id_that_debian_does_not(name: str) -> None:
    recipe = read_recipe(name)
    ids = [user.uid for user in recipe.users] + list(recipe.groups.values())
    assert len(ids) == len(set(ids))
    assert all(LAST_ALLOTTED_ID < number < 1000 for number in ids)


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(BadRecipe, match="recipe nosuch: cannot be read") as caught:
        read_recipe("nosuch")
    assert caught.value.hint == "a file, or one of: metal, vm"


def test_the_recipe_in_the_documentation_is_one(tmp_path: Path) -> None:
    section = DOCS.joinpath("hacking.md").read_text().split("## An image of your own\n")[1]
    lines = takewhile(lambda line: line.startswith("    ") or not line, section.splitlines())
    path = tmp_path / "ours.ini"
    path.write_text(dedent("\n".join(lines)))
    recipe, base = read_recipe(str(path)), read_recipe("vm")
    assert set(base.packages) < set(recipe.packages)
    assert {user.name for user in recipe.users} > {user.name for user in base.users}
    assert not {user.uid for user in recipe.users[len(base.users) :]} & {user.uid for user in base.users}

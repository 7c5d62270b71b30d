"""What an image is made of: a small INI file, read into a value. Pure."""

from __future__ import annotations

import configparser
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NewType

from autoinstall.errors import BadRecipe

AccountId = NewType("AccountId", int)

LAST_ALLOTTED_ID = 100
"""Debian policy 9.2.2, and base-passwd: ids up to here are the same on every Debian; others are rolled."""

NAME = re.compile(r"[a-z][a-z0-9-]*")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
ACCOUNT = re.compile(r"(?P<uid>\d+)(:(?P<gid>\d+))?( (?P<home>/\S*))?")
PIN = re.compile(r"(?P<version>[0-9][0-9A-Za-z.]*) sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class User:
    """A system user with fixed ids. It has no password and no shell."""

    name: str
    uid: AccountId
    gid: AccountId
    home: str


@dataclass(frozen=True)
class PythonPin:
    """A distribution on PyPI: exactly one file of one version."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Initramfs:
    """What an initramfs carries besides our module: modules of dracut, and drivers of the kernel."""

    modules: tuple[str, ...]
    drivers: tuple[str, ...]


@dataclass(frozen=True)
class Trim:
    """What of the packages stays out of the image: globs relative to the root of the tree."""

    drop: tuple[str, ...]
    keep: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """An image, asked for."""

    name: str
    distribution: str
    suite: str
    components: tuple[str, ...]
    """Beside main, which every image is made of."""
    kernel: str
    version: str
    security_version: int
    features: tuple[str, ...]
    words: tuple[str, ...]
    kernel_words: tuple[str, ...]
    packages: tuple[str, ...]
    python: tuple[PythonPin, ...]
    users: tuple[User, ...]
    groups: Mapping[str, AccountId]
    initramfs: Initramfs
    trim: Trim
    masked_units: tuple[str, ...]
    keys: str
    """A file of public keys, relative to the recipe's own; empty: systems of this image take any image."""


LISTS = frozenset(("components", "features", "words", "kernel_words", "packages"))
SCALARS = frozenset(("extends", "distribution", "suite", "kernel", "version", "security_version", "keys"))
KEYS: Mapping[str, frozenset[str] | None] = {
    "image": SCALARS | LISTS,
    "python": None,
    "users": None,
    "groups": None,
    "initramfs": frozenset(("modules", "drivers")),
    "trim": frozenset(("drop", "keep")),
    "units": frozenset(("mask",)),
}
"""Sections and their keys; None: the keys are names that the recipe chooses."""

ADDED: Mapping[str, frozenset[str]] = {
    section: LISTS if section == "image" else keys for section, keys in KEYS.items() if keys
}
"""What a recipe adds to the recipe that it extends; all else it replaces."""


def parse_recipe(text: str, name: str, bases: Mapping[str, str]) -> Recipe:
    """The recipe `name` whose file holds `text`; it may extend one of `bases`, texts of recipes by their names.

    Raises BadRecipe with every problem that was found.
    """
    parser = _extended(text, name, bases)
    problems = _unknown_names(parser)
    recipe = _Reader(parser, problems).recipe(name)
    if problems:
        raise BadRecipe(*(f"recipe {name}: {problem}" for problem in problems))
    return recipe


def _extended(text: str, name: str, bases: Mapping[str, str]) -> configparser.ConfigParser:
    """What a recipe says, on top of what the recipe says that it extends, and so on."""
    parsers, names = [_parse(text, name)], []
    while base := parsers[-1].get("image", "extends", fallback=""):
        names.append(base)
        if base not in bases:
            raise BadRecipe(f"recipe {name}: [image] extends an unknown recipe: {base}{_suggestion(base, bases)}")
        if names.count(base) > 1:
            raise BadRecipe(f"recipe {name}: [image] extends goes in a circle: {' -> '.join(names)}")
        parsers.append(_parse(bases[base], base))
    merged = parsers.pop()
    for parser in reversed(parsers):
        _put_on(merged, parser)
    return merged


def _put_on(merged: configparser.ConfigParser, parser: configparser.ConfigParser) -> None:
    for section in parser.sections():
        if not merged.has_section(section):
            merged.add_section(section)
        for key, value in parser[section].items():
            there = merged[section].get(key) if key in ADDED.get(section, ()) else None
            merged[section][key] = f"{there}\n{value}" if there else value


def _parse(text: str, name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=("=",), comment_prefixes=("#",), default_section=""
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, source=name)
    except configparser.Error as error:
        raise BadRecipe(f"recipe {name}: {error.message.replace(chr(10), ' ')}") from error
    return parser


def _unknown_names(parser: configparser.ConfigParser) -> list[str]:
    problems = []
    for section in parser.sections():
        if section not in KEYS:
            problems.append(f"unknown section [{section}]{_suggestion(section, KEYS)}")
            continue
        known = KEYS[section]
        if known is not None:
            problems += [
                f"[{section}] unknown key {key}{_suggestion(key, known)}"
                for key in parser[section]
                if key not in known
            ]
    return problems


def _suggestion(word: str, known: Mapping[str, object] | frozenset[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f" (known: {', '.join(sorted(known))})"


@dataclass(frozen=True)
class _Reader:
    """Reads values out of sections, and collects what is wrong with them."""

    parser: configparser.ConfigParser
    problems: list[str]

    def recipe(self, name: str) -> Recipe:
        return Recipe(
            name=name,
            distribution=self.word("image", "distribution", NAME),
            suite=self.word("image", "suite", NAME),
            components=self.words("image", "components", NAME),
            kernel=self.word("image", "kernel", PACKAGE),
            version=self.text("image", "version"),
            security_version=self.number("image", "security_version", 1),
            features=self.words("image", "features", NAME),
            words=tuple(self.text("image", "words").split()),
            kernel_words=tuple(self.text("image", "kernel_words").split()),
            packages=self.words("image", "packages", PACKAGE),
            python=self.pins(),
            users=self.users(),
            groups={key: AccountId(self.number("groups", key, 0)) for key in self.keys("groups")},
            initramfs=Initramfs(self.words("initramfs", "modules"), self.words("initramfs", "drivers")),
            trim=Trim(drop=self.globs("drop"), keep=self.globs("keep")),
            masked_units=self.words("units", "mask"),
            keys=self.text("image", "keys"),
        )

    def keys(self, section: str) -> tuple[str, ...]:
        return tuple(self.parser[section]) if self.parser.has_section(section) else ()

    def text(self, section: str, key: str) -> str:
        return self.parser.get(section, key, fallback="").strip()

    def word(self, section: str, key: str, grammar: re.Pattern[str]) -> str:
        value = self.text(section, key)
        if not grammar.fullmatch(value):
            what = f"has a bad value: {value!r}" if value else "is missing"
            self.problems.append(f"[{section}] {key} {what}")
        return value

    def words(self, section: str, key: str, grammar: re.Pattern[str] | None = None) -> tuple[str, ...]:
        """The words of a value of one or several lines; a line may end in a comment."""
        lines = self.text(section, key).splitlines()
        values = tuple(word for line in lines for word in line.partition(" #")[0].split())
        for value in values:
            if grammar and not grammar.fullmatch(value):
                self.problems.append(f"[{section}] {key} has a bad word: {value!r}")
        return values

    def number(self, section: str, key: str, default: int) -> int:
        value = self.text(section, key) or str(default)
        if not value.isdecimal():
            self.problems.append(f"[{section}] {key} is not a number: {value!r}")
            return default
        return int(value)

    def globs(self, key: str) -> tuple[str, ...]:
        patterns = self.words("trim", key)
        for pattern in patterns:
            if pattern.startswith("/") or ".." in pattern.split("/"):
                self.problems.append(f"[trim] {key}: {pattern!r} is not relative to the root of the tree")
        return patterns

    def users(self) -> tuple[User, ...]:
        users = []
        for name in self.keys("users"):
            match = ACCOUNT.fullmatch(self.text("users", name))
            if not match:
                self.problems.append(f"[users] {name} is not UID[:GID] [HOME]: {self.text('users', name)!r}")
                continue
            uid = AccountId(int(match["uid"]))
            gid = AccountId(int(match["gid"] or match["uid"]))
            users.append(User(name, uid, gid, match["home"] or "/nonexistent"))
        return tuple(users)

    def pins(self) -> tuple[PythonPin, ...]:
        pins = []
        for name in self.keys("python"):
            match = PIN.fullmatch(self.text("python", name))
            if not match:
                self.problems.append(f"[python] {name} is not VERSION sha256:HEX: {self.text('python', name)!r}")
                continue
            pins.append(PythonPin(name, match["version"], match["sha256"]))
        return tuple(pins)

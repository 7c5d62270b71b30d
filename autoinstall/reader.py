"""Words -> the values of those that are ours, and everything that is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autoinstall.cmdline import Word
from autoinstall.parameters import (
    PARAMETERS,
    PREFIX,
    REFUSED,
    Parameter,
    Twice,
    canonical,
    row_of,
)


class Reader:
    """Collects the values of a line, and everything that is wrong with it."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.values: dict[str, Any] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._spelled: dict[str, str] = {}
        self._slips: list[str] = []
        for word in words:
            row = row_of(word.name)
            if row:
                self._take(row, word)
            else:
                self._refuse_unknown(word)
        strict = self.values.get("autoinstall.strict", True)
        (self.problems if strict else self.warnings).extend(self._slips)
        self.problems += _behind_the_end(words)

    def _take(self, row: Parameter, word: Word) -> None:
        try:
            value = row.parse(word.value)
        except ValueError as error:
            self.problems.append(f"{word.name}: {error}")
            return
        if row.twice is Twice.ALL_COUNT:
            self.values.setdefault(row.name, []).append(value)
            return
        if row.name in self.values:
            self._second_time(row, word.name, value)
        elif row.warning:
            self.warnings.append(f"{word.name}: {row.warning}")
        self._spelled[row.name] = word.name
        self.values[row.name] = value

    def _second_time(self, row: Parameter, spelled: str, value: object) -> None:
        before = self._spelled[row.name]
        if row.twice is Twice.LAST_WINS:
            self.warnings.append(f"{row.name} is given more than once; the last one counts")
        elif self.values[row.name] != value and before == spelled:
            self.problems.append(f"{row.name} is given more than once, with different values")
        elif self.values[row.name] != value:
            self.problems.append(f"{before} and {spelled} are one word, given with different values")

    def _refuse_unknown(self, word: Word) -> None:
        name = canonical(word.name)
        near = one_slip_away(word.name)
        if name.removeprefix(PREFIX) in REFUSED:
            self.problems.append(f"{word.name}: {REFUSED[name.removeprefix(PREFIX)]}")
        elif name.startswith(PREFIX):
            self.problems.append(f"{word.name}: there is no such word{_did_you_mean(name)}")
        elif near:
            self._slips.append(f"{word.name}: unknown, and one slip away from {near.name}; did you mean that?")


MAY_FOLLOW_THE_END = ("autoinstall.end", "BOOTIF", "rescue")
"""pxelinux and others add BOOTIF to any line, and an operator may add rescue to any line."""


def _behind_the_end(words: Sequence[Word]) -> list[str]:
    """What is wrong with the words behind autoinstall.end: a line was put together from more than one."""
    ours = [(row.name, word.name) for word in words if (row := row_of(word.name))]
    names = [name for name, _ in ours]
    behind = ours[names.index("autoinstall.end") :] if "autoinstall.end" in names else []
    return [
        f"{given}: stands behind autoinstall.end; write it before that"
        for name, given in behind
        if name not in MAY_FOLLOW_THE_END
    ]


def _did_you_mean(name: str) -> str:
    import difflib  # few lines are wrong

    spellings = [row.name if row.name.startswith(PREFIX) else PREFIX + row.name for row in PARAMETERS]
    close = difflib.get_close_matches(name, spellings, n=1)
    return f"; did you mean {close[0]}?" if close else ""


SHORTEST_GUARDED = 6
"""Shorter names of ours (ip, BOOTIF is 6) lie within one slip of words that belong to others."""


def one_slip_away(name: str) -> Parameter | None:
    """The row that `name` misses by one inserted, missing, wrong or swapped character."""
    folded = name.replace("-", "_")
    for row in PARAMETERS:
        for spelling in (row.name, *row.aliases):
            if len(spelling) >= SHORTEST_GUARDED and _is_one_slip(folded, spelling):
                return row
    return None


def _is_one_slip(a: str, b: str) -> bool:
    if a == b or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:]
        return rest_a[1:] == rest_b[1:] or swapped
    return rest_a[1:] == rest_b if len(a) > len(b) else rest_a == rest_b[1:]

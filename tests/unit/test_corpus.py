"""Each composed machine turns on one rule: with the rule taken out of the source, it alone is answered otherwise."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import FunctionType, ModuleType

import pytest

from autoinstall import chosen, layout, network, paths, pin, plan, select, stacks
from autoinstall.errors import Refused
from autoinstall.facts import Disk
from autoinstall.grammar_disks import Clause, DiskBy, DiskSelector, Key
from tests.unit.captured import LINES
from tests.unit.corpus import EXACTLY_ONE, NO_NIC, ROWS, Row
from tests.unit.machines import asked

ROOMS = (select, chosen, layout, paths, plan, stacks, pin)
NOT_RULES = ("fits no disk of this machine",)
"""Refusals that only collect what rules said."""
BY_NAME = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def answer(row: Row) -> str:
    """What is planned on a machine: the disks, or why not."""
    request = asked(row.line)
    try:
        made = plan.make_plan(request, row.facts)
        pin.refuse_another(request, made)
    except Refused as refused:
        return f"{refused}\n{refused.hint}"
    return " ".join(disk.path for disk in made.disks)


ANSWERS = {row.name: answer(row) for row in ROWS}


def test_there_are_machines_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS} | set(LINES)) == len(ROWS) + len(LINES) >= 30


@BY_NAME
def test_a_machine_is_answered_as_its_rule_says(row: Row) -> None:
    assert row.answer == ANSWERS[row.name] if row.answer.startswith("/dev/") else row.answer in ANSWERS[row.name]


@BY_NAME
def test_without_its_rule_this_machine_alone_is_answered_otherwise(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    take_away(row.rule, monkeypatch)
    changed = {other.name for other in ROWS if answer_or_crash(other) != ANSWERS[other.name]}
    assert changed == {row.name}


def answer_or_crash(row: Row) -> str:
    """A rule may be all that keeps what follows from breaking."""
    try:
        return answer(row)
    except Exception as error:  # noqa: BLE001 - whatever breaks
        return repr(error)


def take_away(rule: str | DiskBy | Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the rule lets everything pass."""
    if isinstance(rule, DiskBy):
        monkeypatch.setitem(select._UNLIKE, rule, lambda disk, selector: "")
    elif isinstance(rule, Key):
        holds = select._holds
        monkeypatch.setattr(select, "_holds", lambda clause, disk: _is_of(clause, rule) or holds(clause, disk))
    elif rule == EXACTLY_ONE:
        monkeypatch.setattr(chosen, "select_disk", _first)
    elif rule == NO_NIC:
        monkeypatch.setattr(network, "select_nic", select.fitting_nic)
    else:
        mutants = [(room, mutant) for room in (*ROOMS, network) for mutant in _mutants(room, rule)]
        assert len(mutants) == 1, f"{len(mutants)} functions have a rule that says {rule!r}"
        room, mutant = mutants[0]
        original = getattr(room, mutant.__name__)
        for user in [user for user in (*ROOMS, network) if getattr(user, mutant.__name__, None) is original]:
            monkeypatch.setattr(user, mutant.__name__, mutant)


def _is_of(clause: Clause, key: Key) -> bool:
    return clause.key is key


def _first(selector: DiskSelector, disks: tuple[Disk, ...], **_: bool) -> Disk:
    """As oVirt Node chose: the first that fits."""
    fitting = [disk for disk in disks if not select.why_not(disk, selector)]
    return fitting[0] if fitting else select.select_disk(selector, disks)


def _mutants(room: ModuleType, rule: str) -> Iterator[FunctionType]:
    """The functions of a room in which the rule stands, without it."""
    for node in ast.parse(inspect.getsource(room)).body:
        if isinstance(node, ast.FunctionDef):
            remover = _Remover(rule)
            mutated = ast.fix_missing_locations(ast.Module([remover.visit(node)], type_ignores=[]))
            if remover.removed:
                names = dict(vars(room))
                exec(compile(mutated, f"{room.__name__} without {rule}", "exec"), names)
                yield names[node.name]


class _Remover(ast.NodeTransformer):
    """Makes the condition false behind which a rule says what it says: of an `if`, or of a (condition, reason)."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.removed = 0

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.body[-1], ast.Raise | ast.Return) and self.rule in said(*node.body):
            self.removed += 1
            node.test = ast.Constant(False)
        return self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        if len(node.elts) == 2 and self.rule in said(node.elts[1]):
            self.removed += 1
            node.elts[0] = ast.Constant(False)
        return self.generic_visit(node)


def said(*nodes: ast.AST) -> str:
    """All text in a piece of the source."""
    parts = [part for node in nodes for part in ast.walk(node)]
    return "\n".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def _refusals() -> Iterator[str]:
    """What each refusal of the pure rooms says, and each reason why a disk can never be a target."""
    for room in ROOMS:
        for node in ast.walk(ast.parse(inspect.getsource(room))):
            if isinstance(node, ast.Raise) and node.exc and "Refused" in ast.unparse(node.exc):
                yield said(node)
            elif isinstance(node, ast.FunctionDef) and node.name == select.ineligible.__name__:
                clauses = next(part for part in ast.walk(node) if isinstance(part, ast.Tuple) and len(part.elts) > 2)
                yield from (said(clause) for clause in clauses.elts)


@pytest.mark.parametrize("text", list(_refusals()))
def test_every_refusal_has_its_machine(text: str) -> None:
    assert any(rule in text for rule in (*NOT_RULES, *(row.rule for row in ROWS)) if isinstance(rule, str))


FORMS = [by for by in DiskBy if by not in (DiskBy.RULE, DiskBy.BUS, DiskBy.BUS_ALL, DiskBy.MATCH)]


@pytest.mark.parametrize("kind", [*FORMS, *Key], ids=str)
def test_every_form_of_a_selector_has_its_machine(kind: DiskBy | Key) -> None:
    """But the rule (two-blank-disks), the bus (one-disk-on-each-bus), and match:, which is its keys."""
    assert [row for row in ROWS if row.rule is kind]

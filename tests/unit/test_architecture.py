"""The rules of design that a machine can check: who may import what, and how big things get."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "autoinstall"
PURE = [
    "advice",
    "chosen",
    "cmdline",
    "disk_words",
    "errors",
    "facts",
    "gpt",
    "codec",
    "grammar",
    "grammar_disks",
    "grammar_network",
    "grammar_storage",
    "grammar_services",
    "grammar_sources",
    "image/manifest",
    "image/recipe",
    "layout",
    "loaders",
    "network",
    "parameters",
    "paths",
    "pin",
    "plan",
    "reader",
    "request",
    "select",
    "services",
    "settings",
    "sizes",
    "space",
    "slots",
    "stacks",
    "stateless",
    "telling",
    "uninstall",
    "upgrade",
]
IMPURE = {"os", "subprocess", "socket", "time", "random", "blivet", "parted", "pyudev"}
FILE_LINES = 400
FUNCTION_LINES = 50
PARAMETERS = 4
# Files that are one table, where the number of rows is not a fault.
TABLES: set[str] = set()

MODULES = sorted(PACKAGE.rglob("*.py"))
PYTHON = [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else ROOT).with_suffix(""))


def each(paths: Sequence[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """A rule for every one of some files, as one test that names each file that breaks it: a test for each file and
    rule would take longer to begin and end than all rules together.
    """

    def rule(holds: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            broken = {name(path): why for path in paths if (why := fault(holds, path))}
            assert not broken

        test.__name__, test.__doc__ = holds.__name__, holds.__doc__
        return test

    return rule


def fault(holds: Callable[[Path], None], path: Path) -> str:
    """Why a rule does not hold for a file; empty where it does."""
    try:
        holds(path)
    except AssertionError as error:
        return str(error) or "it does not hold"
    return ""


every_module = each(MODULES)
every_file = each(PYTHON)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, wherever in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@each([PACKAGE / f"{room}.py" for room in PURE])
def test_pure_rooms_reach_for_nothing_outside(path: Path) -> None:
    reached = [(line, full) for line, full in imports(path) if full.split(".")[0] in IMPURE]
    assert not reached
    inside = {full.split(".")[1] for _, full in imports(path) if full.startswith("autoinstall.")}
    allowed = {pure.split("/")[0] for pure in PURE} | {"image"}
    assert inside <= allowed, f"{name(path)} is pure and imports rooms that are not: {inside - allowed}"


@every_module
def test_only_the_door_runs_programs(path: Path) -> None:
    if name(path) != "host":
        assert not [line for line, full in imports(path) if full.split(".")[0] == "subprocess"]


@every_module
def test_only_main_exits(path: Path) -> None:
    exits = [
        node.lineno
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and node.attr in ("exit", "_exit"))
        or (isinstance(node, ast.Name) and node.id in ("SystemExit", "exit", "quit"))
    ]
    assert not exits or name(path) == "__main__"


@every_file
def test_no_command_goes_through_a_shell(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.keyword) and node.arg == "shell":
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is False, f"line {node.value.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in ("system", "popen"), f"line {node.lineno}"


@every_file
def test_no_failure_is_swallowed_unnamed(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"


@every_module
def test_nothing_runs_at_import(path: Path) -> None:
    """A module defines. What it calls at its top level may only make values, which pure code can."""
    for node in tree(path).body:
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"line {node.lineno} does something at import"
        elif isinstance(node, ast.If):
            assert _is_guard(node.test), f"line {node.lineno} decides something at import"
        else:
            defines = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
            assert isinstance(node, defines), f"line {node.lineno} does something at import"


def _is_guard(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "__name__ == '__main__'")


@every_module
def test_outside_libraries_are_imported_where_they_are_needed(path: Path) -> None:
    """The package imports on a machine that has only Python."""
    late = {"blivet", "parted", "_ped", "pyudev", "systemd", "gi", "dasbus"}
    for node in tree(path).body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not {full.split(".")[0] for full in names} & late, f"line {node.lineno}"


@each(sorted((PACKAGE / "steps").glob("*.py")))
def test_steps_do_not_know_each_other(path: Path) -> None:
    siblings = {f"autoinstall.steps.{other.stem}" for other in (PACKAGE / "steps").glob("*.py")} - {
        "autoinstall.steps.__init__"
    }
    if path.stem == "__init__":
        return  # the list of steps knows them all
    known = [full for _, full in imports(path) if any(full.startswith(sibling) for sibling in siblings)]
    assert not known


@every_file
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= FILE_LINES or name(path) in TABLES, f"{lines} lines"


@every_file
def test_a_function_fits_a_screen(path: Path) -> None:
    too_long = {f.name: size(f) for f in functions(path) if size(f) > FUNCTION_LINES}
    assert not too_long


def size(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno
    return function.end_lineno - function.lineno + 1


@every_module
def test_a_function_takes_few_things(path: Path) -> None:
    too_many = {f.name: count for f in functions(path) if (count := parameters(f)) > PARAMETERS}
    assert not too_many


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


@every_module
def test_public_things_say_what_they_promise(path: Path) -> None:
    silent = [
        f"{node.name} (line {node.lineno})"
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    if ast.get_docstring(tree(path)) is None and path.read_text().strip():
        silent.append("the module")
    assert not silent


def test_a_rule_that_is_broken_names_the_file_and_why() -> None:
    def holds(path: Path) -> None:
        assert path.name != "errors.py", "a reason"

    try:
        each([PACKAGE / "errors.py", PACKAGE / "sizes.py"])(holds)()
    except AssertionError as error:
        assert "'errors'" in str(error)
        assert "a reason" in str(error)
        assert "sizes" not in str(error)
    else:
        raise AssertionError("it was not seen")

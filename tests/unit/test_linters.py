"""Linters are tests: one command says everything that is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.runs_programs


def content(*words: str | Path) -> None:
    """The linter has nothing to say; else the test fails with its words."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"{words[0]} (exit status {done.returncode}):\n{done.stdout}{done.stderr}", pytrace=False)


def tool(name: str) -> str:
    """A program of this venv, else of the machine."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.fail(f"{name} is not installed: run tests/setup")
    return found


def files() -> list[Path]:
    """Every text file that git knows or would add."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def shell_files() -> list[Path]:
    """Scripts by their first line, and what is sourced by its name."""
    found = []
    for path in files():
        with path.open("rb") as file:
            first = file.readline(80)
        if re.match(rb"#! ?/(usr/)?bin/(env )?(ba|da)?sh\b", first) or path.suffix in (".sh", ".bash"):
            found.append(path)
    return found


def test_ruff_has_nothing_to_say() -> None:
    content(tool("ruff"), "check", "--quiet", "--output-format=concise", "autoinstall", "tests")


def test_ruff_would_format_nothing_differently() -> None:
    content(tool("ruff"), "format", "--check", "--quiet", "autoinstall", "tests")


def test_types_are_strict() -> None:
    content(tool("mypy"), "--strict", "--no-error-summary", "autoinstall", "tests")


def test_shell_is_clean() -> None:
    content(tool("shellcheck"), "--severity=style", *shell_files())


def test_shell_is_formatted() -> None:
    content(tool("shfmt"), "-d", "-i", "4", *shell_files())


def test_words_are_spelled() -> None:
    content(tool("codespell"), *(path.relative_to(ROOT) for path in files()))


def test_units_are_sound(tmp_path: Path) -> None:
    """Against a root with systemd's own units, ours, and a stand-in for each program that these start."""
    units = sorted(path for path in (ROOT / "units").glob("*") if path.suffix in (".service", ".target", ".timer"))
    if not units:
        pytest.skip("there are no units yet")
    place = tmp_path / "etc/systemd/system"
    shutil.copytree("/lib/systemd/system", place, symlinks=True)
    for unit in units:
        text = unit.read_text()
        for program in re.findall(r"^Exec\w+=[-@:+!|]*(/\S+)", text, re.MULTILINE):
            stand_in = tmp_path / program.removeprefix("/")
            stand_in.parent.mkdir(parents=True, exist_ok=True)
            stand_in.write_text("#!/bin/sh\n")
            stand_in.chmod(0o755)
        (place / unit.name).write_text(text)
    words = [tool("systemd-analyze"), "verify", "--man=no", "--generators=no", f"--root={tmp_path}"]
    done = subprocess.run([*words, *(unit.name for unit in units)], capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines()
    assert not [line for line in said if "autoinstall" in line]


def test_no_host_name_of_a_mirror_is_in_the_tree() -> None:
    """Packages come from where the machine itself takes them."""
    forbidden = re.compile(r"https?://[\w.-]*(debian\.org|debian\.net|mirror|ubuntu\.com)[\w.-]*/")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if forbidden.search(line) and ".invalid" not in line
    ]
    assert not found


def test_nothing_big_or_secret_is_in_the_tree() -> None:
    big = [path for path in files() if path.stat().st_size > 200_000]
    begin = "-----BEGIN [A-Z ]*" + "PRIVATE KEY"
    secret = [path for path in files() if re.search(begin, path.read_text(errors="replace"))]
    assert not big
    assert not secret

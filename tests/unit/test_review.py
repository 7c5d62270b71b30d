"""`autoinstall plan`: a removal too, and what the installer would warn of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from autoinstall import install as story
from autoinstall.__main__ import main as autoinstall
from autoinstall.codec import to_plain
from autoinstall.facts import Facts, NodeMark
from autoinstall.host import Host
from autoinstall.report.events import Ending
from tests.unit.machines import HASH, MACHINE
from tests.unit.test_install import Paper
from tests.unit.test_uninstall import NODE

WITH_NODE = replace(MACHINE, disks=(NODE,))


@pytest.fixture
def plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of `autoinstall plan`."""

    def run(line: str, *options: str, facts: Facts = WITH_NODE) -> tuple[int, str, str]:
        path = tmp_path / "facts.json"
        path.write_text(json.dumps(to_plain(facts)))
        code = autoinstall(["plan", "--cmdline", line, "--facts", str(path), *options])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_removal_is_shown_with_its_digest(plan: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    code, out, err = plan("uninstall", "-o", str(file))
    digest = json.loads(file.read_text())["digest"]
    assert (code, err) == (0, "")
    assert f"lost   the node {NODE.node and NODE.node.install_id}" in out
    assert out.endswith(f"after  nothing: the disk is blank\nplan   {digest}\n")
    assert json.loads(plan("uninstall", "--json")[1])["plan"]["decision"] == "uninstall"


def test_a_removal_is_pinned_by_its_digest(
    plan: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: WITH_NODE)
    digest = json.loads(plan("uninstall", "--json")[1])["digest"]
    for pin, code, ending in ((digest, 0, Ending.PLANNED), (f"sha256:{'5a' * 32}", 3, Ending.REFUSED)):
        line = f"uninstall autoinstall.dry_run autoinstall.plan={pin}"
        assert plan(line)[0] == code
        assert story.install(line, Host(), [Paper()]).ending is ending


def test_the_digest_is_of_disk_and_node_and_not_of_the_kernels_name(
    plan: Callable[..., tuple[int, str, str]],
) -> None:
    def digest(**changes: object) -> str:
        facts = replace(MACHINE, disks=(replace(NODE, **changes),))  # type: ignore[arg-type]
        return str(json.loads(plan("uninstall", "--json", facts=facts)[1])["digest"])

    assert digest(path="/dev/sdx") == digest()
    assert len({digest(), digest(serial="OTHER"), digest(node=NodeMark(UUID(int=8), finished=True))}) == 3


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("upgrade", "boot it with autoinstall.dry_run, or on the node say: autoinstall upgrade --dry-run"),
        ("stateless", "boot it with autoinstall.dry_run"),
        ("storage_init rescue", "take rescue off the line"),
        ("quiet", "say storage_init"),
    ],
)
def test_who_asks_for_the_plan_of_what_has_none_is_not_told_to_install(
    plan: Callable[..., tuple[int, str, str]], line: str, hint: str
) -> None:
    code, _, err = plan(line)
    assert (code, "asks for no installation and no removal" in err, f"hint: {hint}\n" in err) == (2, True, True)


def test_at_a_desk_the_image_is_named_and_not_booted(plan: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = plan("storage_init", facts=replace(WITH_NODE, image=None))
    assert (code, "hint: name an image: --image DIR\n" in err) == (2, True)


@pytest.mark.parametrize("line", ["storage_init reinstall", "uninstall"])
def test_what_the_installer_warns_of_is_told_beside_the_plan(
    plan: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: WITH_NODE)
    words = f"{line} adminpw={HASH} use_strong_rng autoinstall.dry_run"
    paper = Paper()
    story.install(words, Host(), [paper])
    warned = [event.description for event in paper.events]
    assert len(warned) >= 2
    assert plan(words, "--json")[2].splitlines() == [f"warning: {text}" for text in warned]


def test_that_the_file_of_words_is_not_read_here_is_told(plan: Callable[..., tuple[int, str, str]]) -> None:
    words = "storage_init reinstall autoinstall.words=LABEL=WORDS:/node.words"
    assert "warning: autoinstall.words: its file is read on the machine only, not here" in plan(words)[2]

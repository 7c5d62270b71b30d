"""stateless: the settings on the system that runs, and no disk."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from autoinstall import install as story
from autoinstall.errors import Refused
from autoinstall.execute import execute
from autoinstall.grammar import EXAMPLE_KEY
from autoinstall.report.events import Ending, Result
from autoinstall.request import Action
from autoinstall.stateless import make_application
from autoinstall.steps.settings import ApplySettings
from tests.unit.machines import HASH, MACHINE, asked
from tests.unit.test_install import Paper
from tests.unit.test_livenet import Recording

LINE = (
    f"stateless adminpw={HASH} autoinstall.ssh_key=ssh-ed25519:{EXAMPLE_KEY} hostname=bench ntp=192.0.2.1 BOOTIF=link"
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a live system; who owns what is not ours to change."""
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/shadow").write_text("old")
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return tmp_path


def test_every_file_but_those_of_a_disk_is_on_the_running_system(root: Path) -> None:
    application, host = make_application(asked(LINE), replace(MACHINE, disks=())), Recording()
    execute([ApplySettings(application, root)], host, lambda event: None)
    assert f"admin:{HASH}:0:" in (root / "etc/shadow").read_text()
    assert stat.S_IMODE((root / "etc/shadow").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "home/admin/.ssh").stat().st_mode) == 0o700
    assert EXAMPLE_KEY in (root / "home/admin/.ssh/authorized_keys").read_text()
    assert (root / "proc/sys/kernel/hostname").read_text() == "bench"
    assert (root / "etc/systemd/network/10-management.network").exists()
    assert not (root / "etc/fstab").exists()
    assert not (root / "etc/machine-id").exists()
    assert [words[:2] for words in host.ran][-1] == ("systemctl", "restart")
    assert not list(root.rglob("*.new"))


def test_a_file_that_is_not_there_afterwards_is_seen(root: Path) -> None:
    step = ApplySettings(make_application(asked(LINE), MACHINE), root)
    step.apply(Recording())
    assert step.why_not_done(Recording()) == ""
    (root / "etc/hostname").write_text("other")
    assert step.why_not_done(Recording()) == "/etc/hostname is not as asked"


def test_what_the_image_or_the_machine_cannot_do_is_refused() -> None:
    with pytest.raises(Refused, match="lacks the feature tuned"):
        make_application(asked("stateless tuned=a"), MACHINE)
    with pytest.raises(Refused, match="fits no NIC"):
        make_application(asked("stateless BOOTIF=eth9"), MACHINE)
    with pytest.raises(Refused, match="does not run from an image"):
        make_application(asked("stateless"), replace(MACHINE, image=None))


def test_a_dry_run_applies_nothing_and_nobody_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "find_image", lambda *_: None)
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: MACHINE)
    result = story.install(f"{LINE} autoinstall.dry_run", Recording(), [Paper()])
    assert result.ending is Ending.PLANNED
    assert "/etc/shadow" in result.detail["files"]
    assert HASH not in str(result.to_json())
    assert story.leaving_unit(LINE, Result(Ending.APPLIED, 0)) is None
    assert asked("stateless=no").action is Action.NONE
    assert asked("stateless rescue").action is Action.RESCUE

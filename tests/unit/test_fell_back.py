"""The boot that fell back tells it once as news, and shows it as long as it is so; a good boot puts all in order."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest

from autoinstall.errors import CannotHere, Refused
from autoinstall.node import fallback, health, markgood, ondisk, records, roles, rollback, status, verify
from autoinstall.node.health import Finding, Health
from autoinstall.node.state import slot_state, write_state
from autoinstall.report.events import Result
from autoinstall.slots import Slot, SlotState
from autoinstall.upgrade import OnNode
from tests.unit.node_machine import Node, esp, node
from tests.unit.test_upgrade import NEW, OLD, image

__all__ = ["esp", "node"]
FELL = SlotState(Slot.B, 2, True, 0, False)


@pytest.fixture
def there(node: Node, esp: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """That node, with Config and Logging of its own; `node` is what its disk holds."""
    found: dict[str, Any] = {"node": OnNode(FELL, Slot.A, {Slot.A: OLD, Slot.B: NEW})}
    write_state(esp, FELL)
    monkeypatch.setattr(ondisk, "this_node", lambda host: None)
    monkeypatch.setattr(ondisk, "read_node", lambda host, _: found["node"])
    monkeypatch.setattr(roles, "follow", lambda host, state: found.update(followed=state))
    monkeypatch.setattr(fallback, "TRIALS", node.root / "log/trials.jsonl")
    monkeypatch.setattr(fallback, "PSTORE", node.root / "pstore")
    monkeypatch.setattr(fallback, "BOOTED", node.root / "run/slot-name")
    config = node.root / "config"
    config.mkdir()
    monkeypatch.setattr(records, "CONFIG", config)
    monkeypatch.setattr(records, "LOGGING", node.root / "log")
    return found


class Told:
    """What a node tells of itself, to whom there is no one here: the journal, consoles and the report port."""

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self.console: list[str] = []
        self.results: list[Result] = []
        self.priorities: list[int] = []
        monkeypatch.setattr(health, "Consoles", argparse.Namespace(of_this_machine=lambda: self))
        monkeypatch.setattr(health, "Port", lambda: self)
        monkeypatch.setattr(health, "Journal", lambda: argparse.Namespace(result=lambda result: None))
        journal = argparse.Namespace(send=lambda text, **fields: self.priorities.append(fields["PRIORITY"]))
        monkeypatch.setitem(sys.modules, "systemd", argparse.Namespace(journal=journal))
        for name in ("RECORD", "ISSUE", "MOTD"):
            monkeypatch.setattr(health, name, node.root / "run" / name)

    def say(self, text: str) -> None:
        self.console.append(text)

    def result(self, result: Result) -> None:
        self.results.append(result)


def test_a_fallback_is_news_once_and_stays_known(node: Node, there: dict[str, Any]) -> None:
    fallback.keep_reasons(Slot.B, ["network: waited 60 s"], node)
    first = fallback.fallen_now(node)
    assert first
    assert (first["new"], first["reasons"]) == (True, ["network: waited 60 s"])
    assert not fallback.TRIALS.exists()
    second = fallback.fallen_now(node)
    assert second
    assert (second["new"], second["reasons"]) == (False, ["network: waited 60 s"])
    fallback.keep_reasons(Slot.B, ["forced, and failed again"], node)
    third = fallback.fallen_now(node)
    assert third
    assert (third["new"], third["reasons"]) == (True, ["forced, and failed again"])


def test_where_config_takes_no_writes_a_fallback_is_news_once_too(node: Node, there: dict[str, Any]) -> None:
    """It is remembered on Logging, until Config takes it again."""
    records.CONFIG.rmdir()
    fallback.keep_reasons(Slot.B, ["network: waited 60 s"], node)
    told = [fallback.fallen_now(node) for _ in range(3)]
    assert [one and one["new"] for one in told] == [True, False, False]
    assert told[2]
    assert told[2]["reasons"] == ["network: waited 60 s"]
    records.CONFIG.mkdir()
    records.forget_fallen(NEW.image_id)
    assert (records.fallen(), (records.LOGGING / records.FALLEN).exists()) == ([], False)


def test_the_boot_that_was_wanted_is_asked_nothing_more(
    node: Node, esp: Path, there: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(esp, SlotState(Slot.A, 2, True, 0, False))
    monkeypatch.delitem(there, "node")
    assert fallback.fallen_now(node) is None


def test_a_good_boot_raises_the_floor_and_forgets_what_fell(node: Node, esp: Path, there: dict[str, Any]) -> None:
    safe = image(5, security_version=4)
    records.remember_fallen({"image_id": safe.image_id})
    for image_id in ("another", safe.image_id):
        records.remember_forced(image_id, records.CONFIG)
    fallback.keep_reasons(Slot.A, ["the first attempt failed"], node)
    there["node"] = OnNode(SlotState(Slot.A, 3, True, 0, False), Slot.A, {Slot.A: safe, Slot.B: OLD})
    write_state(esp, SlotState(Slot.A, 3, False, 0, False))
    markgood.main(argparse.Namespace(rearm=False), node)
    assert there["followed"] == SlotState(Slot.A, 3, True, 0, False)
    assert (records.floor(), records.fallen(), records.forced(records.CONFIG)) == (4, [], ["another"])
    assert not fallback.TRIALS.exists()
    there.pop("followed")
    markgood.main(argparse.Namespace(rearm=True, read=False), node)
    assert "followed" not in there


def test_what_follows_from_a_good_boot_never_undoes_it(
    node: Node, esp: Path, there: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "set_floor", full)
    assert markgood.main(argparse.Namespace(rearm=False), node) == 0
    assert "left for the next one: [Errno 28] No space left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("on_trial", "problem", "kept"), [(True, "flat", True), (False, "flat", False), (True, "", False)]
)
def test_only_a_failed_trial_is_kept_and_a_fallback_told_once_in_a_boot(
    node: Node, there: dict[str, Any], monkeypatch: pytest.MonkeyPatch, on_trial: bool, problem: str, kept: bool
) -> None:
    told: list[Any] = []
    found = Health(Slot.B, "0" * 64, on_trial, (Finding("tyre", problem),))
    monkeypatch.setattr(health, "RECORD", node.root / "health.json")
    monkeypatch.setattr(health, "check_node", lambda host: found)
    monkeypatch.setattr(health, "tell", lambda health, fallen: told.append(fallen))
    args = argparse.Namespace(tell=True, json=False)
    health.main(args, node)
    assert fallback.TRIALS.exists() is kept
    assert [fallen and fallen["image_id"] for fallen in told] == [NEW.image_id]
    (node.root / "health.json").write_text("{}")
    health.main(args, node)
    assert told[1] is None, "later in a boot an upgrade that waits would look the same"


def test_who_logs_in_reads_why_this_boot_fell_back_however_often_its_health_is_told(
    node: Node, there: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(node, monkeypatch)
    fallback.keep_reasons(Slot.B, ["network: waited 60 s"], node)
    monkeypatch.setattr(health, "check_node", lambda host: Health(Slot.A, "0" * 64, False, ()))
    for _ in range(3):
        health.main(argparse.Namespace(tell=True, json=False), node)
        for place in (health.MOTD, health.ISSUE):
            assert "network: waited 60 s\nThis node is healthy: slot A" in place.read_text()
    assert [result.ending.value for result in told.results] == ["rolled-back"], "it is news once"
    assert told.priorities == [health.ERROR] * 3


def test_a_good_slot_that_was_left_is_told_as_long_as_this_boot_runs_and_has_no_result(
    node: Node,
    esp: Path,
    there: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A panic three times, say, of an image that was good for a year: it did not fall, and may be booted again."""
    left = SlotState(Slot.B, 2, True, 0, True)
    there["node"] = OnNode(left, Slot.A, {Slot.A: OLD, Slot.B: NEW})
    write_state(esp, left)
    told = Told(node, monkeypatch)
    fallback.PSTORE.mkdir()
    (fallback.PSTORE / "dmesg.txt").write_text("<0>Kernel panic - not syncing\n")
    monkeypatch.setattr(health, "check_node", lambda host: Health(Slot.A, "0" * 64, False, ()))
    monkeypatch.setattr(status, "INSTALL_RECORD", node.root / "install.json")
    for _ in range(2):
        health.main(argparse.Namespace(tell=True, json=False), node)
        greeting = health.MOTD.read_text().splitlines()
        assert greeting[0].startswith("autoinstall: runs slot A, not slot B, which has a good image and was first: ")
        assert greeting[2:] == [
            "autoinstall:   Kernel panic - not syncing",
            "This node is healthy: slot A, image 000000000000",
        ]
    assert (told.results, told.priorities, records.fallen()) == ([], [health.NOTICE] * 2, [])
    assert [greeting[0] in said for said in told.console] == [True] * 2
    capsys.readouterr()
    status.main(argparse.Namespace(json=False), node)
    assert greeting[0].removeprefix("autoinstall: ") in capsys.readouterr().out


def test_an_upgrade_that_ends_while_the_checks_wait_did_not_fall(
    node: Node, esp: Path, there: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health may wait a minute for a NIC, and somebody has logged in."""
    told = Told(node, monkeypatch)
    write_state(esp, SlotState(Slot.A, 2, True, 3, False))

    def upgraded(host: object) -> Health:
        waiting = SlotState(Slot.B, 2, True, 3, False)
        write_state(esp, waiting)
        there["node"] = OnNode(waiting, Slot.A, {Slot.A: OLD, Slot.B: NEW})
        return Health(Slot.A, "0" * 64, False, ())

    monkeypatch.setattr(health, "check_node", upgraded)
    for _ in range(2):
        health.main(argparse.Namespace(tell=True, json=False), node)
    assert (told.results, records.fallen()) == ([], [])


def test_news_of_rot_does_not_take_away_what_this_boot_fell_back_from(
    node: Node, there: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(node, monkeypatch)
    found = Health(Slot.A, "0" * 64, False, ())
    fallback.keep_reasons(Slot.B, ["health.d/tyre: flat"], node)
    monkeypatch.setattr(health, "check_node", lambda host: found)
    health.main(argparse.Namespace(tell=True, json=False), node)
    monkeypatch.setattr(verify, "check_node", lambda host: found)
    monkeypatch.setattr(verify, "look", lambda host, slot: verify.Found(("root.squashfs is not what it was",)))
    verify.main(argparse.Namespace(), node)
    assert "autoinstall:   health.d/tyre: flat" in health.MOTD.read_text().splitlines()
    assert len(told.results) == 1


def test_a_fallback_has_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[Result] = []

    class Sink:
        def result(self, result: Result) -> None:
            results.append(result)

        def say(self, text: str) -> None:
            assert text == "\nautoinstall: result=rolled-back"

    monkeypatch.setattr(health, "Port", Sink)
    monkeypatch.setattr(health, "Journal", lambda: argparse.Namespace(result=lambda result: None))
    monkeypatch.setattr(health, "Consoles", argparse.Namespace(of_this_machine=Sink))
    entry = fallback.entry_for(OnNode(FELL, Slot.A, {Slot.A: OLD, Slot.B: NEW}), ["why"], [])
    assert entry
    health._tell_rolled_back(entry)
    plain = results[0].to_json()
    assert (plain["result"], plain["fallen"]["image_id"]) == ("rolled-back", NEW.image_id)
    assert plain["reasons"][1] == "  why"


@pytest.fixture
def to_roll_back(there: dict[str, Any], node: Node, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """That node, ready for its verb `rollback`."""
    monkeypatch.setattr(rollback, "this_node", lambda host: argparse.Namespace(booted=Slot.A))
    monkeypatch.setattr(rollback, "read_node", lambda host, _: there["node"])
    return there


ROLL_BACK = argparse.Namespace(json=False, reboot=False)


def test_a_rollback_says_what_is_booted_next(
    node: Node, esp: Path, to_roll_back: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rollback.main(ROLL_BACK, node) == 0
    assert slot_state(node) == SlotState(Slot.A, 3, True, 0, False)
    said = capsys.readouterr().out
    assert said.startswith("slot A is booted next: 1.0 (")
    assert said.endswith("), which runs now\n")


def test_a_rollback_looks_again_before_it_writes(node: Node, esp: Path, to_roll_back: dict[str, Any]) -> None:
    changed = SlotState(Slot.B, 3, False, 3, True)
    write_state(esp, changed)
    with pytest.raises(Refused, match="the slot state changed meanwhile"):
        rollback.main(ROLL_BACK, node)
    assert slot_state(node) == changed


def test_a_system_without_slots_has_nothing_to_go_back_to(node: Node, to_roll_back: dict[str, Any]) -> None:
    (node.root / "run/slot-name").unlink()
    with pytest.raises(CannotHere, match="does not run from a slot"):
        rollback.main(ROLL_BACK, node)


def test_of_a_kept_kernel_log_the_panic_is_told_and_not_its_registers(node: Node, there: dict[str, Any]) -> None:
    fallback.keep_reasons(Slot.B, ["left no word"], node)
    fallback.PSTORE.mkdir()
    panic = "[    3.906217] Kernel panic - not syncing: Attempted to kill init!"
    registers = [f"<4>[    3.91{number:04}] R{number}: 0" for number in range(20)]
    (fallback.PSTORE / "dmesg.txt").write_text(
        "\n".join(["Panic#1 Part1", "<6>[ 1.0] usual", f"<0>{panic}", *registers])
    )
    fallen = fallback.fallen_now(node)
    assert fallen
    assert fallen["kernel"] == [panic]


def test_a_kept_kernel_log_without_levels_is_told_from_its_end(node: Node, there: dict[str, Any]) -> None:
    fallback.keep_reasons(Slot.B, ["left no word"], node)
    fallback.PSTORE.mkdir()
    (fallback.PSTORE / "dmesg.txt").write_text("".join(f"line {number}\n" for number in range(20)))
    fallen = fallback.fallen_now(node)
    assert fallen
    assert fallen["kernel"] == [f"line {number}" for number in range(14, 20)]

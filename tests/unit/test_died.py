"""What is said of a run that could not say it itself."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from autoinstall import died
from autoinstall.died import main, reason_from
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.report.events import Result


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "4"}, ""),
        ({"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "70"}, ""),
        (
            {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "1"},
            "the installer ended without a result: exit-code 1",
        ),
        (
            {"MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_STATUS": "KILL"},
            "the installer ended without a result: signal KILL",
        ),
        (
            {"MONITOR_SERVICE_RESULT": "watchdog", "MONITOR_EXIT_STATUS": "ABRT"},
            "the installer ended without a result: it told of no progress for too long and was ended",
        ),
        ({}, "the live system did not come up: emergency mode"),
    ],
)
def test_the_reason_is_what_systemd_says(environment: dict[str, str], reason: str) -> None:
    assert reason_from(environment) == reason


class Recording(Host):
    """Keeps what would be run."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self.line = line
        self.ran: list[str] = []

    def read_text(self, path: str | Path) -> str:
        return self.line

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        self.ran.append(" ".join(map(str, argv)))
        return Completed(0, "", "")


class Sink:
    """Hears of the result."""

    def __init__(self, *_: Any) -> None:
        self.heard: list[Result] = []

    def result(self, result: Result) -> None:
        self.heard.append(result)

    def of_this_machine(self) -> Sink:
        return self

    def __call__(self) -> Sink:
        return self


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    heard = Sink()
    for name in ("Consoles", "Port", "Journal"):
        monkeypatch.setattr(died, name, heard)
    monkeypatch.setattr(os, "environ", {"MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_STATUS": "KILL"})
    return heard


@pytest.mark.parametrize(
    ("line", "ran"),
    [
        ("storage_init", []),
        ("storage_init autoinstall.on_failure=reboot:9", ["systemctl start --no-block autoinstall-reboot@9.service"]),
        ("storage_init autoinstall.on_failure=poweroff", ["systemctl start --no-block autoinstall-poweroff.service"]),
    ],
)
def test_everybody_hears_and_the_line_is_followed(sink: Sink, line: str, ran: list[str]) -> None:
    host = Recording(line)
    assert main(argparse.Namespace(), host) == 0
    assert host.ran == ran
    assert [result.ending.value for result in sink.heard] == ["failed"] * 3


def test_a_run_that_told_itself_is_not_told_again(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "4"})
    host = Recording("autoinstall.on_failure=poweroff")
    assert main(argparse.Namespace(), host) == 0
    assert (host.ran, sink.heard) == ([], [])

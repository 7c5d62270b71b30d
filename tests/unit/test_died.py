"""What is said of a run that could not say it itself."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from autoinstall import died
from autoinstall.died import main, result_from
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.report.events import Result

KILLED = {"MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_STATUS": "KILL"}
STATUS = "image-a: Writing the image to slot A"


@pytest.mark.parametrize(
    ("environment", "status", "step", "reason"),
    [
        (KILLED, STATUS, "image-a", "the installer ended without a result, in the step image-a: signal KILL"),
        (KILLED, "", "", "the installer ended without a result, before its first step: signal KILL"),
        (
            {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "1"},
            "",
            "",
            "the installer ended without a result, before its first step: exit-code 1",
        ),
        (
            {"MONITOR_SERVICE_RESULT": "watchdog", "MONITOR_EXIT_STATUS": "ABRT"},
            STATUS,
            "image-a",
            "the installer ended without a result, in the step image-a: "
            "it told of no progress for too long and was ended",
        ),
        ({}, "", "", "the live system did not come up: emergency mode"),
        (
            {"MONITOR_SERVICE_RESULT": "success", "MONITOR_EXIT_STATUS": "0"},
            "result=none",
            "",
            "the live system did not come up: emergency mode",
        ),
    ],
)
def test_the_reason_is_what_systemd_says(environment: dict[str, str], status: str, step: str, reason: str) -> None:
    result = result_from(environment, status)
    assert result
    assert (result.reasons, result.detail) == ((reason,), {"step": step})


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "4"}, STATUS),
        ({"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "70"}, ""),
        (KILLED, "result=installed"),
    ],
)
def test_a_run_that_told_its_result_has_no_other(environment: dict[str, str], status: str) -> None:
    assert result_from(environment, status) is None


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

    def __init__(self) -> None:
        self.heard: list[Result] = []

    def result(self, result: Result) -> None:
        self.heard.append(result)


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    heard = Sink()
    monkeypatch.setattr(died, "everywhere", lambda: (heard,))
    monkeypatch.setattr(os, "environ", KILLED)
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
    assert [result.ending.value for result in sink.heard] == ["failed"]


def test_a_run_that_told_itself_is_not_told_again(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "4"})
    host = Recording("autoinstall.on_failure=poweroff")
    assert main(argparse.Namespace(), host) == 0
    assert (host.ran, sink.heard) == ([], [])

"""Servers that hear of a run: events in order, the result until it is acknowledged, and what the node delivers."""

from __future__ import annotations

import argparse
import http.server
import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autoinstall import delivery
from autoinstall import install as story
from autoinstall.cmdline import parse
from autoinstall.errors import CannotHere, NotDone
from autoinstall.host import Host
from autoinstall.node import report as node_report
from autoinstall.plan import make_plan
from autoinstall.report import http as servers
from autoinstall.report.events import Ending, Event, Kind, Result
from autoinstall.report.http import Servers
from autoinstall.report.sinks import Memory
from autoinstall.telling import Telling, telling_from
from tests.unit.machines import MACHINE, asked

INSTALLED = Result(Ending.INSTALLED, 0, detail={"plan_digest": "sha256:1"})


@dataclass
class Site:
    """A server on the loopback: what it was told; `answers` are its next statuses, 200 when they are used up."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """One that is up."""
    monkeypatch.setattr(servers, "RETRY_S", 0.01)
    monkeypatch.setattr(delivery, "alive", lambda: None)
    made = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = made.answers.pop(0) if made.answers else 200
            if status == 200:
                made.told.append(json.loads(body))
            self.send_response(status)
            self.send_header("Location", f"{made.url}/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_response(made.answers.pop(0) if made.answers else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/r"
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/r"


def _event(name: str, kind: Kind = Kind.START) -> Event:
    return Event(name, kind, "doing it", 0.0)


def _told(words: str) -> Memory:
    told = Memory()
    told.words, told.node_name, told.config = parse(words), "node-123456", "/dev/vda5"
    return told


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Config of the node."""

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        assert (device, options) == ("/dev/vda5", ())
        yield tmp_path

    monkeypatch.setattr(delivery, "mounted", mounted)
    return tmp_path


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirection_acknowledges_nothing_for_what_was_posted_goes_no_further(site: Site, status: int) -> None:
    site.answers += [status]
    assert servers.fault(site.url, b"{}") == f"redirected to {site.url}/elsewhere: name that URL"
    assert site.told == []


def test_events_come_in_order_without_progress_and_the_result_comes_last(site: Site) -> None:
    sink = Servers()
    sink.event(_event("too-early"))
    sink.begin([site.url])
    for name in "abc":
        sink.event(_event(name))
        sink.event(_event(name, Kind.PROGRESS))
    assert sink.deliver(INSTALLED, 10, lambda: None) == {}
    assert [message.get("name", message["event_type"]) for message in site.told] == [
        "install/a", "install/b", "install/c", "result"
    ]  # fmt: skip
    assert site.told[-1]["plan_digest"] == "sha256:1"


def test_a_server_that_took_no_event_gets_the_result_and_no_more_events(site: Site) -> None:
    site.answers = [500]
    sink = Servers()
    sink.begin([site.url])
    for name in "abc":
        sink.event(_event(name))
    assert sink.deliver(INSTALLED, 10, lambda: None) == {}
    assert [message["event_type"] for message in site.told] == ["result"]


def test_the_result_is_told_until_it_is_acknowledged(site: Site) -> None:
    site.answers = [500, 302, 404]
    told: list[None] = []
    sink = Servers()
    sink.begin([site.url])
    assert sink.deliver(INSTALLED, 10, lambda: told.append(None)) == {}
    assert len(site.told) == 1
    assert not site.answers


def test_a_server_that_is_down_holds_up_nothing_for_longer_than_its_time(site: Site, nobody: str) -> None:
    sink, lives = Servers(), []
    sink.begin([nobody, site.url])
    for number in range(50):
        sink.event(_event(str(number)))
    failed = sink.deliver(INSTALLED, 0.1, lambda: lives.append(1))
    assert nobody in failed
    assert "refused" in failed[nobody]
    assert lives
    assert sink._servers[1].told.wait(10)
    assert len(site.told) == 51


def test_what_was_not_acknowledged_goes_with_the_node(site: Site, nobody: str, config: Path) -> None:
    told = _told(
        f"storage_init autoinstall.report={nobody} autoinstall.report={site.url} autoinstall.report_timeout=0"
    )
    said = delivery.deliver(INSTALLED, told, Servers(), Host())
    assert said[0].startswith(f"{nobody} did not acknowledge within 0 s: ")
    assert said[-1] == "it is kept on the node, which delivers it"
    kept = config / "etc/upper/autoinstall/report.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert nobody in json.loads(kept.read_text())["urls"]
    assert json.loads(kept.read_text())["result"] == INSTALLED.to_json()


def test_where_no_node_was_made_nothing_is_kept(site: Site, nobody: str, config: Path) -> None:
    words = f"storage_init autoinstall.report={nobody} autoinstall.report_timeout=0 local_boot_trigger={site.url}"
    said = delivery.deliver(Result(Ending.FAILED, 4), _told(words), Servers(), Host())
    assert len(said) == 1
    assert not list(config.iterdir())
    assert not site.asked


def test_the_trigger_is_called_with_the_nodes_name_until_it_answers(site: Site) -> None:
    site.answers = [503]
    words = f"storage_init local_boot_trigger={site.url}/@HOSTNAME@/done"
    assert delivery.deliver(INSTALLED, _told(words), Servers(), Host()) == []
    assert site.asked == ["/r/node-123456/done"] * 2
    site.answers = [503] * 1000
    said = delivery.deliver(INSTALLED, _told(f"{words} autoinstall.report_timeout=0"), Servers(), Host())
    assert "did not answer within 0 s: HTTP Error 503" in said[0]


def test_a_run_that_died_and_one_that_was_refused_are_told_of_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = Result(Ending.FAILED, 4, ("killed",))
    assert delivery.tell_servers(f"storage_inti autoinstall.report={site.url}", died) == []
    assert delivery.tell_servers('storage_init "', died) == []
    told, sink = Memory(), Servers()
    refused = story.install(f"storage_inti autoinstall.report={site.url}", Host(), [told, sink])
    assert delivery.deliver(refused, told, sink, Host()) == []
    assert [message["result"] for message in site.told] == ["failed", "refused"]


def test_what_can_be_read_of_a_wrong_line_is_read() -> None:
    line = (
        "autoinstall.report=x autoinstall.report=http://a autoinstall.report_timeout=soon autoinstall.report=http://a"
    )
    assert telling_from(parse(line)) == Telling(("http://a",), 60, "")
    assert telling_from(parse("autoinstall.report-timeout=5 local-boot-trigger=http://a")) == Telling(
        (), 5, "http://a"
    )


@pytest.mark.parametrize(("words", "name"), [("hostname=node7", "node7"), ("BOOTIF=link", "node-123456")])
def test_the_name_of_the_node_is_the_one_that_it_will_have(words: str, name: str) -> None:
    assert delivery.node_name(make_plan(asked(f"storage_init {words}"), MACHINE)) == name


def test_the_node_delivers_and_forgets(
    site: Site, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "report.json"
    monkeypatch.setattr(node_report, "KEPT", kept)
    kept.write_text(json.dumps({"urls": [nobody, site.url], "result": INSTALLED.to_json()}))

    def run() -> int:
        return node_report.main(argparse.Namespace(), Host())

    assert run() == 4
    assert site.told == [INSTALLED.to_json()]
    assert json.loads(kept.read_text())["urls"] == [nobody]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert run() == 4
    kept.write_text(kept.read_text().replace(nobody, site.url))
    assert run() == 0
    assert not kept.exists()
    assert len(site.told) == 2
    assert run() == 0


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (None, PermissionError(13, "Permission denied"), "report.json cannot be read: Permission denied"),
        ("{", None, "is not what an installation leaves"),
        ("[]", None, "is not what an installation leaves"),
        ('{"urls": 3, "result": {}}', None, "is not what an installation leaves"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, error: OSError | None, says: str
) -> None:
    def read_text(path: object) -> str:
        if error:
            raise error
        assert text is not None
        return text

    monkeypatch.setattr(node_report, "KEPT", tmp_path / "report.json")
    host = Host()
    monkeypatch.setattr(host, "read_text", read_text)
    with pytest.raises(CannotHere, match=says):
        node_report.main(argparse.Namespace(), host)


def test_a_config_that_takes_no_writes_is_told(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "report.json"
    monkeypatch.setattr(node_report, "KEPT", kept)
    kept.write_text(json.dumps({"urls": [site.url], "result": INSTALLED.to_json()}))

    def read_only(kept: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(node_report, "_keep", read_only)
    with pytest.raises(NotDone, match="cannot be changed: Read-only file system"):
        node_report.main(argparse.Namespace(), Host())

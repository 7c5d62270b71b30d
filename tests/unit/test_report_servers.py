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
from autoinstall.errors import CannotHere, DeviceLost, NotDone
from autoinstall.host import Host
from autoinstall.node import report as node_report
from autoinstall.plan import make_plan
from autoinstall.report import http as servers
from autoinstall.report.events import Ending, Event, Kind, Result
from autoinstall.report.http import Servers
from autoinstall.report.sinks import Memory
from autoinstall.telling import Telling, telling_from
from tests.unit.machines import MACHINE, asked

UNTOLD = "they will not hear of it:"
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


@pytest.fixture(scope="session")
def nobody() -> Iterator[str]:
    """The URL of a port where nobody listens, nor will as long as a server that was given up is still tried."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/r"


def _event(name: str, kind: Kind = Kind.START) -> Event:
    return Event(name, kind, "doing it", 0.0)


def _told(words: str) -> Memory:
    told = Memory()
    told.words, told.node_name, told.node_disk = parse(words), "node-123456", "/dev/vda"
    return told


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Config of the node."""

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        assert (device, options) == ("/dev/vda-Config", ())
        yield tmp_path

    monkeypatch.setattr(delivery, "mounted", mounted)
    monkeypatch.setattr(delivery, "partition_of_node", lambda disk, label: f"{disk}-{label}")
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


def test_a_server_that_was_given_up_is_not_tried_again_for_the_node_will(nobody: str) -> None:
    before = set(threading.enumerate())
    sink = Servers()
    sink.begin([nobody])
    (trying,) = set(threading.enumerate()) - before
    assert nobody in sink.deliver(INSTALLED, 0.1, lambda: None)
    trying.join(10)
    assert not trying.is_alive()


def test_what_was_not_acknowledged_goes_with_the_node(site: Site, nobody: str, config: Path) -> None:
    told = _told(
        f"storage_init autoinstall.report={nobody} autoinstall.report={site.url} autoinstall.report_timeout=0"
    )
    said = delivery.deliver(INSTALLED, told, Servers(), Host())
    assert said[0].startswith(f"{nobody} did not acknowledge within 0 s: ")
    assert said[-1] == "it is kept on the node, which delivers it"
    kept = config / "etc/upper/autoinstall/report.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    (entry,) = json.loads(kept.read_text())
    assert nobody in entry["urls"]
    assert entry["result"] == INSTALLED.to_json()


@pytest.mark.parametrize(
    ("result", "disk", "says"),
    [
        (Result(Ending.FAILED, 4), "", f"{UNTOLD} there is no node to deliver it"),
        (Result(Ending.PLANNED, 0), "", f"{UNTOLD} there is no node to deliver it"),
        (
            Result(Ending.REFUSED, 3),
            "/dev/vda",
            f"{UNTOLD} where a run is refused, nothing is written",
        ),
        (Result(Ending.REFUSED, 2), "", f"{UNTOLD} where a run is refused, nothing is written"),
    ],
)
def test_what_is_kept_nowhere_is_said(
    site: Site, nobody: str, config: Path, result: Result, disk: str, says: str
) -> None:
    told = _told(
        f"storage_init autoinstall.report={nobody} autoinstall.report_timeout=0 local_boot_trigger={site.url}"
    )
    told.node_disk = disk
    assert delivery.deliver(result, told, Servers(), Host())[1:] == [says]
    assert not list(config.iterdir())
    assert not site.asked


@pytest.mark.parametrize(
    "result", [Result(Ending.UPGRADED, 0), Result(Ending.FAILED, 4), Result(Ending.ALREADY_INSTALLED, 0)]
)
def test_a_node_keeps_every_end_that_it_has_a_part_in_behind_those_that_it_keeps_already(
    nobody: str, config: Path, result: Result
) -> None:
    told = _told(f"upgrade autoinstall.report={nobody} autoinstall.report_timeout=0")
    for end in (*[INSTALLED] * delivery.MOST_KEPT, result):
        assert delivery.deliver(end, told, Servers(), Host())[-1] == "it is kept on the node, which delivers it"
    kept = config / "etc/upper/autoinstall/report.json"
    results = [entry["result"] for entry in json.loads(kept.read_text())]
    assert results == [INSTALLED.to_json()] * (delivery.MOST_KEPT - 1) + [result.to_json()]
    assert [path.name for path in kept.parent.iterdir()] == ["report.json"]


def test_a_node_whose_disk_takes_nothing_is_told_of(
    nobody: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(disk: str, number: int) -> str:
        raise DeviceLost(f"{disk} is gone")

    monkeypatch.setattr(delivery, "partition_of_node", gone)
    told = _told(f"upgrade autoinstall.report={nobody} autoinstall.report_timeout=0")
    said = delivery.deliver(INSTALLED, told, Servers(), Host())
    assert said[1:] == [f"{UNTOLD} it cannot be kept on the node: /dev/vda is gone"]


def test_the_trigger_is_called_with_the_nodes_name_until_it_answers(site: Site) -> None:
    site.answers = [503]
    words = f"storage_init local_boot_trigger={site.url}/@HOSTNAME@/done"
    assert delivery.deliver(INSTALLED, _told(words), Servers(), Host()) == []
    assert site.asked == ["/r/node-123456/done"] * 2
    site.answers = [503] * 1000
    said = delivery.deliver(INSTALLED, _told(f"{words} autoinstall.report_timeout=0"), Servers(), Host())
    assert "did not answer within 0 s: HTTP Error 503" in said[0]


@pytest.mark.parametrize(
    ("ending", "words", "called"),
    [
        (Ending.INSTALLED, "", True),
        (Ending.ALREADY_INSTALLED, "autoinstall.installed=hold", True),
        (Ending.ALREADY_INSTALLED, "autoinstall.dry_run", False),
        (Ending.UPGRADED, "upgrade", True),
        (Ending.ROLLED_BACK, "upgrade", False),
        (Ending.UNINSTALLED, "uninstall", False),
        (Ending.PLANNED, "autoinstall.dry_run", False),
    ],
)
def test_the_trigger_is_for_machines_that_start_from_their_disk_from_now_on(
    site: Site, ending: Ending, words: str, called: bool
) -> None:
    told = _told(f"{words} local_boot_trigger={site.url}")
    assert delivery.deliver(Result(ending, 0), told, Servers(), Host()) == []
    assert site.asked == ["/r"] * called


def test_a_run_that_died_and_one_that_was_refused_are_told_of_too(
    site: Site, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = Result(Ending.FAILED, 4, ("killed",))
    assert delivery.tell_servers(f"storage_inti autoinstall.report={site.url}", died) == []
    assert delivery.tell_servers('storage_init "', died) == []
    said = delivery.tell_servers(f"storage_init autoinstall.report={nobody} autoinstall.report_timeout=0", died)
    assert said[1:] == [f"{UNTOLD} a run that died keeps nothing"]
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
    upgraded = Result(Ending.UPGRADED, 0)
    ends = [{"urls": [nobody, site.url], "result": INSTALLED.to_json()}]
    kept.write_text(json.dumps([*ends, {"urls": [site.url], "result": upgraded.to_json()}]))

    def run() -> int:
        return node_report.main(argparse.Namespace(), Host())

    assert run() == 4
    assert site.told == [INSTALLED.to_json(), upgraded.to_json()]
    assert json.loads(kept.read_text()) == [{**ends[0], "urls": [nobody]}]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert run() == 4
    kept.write_text(kept.read_text().replace(nobody, site.url))
    assert run() == 0
    assert not kept.exists()
    assert len(site.told) == 3
    assert run() == 0


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (None, PermissionError(13, "Permission denied"), "report.json cannot be read: Permission denied"),
        ("{", None, "is not what an installation leaves"),
        ("[3]", None, "is not what an installation leaves"),
        ('{"urls": [], "result": {}}', None, "is not what an installation leaves"),
        ('[{"urls": 3, "result": {}}]', None, "is not what an installation leaves"),
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
    kept.write_text(json.dumps([{"urls": [site.url], "result": INSTALLED.to_json()}]))

    def read_only(left: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(node_report, "_keep", read_only)
    with pytest.raises(NotDone, match="cannot be changed: Read-only file system"):
        node_report.main(argparse.Namespace(), Host())

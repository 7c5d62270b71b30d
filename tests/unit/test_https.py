"""https: servers are checked, plan and installer refuse an image that cannot, and keys may be fetched."""

from __future__ import annotations

import http.server
import json
import os
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autoinstall import install as story
from autoinstall import livenet, sources
from autoinstall.__main__ import main
from autoinstall.cmdline import parse
from autoinstall.codec import to_plain
from autoinstall.errors import BadWords, Refused
from autoinstall.facts import Facts
from autoinstall.fromedium import select_node
from autoinstall.grammar import EXAMPLE_KEY
from autoinstall.host import Host
from autoinstall.plan import make_plan
from autoinstall.report.events import Ending
from autoinstall.report.http import fault
from autoinstall.stateless import make_application
from autoinstall.uninstall import make_removal
from tests.authority import make_authority
from tests.unit.machines import MACHINE, MANIFEST, asked
from tests.unit.test_install import Paper
from tests.unit.test_livenet import Recording
from tests.unit.test_sources import Patient
from tests.unit.test_uninstall import NODE

KEY = f"ssh-ed25519 {EXAMPLE_KEY} me@laptop"
FILE = f"# of rack 7\n\n{KEY}\nssh-ed25519\t{EXAMPLE_KEY} Jane Doe (work)\nssh-ed25519 {EXAMPLE_KEY}\n"


def able(*disks: object) -> Facts:
    """A machine that runs from an image with certificates."""
    assert MACHINE.image
    image = replace(MACHINE.image, manifest=replace(MANIFEST, features=("certificates",)))
    return replace(MACHINE, image=image, disks=(NODE,) if disks else MACHINE.disks)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ca.crt and server.pem, which is for 127.0.0.1."""
    place = tmp_path_factory.mktemp("authority")
    make_authority(place, "127.0.0.1")
    return place


@pytest.fixture(autouse=True)
def nobody_is_trusted_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib of Python 3.13 keeps whom it trusted when it was first used."""
    monkeypatch.setattr(urllib.request, "_opener", None)


@pytest.fixture
def site(authority: Path) -> Iterator[tuple[str, list[str]]]:
    """The URL of a server with that certificate, and what it was told."""
    told: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (FILE if self.path == "/keys" else "hostname=node7\n").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


@pytest.fixture
def trusting(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This program trusts that authority, as OpenSSL finds it (SSL_CERT_FILE)."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.crt"))
    monkeypatch.setattr(sources, "BUNDLE", authority / "ca.crt")


@pytest.mark.runs_programs
def test_words_keys_and_reports_go_over_https_to_a_server_whose_authority_is_known(
    site: tuple[str, list[str]], trusting: None
) -> None:
    url, told = site
    assert sources.with_file(parse(f"autoinstall.words={url}/words"), Patient())[1].plain == "hostname=node7"
    assert fault(f"{url}/report", b"{}") == ""
    assert told == ["{}"]
    request = sources.with_keys(asked(f"storage_init autoinstall.ssh_key={url}/keys"), Patient())
    assert request.ssh_keys == (KEY, f"ssh-ed25519 {EXAMPLE_KEY} Jane_Doe_work_", f"ssh-ed25519 {EXAMPLE_KEY}")


@pytest.mark.runs_programs
def test_a_server_whose_authority_is_unknown_is_told_nothing(
    site: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, told = site
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setattr(sources, "BUNDLE", Path("/"))
    assert "certificate verify failed" in fault(f"{url}/report", b"{}")
    with pytest.raises(Refused, match=r"autoinstall.words: .* cannot be fetched: .*certificate verify failed"):
        sources.with_file(parse(f"autoinstall.words={url}/words"), Patient())
    assert not told


def test_an_image_without_certificates_is_refused_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "BUNDLE", tmp_path / "none")
    for word in ("autoinstall.words", "autoinstall.report", "local_boot_trigger", "autoinstall.ssh_key"):
        result = story.install(f"storage_init {word}=HTTPS://a.invalid/x", Patient(), [Paper()])
        assert (result.ending, result.exit_code) == (Ending.REFUSED, 3)
        assert f"{word}: https is asked for, and this image lacks the feature certificates" in result.reasons[0]


PLANNERS: dict[str, Callable[[str, Facts], object]] = {
    "storage_init": lambda line, facts: make_plan(asked(line), facts),
    "stateless": lambda line, facts: make_application(asked(line), facts),
    "uninstall": lambda line, facts: make_removal(asked(line), replace(facts, disks=(NODE,))),
    "upgrade": lambda line, facts: select_node(asked(line), replace(facts, disks=(NODE,))),
}


@pytest.mark.parametrize("action", PLANNERS)
def test_whoever_plans_says_so_too(action: str) -> None:
    line = f"{action} autoinstall.report=https://a.invalid/x"
    PLANNERS[action](line, able())
    with pytest.raises(Refused, match=r"autoinstall\.report: https is asked for, and this image lacks the feature"):
        PLANNERS[action](line, MACHINE)
    PLANNERS[action](f"{action} autoinstall.report=http://a.invalid/x", MACHINE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file holds no key"),
        ("# nobody\n", "the file holds no key"),
        (f"{KEY}\n<html>\n", "line 2: '<html>' is not a key type"),
        (f'from="10.0.0.1" {KEY}', "line 1: .* is not a key type"),
        ("ssh-ed25519", "line 1: its base64 part is not an ssh-ed25519 key"),
    ],
)
def test_what_is_no_file_of_keys_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadWords, match=f"autoinstall.ssh_key: {says}"):
        sources.keys_of(text)


@pytest.mark.parametrize("value", ["http://a/keys", "https://me:secret@a/keys", "ftp://a/keys", "https://"])
def test_a_url_that_is_none_of_keys_is_refused(value: str) -> None:
    with pytest.raises(BadWords, match=r"autoinstall\.ssh_key"):
        asked(f"storage_init autoinstall.ssh_key={value}")


def test_keys_are_fetched_where_a_node_is_made_and_not_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node must not need the server of its keys to be booted from a medium that is left in."""
    fetched: list[str] = []
    facts = able()

    def from_server(name: str, url: str, host: Host) -> bytes:
        fetched.append(url)
        return FILE.encode()

    monkeypatch.setattr(sources, "BUNDLE", Path("/"))
    monkeypatch.setattr(sources, "_from_server", from_server)
    monkeypatch.setattr(story, "find_image", lambda *_: tmp_path)
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "Hashing", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: facts)
    line = "autoinstall.ssh_key=https://a.invalid/keys autoinstall.dry_run"
    result = story.install(f"storage_init {line}", Host(), [Paper()])
    assert (result.ending, fetched) == (Ending.PLANNED, ["https://a.invalid/keys"])
    keys = [file["text"] for file in result.detail["plan"]["files"] if file["path"].endswith("authorized_keys")]
    assert keys[0].splitlines()[0] == KEY
    facts = able(NODE)
    assert story.install(f"storage_init {line}", Host(), [Paper()]).ending is Ending.ALREADY_INSTALLED
    assert story.install(f"uninstall {line}", Host(), [Paper()]).ending is Ending.PLANNED
    assert len(fetched) == 1
    assert story.install(f"stateless {line}", Host(), [Paper()]).ending is Ending.PLANNED
    assert len(fetched) == 2


@pytest.mark.parametrize("action", ["storage_init", "stateless"])
def test_keys_are_fetched_from_the_address_of_the_line(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, ran = Recording(), list[tuple[str, ...]]()

    def from_server(*_: object) -> bytes:
        ran.extend(host.ran)
        return FILE.encode()

    monkeypatch.setattr(livenet, "RUNTIME", tmp_path)
    monkeypatch.setattr(sources, "BUNDLE", Path("/"))
    monkeypatch.setattr(sources, "_from_server", from_server)
    monkeypatch.setattr(story, "find_image", lambda *_: tmp_path)
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "Hashing", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: able())
    line = "ip=192.0.2.7::192.0.2.1:24 autoinstall.ssh_key=https://a.invalid/keys autoinstall.dry_run"
    assert story.install(f"{action} {line}", host, [Paper()]).ending is Ending.PLANNED
    assert ran == [("networkctl", "reload")]


def test_a_desk_says_that_it_does_not_read_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(to_plain(able())))
    line = "storage_init autoinstall.ssh_key=https://a.invalid/keys"
    assert main(["plan", "--cmdline", line, "--facts", str(path)]) == 0
    assert "warning: autoinstall.ssh_key: its file is read on the machine only, not here" in capsys.readouterr().err
    assert main(["lint", line]) == 0
    assert "note: autoinstall.ssh_key: its file is read on the machine only, not here" in capsys.readouterr().out

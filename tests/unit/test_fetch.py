"""What a live system of the network fetches, over links that are slow or break."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoinstall import install as story
from autoinstall import live
from autoinstall.errors import ImageInvalid
from autoinstall.host import Host
from autoinstall.live import PIECE_BYTES
from autoinstall.report.events import Kind
from autoinstall.report.sinks import Memory
from tests.unit.test_sources import Patient

WHOLE = bytes(range(256)) * 1024


@contextmanager
def serving(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server with these answers, the last one again and again; and the requests that came."""
    asked: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.append(self.request.recv(4096))
            self.request.sendall(answers[min(len(asked), len(answers)) - 1])

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/vmlinuz", asked
        server.shutdown()


def answer(came_bytes: int, said_bytes: int | None = len(WHOLE)) -> bytes:
    """What comes of an answer that says how long it is, or does not."""
    length = f"Content-Length: {said_bytes}\r\n" if said_bytes is not None else ""
    return f"HTTP/1.0 200 OK\r\n{length}\r\n".encode() + WHOLE[:came_bytes]


def fetched(host: Host, url: str, place: Path) -> bytes:
    live._fetch(host, url, place / "vmlinuz")
    return (place / "vmlinuz").read_bytes()


def test_an_answer_that_ends_early_is_asked_for_again(tmp_path: Path) -> None:
    with serving(answer(1000), answer(len(WHOLE))) as (url, asked):
        assert fetched(Host(), url, tmp_path) == WHOLE
        assert len(asked) == 2


def test_as_long_as_an_answer_gets_further_it_is_asked_for_again(tmp_path: Path) -> None:
    """Each took longer than all the waiting for a server."""
    with serving(answer(1000), answer(1001), answer(70000), answer(len(WHOLE))) as (url, asked):
        assert fetched(Patient(), url, tmp_path) == WHOLE
        assert len(asked) == 4
    with serving(answer(1000)) as (url, asked):
        with pytest.raises(ImageInvalid, match=f"the answer ended {len(WHOLE) - 1000} bytes too early"):
            fetched(Patient(), url, tmp_path)
        assert len(asked) == 2


def test_a_server_that_sends_elsewhere_than_to_a_url_is_told(tmp_path: Path) -> None:
    with (
        serving(b"HTTP/1.0 302 Found\r\nLocation: https://[oops/x\r\n\r\n") as (url, _),
        pytest.raises(ImageInvalid, match="vmlinuz cannot be fetched: Invalid IPv6 URL"),
    ):
        fetched(Patient(), url, tmp_path)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (len(WHOLE), [(done, len(WHOLE)) for done in range(PIECE_BYTES, len(WHOLE) + 1, PIECE_BYTES)]),
        (None, [(0, 1)] * (len(WHOLE) // PIECE_BYTES)),
        (PIECE_BYTES, []),
    ],
)
def test_each_piece_of_what_is_long_is_progress(
    tmp_path: Path, said: int | None, told: list[tuple[int, int]]
) -> None:
    host, heard = Host(), list[tuple[int, int]]()
    host.progress = lambda done, total: heard.append((done, total))
    size = len(WHOLE) if said is None else said
    with serving(answer(size, said)) as (url, _):
        assert fetched(host, url, tmp_path) == WHOLE[:size]
    assert heard == told


def test_everybody_hears_of_the_fetching_and_so_the_watchdog_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_image(host: Host) -> Path:
        host.progress(1, 4)
        raise ImageInvalid("enough")

    monkeypatch.setattr(story, "find_image", find_image)
    told = Memory()
    story.install("storage_init", Host(), [told])
    (event,) = told.events
    assert (event.name, event.kind, event.percent) == ("fetch", Kind.PROGRESS, 25)

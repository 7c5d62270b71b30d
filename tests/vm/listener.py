"""A server on this host's loopback that hears of runs, and a NIC of a machine that reaches it."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.vm.hardware import NIC
from tests.vm.machine import Event, Machine

NET, HOST = "10.0.9.0/24", "10.0.9.2"
"""Of that NIC; the usual one's network is 10.0.2.0/24, and closed."""
MAC = "52:54:00:a0:09:01"
DEVICE = {"driver": NIC, "netdev": "listener", "mac": MAC, "id": "listener-nic", "romfile": ""}


@dataclass
class Listener:
    """What it was told, and which URLs it was asked for; `files` are those that it has."""

    port: int
    told: list[Event] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    scheme: str = "http"
    files: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where a machine with that NIC reaches it."""
        return f"{self.scheme}://{HOST}:{self.port}"


@contextmanager
def listener(port: int = 0, certificate: Path | None = None) -> Iterator[Listener]:
    """One that acknowledges everything; with a certificate and its key it speaks https."""
    made = Listener(port, scheme="https" if certificate else "http")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._acknowledge()

        def do_GET(self) -> None:
            made.asked.append(self.path)
            if self.path not in made.files:
                self._acknowledge()
                return
            body = made.files[self.path].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _acknowledge(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Requests are no news."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        made.port = server.server_port
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def plug_nic(machine: Machine) -> None:
    """Give a running live system that NIC; it asks for its address by itself."""
    machine.qmp("netdev_add", type="user", id="listener", net=NET)
    device: dict[str, Any] = dict(DEVICE)
    machine.qmp("device_add", **device)
    machine.shell(f"until ip -4 -o address | grep -q {HOST.rpartition('.')[0]}; do udevadm settle; done")


def nic_words() -> tuple[str, ...]:
    """QEMU's words for a machine that starts with it."""
    nic = ",".join(value if name == "driver" else f"{name}={value}" for name, value in DEVICE.items())
    return ("-netdev", f"user,id=listener,net={NET}", "-device", nic)

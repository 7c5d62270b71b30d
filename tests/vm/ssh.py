"""Logging in to a machine, as its users do."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Completed = subprocess.CompletedProcess[str]

ANSWER_LIMIT_S = 5
LOGIN_LIMIT_S = 60
NO_QUESTIONS = ("-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
QUIET = ("-o", "LogLevel=ERROR", "-o", f"ConnectTimeout={LOGIN_LIMIT_S}")


def free_port() -> int:
    """A TCP port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def new_key(path: Path) -> Path:
    """A fresh ed25519 key without a passphrase; the public half is `path` + .pub, its comment `test`."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)
    return path


@dataclass(frozen=True)
class Ssh:
    """The machine's sshd, through a port of this host; `key` is admin's."""

    port: int
    key: Path | None
    log: Path

    def command(self, user: str, options: Sequence[str] = ()) -> list[str]:
        """The words of ssh up to the remote command."""
        identity = ["-i", str(self.key), "-o", "IdentitiesOnly=yes"] if self.key else []
        where = ["-p", str(self.port), f"{user}@127.0.0.1"]
        return ["ssh", *options, *NO_QUESTIONS, *QUIET, *identity, *where]  # the first word on a thing wins

    def run(self, command: str, user: str = "admin", limit_s: float = 60) -> Completed:
        """Run a command over there, with the key; no terminal, no questions. The caller checks the status."""
        words = [*self.command(user, ["-o", "BatchMode=yes"]), command]
        return _run(words, limit_s)

    def read(self, command: str, limit_s: float = 60) -> str:
        """What a command prints; AssertionError with what it complained of if it fails."""
        done = self.run(command, limit_s=limit_s)
        assert done.returncode == 0, f"{command!r} exited with {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def refused_methods(self, user: str, methods: Sequence[str]) -> str:
        """What ssh says when it may only use these authentication methods, and no key.

        One connection for all: for some failed logins sshd turns a source away (PerSourcePenalties).
        """
        options = ["-o", f"PreferredAuthentications={','.join(methods)}", "-o", "PubkeyAuthentication=no"]
        words = [*self.command(user, ["-o", "NumberOfPasswordPrompts=1", *options]), "true"]
        done = _run(words, LOGIN_LIMIT_S)
        assert done.returncode == 255, f"logged in with {methods}"
        return done.stderr

    def host_key(self, kind: str) -> str:
        """The public host key of a kind that sshd shows to who logs in: `type base64`."""
        known = self.log.with_name(f"known-{kind}")
        options = ["-o", f"HostKeyAlgorithms={kind}", "-o", f"UserKnownHostsFile={known}", "-o", "HashKnownHosts=no"]
        done = _run([*self.command("admin", ["-o", "BatchMode=yes", *options]), "true"], LOGIN_LIMIT_S)
        assert done.returncode == 0, done.stderr
        return " ".join(known.read_text().split()[1:3])

    def wait(self, limit_s: float) -> None:
        """Until sshd greets."""
        deadline = time.monotonic() + limit_s
        while not self._greets():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {limit_s:.0f} s for a greeting of sshd on port {self.port}")

    def _greets(self) -> bool:
        """QEMU accepts every connection at once: only a greeting shows that somebody listens behind it."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as link:
            link.settimeout(ANSWER_LIMIT_S)
            if link.recv(4) == b"SSH-":
                return True
            time.sleep(0.2)  # a reset comes at once; do not ask a hundred times a second
        return False


def _run(words: list[str], limit_s: float) -> Completed:
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s)

"""An authority of our own, and a server that it vouches for."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEW = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch")


def make_authority(place: Path, address: str) -> None:
    """Puts ca.crt into `place`, and server.pem: the key and the certificate that it gave to an address."""

    def make(name: str, *words: str) -> None:
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
        subprocess.run([*NEW, *files, *words], cwd=place, check=True, capture_output=True)

    make("ca")
    make("server", "-CA", "ca.crt", "-CAkey", "ca.key", "-addext", f"subjectAltName=IP:{address}")
    (place / "server.pem").write_text((place / "server.key").read_text() + (place / "server.crt").read_text())

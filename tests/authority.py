"""An authority of our own, and a server that it vouches for, as strict as Python 3.13 asks by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEW = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch")
CONFIGURATION = """\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:@ADDRESS@
"""


def make_authority(place: Path, address: str) -> None:
    """Puts ca.crt into `place`, and server.pem: the key and the certificate that it gave to an address."""
    (place / "req.cnf").write_text(CONFIGURATION.replace("@ADDRESS@", address))

    def make(name: str, *words: str) -> None:
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
        how = ("-config", "req.cnf", "-extensions", name)
        subprocess.run([*NEW, *how, *files, *words], cwd=place, check=True, capture_output=True)

    make("ca")
    make("server", "-CA", "ca.crt", "-CAkey", "ca.key")
    (place / "server.pem").write_text((place / "server.key").read_text() + (place / "server.crt").read_text())

"""Keys that sign images, in a GnuPG home of their own, made when they are needed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY = "Key-Type: eddsa\nKey-Curve: ed25519\nName-Real: {}\nExpire-Date: {}\n%commit\n"


@dataclass(frozen=True)
class Keys:
    """A GnuPG home. A key is called by its name, and has no passphrase."""

    home: Path

    def gpg(self, *words: str | Path, data: bytes = b"", when: str = "") -> bytes:
        """What gpg writes, today or at another time, such as 20200101T000000."""
        clock = ["--faked-system-time", f"{when}!"] if when else []
        command = ["gpg", "--homedir", self.home, "--batch", "--quiet", *clock, *words]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout

    def make(self, *names: str, days: int = 0, when: str = "") -> None:
        """New keys, good for so many days; 0: for ever."""
        wanted = "".join(KEY.format(name, days) for name in names)
        self.gpg("--generate-key", "-", data=f"%no-protection\n{wanted}".encode(), when=when)

    def public(self, *names: str) -> bytes:
        """A keyring, as gpgv takes it."""
        return self.gpg("--export", *names)

    def sign(self, name: str, data: bytes, how: str = "--detach-sign", when: str = "") -> bytes:
        """A signature."""
        return self.gpg("--local-user", name, how, data=data, when=when)


@contextmanager
def new_keys() -> Iterator[Keys]:
    """A home without keys; its agent ends with it. Below /tmp: the name of a socket has a hundred letters at most."""
    home = Path(tempfile.mkdtemp(prefix="autoinstall-gpg-", dir="/tmp"))
    try:
        yield Keys(home)
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=False)
        shutil.rmtree(home, ignore_errors=True)

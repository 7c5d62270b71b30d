"""Runs on a node, by its Python: the product's upgrade and RAUC's, in turns, of the same files onto the same slot.

upgrade_in_guest.py PLACE ROUNDS: PLACE is where the disk of tests/bench/rauc.py is mounted. Told as one line of JSON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLACE, ROUNDS = Path(sys.argv[1]), int(sys.argv[2])
TREE = PLACE / "tree"
IMAGES = ("one", "two", "tree/bench")
OUTPUT = Path("/run/bench.out")
PORT = 8099
CHROOT = ["chroot", str(TREE), "env", "DBUS_STARTER_BUS_TYPE=session", "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus"]
RAUC = [*CHROOT, "rauc"]
SERVICE = [*RAUC, "--conf=/bench/system.conf", "--override-boot-slot=A", "service"]
BUS = [*CHROOT, "dbus-daemon", "--session", "--nofork", "--address=unix:path=/run/bus"]
SEND = [*CHROOT, "dbus-send", "--session", "--print-reply"]
LIST = [*SEND, "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames"]
PING = [*SEND, "--dest=de.pengutronix.rauc", "/", "org.freedesktop.DBus.Peer.Ping"]
LIMIT_S = 60


def ran(words: Sequence[str | Path]) -> dict[str, Any]:
    """Seconds and peak memory of a program that begins with nothing of the image in memory, and what it printed."""
    os.sync()
    for path in (path for directory in IMAGES for path in (PLACE / directory).iterdir() if path.is_file()):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with OUTPUT.open("wb") as output, Path(f"{OUTPUT}.err").open("wb") as complaints:
        began_s = time.monotonic()
        process = subprocess.Popen(words, stdout=output, stderr=complaints)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began_s
    said = OUTPUT.read_text()
    assert status == 0, f"{words} ended with {status}: {said}{Path(f'{OUTPUT}.err').read_text()}"
    return {"seconds": seconds, "peak_kib": used.ru_maxrss, "said": said}


def upgrade(source: str | Path) -> dict[str, Any]:
    """One run of the product."""
    found = ran(["autoinstall", "upgrade", "--json", source])
    result = json.loads(found.pop("said"))
    assert result["result"] == "upgraded", result
    return {**found, "steps_s": result["seconds"]}


def rauc(service: int) -> dict[str, Any]:
    """One run of RAUC. Its client waits for the service, which does the work: the memory is the service's."""
    found = ran([*RAUC, "install", "/bench/bundle.raucb"])
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{service}/status").read_text())
    assert "succeeded" in found.pop("said") and peak
    return {**found, "peak_kib": int(peak[1])}


def whole() -> None:
    """Both slots hold what their manifests say, whoever wrote it."""
    subprocess.run(["autoinstall", "verify"], check=True, capture_output=True)


@contextmanager
def background(words: Sequence[str], ready: Sequence[str]) -> Iterator[int]:
    """The id of a program that runs beside, from when `ready` goes well."""
    with Path("/run/bench.log").open("ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            deadline_s = time.monotonic() + LIMIT_S
            while subprocess.run(ready, stdout=log, stderr=log).returncode:
                assert time.monotonic() < deadline_s, f"{words}: {Path(log.name).read_text()}"
                time.sleep(0.2)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    for kind, where in (("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev"), ("tmpfs", "run")):
        subprocess.run(["mount", "-t", kind, kind, TREE / where], check=True)
    subprocess.run([*CHROOT, "grub-editenv", "/bench/grubenv", "create"], check=True)
    url = f"http://127.0.0.1:{PORT}/two"
    serve = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(PLACE), str(PORT)]
    runs: list[dict[str, Any]] = []
    with (
        background(BUS, LIST),
        background(SERVICE, PING) as service,
        background(serve, ["curl", "-fso", "/dev/null", f"{url}/manifest.json"]),
    ):
        for number in range(ROUNDS):
            one = {"directory": upgrade(PLACE / "one"), "rauc": rauc(service)}
            if not number:
                whole()
            runs.append({**one, "url": upgrade(url)})
    whole()
    print(json.dumps(runs))


main()

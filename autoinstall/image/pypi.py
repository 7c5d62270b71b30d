"""Pure Python packages that Debian does not have, from PyPI: the pinned files of the pinned versions."""

from __future__ import annotations

import importlib.util
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from autoinstall.errors import BuildFailed, ToolMissing
from autoinstall.host import Host
from autoinstall.image.recipe import PythonPin

SUFFIXES = (".py", ".typed")


def fetch(pins: Sequence[PythonPin], into: Path, scratch: Path, host: Host) -> None:
    """Fills `into` with the modules of the pinned packages, each as Python would import it.

    pip compares the hashes. Raises ToolMissing without pip, ToolFailed if a file cannot be had or differs.
    """
    if not pins:
        return
    if importlib.util.find_spec("pip") is None:
        raise ToolMissing("fetching Python packages: pip is not installed", hint="apt-get install python3-pip")
    wanted = scratch / "requirements.txt"
    wanted.write_text("".join(f"{p.name}=={p.version} --hash=sha256:{p.sha256}\n" for p in pins))
    host.run(
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--require-hashes", "--requirement", wanted, "--dest", scratch,
        doing="fetching " + " and ".join(f"{pin.name} {pin.version}" for pin in pins),
    )  # fmt: skip
    for pin in pins:
        unpack(next(scratch.glob(f"{pin.name}-{pin.version}[.-]*")), pin.name, into)


def unpack(archive: Path, package: str, into: Path) -> None:
    """Copies the modules below `package`/ out of a wheel or a source archive. Raises BuildFailed if none are."""
    found = False
    for name, content in _files(archive):
        path = PurePosixPath(name)
        if path.parts[0] == package and path.suffix in SUFFIXES and ".." not in path.parts:
            place = into / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            found = True
    if not found:
        raise BuildFailed(f"{archive.name} holds no Python package {package}")


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names, without the directory that a source archive wraps everything in, and contents."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist())
        return
    with tarfile.open(archive) as source:
        for member in source:
            content = source.extractfile(member)
            name = member.name.partition("/")[2]
            if content and name:
                yield name, content.read()

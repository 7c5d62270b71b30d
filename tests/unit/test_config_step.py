"""What is written to Config is on the disk, or somebody hears that it is not."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autoinstall.errors import DeviceLost
from autoinstall.execute import execute
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.report.sinks import Memory
from autoinstall.steps import config


class Keys(Host):
    """A host whose ssh-keygen leaves its files to the page cache."""

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        path = Path(argv[-1])
        for file in (path, path.with_name(f"{path.name}.pub")):
            file.write_text(path.name)
        return Completed(0, "", "")


@pytest.mark.parametrize(
    "lost", [f"ssh_host_{kind}_key{end}" for kind in config.HOST_KEY_TYPES for end in ("", ".pub")]
)
def test_a_host_key_that_the_disk_does_not_take_ends_the_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """umount says nothing of it, and the node would come up with other keys than were reported."""
    real = os.fsync

    def fsync(fd: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{fd}")).name == lost:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    @contextmanager
    def mounted(*_: Any) -> Iterator[Path]:
        (tmp_path / config.ETC_UPPER / "ssh").mkdir(parents=True, exist_ok=True)
        yield tmp_path

    monkeypatch.setattr(config, "mounted", mounted)
    monkeypatch.setattr(config, "_config_device", lambda *_: "/dev/vda5")
    monkeypatch.setattr(config, "_make_directory", lambda *_: None)
    layout: Any = SimpleNamespace()
    step = config.ConfigTree(layout, "/dev/vda", ())
    execute([step], Keys(), Memory().event)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DeviceLost, match="configuration to /dev/vda: Input/output error"):
        execute([step], Keys(), Memory().event)

"""The settings of a node on the system that runs, until it goes down."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from autoinstall.host import Host
from autoinstall.settings import ADMIN, NodeFile
from autoinstall.stateless import Application

HOST_NAME = Path("/proc/sys/kernel/hostname")
SSH_DROP_IN = Path("/run/systemd/system/ssh.service.d/stateless.conf")
LET_IN = "# This live system is one to work on: the line says stateless.\n[Unit]\nConditionPathExists=\n"


@dataclass(frozen=True)
class ApplySettings:
    """The running system has the files, and its services read them."""

    application: Application
    root: Path = Path("/")

    name = "settings"
    writes = False
    title = "Applying the settings to this system"

    def apply(self, host: Host) -> None:
        for file in self.application.files:
            _replace(self.root, file)
        (self.root / HOST_NAME.relative_to("/")).write_text(self.application.host_name)
        drop_in = self.root / SSH_DROP_IN.relative_to("/")
        drop_in.parent.mkdir(parents=True, exist_ok=True)
        drop_in.write_text(LET_IN)
        host.run("systemctl", "daemon-reload", doing="letting ssh start")
        host.run("networkctl", "reload", doing="configuring the network")
        host.run("systemctl", "try-restart", "systemd-timesyncd.service", doing="setting the time servers")
        host.run("systemctl", "restart", "ssh.service", doing="starting sshd")

    def why_not_done(self, host: Host) -> str:
        for file in self.application.files:
            if _place(self.root, file).read_text() != file.text:
                return f"{file.path} is not as asked"
        return ""


def _place(root: Path, file: NodeFile) -> Path:
    return root / file.path.lstrip("/")


def _replace(root: Path, file: NodeFile) -> None:
    place = _place(root, file)
    if not place.parent.exists():
        place.parent.mkdir(parents=True, mode=0o700 if file.owner == ADMIN else 0o755)
        os.chown(place.parent, *file.owner)
    new = place.with_name(f".{place.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(file.text)
    os.chown(new, *file.owner)
    new.chmod(file.mode)
    new.rename(place)

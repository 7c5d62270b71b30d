"""Config: what the node starts with, and the record of how it came to be."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoinstall import __version__, block, probe
from autoinstall.host import Host
from autoinstall.layout import Layout
from autoinstall.mounts import mounted, wait_for_file, write_file
from autoinstall.pin import digest
from autoinstall.plan import Plan, to_json
from autoinstall.report.sinks import Memory
from autoinstall.settings import ADMIN, ROOT, NodeFile, machine_id

ETC_UPPER = Path("etc/upper")
DIRECTORIES = ((Path("etc"), ROOT, 0o755), (ETC_UPPER, ROOT, 0o755), (Path("etc/work"), ROOT, 0o755),
               (Path("home"), ROOT, 0o755), (Path("home/admin"), ADMIN, 0o700),
               (Path("home/admin/.ssh"), ADMIN, 0o700), (Path("autoinstall"), ROOT, 0o755))  # fmt: skip
HOST_KEY_TYPES = ("ed25519", "ecdsa")
RECORD = Path("autoinstall/install.json")


@dataclass(frozen=True)
class ConfigTree:
    """Config holds the node's files, and host keys that were made here."""

    layout: Layout
    disk: str
    files: tuple[NodeFile, ...]

    name = "config"
    writes = True

    @property
    def title(self) -> str:
        return f"Writing the node's configuration to {self.disk}"

    def apply(self, host: Host) -> None:
        with mounted(host, _config_device(self.layout, self.disk)) as root:
            for place, owner, mode in DIRECTORIES:
                _make_directory(root / place, owner, mode)
            for file in self.files:
                _write(root, file)
            _make_host_keys(host, root / ETC_UPPER / "ssh")

    def why_not_done(self, host: Host) -> str:
        with mounted(host, _config_device(self.layout, self.disk), "ro") as root:
            for file in self.files:
                place = root / place_on_config(file.path)
                found = place.stat()
                if place.read_text() != file.text or (found.st_uid, found.st_gid) != file.owner:
                    return f"{file.path} is not as planned"
        return ""


@dataclass(frozen=True)
class InstallRecord:
    """Config holds the record of this install: what was planned, what was done, who this node is."""

    plan: Plan
    told: Memory

    name = "install-record"
    writes = True

    @property
    def title(self) -> str:
        return f"Writing the install record to {self.plan.target.path}"

    def apply(self, host: Host) -> None:
        with mounted(host, _config_device(self.plan.layout, self.plan.target.path)) as root:
            record = self._describe(host, root)
            write_file(root / RECORD, json.dumps(record, indent=1, sort_keys=True).encode())
        self.told.record = record

    def why_not_done(self, host: Host) -> str:
        with mounted(host, _config_device(self.plan.layout, self.plan.target.path), "ro") as root:
            return "" if json.loads((root / RECORD).read_text()) == self.told.record else "it reads back otherwise"

    def _describe(self, host: Host, config_root: Path) -> dict[str, Any]:
        keys = sorted((config_root / ETC_UPPER / "ssh").glob("ssh_host_*_key.pub"))
        return {
            "autoinstall_version": __version__,
            "id": self.plan.id_text,
            "install_id": str(self.plan.layout.install_id),
            "image_id": self.plan.image.manifest.image_id,
            "image_version": self.plan.image.manifest.version,
            "machine_id": machine_id(self.plan.layout.install_id),
            "host_keys": [key.read_text().strip() for key in keys],
            "macs": [nic.mac for nic in probe.nics()],
            "addresses": probe.addresses(host),
            "seconds": self.told.seconds_of_steps(),
            "plan_digest": digest(self.plan),
            "plan": to_json(self.plan),
        }


def place_on_config(path: str) -> Path:
    """Where on Config a file of the node lives: /etc is an overlay, /home a bind mount."""
    if path.startswith("/etc/"):
        return ETC_UPPER / path.removeprefix("/etc/")
    return Path(path.removeprefix("/"))


def _config_device(layout: Layout, disk: str) -> str:
    return block.partition_path(disk, layout.partition("Config").number)


def _make_directory(path: Path, owner: tuple[int, int], mode: int) -> None:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, *owner)


def _write(root: Path, file: NodeFile) -> None:
    place = root / place_on_config(file.path)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_file(place, file.text.encode(), file.mode)
    os.chown(place, *file.owner)


def _make_host_keys(host: Host, directory: Path) -> None:
    """The node's host keys, made here so that the report can carry them: who connects first can check."""
    for kind in HOST_KEY_TYPES:
        path = directory / f"ssh_host_{kind}_key"
        host.run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "node", "-f", path, doing=f"making the {kind} key")
        for file in (path, path.with_name(f"{path.name}.pub")):
            wait_for_file(file)

"""A node that is just files: what the kernel would tell, and what programs would say."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autoinstall.errors import TookTooLong
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.node import checks, health, state
from autoinstall.slots import fresh, render_env

LABELS = ("BIOS-boot", "EFI", "Root-A", "Root-B", "Config", "Logging", "HostVG")
MOUNTS = """\
20 1 253:0 / / ro,relatime shared:1 - squashfs /dev/mapper/autoinstall-root ro,errors=continue
21 20 254:3 / {run}/slot ro,nosuid,nodev,noexec shared:2 - ext4 /dev/vda3 ro
22 20 254:5 / /config rw,nosuid,nodev,noatime shared:3 - ext4 /dev/vda5 rw
23 20 0:30 / /etc rw,nosuid,nodev shared:4 - overlay autoinstall rw,upperdir=/sysroot/config/etc/upper
24 20 254:6 / /var/log rw,nosuid,nodev shared:5 - ext4 /dev/vda6 rw
25 20 253:1 / /data rw,nodev shared:6 - ext4 /dev/mapper/HostVG-Data rw
"""


@dataclass
class Node(Host):
    """The host of that node. `told` answers programs by their first word; nothing ever is waited for."""

    root: Path
    files: dict[str, str] = field(default_factory=dict)
    told: dict[str, Completed] = field(default_factory=dict)
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        words = tuple(str(word) for word in argv)
        self.ran.append(words)
        return self.told.get(Path(words[0]).name, Completed(0, "", ""))

    def read_text(self, path: str | Path) -> str:
        return self.files[str(path)] if str(path) in self.files else super().read_text(path)

    def wait_for(self, what: str, holds: Callable[[], bool], limit_s: float, interval_s: float = 0) -> None:
        if not holds():
            raise TookTooLong(f"waited {limit_s:.0f} s for {what}")


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A healthy node, slot A booted, and root on it. Config, Logging and the ESP are directories of tmp_path."""
    run = tmp_path / "run"
    (run / "slot").mkdir(parents=True)
    (run / "slot-name").write_text("A\n")
    _disk(tmp_path / "sys", tmp_path / "dev")
    network = tmp_path / "network"
    network.mkdir()
    (network / "10-management.network").touch()
    replaced: dict[tuple[Any, str], Any] = {
        (os, "geteuid"): lambda: 0,
        (state, "RUN"): run,
        (state, "BOOTED_IMAGE"): run / "slot",
        (state, "DEVICES"): str(tmp_path / "dev"),
        (checks, "RUN"): run,
        (checks, "BOOTED_IMAGE"): run / "slot",
        (checks, "NETWORK_FILES"): network,
        (checks, "HEALTH_D"): (tmp_path / "health.d",),
        (checks, "_below"): lambda mapped: "/dev/loop0",
        (checks, "_backing_file"): lambda loop: checks._identity(run / "slot/root.squashfs"),
        (checks, "_writable"): lambda directory: "",
        (checks, "slot_state"): lambda host: fresh(),
        (health, "BOOTED_IMAGE"): run / "slot",
        (health, "TRIAL"): run / "trial",
    }
    for (module, name), value in replaced.items():
        monkeypatch.setattr(module, name, value)
    (run / "slot/root.squashfs").touch()
    up = f'{{"Interfaces": [{{"NetworkFile": "{network}/10-management.network", '
    up += '"AdministrativeState": "configured", "OperationalState": "routable"}]}'
    return Node(
        tmp_path,
        files={"/proc/self/mountinfo": MOUNTS.format(run=run), "/etc/fstab": "# none\n"},
        told={"networkctl": Completed(0, up, ""), "dmsetup": Completed(0, "0 157840 verity V\n", "")},
    )


@pytest.fixture
def esp(node: Node, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ESP of that node, and what is mounted from it: a new install's state."""
    where = node.root / "esp"
    for copy in state.STATE_COPIES:
        (where / copy).parent.mkdir(parents=True)
        (where / copy).write_bytes(render_env(fresh()))

    @contextmanager
    def mounted(host: Host, device: str, *options: str, filesystem: str) -> Iterator[Path]:
        assert device == "/dev/vda2"
        yield where

    monkeypatch.setattr(state, "mounted_beside", mounted)
    return where


def _disk(sys: Path, devices: Path) -> None:
    disk = sys / "block/vda"
    for number, label in enumerate(LABELS, start=1):
        part = disk / f"vda{number}"
        part.mkdir(parents=True)
        (part / "uevent").write_text(f"DEVNAME=vda{number}\nDEVTYPE=partition\nPARTNAME={label}\n")
        devices.mkdir(exist_ok=True)
        (devices / f"254:{number}").symlink_to(part)

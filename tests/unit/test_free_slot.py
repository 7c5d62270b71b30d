"""A slot that somebody uses is not made anew, and loses nothing."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoinstall import block
from autoinstall.errors import EXIT_HERE, Refused
from autoinstall.execute import execute
from autoinstall.facts import LiveImage
from autoinstall.host import Host
from autoinstall.node.state import read_state_files
from autoinstall.report.sinks import Memory
from autoinstall.steps import MadeAnew, upgrade, upgrade_steps
from tests.unit.machines import MANIFEST
from tests.unit.test_upgrade_steps import GOOD_A, PART, SLOT, esp

__all__ = ["esp"]


@dataclass
class Mounts(Host):
    """What is mounted: a line of mountinfo for each device."""

    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__init__()

    def read_text(self, path: str | Path) -> str:
        assert path == "/proc/self/mountinfo"
        return "".join(f"40 1 {device} / /mnt/{device[-1]} ro - ext4 /dev/x ro\n" for device in self.devices)


@pytest.mark.parametrize(
    ("devices", "held", "says"),
    [
        (("1:3", "8:1"), [], "/dev/null is mounted on /mnt/3"),
        (("8:1",), ["dm-3 mine"], "/dev/null is held by dm-3 mine"),
        (("1:3",), ["dm-3"], "/dev/null is mounted on /mnt/3; /dev/null is held by dm-3"),
        ((), [], "/dev/null is busy, and who has it is not seen from here"),
    ],
)
@pytest.mark.parametrize("forced", [False, True])
def test_a_slot_that_somebody_uses_is_refused_before_anything_is_written(
    esp: Path, monkeypatch: pytest.MonkeyPatch, devices: tuple[str, ...], held: list[str], says: str, forced: bool
) -> None:
    """mke2fs would refuse it: when the slot has no attempt any more, and its first MiB is gone."""
    monkeypatch.setattr(upgrade, "partition_of_node", lambda disk, label: {"Root-B": "/dev/null"}[label])
    monkeypatch.setattr(block, "holders", lambda device: held)
    monkeypatch.setattr(block, "is_free", lambda device: device != "/dev/null")
    steps = upgrade_steps(MadeAnew(SLOT, PART, "/dev/vda", 3, forced=forced), LiveImage("/image", MANIFEST))
    with pytest.raises(Refused) as caught:
        execute(steps[1:], Mounts(devices), Memory().event)
    assert (str(caught.value), caught.value.exit_code) == (f"slot B is in use: {says}", EXIT_HERE)
    assert caught.value.hint == "unmount it, then upgrade"
    assert read_state_files(esp) == GOOD_A


def test_a_device_is_free_unless_it_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device, flags = str(tmp_path / "vda4"), list[int]()
    with pytest.raises(FileNotFoundError):
        block.is_free(device)
    (tmp_path / "vda4").touch()
    assert block.is_free(device)

    def busy(path: str, how: int) -> int:
        flags.append(how)
        raise OSError(errno.EBUSY, "Device or resource busy")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", busy)
        assert not block.is_free(device)
    assert flags == [os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC]

"""What is mounted, as which type, and what is said where that cannot be."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from autoinstall import block, mounts
from autoinstall.errors import MountFailed
from autoinstall.host import Host
from autoinstall.mounts import mounted


class Kernel(Host):
    """One that knows one type of filesystem on the device, or fails otherwise."""

    def __init__(self, there: str, number: int = errno.EINVAL) -> None:
        super().__init__()
        self.there, self.number = there, number
        self.asked: list[tuple[str, str, int]] = []
        self.left: list[Path] = []

    def mount(self, device: str, where: Path, filesystem: tuple[str, str], flags: int) -> None:
        self.asked.append((*filesystem, flags))
        if filesystem[0] != self.there:
            raise OSError(self.number, os.strerror(self.number))

    def unmount(self, where: Path) -> None:
        self.left.append(where)


@pytest.fixture(autouse=True)
def flushed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The devices whose writes were waited for."""
    devices: list[str] = []
    monkeypatch.setattr(mounts, "MOUNT_ROOT", tmp_path)
    monkeypatch.setattr(block, "flush", devices.append)
    return devices


def test_the_type_is_found_by_asking_and_what_was_written_is_durable(flushed: list[str], tmp_path: Path) -> None:
    kernel = Kernel("vfat")
    with mounted(kernel, "/dev/vda2", "rw", "noatime") as where:
        assert (where, kernel.left, flushed) == (tmp_path / "vda2", [], [])
    assert kernel.asked == [(kind, "", mounts.ALWAYS | 1024) for kind in ("ext4", "vfat")]
    assert (kernel.left, flushed) == ([where], ["/dev/vda2"])


def test_what_is_only_read_is_not_waited_for_and_an_option_of_its_own_is_handed_on(flushed: list[str]) -> None:
    kernel = Kernel("ext4")
    with mounted(kernel, "/dev/vda5", "ro", "noload"):
        pass
    assert kernel.asked == [("ext4", "noload", mounts.ALWAYS | 1)]
    assert not flushed


@pytest.mark.parametrize(("number", "asked"), [(errno.EINVAL, 2), (errno.EIO, 1)])
def test_a_device_that_cannot_be_mounted_is_named(number: int, asked: int) -> None:
    kernel = Kernel("none of them", number)
    with pytest.raises(MountFailed, match=f"mounting /dev/vda5: {os.strerror(number)}"), mounted(kernel, "/dev/vda5"):
        pass
    assert (len(kernel.asked), kernel.left) == (asked, [])

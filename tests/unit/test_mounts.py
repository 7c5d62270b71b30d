"""What is mounted, as which type, and what is said where that cannot be."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoinstall import block, mounts
from autoinstall import host as host_module
from autoinstall.errors import DeviceLost, MountFailed, StateUnreadable, ToolFailed
from autoinstall.host import Host
from autoinstall.mounts import ALWAYS, REMOUNT, mounted, mounted_beside


class Kernel(Host):
    """One that knows one type of filesystem on the device, or fails otherwise, the last way again and again."""

    def __init__(self, there: str, *numbers: int) -> None:
        super().__init__()
        self.there, self.numbers = there, numbers or (errno.EINVAL,)
        self.asked: list[tuple[str, str, int]] = []
        self.left: list[Path] = []
        self.alone: list[bool] = []

    def own_mounts(self) -> None:
        self.alone.append(not self.asked)

    def mount(self, device: str, where: Path, filesystem: tuple[str, str], flags: int) -> None:
        self.asked.append((*filesystem, flags))
        if filesystem[0] != self.there:
            number = self.numbers[min(len(self.asked), len(self.numbers)) - 1]
            raise OSError(number, os.strerror(number))

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
    assert kernel.alone == [True], "before it is mounted: a killed run must leave nothing"


def test_what_is_only_read_is_not_waited_for_and_an_option_of_its_own_is_handed_on(flushed: list[str]) -> None:
    kernel = Kernel("ext4")
    with mounted(kernel, "/dev/vda5", "ro", "noload"):
        pass
    assert kernel.asked == [("ext4", "noload", mounts.ALWAYS | 1)]
    assert not flushed


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ((errno.EINVAL, errno.EINVAL), errno.EINVAL),
        ((errno.EIO,), errno.EIO),
        ((errno.EBUSY, errno.EBUSY), errno.EBUSY),
        ((errno.EBUSY, errno.EIO), errno.EIO),
        ((errno.EBUSY, errno.EINVAL), errno.EBUSY),
    ],
    ids=["no filesystem", "fails", "in use", "in use and fails", "let go of meanwhile: not damaged"],
)
def test_a_device_that_cannot_be_mounted_is_named(answers: tuple[int, ...], told: int) -> None:
    kernel = Kernel("none of them", *answers)
    with pytest.raises(MountFailed, match=f"mounting /dev/vda5: {os.strerror(told)}"), mounted(kernel, "/dev/vda5"):
        pass
    assert (len(kernel.asked), kernel.left) == (len(answers), [])


class Held(Kernel):
    """One that has it mounted for somebody else already: the state of a filesystem is one for all."""

    def __init__(self, read_only: bool, can_write: bool = True) -> None:
        super().__init__("vfat")
        self.read_only, self.can_write = read_only, can_write

    def mount(self, device: str, where: Path, filesystem: tuple[str, str], flags: int) -> None:
        self.asked.append((*filesystem, flags))
        number = 0
        if flags & REMOUNT and not (self.can_write or flags & 1):
            number = errno.EACCES
        elif flags & REMOUNT:
            self.read_only = bool(flags & 1)
        elif filesystem[0] != "vfat" or self.read_only != bool(flags & 1):
            number = errno.EBUSY
        if number:
            raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("options", [("ro",), ("rw", "noatime")])
def test_what_somebody_else_has_mounted_is_read_and_written_and_left_as_it_was(
    read_only: bool, options: tuple[str, ...], flushed: list[str]
) -> None:
    kernel = Held(read_only)
    with mounted_beside(kernel, "/dev/vda2", *options, filesystem="vfat") as where:
        assert not (kernel.read_only and "rw" in options)
        assert not kernel.left
    assert (kernel.left, kernel.read_only) == ([where], read_only)
    assert all(flags & (REMOUNT | 1 | 1024) for _, _, flags in kernel.asked), "reading writes nothing"
    assert ("/dev/vda2" in flushed) or options == ("ro",)


def test_what_takes_no_writes_is_told_and_not_left_mounted() -> None:
    kernel = Held(read_only=True, can_write=False)
    with (
        pytest.raises(MountFailed, match="making /dev/vda2 writable: Permission denied"),
        mounted_beside(kernel, "/dev/vda2", "rw", filesystem="vfat"),
    ):
        pass
    assert len(kernel.left) == 1


def test_a_device_that_fails_is_not_asked_again_in_another_way() -> None:
    kernel = Kernel("none of them", errno.EIO)
    with (
        pytest.raises(MountFailed, match="mounting /dev/vda2: Input/output error"),
        mounted_beside(kernel, "/dev/vda2", "ro", filesystem="vfat"),
    ):
        pass
    assert kernel.asked == [("vfat", "", ALWAYS | 1)]


@pytest.mark.parametrize("error", [DeviceLost, StateUnreadable, ToolFailed])
def test_what_is_lost_on_a_filesystem_is_told_with_its_device(
    error: type[DeviceLost | StateUnreadable | ToolFailed],
) -> None:
    kernel = Kernel("ext4")
    with pytest.raises(error, match=r"^/dev/vda4: reading back: .*r$") as told, mounted(kernel, "/dev/vda4", "ro"):
        raise error("reading back: Input/output error", hint="replace the disk")
    assert (told.value.hint, len(kernel.left)) == ("replace the disk", 1)


def test_what_is_mounted_for_a_while_is_mounted_for_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(host_module, "_call", lambda *words: calls.append(words))
    host = Host()
    host.own_mounts()
    host.own_mounts()
    assert calls == [("unshare", 0x20000), ("mount", None, b"/", None, 0x84000, None)]


def test_who_may_not_have_mounts_of_its_own_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(host_module, "_call", refuse)
    with (
        pytest.raises(MountFailed, match="mounting /dev/vda5: Operation not permitted") as told,
        mounted(Host(), "/dev/vda5"),
    ):
        pass
    assert told.value.hint == "run this as root"


@pytest.mark.runs_programs
def test_nobody_else_sees_them_and_they_go_with_the_process(tmp_path: Path) -> None:
    """By the kernel itself, in a user namespace."""
    program = f"""
import os, signal
from pathlib import Path
from autoinstall.host import Host
host = Host()
host.own_mounts()
child = os.fork()
if not child:
    mine = Host()
    mine.own_mounts()
    mine.mount("none", Path({str(tmp_path)!r}), ("tmpfs", ""), 0)
    Path({str(tmp_path)!r}, "seen").touch()
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
print(list(Path({str(tmp_path)!r}).iterdir()))
"""
    words = ["unshare", "--user", "--map-root-user", sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if done.stderr.startswith("unshare: "):
        pytest.skip("this machine lets nobody have a namespace of its own")
    assert (done.stdout, done.stderr) == ("[]\n", "")

"""What the check after mkfs makes of blkid's words."""

from __future__ import annotations

from uuid import UUID

import pytest

from autoinstall import block
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.layout import Layout, place
from autoinstall.sizes import GIB
from autoinstall.space import Space
from autoinstall.steps.filesystems import Filesystems

DISK = "/dev/vda"


class Blkid(Host):
    """A host whose blkid finds these UUIDs, by device, and stops at a device that holds none, as blkid does."""

    def __init__(self, uuids: dict[str, str]) -> None:
        super().__init__()
        self.uuids = uuids

    def run(self, *argv: object, doing: str, how: Run = USUAL) -> Completed:
        blocks: list[str] = []
        for device in map(str, argv[4:]):
            if device not in self.uuids:
                return Completed(2, "\n".join(blocks), "")
            blocks.append(f"DEVNAME={device}\nUUID={self.uuids[device]}\nBLOCK_SIZE=4096\nTYPE=ext4\n")
        return Completed(0, "\n".join(blocks), "")


GROUPS = {"HostVG": (("/dev/vdb", 1), ("/dev/vdc", 1))}


@pytest.fixture
def layout(monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(block, "partition_path", lambda disk, number: f"{disk}{number}")
    return place(UUID(int=1), Space(16 * GIB, 512, 2 * GIB))


def planned(layout: Layout) -> dict[str, str]:
    """The UUID of each device."""
    parts = {f"{DISK}{part.number}": part.filesystem_uuid for part in layout.partitions if part.filesystem}
    return parts | {volume.path: volume.filesystem_uuid for volume in layout.volumes}


def test_filesystems_as_planned_are_done(layout: Layout) -> None:
    assert Filesystems(layout, DISK, GROUPS).why_not_done(Blkid(planned(layout))) == ""


def test_a_filesystem_of_another_uuid_is_told(layout: Layout) -> None:
    found = planned(layout) | {"/dev/HostVG/Data": "another"}
    assert "/dev/HostVG/Data has the UUID another" in Filesystems(layout, DISK, GROUPS).why_not_done(Blkid(found))


def test_a_device_without_a_filesystem_is_told(layout: Layout) -> None:
    found = planned(layout)
    del found[f"{DISK}5"]
    assert "/dev/vda5 has the UUID of nothing" in Filesystems(layout, DISK, GROUPS).why_not_done(Blkid(found))


def test_a_volume_that_cannot_have_a_filesystem_is_told_with_its_disks(layout: Layout) -> None:
    told = []

    class Mkfs(Host):
        def run(self, *argv: object, doing: str, how: Run = USUAL) -> Completed:
            told.append(doing)
            return Completed(0, "", "")

    Filesystems(layout, DISK, GROUPS).apply(Mkfs())
    assert told[0] == "making the vfat filesystem on /dev/vda2"
    assert told[-1] == "making the ext4 filesystem on /dev/HostVG/Data of /dev/vdb and /dev/vdc"

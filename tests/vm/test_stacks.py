"""What is stacked on a named disk and is another's, or goes on elsewhere, is refused: not one byte changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import GIB, Disk
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Event
from tests.vm.test_refusals import LINE, blank, told

pytestmark = pytest.mark.vm
BY_ID = "/dev/disk/by-id/virtio-"
CLOSED = "vgchange -qan; sync"
"""Nothing stays open, and all that was written is on the disks."""
TARGET, OTHER = f"{BY_ID}TARGET0", f"{BY_ID}OTHER0"
GROUP = f"pvcreate -qy {TARGET} {OTHER} && vgcreate -qy old {TARGET} {OTHER}"
DOMAIN = f"pvcreate -qy {TARGET} && vgcreate -qy --addtag RHAT_storage_domain vms {TARGET}"
ZEROS = f"dd if=/dev/zero of={TARGET} bs=4096 seek=1 count=250 conv=fsync,notrunc"
BROKEN = f"pvcreate -qy {TARGET} && vgcreate -qy old {TARGET} && {ZEROS}"
ISW_MAGIC = b"Intel Raid ISM Cfg Sig. 1.3.00"
ISW_FROM_END_BYTES = 1024


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (GROUP, "VG old is on /dev/vda, and on /dev/vdb, which was not named"),
        (DOMAIN, "VG vms, a storage domain"),
        pytest.param(BROKEN, "a volume group that LVM cannot read", marks=pytest.mark.exhaustive),
    ],
    ids=["spread", "storage-domain", "unreadable"],
)
def test_a_volume_group_that_may_not_be_taken_apart(live: LiveSystem, tmp_path: Path, script: str, says: str) -> None:
    disks = blank(tmp_path), blank(tmp_path, "OTHER0")
    with live.start(tmp_path, *disks) as machine:
        machine.shell(f"{script} && {CLOSED}", 60)
        before = [DiskImage(disk.path).digest() for disk in disks]
        result = install(machine, f"storage_init=serial:TARGET0 {LINE}")
    assert (result["result"], result["exit_code"]) == ("refused", 3)
    assert says in told(result)
    assert [DiskImage(disk.path).digest() for disk in disks] == before


def bios_raid(place: Path) -> Disk:
    """A disk that was once in an Intel RAID."""
    disk = blank(place, size_bytes=12 * GIB)
    with disk.path.open("r+b") as file:
        file.seek(-ISW_FROM_END_BYTES, 2)
        file.write(ISW_MAGIC)
    return disk


def run(live: LiveSystem, disk: Disk, words: str, name: str) -> Event:
    """One run of the installer, in a machine of its own."""
    with live.start(disk.path.parent, disk, name=name) as machine:
        return install(machine, f"storage_init=serial:TARGET0 {words} {LINE}")


def test_the_mark_of_a_bios_raid_goes_only_where_the_line_says_so(live: LiveSystem, tmp_path: Path) -> None:
    disk = bios_raid(tmp_path)
    before = DiskImage(disk.path).digest()
    refused = run(live, disk, "", "without")
    assert (refused["result"], DiskImage(disk.path).digest()) == ("refused", before)
    assert "isw_raid_member" in told(refused)
    assert "wipe_fakeraid" in told(refused)
    installed = run(live, disk, "wipe_fakeraid", "with")
    assert installed["result"] == "installed", installed
    with disk.path.open("rb") as file:
        file.seek(-ISW_FROM_END_BYTES, 2)
        assert not file.read().startswith(ISW_MAGIC)


@pytest.mark.exhaustive
def test_a_pinned_plan_is_installed_and_another_is_not(live: LiveSystem, tmp_path: Path) -> None:
    disk = blank(tmp_path, size_bytes=12 * GIB)
    pin = f"autoinstall.plan={run(live, disk, 'autoinstall.dry_run', 'rehearsal')['plan_digest']}"
    refused = run(live, disk, f"{pin} hostname=other", "other")
    assert (refused["result"], refused["exit_code"]) == ("refused", 3)
    assert pin.removeprefix("autoinstall.plan=") in told(refused)
    assert DiskImage(disk.path).is_blank()
    assert run(live, disk, pin, "same")["result"] == "installed"
    assert run(live, disk, pin, "again")["result"] == "already-installed"

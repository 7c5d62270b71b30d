"""Which disk, which NIC: exactly one answer, or every reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoinstall.errors import Refused
from autoinstall.facts import Disk, Nic
from autoinstall.grammar_disks import disk
from autoinstall.grammar_network import boot_interface
from autoinstall.select import select_disk, select_nic, selector_for
from tests.unit.machines import NIC, SR0, VDA, VDB

USB = Disk("/dev/sda", "disk", 8 << 30, 512, serial="STICK", removable=True)
SDA1_LIKE = replace(VDA, path="/dev/vdaa", serial="LONG")


@pytest.mark.parametrize(
    ("selector", "disks", "chosen"),
    [
        (None, [SR0, VDA], VDA),
        (None, [SR0, VDA, USB], VDA),
        ("/dev/vda", [VDA, VDB, SDA1_LIKE], VDA),
        (
            "/dev/disk/by-id/x",
            [VDB, replace(VDA, links=("/dev/disk/by-id/x",))],
            replace(VDA, links=("/dev/disk/by-id/x",)),
        ),
        ("serial:OTHER", [VDA, VDB], VDB),
        ("virtio:TARGET0", [VDA, VDB], VDA),
        ("serial:STICK", [USB, VDA], USB),
    ],
)
def test_one_disk_fits(selector: str | None, disks: list[Disk], chosen: Disk) -> None:
    assert select_disk(disk(selector), disks) == chosen


@pytest.mark.parametrize(
    ("selector", "disks", "says"),
    [
        (None, [], "no disk at all"),
        (None, [VDA, VDB], "fits 2 disks"),
        (None, [replace(VDA, read_only=True)], "read-only"),
        (None, [replace(VDA, size_bytes=0)], "no size"),
        ("/dev/vdc", [VDA], "it is not /dev/vdc"),
        ("/dev/vd", [VDA], "it is not /dev/vd"),
        ("serial:TARGET", [VDA], "its serial is TARGET0, not TARGET"),
        ("nvme:TARGET0", [VDA], "it is on virtio, not on nvme"),
        ("/dev/sr0", [SR0], "medium this system runs from"),
        ("serial:STICK", [replace(USB, live_medium=True)], "medium this system runs from"),
        ("serial:TARGET0", [VDA, replace(VDB, serial="TARGET0")], "fits 2 disks"),
    ],
)
def test_none_or_several_are_refused_with_the_reason_of_each(
    selector: str | None, disks: list[Disk], says: str
) -> None:
    with pytest.raises(Refused) as caught:
        select_disk(disk(selector), disks)
    assert says in str(caught.value)
    assert len(caught.value.reasons) == 1 + max(len(disks), 1)


def test_idle_loop_devices_are_not_in_the_table() -> None:
    loops = [Disk("/dev/loop0", "loop", 77 << 20, 512), Disk("/dev/loop1", "loop", 0, 512)]
    with pytest.raises(Refused) as caught:
        select_disk(disk("serial:NOSUCH"), [*loops, VDA])
    assert [reason.split()[0] for reason in caught.value.reasons[1:]] == ["/dev/loop0", "/dev/vda"]


def test_several_candidates_come_with_a_ready_word_for_each() -> None:
    with pytest.raises(Refused) as caught:
        select_disk(disk(None), [SR0, VDA, VDB])
    assert "storage_init=serial:TARGET0" in caught.value.hint
    assert "storage_init=serial:OTHER" in caught.value.hint


def test_an_offered_word_selects_the_disk_that_it_is_offered_for() -> None:
    twins = [replace(VDA, links=("/dev/disk/by-id/a",)), replace(VDB, serial="TARGET0")]
    for one in twins:
        word = selector_for(one, twins).removeprefix("storage_init=")
        assert select_disk(disk(word), twins) == one


def test_a_name_that_two_disks_have_is_not_offered() -> None:
    shared = ("/dev/disk/by-id/wwn-0x5000c500a0000001",)
    twins = [replace(VDA, links=shared), replace(VDB, serial=VDA.serial, links=shared)]
    assert [selector_for(one, twins) for one in twins] == ["storage_init=/dev/vda", "storage_init=/dev/vdb"]


DARK = Nic("eth9", "52:54:00:00:00:09")


@pytest.mark.parametrize(
    ("word", "nic"),
    [("link", NIC), ("enp0s3", NIC), ("52-54-00-12-34-56", NIC), ("eth9", DARK), ("01-52-54-00-00-00-09", DARK)],
)
def test_a_nic_fits(word: str, nic: Nic) -> None:
    assert select_nic(boot_interface(word), [DARK, NIC]) == nic


def test_a_missing_nic_is_refused_with_those_there_are() -> None:
    with pytest.raises(Refused, match=r"eth9 52:54:00:00:00:09 no carrier"):
        select_nic(boot_interface("link"), [DARK])

"""Which disk, which NIC: exactly one answer, or every reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoinstall.errors import Refused
from autoinstall.facts import Disk, Nic
from autoinstall.grammar_disks import Bus, disk
from autoinstall.grammar_network import boot_interface
from autoinstall.select import describe, select_disk, select_nic, selector_for
from tests.unit.machines import NIC, SR0, VDA, VDB

ROWS_OF = (
    SR0,
    replace(VDA, links=("/dev/disk/by-id/virtio-TARGET0", "/dev/disk/by-path/pci-1")),
    Disk("/dev/sda", "disk", 4 << 40, 512, Bus.ATA, "WD-1", wwn="0x5", model="WDC", rotational=True),
    Disk("/dev/sdb", "disk", 1 << 33, 512, Bus.USB, "STICK", removable=True),
    Disk("/dev/sdc", "disk", 1 << 33, 512, Bus.SCSI, "LUN", multipath="/dev/mapper/mpatha"),
    Disk("/dev/sdd", "disk", 0, 512, Bus.USB),
    Disk("/dev/sde", "disk", 1 << 33, 512, Bus.SCSI, "WORM", read_only=True),
)
"""A machine with one disk of each kind of reason. Those that can never be a target have theirs whatever is asked."""
NEVER = {
    "/dev/sr0": "it is the medium this system runs from",
    "/dev/sdc": "it is a path of /dev/mapper/mpatha, which is taken in its place",
    "/dev/sdd": "it has no size",
    "/dev/sde": "it is read-only",
}
STICK_TOO = "it is removable, and not named"


@pytest.mark.parametrize(
    ("word", "vda", "sda", "sdb"),
    [
        ("", "fits", "fits", STICK_TOO),
        ("/dev/nvme0n1", "it is not /dev/nvme0n1", "it is not /dev/nvme0n1", "it is not /dev/nvme0n1"),
        ("/dev/[vs]da", "fits", "fits", STICK_TOO),
        ("/dev/nvme*", "no name of it fits /dev/nvme*", "no name of it fits /dev/nvme*", STICK_TOO),
        ("nvme", "it is on virtio, not on nvme", "it is on ata, not on nvme", STICK_TOO),
        ("usb:X", "it is on virtio, not on usb", "it is on ata, not on usb", "its serial is STICK, not X"),
        ("serial:X", "its serial is TARGET0, not X", "its serial is WD-1, not X", "its serial is STICK, not X"),
        ("wwn:0x6", "its WWN is unknown, not 0x6", "its WWN is 0x5, not 0x6", "its WWN is unknown, not 0x6"),
        ("id:x", *["it is not /dev/disk/by-id/x"] * 3),
        ("path:x", *["it is not /dev/disk/by-path/x"] * 3),
        ("match:size=9T..", "size=9T.. does not hold", "size=9T.. does not hold", STICK_TOO),
        ("match:size=..0", "size=..0 does not hold", "size=..0 does not hold", STICK_TOO),
        ("match:rotational=no+model=W*", "model=W* does not hold", "rotational=no does not hold", STICK_TOO),
        ("match:removable=yes+size>1T", "removable=yes does not hold", "removable=yes does not hold",
         "size>1T does not hold"),
    ],
)  # fmt: skip
def test_each_form_of_a_word_is_explained_with_one_line_for_each_disk(
    word: str, vda: str, sda: str, sdb: str
) -> None:
    with pytest.raises(Refused) as caught:
        select_disk(disk(word), ROWS_OF)
    told = NEVER | {"/dev/vda": vda, "/dev/sda": sda, "/dev/sdb": sdb}
    assert caught.value.reasons[1:] == tuple(f"  {describe(one)}: {told[one.path]}" for one in ROWS_OF)


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


LUN = Disk("/dev/sdc", "disk", 1 << 40, 512, Bus.SCSI, "LUN", links=("/dev/disk/by-path/pci-1-scsi-0:2:0:0",))
SAS = replace(LUN, path="/dev/sdd", serial="SAS", links=("/dev/disk/by-path/pci-2-sas-phy3-lun-0",))
ON_USB = replace(USB, bus=Bus.USB)


@pytest.mark.parametrize(
    ("word", "chosen"),
    [("usb", ON_USB), ("sas", SAS), ("match:bus=sas", SAS), ("match:bus!=sas+size=1T", LUN), ("sas:SAS", SAS)],
)
def test_a_bus_alone_means_the_one_disk_on_it(word: str, chosen: Disk) -> None:
    """On USB also a stick, but for the one that this system runs from; SAS is told by udev in the path only."""
    medium = replace(ON_USB, path="/dev/sdy", serial="LIVE", live_medium=True)
    assert select_disk(disk(word), [medium, VDA, ON_USB, LUN, SAS]) is chosen


def test_a_sas_disk_is_on_scsi_too() -> None:
    assert select_disk(disk("scsi"), [VDA, SAS]) is SAS
    with pytest.raises(Refused, match="fits 2 disks"):
        select_disk(disk("scsi"), [LUN, SAS])

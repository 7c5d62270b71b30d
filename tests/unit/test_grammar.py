"""The grammar of disks, sizes and the network: forms that mean the same, and what they mean."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from autoinstall.errors import Refused
from autoinstall.facts import Disk
from autoinstall.grammar import id_text, kernel_word
from autoinstall.grammar_disks import Amount, Bus, VolumeSize, disk, size, volumes
from autoinstall.grammar_network import Address, AddressBy, address, time_servers
from autoinstall.select import select_disk
from autoinstall.sizes import GIB, MIB, TIB
from tests.unit.machines import VDA

SDA = Disk(
    "/dev/sda", "disk", 900 * GIB, 512, bus=Bus.ATA, serial="S1", wwn="0x5000c500a1b2c3d4", model="ACME Fast 900",
    vendor="ACME", links=("/dev/disk/by-id/ata-ACME_S1", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1"),
)  # fmt: skip
NVME = Disk("/dev/nvme0n1", "disk", 2048 * GIB, 4096, bus=Bus.NVME, serial="N1", model="Other 2T")
HDD = Disk("/dev/sdb", "disk", 8192 * GIB, 512, bus=Bus.ATA, serial="S2", model="ACME Slow 8T", rotational=True)
MACHINE = (VDA, SDA, NVME, HDD)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("wwn:0x5000c500a1b2c3d4", SDA),
        ("id:ata-ACME_S1", SDA),
        ("path:pci-0000:00:1f.2-ata-1", SDA),
        ("ata:S2", HDD),
        ("nvme", NVME),
        ("virtio", VDA),
        ("/dev/nvme*", NVME),
        ("/dev/sd[a]", SDA),
        ("match:model=ACME*+rotational=no", SDA),
        ("match:model=ACME*&rotational=yes", HDD),
        ("match:bus=ata+size=100G..1T", SDA),
        ("match:size=4T..", HDD),
        ("match:size=..20G", VDA),
        ("match:size>2T", HDD),
        ("match:size=2T", NVME),
        ("match:sector_size=4096", NVME),
        ("match:bus!=virtio+vendor=ACME", SDA),
        ("match:path=/dev/disk/by-id/ata-*", SDA),
        ("match:name=sdb", HDD),
    ],
)
def test_a_disk_word_selects_its_disk(text: str, chosen: Disk) -> None:
    assert select_disk(disk(text), MACHINE) == chosen


@pytest.mark.parametrize("text", ["ata", "/dev/sd*", "match:size=100G..", "match:bus!=mmc"])
def test_a_rule_that_fits_several_disks_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="must name exactly one"):
        select_disk(disk(text), MACHINE)


@pytest.mark.parametrize("text", ["serial:S1", "wwn:1", "id:x", "path:y", "ata:S1", "/dev/sda"])
def test_a_named_disk_may_be_wiped(text: str) -> None:
    assert disk(text).explicit
    assert str(disk(text)) == text


@pytest.mark.parametrize("text", [None, "ata", "/dev/sd*", "match:size=1T"])
def test_a_disk_chosen_by_a_rule_may_not(text: str | None) -> None:
    assert not disk(text).explicit


def test_the_reason_names_the_clause_that_ruled_a_disk_out() -> None:
    with pytest.raises(Refused, match=r"size=1G does not hold"):
        select_disk(disk("match:model=ACME*+size=1G"), [SDA])


def test_a_removable_disk_is_taken_only_where_it_is_named() -> None:
    stick = replace(SDA, removable=True)
    assert select_disk(disk("serial:S1"), [stick]) == stick
    with pytest.raises(Refused, match="removable"):
        select_disk(disk("match:model=ACME*"), [stick])


@pytest.mark.parametrize(
    ("text", "in_bytes"),
    [("64", 64 * MIB), ("64M", 64 * MIB), ("2g", 2 * GIB), ("1T", TIB), ("2048K", 2 * MIB)],
)
def test_sizes_are_mib_or_have_a_suffix(text: str, in_bytes: int) -> None:
    assert size(text) == in_bytes


@pytest.mark.parametrize("text", ["", "-1", "1.5G", "1GB", "G", "0x10", "1 G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        size(text)


def test_volumes_have_their_names_in_any_case() -> None:
    assert volumes("4G,ROOT:none,swap:-1,Data:,Config") == (
        VolumeSize("Root", 4 * GIB),
        VolumeSize("Swap", Amount.NONE),
        VolumeSize("Data", Amount.REST),
        VolumeSize("Config", Amount.DEFAULT),
    )


STATIC = Address(AddressBy.STATIC, ip_address("192.0.2.7"), 24, ip_address("192.0.2.1"))


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("dhcp", Address(AddressBy.DHCP)),
        (":::::eth0:dhcp", Address(AddressBy.DHCP, nic="eth0")),
        ("192.0.2.7:192.0.2.9:192.0.2.1:255.255.255.0", STATIC),
        ("192.0.2.7::192.0.2.1:24", STATIC),
        ("192.0.2.7/24::192.0.2.1:", STATIC),
        ("192.0.2.7::192.0.2.1:255.255.255.0:n1:eth0:none", replace(STATIC, host_name="n1", nic="eth0")),
        ("192.0.2.7::192.0.2.1:24:::off:192.0.2.53:192.0.2.54", replace(STATIC, dns=("192.0.2.53", "192.0.2.54"))),
        ("192.0.2.7::192.0.2.1:24:::none:1500", STATIC),
        (
            "[2001:db8::7]::[2001:db8::1]:64",
            Address(AddressBy.STATIC, ip_address("2001:db8::7"), 64, ip_address("2001:db8::1")),
        ),
    ],
)
def test_the_address_forms_of_kernel_pxelinux_and_dracut(text: str, means: Address) -> None:
    assert address(text) == means


def test_time_servers() -> None:
    assert time_servers("off") == ()
    assert time_servers("time.example,192.0.2.1") == ("time.example", "192.0.2.1")


@pytest.mark.parametrize("text", ["a\u200bb", "a\udcffb", "a\x07", ""])
def test_an_id_can_be_shown_and_kept(text: str) -> None:
    with pytest.raises(ValueError, match="it needs a text of printable characters"):
        id_text(text)


@pytest.mark.parametrize("text", ["a=b'c", 'a=b"c', "a=b\\c", "a b", "a=b c", "=x", "", "a=é"])
def test_what_a_boot_loader_would_not_hand_on_is_no_kernel_word(text: str) -> None:
    with pytest.raises(ValueError, match="it takes one word, NAME or NAME=VALUE without blanks and quotes"):
        kernel_word(text)

"""A blank disk, an ISO, nobody at the keyboard: what the machine becomes, what it says, what is on the disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.gpt import protective_entry
from tests.vm.hardware import MIB, Firmware
from tests.vm.installed import HEALTHY, NODE_LIMIT_S, Installed

pytestmark = pytest.mark.vm

LAYOUT = {
    "BIOS-boot": ("bios-boot", 1),
    "EFI": ("esp", 272),
    "Root-A": ("linux", 2048),
    "Root-B": ("linux", 2048),
    "Config": ("linux", 256),
    "Logging": ("linux", 2048),
    "HostVG": ("lvm", None),
}
FILE_SYSTEMS = {
    "EFI": ("vfat", "EFI"),
    "Root-A": ("ext4", "Root"),
    "Root-B": ("ext4", "RootBackup"),
    "Config": ("ext4", "CONFIG"),
    "Logging": ("ext4", "LOGGING"),
    "HostVG": ("LVM2_member", None),
}


def test_an_empty_disk_becomes_a_node_that_boots_under_both_firmwares(installed: Installed) -> None:
    """The boot itself is in the fixture; here is what it must have said, and said once."""
    assert re.findall(r"^autoinstall: result=(\S+)", installed.console, re.MULTILINE) == ["installed"]
    assert installed.result["exit_code"] == 0
    healthy = re.findall(HEALTHY, installed.console, re.MULTILINE)
    assert healthy == [("A", installed.image.image_id[:12])]


def test_every_step_starts_and_finishes_well_and_the_commit_is_the_last(installed: Installed) -> None:
    steps = [event for event in installed.events if event["event_type"] in ("start", "finish")]
    names = [event["name"] for event in steps]
    assert names[0::2] == names[1::2]
    assert [event["event_type"] for event in steps] == ["start", "finish"] * (len(steps) // 2)
    assert {event["result"] for event in steps} == {"SUCCESS"}
    assert names[-1] == "install/commit"
    assert [event["event_type"] for event in installed.events[-2:]] == ["result", "health"]


def test_the_table_is_the_layout_to_the_byte(installed: Installed) -> None:
    table = installed.disk.table
    assert [p.label for p in table.partitions] == list(LAYOUT)
    end = MIB
    for partition in table.partitions:
        kind, size_mib = LAYOUT[partition.label]
        assert partition.type == kind
        assert partition.start_bytes == end
        if size_mib is not None:
            assert partition.size_bytes == size_mib * MIB
        end = partition.start_bytes + partition.size_bytes
    assert installed.disk.size_bytes - 2 * MIB < end <= installed.disk.size_bytes


def test_the_report_says_what_is_on_the_disk(installed: Installed) -> None:
    result, disk = installed.result, installed.disk
    assert result["install_id"] == disk.table.disk_guid
    assert result["image_id"] == installed.image.image_id
    planned = result["plan"]["layout"]["partitions"]
    assert [(p["label"], p["start_bytes"], p["size_bytes"], p["partition_uuid"]) for p in planned] == [
        (p.label, p.start_bytes, p.size_bytes, p.uuid) for p in disk.table.partitions
    ]
    for partition in planned:
        if partition["filesystem_uuid"]:
            assert disk.probe(partition["label"])["UUID"] == partition["filesystem_uuid"]
    volumes = {volume["name"]: volume["size_bytes"] for volume in result["plan"]["layout"]["volumes"]}
    assert disk.lvm_volumes() == volumes
    assert set(volumes) == {"Swap", "Data"}


def test_every_file_system_has_its_label_and_is_sound(installed: Installed) -> None:
    for partition, (kind, label) in FILE_SYSTEMS.items():
        found = installed.disk.probe(partition)
        assert found["TYPE"] == kind
        assert found.get("LABEL") == label
        if kind == "ext4":
            assert not installed.disk.ext_problems(partition)
    for slot in ("Root-A", "Root-B"):
        features = installed.disk.ext_superblock(slot)["Filesystem features"].split()
        assert not {"has_journal", "metadata_csum"} & set(features)


def test_both_slots_hold_the_image_of_the_manifest(installed: Installed) -> None:
    for slot in ("Root-A", "Root-B"):
        names = set(installed.disk.ext_names(slot)) - {"lost+found"}
        assert names == {*installed.image.manifest["files"], "manifest.json", "slot.cfg", "slot.crc32"}
        for name, entry in installed.image.manifest["files"].items():
            assert installed.disk.ext_sha256(slot, f"/{name}") == entry["sha256"]


def test_the_disk_starts_under_either_firmware_and_is_no_mbr_disk(installed: Installed) -> None:
    sector = installed.disk.sector_zero
    assert sector[510:] == b"\x55\xaa"
    kind, start, count = protective_entry(sector)
    assert (kind, start) == (0xEE, 1)
    assert count == installed.disk.size_bytes // 512 - 1
    assert any(sector[:440])
    assert "EFI/BOOT/BOOTX64.EFI" in installed.disk.esp_names()


def test_the_boot_entry_keeps_the_console_and_nothing_secret(installed: Installed) -> None:
    for slot in ("Root-A", "Root-B"):
        entry = installed.disk.ext_file(slot, "/slot.cfg").decode()
        assert "console=ttyS0" in entry
        assert f"root=autoinstall:PARTUUID={installed.disk.table[slot].uuid}" in entry
        for word in ("storage_init", "adminpw", "ssh_key", "root=live"):
            assert word not in entry


@pytest.mark.parametrize("installed", [Firmware.UEFI], indirect=True, ids=["uefi"])
def test_a_password_hash_is_nowhere_but_in_shadow(installed: Installed) -> None:
    assert installed.line.has_password
    secret = "uJr1sbqkgAVO6ezOJL"
    ours = [line for line in installed.console.splitlines() if "ernel command line" not in line]  # the kernel's
    assert secret not in "\n".join(ours)
    assert secret not in str(installed.events)
    assert secret in installed.disk.ext_file("Config", "/etc/upper/shadow").decode()
    assert secret not in installed.disk.ext_file("Config", "/autoinstall/install.json").decode()


def test_the_slot_state_says_that_a_was_found_good(installed: Installed) -> None:
    for copy in ("state1/env", "state2/env"):
        content = installed.disk.esp_file(copy)
        assert len(content) == 1024
        assert content.startswith(b"# GRUB Environment Block\n")
        variables = dict(line.split("=") for line in content.decode().splitlines() if "=" in line)
        assert variables["primary"] == "A"
        assert variables["A_ok"] == "1"
        assert variables["A_try"] == "3"  # the clean shutdown gave the attempt back
        assert variables["end"] == "1"


@pytest.mark.exhaustive
def test_the_second_boot_under_the_same_firmware_changes_nothing_of_the_disk(
    installed: Installed, tmp_path: Path
) -> None:
    """Under the other firmware: test_node.py, every day."""
    with installed.boot(tmp_path) as machine:
        assert machine.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "A"
        machine.power_off()
    assert DiskImage(tmp_path / "disk.raw").table == installed.disk.table

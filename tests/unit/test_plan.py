"""Request + facts -> plan, and every way a machine can be the wrong one."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from autoinstall.drawing import to_text
from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts, Firmware, NodeMark, Signature, VolumeGroup
from autoinstall.image.manifest import ImageFile
from autoinstall.pin import digest
from autoinstall.plan import Decision, Plan, make_plan, to_json
from autoinstall.sizes import GIB, MIB
from tests.unit.machines import HASH, MACHINE, MANIFEST, NIC, SR0, VDA, VDB, asked

PATH = replace(VDA, wwn="0x5000c500a0000001")
MEMBER = replace(VDA, signatures=(Signature("/dev/vda", "linux_raid_member", uuid="u-u-i-d"),))
OURS = (Signature("/dev/vda2", "vfat", "EFI", "u-u-i-d", GIB),)
DATA = (Signature("/dev/vda", "ext4", "holiday", "u-u-i-d", 16 * GIB),)


def _plan(line: str, *disks: Disk, facts: Facts = MACHINE) -> Plan:
    return make_plan(asked(line), replace(facts, disks=(SR0, *disks)) if disks else facts)


def test_an_empty_disk_gets_a_whole_layout() -> None:
    plan = _plan("storage_init BOOTIF=link console=ttyS0")
    assert plan.decision is Decision.INSTALL
    assert [part.label for part in plan.layout.partitions][-1] == "HostVG"
    assert {slot.slot: slot.partition_label for slot in plan.slots} == {"A": "Root-A", "B": "Root-B"}
    assert all("console=ttyS0" in slot.kernel_arguments for slot in plan.slots)
    assert plan.slots[0].kernel_arguments != plan.slots[1].kernel_arguments


def test_the_same_request_and_facts_make_the_same_plan() -> None:
    assert digest(_plan("storage_init")) == digest(_plan("storage_init"))
    assert digest(_plan("storage_init")) != digest(_plan("storage_init hostname=other"))


def test_another_disk_or_machine_has_another_install_id() -> None:
    ids = {
        _plan("storage_init").layout.install_id,
        _plan("storage_init", replace(VDA, serial="X")).layout.install_id,
        _plan("storage_init", facts=replace(MACHINE, product_uuid="other")).layout.install_id,
    }
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("line", "disks", "says"),
    [
        ("storage_init", (VDA, VDB), "fits 2 disks"),
        ("storage_init=/dev/vdz", (VDA,), "fits no disk"),
        ("storage_init", (replace(VDA, size_bytes=2 * GIB),), "MiB more"),
        ("storage_init", (replace(VDA, signatures=DATA),), "holiday"),
        ("storage_init", (replace(VDA, in_use=("/dev/vda1 is mounted on /mnt",)),), "mounted on /mnt"),
        ("storage_init", (replace(VDA, sector_bytes=4096),), "a BIOS boots from sectors of 512"),
        ("storage_init=/dev/vda", (VDA, replace(VDB, node=NodeMark(UUID(int=1), True))), "already on /dev/vdb"),
        ("storage_init BOOTIF=eth7", (VDA,), "fits no NIC"),
        (
            "storage_init=/dev/vda",
            (PATH, replace(PATH, path="/dev/vdb")),
            "/dev/vda and /dev/vdb are paths to one disk",
        ),
        (
            "storage_init=/dev/vda",
            (MEMBER, replace(MEMBER, path="/dev/vdb")),
            "a member of an MD array, and so is /dev/vdb",
        ),
    ],
)
def test_a_machine_that_does_not_fit_is_refused(line: str, disks: tuple[Disk, ...], says: str) -> None:
    with pytest.raises(Refused) as caught:
        _plan(line, *disks)
    assert says in str(caught.value)
    assert caught.value.exit_code == 3


def test_disks_that_only_share_a_wwn_or_a_serial_are_two() -> None:
    others = replace(VDB, wwn=PATH.wwn), replace(VDB, path="/dev/vdc", serial=PATH.serial)
    assert _plan("storage_init=/dev/vda", PATH, *others).target == PATH


def test_too_little_memory_is_refused_with_what_there_is_and_what_would_do() -> None:
    with pytest.raises(Refused, match="Linux has 212 MiB of memory here; an installation needs 256 MiB") as caught:
        _plan("storage_init", facts=replace(MACHINE, memory_bytes=212 * MIB))
    assert (caught.value.exit_code, "384 MiB" in caught.value.hint) == (3, True)
    assert _plan("storage_init", facts=replace(MACHINE, memory_bytes=256 * MIB)).decision is Decision.INSTALL


@pytest.mark.parametrize("word", ['acpi_osi="Windows 2009"', "acpi_osi='Linux'", "pci=a\\b"])
def test_a_kept_word_that_grub_would_change_is_refused_where_a_node_is_made(word: str) -> None:
    with pytest.raises(Refused, match="its GRUB hands no blanks, quotes and backslashes on as they are"):
        _plan(f"storage_init {word}")
    node = replace(VDA, node=NodeMark(UUID(int=1), finished=True))
    assert _plan(f"storage_init {word}", node).decision is Decision.ALREADY_INSTALLED
    assert _plan('storage_init acpi_osi="!Linux"').slots[0].kernel_arguments.endswith(" acpi_osi=!Linux")


@pytest.mark.parametrize("words", ["storage_vol=8T,Data", "storage_vol=999999999999T,Data"])
def test_a_disk_that_is_too_small_is_told_what_it_lacks_however_much_that_is(words: str) -> None:
    with pytest.raises(Refused, match=r"the disk has 6144\.0 GiB; the layout needs [0-9]+ MiB, [0-9]+ MiB more"):
        _plan(f"storage_init {words}", replace(VDA, size_bytes=6 << 40))


def test_a_finished_node_boots_with_little_memory_too() -> None:
    node = replace(VDA, node=NodeMark(UUID(int=1), finished=True))
    plan = _plan("storage_init", node, facts=replace(MACHINE, memory_bytes=212 * MIB))
    assert plan.decision is Decision.ALREADY_INSTALLED


def test_an_address_is_for_one_nic() -> None:
    two = replace(MACHINE, nics=(NIC, replace(NIC, name="enp0s4", mac="52:54:00:12:34:57")))
    line = "storage_init ip=192.0.2.7::192.0.2.1:24"
    with pytest.raises(Refused, match="is for one NIC, and this machine has enp0s3, enp0s4") as caught:
        _plan(line, facts=two)
    assert caught.value.exit_code == 3
    assert _plan(f"{line} BOOTIF=enp0s4", facts=two).nic == two.nics[1]
    assert _plan(line).nic is None


def test_a_named_disk_may_lose_its_data_and_the_plan_says_what() -> None:
    plan = _plan("storage_init=serial:TARGET0", replace(VDA, signatures=DATA))
    assert plan.lost == DATA
    assert "holiday" in to_text(plan)


def test_the_refusal_of_foreign_data_offers_the_word_that_would_wipe_it() -> None:
    with pytest.raises(Refused) as caught:
        _plan("storage_init", replace(VDA, signatures=DATA))
    assert "storage_init=serial:TARGET0" in caught.value.hint


@pytest.mark.parametrize(("finished", "decision"), [(True, Decision.ALREADY_INSTALLED), (False, Decision.INSTALL)])
@pytest.mark.parametrize("words", ["", "autoinstall.wipe=none", "autoinstall.wipe=foreign"])
def test_a_finished_node_stays_and_an_unfinished_one_is_started_over(
    finished: bool, decision: Decision, words: str
) -> None:
    disk = replace(VDA, node=NodeMark(UUID(int=1), finished), signatures=OURS)
    assert _plan(f"storage_init {words}", disk).decision is decision


def test_what_came_after_an_unfinished_install_is_not_ours() -> None:
    disk = replace(VDA, node=NodeMark(UUID(int=1), finished=False), signatures=DATA)
    with pytest.raises(Refused, match="was not named, and holds what would be lost"):
        _plan("storage_init", disk)


def test_large_sectors_are_fine_under_uefi() -> None:
    facts = replace(MACHINE, firmware=Firmware.UEFI)
    assert _plan("storage_init", replace(VDA, sector_bytes=4096), facts=facts).layout.sector_bytes == 4096


def test_a_small_esp_on_large_sectors_is_refused() -> None:
    facts = replace(MACHINE, firmware=Firmware.UEFI)
    with pytest.raises(Refused, match="too small for FAT32"):
        _plan("storage_init storage_vol=100,EFI", replace(VDA, sector_bytes=4096), facts=facts)


def test_what_needs_root_to_know_is_not_guessed() -> None:
    with pytest.raises(Refused, match="reading it needs root"):
        _plan("storage_init=/dev/vda", replace(VDA, examined=False))


def test_a_system_that_is_not_an_image_cannot_install() -> None:
    with pytest.raises(Refused, match="does not run from an image"):
        _plan("storage_init", facts=replace(MACHINE, image=None))


def test_an_image_that_fills_more_than_half_a_slot_is_refused() -> None:
    assert MACHINE.image
    large = replace(MANIFEST, files=(ImageFile("root.squashfs", 1025 * MIB, "0" * 64),))
    with pytest.raises(Refused, match="must be twice that"):
        _plan("storage_init", facts=replace(MACHINE, image=replace(MACHINE.image, manifest=large)))


def test_no_secret_is_in_any_telling_of_the_plan() -> None:
    plan = _plan(f"storage_init adminpw={HASH}")
    assert any(HASH in file.text for file in plan.files)
    for telling in (to_text(plan), json.dumps(to_json(plan)), *(slot.kernel_arguments for slot in plan.slots)):
        assert HASH not in telling


DDF = Signature("/dev/vda", "ddf_raid_member", uuid="set-1")
GROUP = VolumeGroup("HostVG", "vg-host")


@pytest.mark.parametrize(
    ("mark", "elsewhere"),
    [
        (DDF, replace(DDF, uuid="set-2")),
        (DDF, replace(DDF, kind="isw_raid_member")),
        (Signature("/dev/vda", "LVM2_member", group=GROUP), Signature("/dev/vdb", "LVM2_member")),
        (Signature("/dev/vda", "linux_raid_member"), Signature("/dev/vdb", "linux_raid_member")),
    ],
)
def test_members_that_have_nothing_to_do_with_each_other_are_no_hindrance(
    mark: Signature, elsewhere: Signature
) -> None:
    disks = replace(VDA, signatures=(mark,)), replace(VDB, signatures=(elsewhere,))
    assert _plan("storage_init=/dev/vda wipe_fakeraid", *disks).lost == (mark,)


def test_a_member_of_a_set_without_an_id_may_be_of_any() -> None:
    disks = replace(VDA, signatures=(DDF,)), replace(VDB, signatures=(replace(DDF, uuid=""),))
    with pytest.raises(Refused, match="so is /dev/vdb, which was not named"):
        _plan("storage_init=/dev/vda wipe_fakeraid", *disks)


def test_a_finished_node_whose_group_was_extended_still_boots() -> None:
    member = Signature("/dev/vda7", "LVM2_member", group=GROUP)
    node = replace(VDA, node=NodeMark(UUID(int=1), finished=True), signatures=(member,))
    plan = _plan("storage_init=/dev/vda", node, replace(VDB, signatures=(replace(member, device="/dev/vdb"),)))
    assert plan.decision is Decision.ALREADY_INSTALLED


def test_a_stack_is_seen() -> None:
    stacked = replace(VDA, signatures=(Signature("/dev/vda2", "LVM2_member"),))
    assert _plan("storage_init=/dev/vda", stacked).has_stack
    assert not _plan("storage_init=/dev/vda", replace(VDA, signatures=DATA)).has_stack

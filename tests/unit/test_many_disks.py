"""More disks than one: which take part, what is on each, and what finds them again."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstall import gpt
from autoinstall.difference import differences
from autoinstall.drawing import to_text
from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts, MemberMark, NodeMark, Signature, VolumeGroup
from autoinstall.grammar_disks import volumes
from autoinstall.grammar_storage import SwapCipher, swap_ciphers
from autoinstall.layout import MOST_MEMBERS, DiskTable, Layout, holes, place, smallest_disk_bytes
from autoinstall.pin import digest, document
from autoinstall.plan import Decision, Plan, install_id, make_plan
from autoinstall.report.sinks import Memory
from autoinstall.sizes import GIB, MIB
from autoinstall.space import EXTENT_BYTES, Extra, Space
from autoinstall.steps import install_steps
from tests.unit.corpus import NVME, SDA, SDB
from tests.unit.machines import MACHINE, MANIFEST, VDA, VDB, asked

VDC = replace(VDB, path="/dev/vdc", serial="THIRD")
STICK = replace(VDC, path="/dev/vdd", serial="STICK", removable=True)
ALL = (VDA, VDB, VDC, SDA, SDB, NVME)
ID = UUID("01234567-89ab-cdef-0123-456789abcdef")
NODE_ID = install_id(VDA, MACHINE)
DATA2 = "storage_vol=rest,Data2"


def _facts(*disks: Disk) -> Facts:
    assert MACHINE.image
    features = replace(MACHINE.image, manifest=replace(MANIFEST, features=("swap-encrypt",)))
    return replace(MACHINE, disks=disks, image=features)


def _plan(line: str, *disks: Disk) -> Plan:
    return make_plan(asked(line), _facts(*disks))


def _paths(plan: Plan) -> str:
    """The disks by group: boot disk and whether it is of HostVG too, HostVG's others, AppVG's."""
    by_group = [
        [disk.name for disk, member in zip(plan.members, plan.layout.members, strict=True) if member.group == group]
        for group in ("HostVG", "AppVG")
    ]
    both = "+" if plan.layout.partitions[-1].label == "HostVG" else ""
    return ";".join([plan.target.name + both, *(",".join(names) for names in by_group)])


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("storage_init=/dev/vda", "vda+;;"),
        ("storage_init=/dev/vda,/dev/vda", "vda+;;"),
        ("storage_init=/dev/vda,/dev/vdb", "vda;vdb;"),
        ("storage_init=/dev/vda,/dev/vda,/dev/vdb", "vda+;vdb;"),
        ("storage_init=/dev/vda,/dev/vdc,/dev/vdb", "vda;vdc,vdb;"),
        ("storage_init=/dev/vda,serial:OTHER,/dev/vdb,virtio:OTHER", "vda;vdb;"),
        (f"storage_init=/dev/vda;/dev/vdb {DATA2}", "vda+;;vdb"),
        (f"storage_init=/dev/vda autoinstall.app_disks=nvme,/dev/vdb {DATA2}", "vda+;;nvme0n1,vdb"),
        (f"storage_init=/dev/vda;nvme autoinstall.app_disks=nvme {DATA2}", "vda+;;nvme0n1"),
        (f"storage_init=/dev/vda,/dev/vdc;/dev/vdb {DATA2}", "vda;vdc;vdb"),
        ("storage_init=/dev/vda,ata:ALL", "vda;sda,sdb;"),
        ("storage_init=/dev/vda,/dev/sdb,ata:ALL", "vda;sdb,sda;"),
        ("storage_init=/dev/vda,virtio:ALL", "vda+;vdb,vdc;"),
        (f"storage_init=/dev/vda;virtio:ALL {DATA2}", "vda+;;vdb,vdc"),
        (f"storage_init=/dev/vda,/dev/vdc;virtio:ALL {DATA2}", "vda;vdc;vdb"),
        ("storage_init=nvme:ALL", "nvme0n1+;;"),
    ],
)
def test_each_disk_has_one_place(line: str, there: str) -> None:
    assert _paths(_plan(line, *ALL)) == there


@given(st.permutations((*ALL, STICK)))
def test_all_of_a_bus_are_in_the_order_of_their_identities_and_a_removable_one_is_none(disks: list[Disk]) -> None:
    plan = _plan("storage_init=nvme,virtio:ALL", *disks)
    assert _paths(plan) == "nvme0n1;vdb,vda,vdc;"
    assert digest(plan) == digest(_plan("storage_init=nvme,virtio:ALL", *ALL))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("storage_init=virtio:ALL", "storage_init=virtio:ALL fits 3 disks; it must name exactly one"),
        ("storage_init=/dev/vda,usb:ALL", "usb:ALL, one of several, fits no disk"),
        (f"storage_init=nvme;nvme:ALL {DATA2}", "nvme:ALL, one of several, fits no disk"),
        ("storage_init=/dev/vda,/dev/vdz", "/dev/vdz, one of several, fits no disk"),
        ("storage_init=/dev/vda,ata", "ata, one of several, fits 2 disks"),
        (f"storage_init=/dev/vda,/dev/vdb;/dev/vda {DATA2}", "is asked for AppVG"),
        (
            "storage_init=/dev/vda,/dev/vdb,/dev/vdc storage_vol=1T,Data",
            "HostVG has room for 65528 MiB on /dev/vdb and",
        ),
    ],
)
def test_every_place_names_a_disk(line: str, says: str) -> None:
    with pytest.raises(Refused) as caught:
        _plan(line, *ALL)
    assert says in str(caught.value)


FOREIGN = (Signature("/dev/sda", "ext4", "holiday", "u-u", 4096),)
GROUP = (Signature("/dev/sda1", "LVM2_member", "", "pv", 4096, VolumeGroup("HostVG", "vg")),)
TABLE = (Signature("/dev/sda", "gpt", size_bytes=4096), *GROUP)


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ({"signatures": FOREIGN}, "/dev/sda (4096.0 GiB, ata, serial WD-1) was not named, and holds"),
        ({"in_use": ("/dev/sda is swap",)}, "/dev/sda is in use: /dev/sda is swap"),
        ({"examined": False}, "what is on /dev/sda is unknown"),
        ({"wwn": "0x5", "serial": "WD-2"}, "are paths to one disk"),
        ({"signatures": (Signature("/dev/sda", "isw_raid_member"),)}, "/dev/sda carries the mark of a BIOS RAID"),
        ({"member": MemberMark(ID, "HostVG", finished=True), "signatures": TABLE}, "was not named, and holds"),
    ],
)
def test_every_rule_is_for_each_disk(member: dict[str, object], says: str) -> None:
    line = "storage_init=/dev/vda,ata:ALL" + " autoinstall.wipe=foreign" * ("BIOS" in says)
    disks = VDA, replace(SDA, **member), replace(SDB, wwn=str(member.get("wwn", "")))  # type: ignore[arg-type]
    with pytest.raises(Refused) as caught:
        _plan(line, *disks)
    assert says in str(caught.value)
    if "was not named" in says:
        assert "name it: serial:WD-1, or" in caught.value.hint


def test_what_is_named_may_lose_its_data_and_each_loss_is_told() -> None:
    line, photos = "storage_init=/dev/vda,/dev/sda,ata:ALL", replace(SDA, signatures=FOREIGN)
    plan = _plan(line, VDA, photos, SDB)
    assert plan.lost == FOREIGN
    assert "lost   /dev/sda: ext4 'holiday'" in to_text(plan)
    with pytest.raises(Refused, match=r"is not blank, and autoinstall\.wipe=none"):
        _plan(f"{line} autoinstall.wipe=none", VDA, photos, SDB)


@pytest.mark.parametrize("finished", [False, True])
def test_what_an_install_that_was_cut_left_is_ours(finished: bool) -> None:
    left = replace(SDA, member=MemberMark(NODE_ID, "HostVG", finished), signatures=TABLE if finished else ())
    for boot in (VDA, replace(VDA, node=NodeMark(NODE_ID, finished=False))):
        assert _plan("storage_init=/dev/vda,ata", boot, left).decision is Decision.INSTALL


def test_a_group_on_named_disks_goes_and_of_one_more_it_is_refused() -> None:
    old = [Signature(f"/dev/sd{x}", "LVM2_member", "", f"pv{x}", 9, VolumeGroup("old", "vg")) for x in "abc"]
    disks = replace(SDA, signatures=(old[0],)), replace(SDB, signatures=(old[1],))
    assert _plan("storage_init=/dev/sda,/dev/sdb", *disks).has_stack
    third = replace(SDB, path="/dev/sdc", serial="WD-3", signatures=(old[2],))
    with pytest.raises(Refused, match="VG old is on /dev/sda, and on /dev/sdc, which was not named"):
        _plan("storage_init=/dev/sda,/dev/sdb", *disks, third)


def test_a_finished_node_stays_whatever_is_on_the_other_disks() -> None:
    node = replace(VDA, node=NodeMark(NODE_ID, finished=True))
    assert _plan("storage_init=/dev/vda,ata", node, replace(SDA, signatures=FOREIGN)).decision.value.startswith(
        "already"
    )


def _holding(group: str) -> Disk:
    """A disk with a volume group of that name, which is none of the machine's node."""
    return replace(SDA, signatures=(Signature("/dev/sda", "LVM2_member", "", "pv", 4096, VolumeGroup(group, "vg")),))


@pytest.mark.parametrize(
    ("line", "group", "goes"),
    [
        ("storage_init=/dev/vda", "HostVG", False),
        ("storage_init=/dev/vda,/dev/vdb", "HostVG", False),
        ("storage_init=/dev/vda,/dev/sda", "HostVG", True),
        (f"storage_init=/dev/vda;/dev/sda {DATA2}", "HostVG", True),
        ("storage_init=/dev/vda", "AppVG", True),
        (f"storage_init=/dev/vda;/dev/vdb {DATA2}", "AppVG", False),
        ("storage_init=/dev/vda", "old", True),
    ],
)
def test_a_group_of_a_name_that_the_node_has_is_not_left_beside_it(line: str, group: str, goes: bool) -> None:
    if goes:
        assert _plan(line, VDA, VDB, _holding(group)).decision is Decision.INSTALL
        return
    with pytest.raises(Refused, match=rf"serial WD-1\) holds a volume group {group} too"):
        _plan(line, VDA, VDB, _holding(group))


def test_a_finished_node_is_booted_beside_a_group_of_the_same_name() -> None:
    node = replace(VDA, node=NodeMark(NODE_ID, finished=True))
    assert _plan("storage_init=/dev/vda", node, _holding("HostVG")).decision is Decision.ALREADY_INSTALLED


EXTRAS = st.builds(
    Extra,
    name=st.just("/dev/x"),
    disk_bytes=st.integers(1024, 4 * 1024 * 1024).map(lambda mib: mib * MIB),
    sector_bytes=st.sampled_from([512, 4096]),
)
SPACES = st.builds(
    Space,
    disk_bytes=st.integers(8 * 1024, 64 * 1024).map(lambda mib: mib * MIB),
    sector_bytes=st.sampled_from([512, 4096]),
    memory_bytes=st.integers(256 * MIB, 1024 * GIB),
    sizes=st.sampled_from(
        [volumes("64,Data2"), volumes("rest,Data2:16,Swap2"), volumes("200,Swap:64,Data:64,Data2")]
    ),
    host=st.lists(EXTRAS, min_size=1, max_size=4).map(tuple),
    app=st.lists(EXTRAS, min_size=1, max_size=4).map(tuple),
    host_on_boot=st.booleans(),
)


@given(SPACES)
def test_members_are_whole_disks_and_groups_are_filled_to_an_extent(space: Space) -> None:
    layout = place(ID, space)
    assert (layout.partitions[-1].label == "HostVG") is space.host_on_boot
    for extra, member in zip((*space.host, *space.app), layout.members, strict=True):
        (part,) = member.partitions
        assert (member.disk_bytes, part.start_bytes, part.label) == (extra.disk_bytes, MIB, member.group)
        assert 0 < extra.disk_bytes - part.end_bytes < 2 * MIB
        assert sum(size for _, size in holes(member)) + part.size_bytes == extra.disk_bytes
    for group, filler in (("HostVG", "Data"), ("AppVG", "Data2")):
        tables: list[DiskTable] = [layout, *layout.members]
        parts = [part for table in tables for part in table.partitions if part.label == group]
        room = sum((part.size_bytes - MIB) // EXTENT_BYTES * EXTENT_BYTES for part in parts)
        made = {volume.name: volume.size_bytes for volume in layout.volumes if volume.group == group}
        assert sum(made.values()) <= room
        if not isinstance(space.asked(filler), int) and filler in made:
            assert sum(made.values()) == room


@given(SPACES)
def test_no_two_guids_are_equal(space: Space) -> None:
    layout = place(ID, space)
    tables: list[DiskTable] = [layout, *layout.members]
    guids = [guid for t in tables for guid in (t.disk_guid, *(part.partition_uuid for part in t.partitions))]
    assert len(set(guids)) == len(guids)


def test_without_hostvg_the_smallest_boot_disk_holds_the_other_partitions_alone() -> None:
    extra = (Extra("/dev/vdb", GIB, 512),)
    space = Space(0, 512, 2 * GIB, host=extra, host_on_boot=False)
    least = smallest_disk_bytes(space)
    end = place(ID, replace(space, disk_bytes=least)).partitions[-1].end_bytes
    assert 0 < least - end <= 2 * MIB
    with pytest.raises(Refused, match="1 MiB more"):
        place(ID, replace(space, disk_bytes=least - MIB))


def _read(table: DiskTable) -> tuple[gpt.Header, list[gpt.Entry]]:
    rendered = gpt.render(table)
    header = gpt.parse_header(rendered.primary)
    assert header
    start = header.entries_lba * table.sector_bytes - rendered.primary_start
    entries = gpt.parse_entries(header, rendered.primary[start:])
    assert entries
    return header, list(entries)


@given(SPACES)
def test_a_member_tells_its_install_and_its_group(space: Space) -> None:
    for member in place(ID, space).members:
        header, entries = _read(member)
        assert gpt.recognise(header, entries, bytes(512)) is None
        assert gpt.recognise_member(header, entries, bytes(512)) == MemberMark(ID, member.group, finished=False)
        finished = gpt.recognise_member(header, entries, gpt.protective_mbr(member))
        assert finished and finished.finished


def _two() -> Layout:
    return place(ID, Space(16 * GIB, 512, 2 * GIB, host=(Extra("/dev/vdb", GIB, 512),), host_on_boot=False))


def test_a_boot_disk_without_hostvg_is_a_node() -> None:
    header, entries = _read(_two())
    assert gpt.recognise(header, entries, bytes(512)) == NodeMark(ID, finished=False)
    assert gpt.recognise(header, entries[:-1], bytes(512)) is None


@pytest.mark.parametrize("change", [{"label": "AppVG"}, {"label": "data"}, {"partition_uuid": UUID(int=8)}])
def test_another_table_is_no_member(change: dict[str, object]) -> None:
    header, entries = _read(_two().members[0])
    assert gpt.recognise_member(header, [replace(entries[0], **change)], bytes(512)) is None  # type: ignore[arg-type]
    other = gpt.Header(UUID(int=7), header.entries_lba, header.entries_crc)
    assert gpt.recognise_member(other, entries, bytes(512)) is None
    assert MOST_MEMBERS >= 4096


def test_the_steps_are_named_once_and_the_boot_disk_commits_last() -> None:
    plan = _plan(f"storage_init=/dev/vda,/dev/vdb;/dev/vdc {DATA2}", VDA, VDB, VDC)
    names = [step.name for step in install_steps(plan, Memory())]
    assert len(set(names)) == len(names)
    assert names[-3:] == ["install-record", "member-tables", "commit"]
    assert "member-tables" not in [step.name for step in install_steps(_plan("storage_init", VDA), Memory())]
    titles = [step.title for step in install_steps(plan, Memory())]
    assert "Claiming /dev/vda and /dev/vdb and /dev/vdc" in titles
    assert "Making the volume group AppVG on /dev/vdc" in titles
    assert "Making the partitions of /dev/vdb and /dev/vdc count" in titles


def _files(plan: Plan) -> dict[str, str]:
    return {file.path: file.text for file in plan.files}


def test_every_volume_is_where_its_name_says() -> None:
    plan = _plan("storage_init=/dev/vda;/dev/vdb storage_vol=1G,Swap2:2G,Data2", VDA, VDB)
    lines = [line.split() for line in _files(plan)["/etc/fstab"].splitlines()]
    assert [(line[1], line[2]) for line in lines] == [
        ("none", "swap"), ("/data", "ext4"), ("none", "swap"), ("/data2", "ext4")
    ]  # fmt: skip
    assert {line[0].removeprefix("UUID=") for line in lines} == {v.filesystem_uuid for v in plan.layout.volumes}
    assert "/etc/crypttab" not in _files(plan)


def test_encrypted_swap_has_a_key_of_its_boot_and_no_filesystem() -> None:
    plan = _plan("storage_init swap_encrypt=Swap,aes-cbc-essiv:sha256", VDA)
    swap, data = plan.layout.volumes
    assert (swap.filesystem, swap.filesystem_uuid, bool(data.filesystem_uuid)) == ("", "", True)
    (line,) = _files(plan)["/etc/crypttab"].splitlines()
    name, source, key, options = line.split()
    assert (name, source, key) == ("Swap", "/dev/HostVG/Swap", "/dev/urandom")
    assert {"swap", "cipher=aes-cbc-essiv:sha256", "size=256", "nofail"} <= {*options.split(",")}
    assert _files(plan)["/etc/fstab"].startswith("/dev/mapper/Swap none swap nofail")


XTS, ESSIV = "aes-xts-plain64", "aes-cbc-essiv:sha256"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Swap", [("Swap", XTS)]),
        ("swap2,aes-xts-plain64;SWAP", [("Swap2", XTS), ("Swap", XTS)]),
        ("Swap:Swap2", [("Swap", XTS), ("Swap2", XTS)]),
        ("Swap,aes-cbc-essiv:sha256:Swap2,aes-cbc-essiv:sha256", [("Swap", ESSIV), ("Swap2", ESSIV)]),
    ],
)
def test_a_colon_is_a_semicolon_where_a_name_follows(text: str, meant: list[tuple[str, str]]) -> None:
    assert swap_ciphers(text) == tuple(SwapCipher(*item) for item in meant)


@pytest.mark.parametrize(
    "text", ["", "Swap,", "Swap;", "Swap:", "Swap3", "Swap,rot13", "Swap;Swap", "Data", "Swap Swap2"]
)
def test_what_encrypts_no_swap_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        swap_ciphers(text)


def test_a_disk_more_is_another_digest_and_told_by_its_name() -> None:
    one, two = (
        _plan(line, VDA, VDB) for line in ("storage_init=/dev/vda", "storage_init=/dev/vda,/dev/vda,/dev/vdb")
    )
    assert digest(one) != digest(two)
    told = differences(document(one), document(two))
    assert "layout: HostVG-1 nothing -> there" in told
    assert "member disks: HostVG-1 nothing -> 32.0 GiB" in told
    assert "aside member paths: nothing -> ['/dev/vdb']" in told
    moved = _plan("storage_init=/dev/vda,/dev/vda,serial:OTHER", VDA, replace(VDB, path="/dev/sdx"))
    assert digest(moved) == digest(two)


@pytest.mark.parametrize(
    "line", ["storage_init=/dev/vda,/dev/vdz", f"storage_init=/dev/vda autoinstall.app_disks=/dev/vdz {DATA2}"]
)
def test_what_is_offered_for_one_disk_of_several_is_no_word_for_the_boot_disk(line: str) -> None:
    with pytest.raises(Refused) as caught:
        _plan(line, VDA, VDB)
    assert caught.value.hint == "put one of these in its place: serial:TARGET0  serial:OTHER"

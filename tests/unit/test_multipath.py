"""Several paths to one disk: joined where they lead there, by the name that is its own, and kept on the node."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from autoinstall import block, multipath
from autoinstall.errors import DeviceLost, Refused
from autoinstall.facts import Disk
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.multipath import add_partition, assemble, forget_partitions
from autoinstall.node import state
from autoinstall.paths import several_paths, with_identity, wwid_of
from autoinstall.plan import make_plan
from autoinstall.select import describe, selector_for
from tests.unit.corpus import KEEPS_PATHS, PATH_A, WWID, joined
from tests.unit.machines import VDA, asked
from tests.unit.node_machine import Node, node

__all__ = ["node"]

ROOT = Path(__file__).resolve().parents[2]
SDA = replace(PATH_A, wwid=WWID, links=("/dev/disk/by-path/pci-1-sas-1", f"/dev/disk/by-id/scsi-{WWID}"))
SDB = replace(SDA, path="/dev/sdb", links=("/dev/disk/by-path/pci-2-sas-1", f"/dev/disk/by-id/scsi-{WWID}"))
BOTH = "service-time 0 1 2 /dev/sda 1 1 service-time 0 1 2 /dev/sdc 1 1"
"""The groups of a map over sda and sdc."""
SDC = replace(SDA, path="/dev/sdc", wwid="35000c500b0000001", wwn="0x5000c500b0000001")


class Recorder(Host):
    """A host that runs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[list[str]] = []

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        self.ran.append([str(word) for word in argv])
        return Completed(0, "", "")


@pytest.fixture
def sys_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """sysfs: /dev/dm-0 over /dev/sda and /dev/sdb, with partitions 1 and 3, and what else is on the third."""
    monkeypatch.setattr(block, "SYS_BLOCK", tmp_path)
    uuids = {"dm-0": f"mpath-{WWID}", "dm-1": f"part1-mpath-{WWID}", "dm-2": f"part3-mpath-{WWID}", "dm-3": "LVM-x"}
    for name, uuid in uuids.items():
        (tmp_path / name / "dm").mkdir(parents=True)
        (tmp_path / name / "dm/uuid").write_text(f"{uuid}\n")
        (tmp_path / name / "dm/name").write_text(f"name of {name}\n")
    for path in ("sda", "sdb"):
        for number, start in ((1, 2048), (3, 4096)):
            part = tmp_path / path / f"{path}{number}"
            part.mkdir(parents=True)
            for what, value in (("partition", number), ("start", start), ("size", 2048)):
                (part / what).write_text(f"{value}\n")
            (tmp_path / part.name).symlink_to(part)
        (tmp_path / path / "size").write_text("33554432\n")
    for below, above in (("sda", "dm-0"), ("sdb", "dm-0"), ("dm-0", "dm-1"), ("dm-0", "dm-2"), ("dm-2", "dm-3")):
        (tmp_path / below / "holders" / above).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("told", "wwid"),
    [
        (WWID, WWID),
        (f"mpath-{WWID}", WWID),
        ("36001405" + "a" * 25, "36001405" + "a" * 25),
        ("0QEMU_QEMU_HARDDISK_TARGET0", ""),
        ("mpath-0QEMU_QEMU_HARDDISK_TARGET0", ""),
        ("", ""),
    ],
)
def test_only_a_name_that_is_the_disks_own_is_a_wwid(told: str, wwid: str) -> None:
    assert wwid_of(told) == wwid


@pytest.mark.parametrize(
    "other",
    [
        SDC,
        replace(SDB, wwid=""),
        replace(SDB, size_bytes=SDB.size_bytes - 512),
        replace(SDB, in_use=("/dev/sdb1 is mounted on /srv",)),
        replace(SDB, live_medium=True),
        replace(SDB, multipath=f"/dev/mapper/{WWID}"),
    ],
    ids=["another", "without-wwid", "of-another-size", "in-use", "live-medium", "joined"],
)
def test_nothing_is_joined_but_free_paths_to_one_disk(other: Disk) -> None:
    assert several_paths([SDA, SDB, SDC]) == {WWID: ["/dev/sda", "/dev/sdb"]}
    assert several_paths([SDA, other]) == {}


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch, sys_block: Path) -> dict[str, bytes]:
    """What each path reads, and paths that nothing is stacked on; the kernel forgets their partitions."""
    there = {"/dev/sda": b"same", "/dev/sdb": b"same"}

    def read(path: str, offset: int, size: int) -> bytes:
        if not there[path]:
            raise DeviceLost("a passive path")
        return there[path]

    monkeypatch.setattr(block, "read_direct", read)
    monkeypatch.setattr(block, "holders", lambda path: [])
    monkeypatch.setattr(block, "forget_partitions", lambda path: None)
    monkeypatch.setattr(
        multipath, "add_partition", lambda host, disk, where: host.ran.append([disk, *map(str, where)])
    )
    return there


def made(host: Recorder) -> list[str]:
    """The tables of the maps that were made."""
    return [words[words.index("--table") + 1] for words in host.ran if words[0] == "dmsetup"]


def test_paths_become_a_map_with_the_partitions_of_the_disk(content: dict[str, bytes]) -> None:
    host = Recorder()
    assert assemble(host, [SDA, SDB])
    each = "service-time 0 1 2 /dev/sda 1 1 service-time 0 1 2 /dev/sdb 1 1"
    assert made(host) == [f"0 33554432 multipath 0 0 2 1 {each}"]
    assert host.ran[0][:5] == ["dmsetup", "create", WWID, "--uuid", f"mpath-{WWID}"]
    places = [["1", "1048576", "1048576"], ["3", "2097152", "1048576"]]
    assert host.ran[1:] == [[f"/dev/mapper/{WWID}", *where] for where in places]


def test_a_path_that_answers_nothing_is_left_to_multipathd(content: dict[str, bytes]) -> None:
    content["/dev/sda"] = b""
    host = Recorder()
    assemble(host, [SDA, SDB])
    assert made(host) == ["0 33554432 multipath 0 0 1 1 service-time 0 1 2 /dev/sdb 1 1"]


def test_disks_that_hold_different_things_are_two_whatever_they_say(content: dict[str, bytes]) -> None:
    content["/dev/sdb"] = b"other"
    host = Recorder()
    assert not assemble(host, [SDA, SDB])
    assert host.ran == []


def test_a_path_that_something_is_stacked_on_is_left_alone(
    content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block, "holders", lambda path: ["dm-9 somebody"] if path == "/dev/sdb" else [])
    host = Recorder()
    assert not assemble(host, [SDA, SDB])
    assert host.ran == []


def test_partitions_of_a_map_are_found_by_what_they_are(sys_block: Path) -> None:
    assert block.partition_numbers("/dev/dm-0") == [1, 3]
    assert block.partition_path("/dev/dm-0", 3) == "/dev/dm-2"
    assert block.partition_numbers("/dev/sda") == [1, 3]
    assert block.partition_path("/dev/sda", 3) == "/dev/sda3"
    assert block.holders("/dev/dm-0") == ["dm-3 name of dm-3"]


def test_partitions_of_a_map_are_maps_of_their_own(sys_block: Path) -> None:
    host = Recorder()
    add_partition(host, "/dev/dm-0", (5, 1 << 20, 1 << 30))
    forget_partitions(host, "/dev/dm-0")
    create, *removed = host.ran
    assert create[1:5] == ["create", "name of dm-0-part5", "--uuid", f"part5-mpath-{WWID}"]
    assert create[-1] == "0 2097152 linear /dev/dm-0 2048"
    assert [words[-1] for words in removed] == ["name of dm-1", "name of dm-2"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/dev/sda",
        "/dev/sdb",
        "serial:PATHS",
        "wwn:0x5000c500a0000001",
        f"/dev/mapper/{WWID}",
        "/dev/dm-0",
        "scsi",
    ],
)
def test_whatever_names_a_path_means_its_map(value: str) -> None:
    facts = replace(KEEPS_PATHS, disks=(*joined(), VDA) if value else joined())
    made = make_plan(asked(f"storage_init={value}" if value else "storage_init"), facts)
    assert (made.target.path, made.target.wwid) == ("/dev/dm-0", WWID)
    assert describe(made.target).endswith("serial PATHS, multipath over /dev/sda and /dev/sdb)")
    assert selector_for(made.target, facts.disks) == "storage_init=serial:PATHS"


@pytest.mark.parametrize("value", ["", "/dev/sda", "/dev/sdb", "serial:PATHS", "wwn:0x5000c500a0000001", "scsi"])
def test_a_path_that_answers_nothing_is_one_of_the_map_all_the_same(value: str) -> None:
    """assemble leaves it out; what the map is called the others tell."""
    there = Disk("/dev/dm-0", "multipath", SDA.size_bytes, 512, links=(f"/dev/mapper/{WWID}",), wwid=WWID)
    silent = replace(SDA, serial="", wwn="")
    disks = with_identity([silent, replace(SDB, multipath=f"/dev/mapper/{WWID}"), there, SDC])
    assert [disk.multipath for disk in disks] == [*[f"/dev/mapper/{WWID}"] * 2, "", ""]
    disks = disks[:3] if value in ("", "scsi", "serial:PATHS") else disks
    target = make_plan(
        asked(f"storage_init={value}" if value else "storage_init"), replace(KEEPS_PATHS, disks=disks)
    ).target
    assert (target.path, {*target.paths}) == ("/dev/dm-0", {"/dev/sda", "/dev/sdb"})


def test_a_path_that_is_used_past_its_map_is_not_taken_for_one_of_it() -> None:
    there = Disk("/dev/dm-0", "multipath", SDA.size_bytes, 512, links=(f"/dev/mapper/{WWID}",), wwid=WWID)
    used = replace(SDA, in_use=("/dev/sda1 is mounted on /srv",))
    disks = with_identity([used, replace(SDB, multipath=f"/dev/mapper/{WWID}"), there])
    with pytest.raises(Refused, match="fits 2 disks"):
        make_plan(asked("storage_init=serial:PATHS"), replace(KEEPS_PATHS, disks=disks))


def test_a_map_has_the_names_of_its_paths() -> None:
    paths = [replace(disk, multipath=f"/dev/mapper/{WWID}") for disk in (SDA, SDB)]
    there = Disk("/dev/dm-0", "multipath", 1 << 34, 512, links=(f"/dev/mapper/{WWID}",), wwid=WWID)
    *_, found = with_identity([*paths, there])
    by_path = {"/dev/disk/by-path/pci-1-sas-1", "/dev/disk/by-path/pci-2-sas-1"}
    assert {*found.names} > {*by_path, "/dev/sda", "/dev/sdb", "/dev/dm-0"}
    assert [bus.value for bus in found.buses] == ["scsi", "sas"]


def test_the_live_medium_is_no_target_by_another_path_either() -> None:
    found = with_identity([replace(SDA, live_medium=True), SDB, SDC])
    assert [disk.live_medium for disk in found] == [True, True, False]


def test_the_node_is_told_its_disk_by_its_wwid() -> None:
    plan = make_plan(asked("storage_init"), replace(KEEPS_PATHS, disks=joined()))
    assert all(f" rd.autoinstall.multipath={WWID} " in slot.kernel_arguments for slot in plan.slots)
    (conf,) = [file.text for file in plan.files if file.path == "/etc/multipath.conf"]
    assert f'wwid "^{WWID}$"' in conf
    alone = make_plan(asked("storage_init"), replace(KEEPS_PATHS, disks=(VDA,)))
    assert not any("multipath" in slot.kernel_arguments for slot in alone.slots)
    assert "/etc/multipath.conf" not in [file.path for file in alone.files]


def test_a_disk_of_one_path_is_installed_onto_as_ever() -> None:
    with pytest.raises(Refused, match="are paths to one disk"):
        make_plan(asked("storage_init=/dev/sda"), replace(KEEPS_PATHS, disks=(SDA, SDB)))
    assert make_plan(asked("storage_init=/dev/sda"), replace(KEEPS_PATHS, disks=(SDA, SDC))).target == SDA


def test_a_node_on_a_map_finds_its_disk_and_partitions(node: Node, tmp_path: Path) -> None:
    virtual = tmp_path / "virtual"
    for number in range(1, 8):
        part = virtual / f"dm-{number}"
        (part / "dm").mkdir(parents=True)
        (part / "dm/uuid").write_text(f"part{number}-mpath-{WWID}\n")
        (part / "slaves").mkdir()
        (virtual / "dm-0/holders").mkdir(parents=True, exist_ok=True)
        (part / "slaves/dm-0").symlink_to(virtual / "dm-0")
        (virtual / "dm-0/holders" / part.name).symlink_to(part)
    (virtual / "dm-0/dm").mkdir()
    (tmp_path / "dev/253:3").symlink_to(virtual / "dm-3")
    node.files["/proc/self/mountinfo"] = node.files["/proc/self/mountinfo"].replace("254:3", "253:3")
    assert state.booted_disk(node) == virtual / "dm-0"
    found = state.partitions(node)
    assert (found["EFI"], found["Root-A"], found["HostVG"]) == ("/dev/dm-2", "/dev/dm-3", "/dev/dm-7")


@pytest.mark.runs_programs
@pytest.mark.parametrize(
    ("answering", "state", "made"),
    [
        ("sda sdc", "running", f"2 1 {BOTH}"),
        ("sda", "running", f"2 1 {BOTH}"),
        ("sdc", "running", f"2 2 {BOTH}"),
        ("", "running", ""),
        ("sda sdc", "offline", "1 1 service-time 0 1 2 /dev/sdc 1 1"),
        ("sda", "transport-offline", ""),
    ],
)
def test_the_initramfs_makes_the_same_map_once_a_path_answers_and_begins_with_that(
    tmp_path: Path, answering: str, state: str, made: str
) -> None:
    """map-disks.sh with a sysfs of ours, and programs that say what they are asked."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "multipath").write_text(f"{WWID}\n")
    sys = tmp_path / "sys"
    for disk, serial in (("sda", WWID), ("sdb", "35000c500b0000001"), ("sdc", WWID)):
        (sys / disk / "device").mkdir(parents=True)
        (sys / disk / "device/state").write_text(f"{state if disk == 'sda' else 'running'}\n")
        for number in (1, 3) if disk in (*answering.split(), "sdb") else ():
            part = sys / disk / f"{disk}{number}"
            part.mkdir()
            for what, value in (("partition", number), ("start", 2048 * number), ("size", 2048), ("serial", serial)):
                (part / what).write_text(f"{value}\n")
            (sys / part.name).symlink_to(part)
        (sys / disk / "size").write_text("33554432\n")
        (sys / disk / "serial").write_text(serial)
    script = (ROOT / "dracut/55autoinstall/map-disks.sh").read_text().replace("/sys/class/block", str(sys))
    script = re.sub(r"^\. /lib.*$", f"AUTOINSTALL_RUN={shlex.quote(str(run))}", script, flags=re.MULTILINE)
    tools = f'udevadm() {{ for w in "$@"; do :; done; cat {sys}/"${{w#--name=}}"/serial; }}\n'
    tools += 'dmsetup() { echo "$2 $4 $6"; }\n'
    script = f"{tools}hook() {{\n{script}\n}}\nhook\nhook\ntrue\n"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    told = [
        f"{WWID} mpath-{WWID} 0 33554432 multipath 0 0 {made}",
        f"{WWID}-part1 part1-mpath-{WWID} 0 2048 linear /dev/mapper/{WWID} 2048",
        f"{WWID}-part3 part3-mpath-{WWID} 0 2048 linear /dev/mapper/{WWID} 6144",
    ]
    assert done.stdout.splitlines() == (told if made else [])


@pytest.mark.runs_programs
def test_a_path_gives_way_to_its_map_from_the_first_event_on(tmp_path: Path) -> None:
    """What the initramfs of a node tells udev, before that runs."""
    text = (ROOT / "dracut/55autoinstall/parse-autoinstall.sh").read_text()
    function = re.search(r"^autoinstall_expect_maps\(\).*?^}", text, re.MULTILINE | re.DOTALL)
    assert function
    script = f"AUTOINSTALL_RUN={shlex.quote(str(tmp_path))}\n{function[0]}\nautoinstall_expect_maps {WWID},{WWID}0"
    script = script.replace("/run/udev", f"{tmp_path}/udev")
    subprocess.run(["sh", "-c", script], check=True)
    assert (tmp_path / "multipath").read_text().split() == [WWID, f"{WWID}0"]
    (rules,) = (tmp_path / "udev/rules.d").glob("*.rules")
    first, second = rules.read_text().splitlines()
    assert rules.name > "60-persistent-storage.rules"
    assert rules.name < "68-del-part-nodes.rules"
    assert f'KERNEL=="sd*", ENV{{ID_SERIAL}}=="{WWID}", ENV{{DM_MULTIPATH_DEVICE_PATH}}="1", ' in first
    assert first.endswith(', ENV{SYSTEMD_READY}="0", OPTIONS+="link_priority=-100"')
    assert f'"{WWID}0"' in second

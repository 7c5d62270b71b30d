"""What is read from a machine, as far as it needs none."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from autoinstall import block, gpt
from autoinstall.errors import DeviceLost, ToolFailed
from autoinstall.facts import UNREADABLE, Disk, MemberMark, NodeMark, Signature, VolumeGroup
from autoinstall.grammar_disks import Bus
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.layout import DiskTable, place
from autoinstall.marks import marked, our_table
from autoinstall.probe import _examined, bus_of, with_groups
from autoinstall.sizes import GIB
from autoinstall.space import Extra, Space
from autoinstall.uses import multipath_of, with_users
from tests.unit.machines import VDA

LAYOUT = place(UUID(int=9), Space(16 * GIB, 512, 2 * GIB))
OTHER = replace(LAYOUT, partitions=LAYOUT.partitions[:3])
SIZED = replace(VDA, size_bytes=LAYOUT.disk_bytes)
PCI = ["pci", "pci", "None"]


@pytest.mark.parametrize(
    ("told", "above", "bus"),
    [
        ("ata", ["scsi", "scsi", "scsi", "None", *PCI], Bus.ATA),
        ("usb", ["scsi", "scsi", "scsi", "usb", "usb", "usb", *PCI], Bus.USB),
        ("ata", ["scsi", "scsi", "scsi", "usb", "usb", "usb", *PCI], Bus.USB),
        ("scsi", ["scsi", "scsi", "scsi", "virtio", *PCI], Bus.SCSI),
        ("", ["virtio", *PCI], Bus.VIRTIO),
        ("", ["nvme-subsystem", "None"], Bus.NVME),
        ("", ["mmc", "mmc_host", *PCI], Bus.MMC),
        ("", PCI, None),
    ],
)
def test_a_bus_is_what_the_disk_is_plugged_into(told: str, above: list[str], bus: Bus | None) -> None:
    assert bus_of(told, above) is bus


def _read(monkeypatch: pytest.MonkeyPatch, primary: bytes, backup: DiskTable) -> NodeMark | MemberMark | None:
    """What is recognised of a disk with these halves of a table."""
    _put(monkeypatch, primary, backup)
    found = our_table(SIZED)
    return found[0] if found else None


def _put(monkeypatch: pytest.MonkeyPatch, primary: bytes, backup: DiskTable) -> None:
    """A disk with these halves of a table."""
    table = gpt.render(backup)
    halves = {0: gpt.protective_mbr(LAYOUT, b"") + primary, table.backup_start: table.backup}

    def read(path: str, offset: int, size: int) -> bytes:
        start = max(start for start in halves if start <= offset)
        return halves[start][offset - start :][:size].ljust(size, b"\0")

    monkeypatch.setattr(block, "read_direct", read)


def test_a_disk_beside_the_boot_disk_is_known_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = (Extra("/dev/vda", SIZED.size_bytes, 512),)
    (member,) = place(UUID(int=9), Space(16 * GIB, 512, 2 * GIB, host=extra)).members
    _put(monkeypatch, gpt.render(member).primary, member)
    assert marked(SIZED) == replace(SIZED, member=MemberMark(UUID(int=9), "HostVG", finished=True))
    _put(monkeypatch, gpt.render(LAYOUT).primary, LAYOUT)
    assert marked(SIZED) == replace(SIZED, node=NodeMark(UUID(int=9), finished=True))


def test_a_node_is_known_by_its_backup_table_where_the_first_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gpt.render(LAYOUT).primary
    node = NodeMark(UUID(int=9), finished=True)
    assert _read(monkeypatch, whole, LAYOUT) == node
    assert _read(monkeypatch, b"\xa5" * 512 + whole[512:], LAYOUT) == replace(node, from_backup=True)
    assert _read(monkeypatch, whole[:600] + b"\xa5" * 8 + whole[608:], LAYOUT) == replace(node, from_backup=True)


def _header(count: int, size: int, header_bytes: int = gpt.HEADER.size) -> bytes:
    """A sector with a whole header of another system, for so many entries of that size."""
    fields = [
        gpt.SIGNATURE,
        gpt.REVISION_1_0,
        header_bytes,
        0,
        0,
        1,
        9,
        64,
        99,
        UUID(int=5).bytes_le,
        2,
        count,
        size,
        0,
    ]
    fields[3] = zlib.crc32(gpt.HEADER.pack(*fields).ljust(header_bytes, b"\0"))
    return gpt.HEADER.pack(*fields).ljust(512, b"\0")


@pytest.mark.parametrize(
    "primary",
    [
        gpt.render(OTHER).primary,
        gpt.render(replace(LAYOUT, partitions=())).primary,
        gpt.render(replace(LAYOUT, install_id=UUID(int=5))).primary[:512] + b"\xa5" * gpt.ENTRIES_BYTES,
        _header(248, 128),
        _header(4, 128),
        _header(128, 256),
        _header(128, 128, header_bytes=512),
        bytes(4096 - 512) + _header(128, 128),
    ],
    ids=["less", "empty", "entries-broken", "as-xorriso", "few", "large", "long-header", "sectors-of-4096"],
)
def test_the_backup_table_of_a_node_under_another_system_is_no_node(
    monkeypatch: pytest.MonkeyPatch, primary: bytes
) -> None:
    """A whole header has the only word, also where its entries are broken, or are none that we could read."""
    assert _read(monkeypatch, primary, LAYOUT) is None


def test_a_broken_table_of_a_node_is_known_by_its_backup_where_both_are_of_one_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its header is whole, and a part of its entries was never written."""
    whole = gpt.render(LAYOUT).primary
    cut = whole[:1024] + bytes(len(whole) - 1024)
    assert _read(monkeypatch, cut, LAYOUT) == NodeMark(UUID(int=9), finished=True, from_backup=True)


@pytest.mark.parametrize("unreadable", [0, 512, 1024, -1])
def test_a_disk_that_answers_with_errors_is_no_blank_one(monkeypatch: pytest.MonkeyPatch, unreadable: int) -> None:
    """A path that flaps: blkid calls the disk blank, and a node that is there would be installed over."""
    _put(monkeypatch, gpt.render(LAYOUT).primary, LAYOUT)
    really, bad = block.read_direct, unreadable % SIZED.size_bytes

    def read(path: str, offset: int, size: int) -> bytes:
        if offset <= bad < offset + size:
            raise DeviceLost(f"reading {path}: Input/output error")
        return really(path, offset, size)

    monkeypatch.setattr(block, "read_direct", read)
    monkeypatch.setattr("autoinstall.probe._signatures", lambda host, path: ())
    disk = _examined(Host(), replace(SIZED, examined=False))
    assert disk.examined
    assert disk.unread == f"reading {SIZED.path}: Input/output error"


@pytest.mark.parametrize("failing", range(5))
def test_a_disk_that_failed_once_while_it_was_read_is_not_known(
    monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """It answers again when the next part is read; what the failed one would have told is missing."""
    _put(monkeypatch, gpt.render(replace(LAYOUT, partitions=())).primary, LAYOUT)
    really, asked = block.read_direct, count()

    def read(path: str, offset: int, size: int) -> bytes:
        if next(asked) == failing:
            raise DeviceLost(f"reading {path}: Input/output error")
        return really(path, offset, size)

    monkeypatch.setattr(block, "read_direct", read)
    monkeypatch.setattr("autoinstall.probe._signatures", lambda host, path: ())
    disk = _examined(Host(), replace(SIZED, examined=False))
    assert disk.unread == f"reading {SIZED.path}: Input/output error"


class Lvm(Host):
    """A machine whose LVM reports these rows, and ends with this status."""

    def __init__(self, rows: list[dict[str, str]], status: int = 0) -> None:
        super().__init__()
        self.asked: list[tuple[str, ...]] = []
        self.rows, self.status = rows, status

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        self.asked.append(tuple(map(str, argv)))
        if self.status not in how.accept:
            raise ToolFailed(f"{doing}: status {self.status}")
        return Completed(self.status, json.dumps({"report": [{"pv": self.rows}]}), "")


def _pv(uuid: str, name: str = "", tags: str = "") -> dict[str, str]:
    return {"pv_uuid": uuid, "vg_name": name, "vg_uuid": f"uuid of {name}" if name else "", "vg_tags": tags}


def _disk(uuid: str, kind: str = "LVM2_member") -> Disk:
    return Disk(f"/dev/{uuid}", "disk", 1 << 33, 512, signatures=(Signature(f"/dev/{uuid}", kind, uuid=uuid),))


ROWS = [_pv("a", "photos", "x,RHAT_storage_domain"), _pv("b"), {**_pv("c"), "vg_name": UNREADABLE}]


@pytest.mark.parametrize(
    ("uuid", "group"),
    [
        ("a", VolumeGroup("photos", "uuid of photos", ("x", "RHAT_storage_domain"))),
        ("b", None),
        ("c", VolumeGroup(UNREADABLE)),
        ("not reported", VolumeGroup(UNREADABLE)),
    ],
)
@pytest.mark.parametrize("status", [0, 5])
def test_a_physical_volume_is_known_with_its_group(uuid: str, group: VolumeGroup | None, status: int) -> None:
    host = Lvm(ROWS, status)
    (found,) = with_groups(host, [_disk(uuid)])
    assert found.signatures[0].group == group
    assert "--readonly" in host.asked[0]


def test_lvm_is_asked_only_where_it_has_a_physical_volume() -> None:
    host = Lvm([])
    assert with_groups(host, [_disk("a", "ext4")]) == (_disk("a", "ext4"),)
    assert not host.asked


@pytest.fixture
def stacked(tmp_path: Path) -> Path:
    """sysfs of /dev/sda in a multipath device, and its partition in an array that is partitioned."""
    for entry in ("sda/sda1", "md126/md126p1", "dm-3/dm", "sda/holders", "sda/sda1/holders"):
        (tmp_path / entry).mkdir(parents=True)
    for part in ("sda/sda1", "md126/md126p1"):
        (tmp_path / part / "partition").touch()
    (tmp_path / "dm-3/dm/uuid").write_text("mpath-3600\n")
    (tmp_path / "dm-3/dm/name").write_text("mpatha\n")
    (tmp_path / "sda/holders/dm-3").symlink_to(tmp_path / "dm-3")
    (tmp_path / "sda/sda1/holders/md126").symlink_to(tmp_path / "md126")
    return tmp_path


def test_all_that_is_stacked_on_a_disk_is_found_partitions_of_an_array_too(stacked: Path) -> None:
    assert list(with_users(stacked / "sda")) == ["sda", "dm-3", "sda1", "md126", "md126p1"]


def test_a_path_of_a_multipath_device_is_known_for_one(stacked: Path) -> None:
    assert [multipath_of(stacked / name) for name in ("sda", "sda/sda1")] == ["/dev/mapper/mpatha", ""]

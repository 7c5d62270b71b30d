"""What is read from a machine, as far as it needs none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoinstall.errors import ToolFailed
from autoinstall.facts import UNREADABLE, Disk, Signature, VolumeGroup
from autoinstall.grammar_disks import Bus
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.probe import bus_of, multipath_of, with_groups, with_users

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

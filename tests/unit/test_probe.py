"""What is read from a machine, as far as it needs none."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from autoinstall import block, gpt
from autoinstall.facts import NodeMark
from autoinstall.grammar_disks import Bus
from autoinstall.layout import Layout, Space, place
from autoinstall.probe import bus_of, node_table
from autoinstall.sizes import GIB
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


def _read(monkeypatch: pytest.MonkeyPatch, primary: bytes, backup: Layout) -> NodeMark | None:
    """What is recognised of a disk with these halves of a table."""
    table = gpt.render(backup)
    halves = {0: gpt.protective_mbr(LAYOUT, b""), 512: primary, table.backup_start: table.backup}

    def read(path: str, offset: int, size: int) -> bytes:
        start = max(start for start in halves if start <= offset)
        return halves[start][offset - start :][:size].ljust(size, b"\0")

    monkeypatch.setattr(block, "read_direct", read)
    found = node_table(SIZED)
    return found[0] if found else None


def test_a_node_is_known_by_its_backup_table_where_the_first_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gpt.render(LAYOUT).primary
    node = NodeMark(UUID(int=9), finished=True)
    assert _read(monkeypatch, whole, LAYOUT) == node
    assert _read(monkeypatch, b"\xa5" * 512 + whole[512:], LAYOUT) == replace(node, from_backup=True)
    assert _read(monkeypatch, whole[:600] + b"\xa5" * 8 + whole[608:], LAYOUT) == replace(node, from_backup=True)


def test_the_backup_table_of_a_node_under_another_system_is_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _read(monkeypatch, gpt.render(OTHER).primary, LAYOUT) is None
    assert _read(monkeypatch, gpt.render(replace(LAYOUT, partitions=())).primary, LAYOUT) is None

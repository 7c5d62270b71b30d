"""What is read from a machine, as far as it needs none."""

from __future__ import annotations

import pytest

from autoinstall.grammar_disks import Bus
from autoinstall.probe import bus_of

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

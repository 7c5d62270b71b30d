"""Machines and requests for tests: small, complete values to vary with dataclasses.replace."""

from __future__ import annotations

from autoinstall.cmdline import parse
from autoinstall.facts import Disk, Facts, Firmware, LiveImage, Nic
from autoinstall.grammar_disks import Bus
from autoinstall.image.manifest import ImageFile, Manifest
from autoinstall.request import Request, request_from
from autoinstall.sizes import GIB, MIB

HASH = "$6$somesalt$" + "a" * 86
FILES = tuple(
    ImageFile(name, size, f"{number:064x}")
    for number, (name, size) in enumerate(
        [("vmlinuz", 10 * MIB), ("initrd.img", 20 * MIB), ("root.squashfs", 100 * MIB)]
    )
)
MANIFEST = Manifest(
    version="1.0",
    security_version=1,
    recipe="vm",
    suite="trixie",
    kernel="6.12",
    features=(),
    files=FILES,
    packages={},
)
VDA = Disk("/dev/vda", "disk", 16 * GIB, 512, bus=Bus.VIRTIO, serial="TARGET0")
VDB = Disk("/dev/vdb", "disk", 32 * GIB, 512, bus=Bus.VIRTIO, serial="OTHER")
SR0 = Disk("/dev/sr0", "optical", 1 * GIB, 2048, removable=True, live_medium=True)
NIC = Nic("enp0s3", "52:54:00:12:34:56", "virtio_net", carrier=True)
MACHINE = Facts(
    firmware=Firmware.BIOS,
    memory_bytes=2 * GIB,
    product_uuid="11111111-2222-3333-4444-555555555555",
    disks=(SR0, VDA),
    nics=(NIC,),
    image=LiveImage("/run/initramfs/live/autoinstall", MANIFEST),
    shadow={"root": "root:*:20000:0:99999:7:::", "admin": "admin:!:20000:0:99999:7:::"},
)


def asked(line: str) -> Request:
    """What a line asks."""
    return request_from(parse(line))

"""GRUB, prepared when the image was built: copied, given its slot state, and, last of all, made bootable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoinstall import block, gpt
from autoinstall.host import Host
from autoinstall.layout import Layout
from autoinstall.mounts import mounted, write_file
from autoinstall.node.state import STATE_COPIES
from autoinstall.sizes import MIB, align_up
from autoinstall.slots import fresh, render_env

ESP_FILES = {"BOOTX64.EFI": "EFI/BOOT/BOOTX64.EFI", "grub.cfg": "grub/grub.cfg"}
"""The build's file -> its place on the ESP: firmware's removable path, so that NVRAM is never needed."""

SPACER_BYTES = 2 * MIB
"""Between the two copies of the slot state: one torn physical sector cannot take both."""


@dataclass(frozen=True)
class BootLoader:
    """GRUB is in the BIOS boot partition and on the ESP, and the slot state says: A, three tries, then B."""

    layout: Layout
    disk: str
    source: Path

    name = "boot-loader"
    writes = True

    @property
    def title(self) -> str:
        return f"Putting GRUB on {self.disk}"

    def apply(self, host: Host) -> None:
        block.write_direct(self.disk, self.layout.partition("BIOS-boot").start_bytes, self._core())
        with mounted(host, self._esp()) as root:
            for name, place in ESP_FILES.items():
                (root / place).parent.mkdir(parents=True)
                write_file(root / place, (self.source / name).read_bytes())
            _write_state(root)

    def why_not_done(self, host: Host) -> str:
        core = self._core()
        if block.read_direct(self.disk, self.layout.partition("BIOS-boot").start_bytes, len(core)) != core:
            return "the BIOS boot partition does not hold what was written"
        with mounted(host, self._esp(), "ro") as root:
            for name, place in ESP_FILES.items():
                if b"".join(block.chunks_direct(root / place)) != (self.source / name).read_bytes():
                    return f"{place} on the ESP is not what was written"
            wrong = [copy for copy in STATE_COPIES if (root / copy).read_bytes() != render_env(fresh())]
        return f"{wrong[0]} on the ESP is not what was written" if wrong else ""

    def _core(self) -> bytes:
        core = (self.source / "core.img").read_bytes()
        return core.ljust(align_up(len(core), self.layout.sector_bytes), b"\0")

    def _esp(self) -> str:
        return block.partition_path(self.disk, self.layout.partition("EFI").number)


@dataclass(frozen=True)
class Commit:
    """One sector makes the disk bootable, under BIOS and UEFI: the last write of an install."""

    layout: Layout
    disk: str
    source: Path

    name = "commit"
    writes = True

    @property
    def title(self) -> str:
        return f"Making {self.disk} bootable"

    def apply(self, host: Host) -> None:
        block.write_direct(self.disk, 0, self._sector_0())

    def why_not_done(self, host: Host) -> str:
        """Read the disk as the next system will: libparted, through the protective MBR."""
        if block.read_direct(self.disk, 0, self.layout.sector_bytes) != self._sector_0():
            return "sector 0 is not what was written"
        return _table_differs(self.layout, self.disk)

    def _sector_0(self) -> bytes:
        boot_code = (self.source / "boot.img").read_bytes()
        return gpt.protective_mbr(self.layout, boot_code)


def _write_state(root: Path) -> None:
    first, second = STATE_COPIES
    for copy in (first, second):
        (root / copy).parent.mkdir()
    write_file(root / first, render_env(fresh()))
    write_file(root / "state1/spacer", bytes(SPACER_BYTES))
    write_file(root / second, render_env(fresh()))


def _table_differs(layout: Layout, disk: str) -> str:
    import parted

    table = parted.newDisk(parted.getDevice(disk))
    sector = layout.sector_bytes
    planned = [(part.label, part.start_bytes // sector, part.size_bytes // sector) for part in layout.partitions]
    there = [(part.name, part.geometry.start, part.geometry.length) for part in table.partitions]
    return "" if there == planned else f"libparted reads {there}, planned were {planned}"

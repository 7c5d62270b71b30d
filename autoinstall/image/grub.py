"""GRUB, made ready at build time: what a disk and a medium need to boot, for BIOS and UEFI.

Installing it is copying: no probing, no GRUB tools on the machine.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import BuildFailed
from autoinstall.host import Host

SECTOR_BYTES = 512
CORE_LBA = 2048
"""Where partition BIOS-boot of every node begins (layout.py)."""
BIOS_BOOT_BYTES = 1 << 20

# Offsets of GRUB's include/grub/i386/pc/boot.h and of the first entry of diskboot.img's block list.
KERNEL_SECTOR = 0x5C
DRIVE_CHECK = 0x66
NOP_NOP = b"\x90\x90"
BLOCK_LIST = SECTOR_BYTES - 12

ISO_MARK = "autoinstall-0123456789abcdef.id"
"""The name in the medium's EFI loader that each ISO's own replaces; the same length."""

MODULES = (
    "normal", "part_gpt", "part_msdos", "fat", "ext2", "iso9660", "linux", "loadenv", "test", "true", "regexp",
    "echo", "serial", "terminal", "configfile", "search", "search_fs_file", "reboot", "halt", "minicmd", "ls",
    "cat", "chain", "help", "sleep", "hashsum", "gcry_crc",
)  # fmt: skip
ISO_PREFIX = "/boot/grub"
ISO_EARLY = f"search --no-floppy --set=root --file /autoinstall/{ISO_MARK}\nset prefix=($root){ISO_PREFIX}\n"


@dataclass(frozen=True)
class Loader:
    """One image of GRUB: for what, where it finds its grub.cfg, modules beside the usual, what it does first."""

    target: str
    prefix: str
    modules: tuple[str, ...] = ()
    early: str = ""

    @property
    def platform(self) -> str:
        """GRUB's name for the machines that it is for."""
        return "x86_64-efi" if self.target == "x86_64-efi" else "i386-pc"


LOADERS = {
    "node/core.img": Loader("i386-pc", "(,gpt2)/grub", ("biosdisk",)),
    "node/BOOTX64.EFI": Loader("x86_64-efi", "/grub"),
    "medium/eltorito.img": Loader("i386-pc-eltorito", ISO_PREFIX, ("biosdisk",)),
    "medium/BOOTX64.EFI": Loader("x86_64-efi", ISO_PREFIX, early=ISO_EARLY),
    "network/grubx64.efi": Loader("x86_64-efi", "", ("efinet", "tftp", "http")),
}
"""By the file they become. Without a prefix GRUB looks where its own file came from: server and directory."""


@dataclass(frozen=True)
class GrubTree:
    """An unpacked tree that holds GRUB and every library its tools need; nothing of it runs as installed."""

    root: Path
    host: Host

    def directory(self, platform: str) -> Path:
        """GRUB's modules and images for a platform."""
        return self.root / "usr/lib/grub" / platform

    def make_image(self, loader: Loader, output: Path) -> None:
        """grub-mkimage of the tree, run by the tree's own dynamic loader."""
        early = output.with_suffix(".early")
        early.write_text(loader.early)
        self.host.run(
            self.root / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", self._libraries(),
            self.root / "usr/bin/grub-mkimage", "--directory", self.directory(loader.platform),
            "--format", loader.target, "--prefix", loader.prefix, "--output", output,
            *(("--config", early) if loader.early else ()), *MODULES, *loader.modules,
            doing=f"making GRUB's image {output.name} for {loader.target}",
        )  # fmt: skip
        early.unlink()

    def _libraries(self) -> Path:
        return self.root / "usr/lib/x86_64-linux-gnu"


def make_boot_files(tree: GrubTree, into: Path) -> None:
    """Fills `into` with node/, what an install copies to a disk, medium/, what an ISO needs, and network/."""
    for name, loader in LOADERS.items():
        (into / name).parent.mkdir(exist_ok=True)
        tree.make_image(loader, into / name)
    node, medium = into / "node", into / "medium"
    bios = tree.directory("i386-pc")
    (medium / "boot_hybrid.img").write_bytes((bios / "boot_hybrid.img").read_bytes())
    (node / "boot.img").write_bytes(patched_boot_sector((bios / "boot.img").read_bytes()))
    (node / "core.img").write_bytes(patched_core((node / "core.img").read_bytes()))
    if ISO_MARK.encode() not in (medium / "BOOTX64.EFI").read_bytes():
        raise BuildFailed("the EFI loader of the medium does not hold its early configuration as it was given")


def patched_boot_sector(image: bytes) -> bytes:
    """boot.img that loads the sector CORE_LBA, and takes BIOSes at their word that a disk is a disk.

    The second is what grub-install does for every disk but floppies: some BIOSes pass a wrong drive number.
    """
    if len(image) != SECTOR_BYTES or image[-2:] != b"\x55\xaa":
        raise BuildFailed("GRUB's boot.img is not a boot sector")
    patched = bytearray(image)
    struct.pack_into("<Q", patched, KERNEL_SECTOR, CORE_LBA)
    patched[DRIVE_CHECK : DRIVE_CHECK + 2] = NOP_NOP
    return bytes(patched)


def patched_core(image: bytes) -> bytes:
    """core.img whose first sector, at CORE_LBA, finds the rest right behind itself."""
    if not SECTOR_BYTES < len(image) <= BIOS_BOOT_BYTES:
        raise BuildFailed(f"GRUB's core image has {len(image)} bytes; BIOS-boot holds {BIOS_BOOT_BYTES}")
    start, sectors = struct.unpack_from("<QH", image, BLOCK_LIST)
    rest = -(-len(image) // SECTOR_BYTES) - 1
    if (start, sectors) != (2, rest):
        raise BuildFailed(f"GRUB's core image wants {sectors} sectors from {start}, not the {rest} behind its first")
    patched = bytearray(image)
    struct.pack_into("<Q", patched, BLOCK_LIST, CORE_LBA + 1)
    return bytes(patched.ljust((rest + 1) * SECTOR_BYTES, b"\0"))


def iso_mark(*content: bytes) -> str:
    """The name of the file by which a medium's EFI loader knows its own medium; from what is on it."""
    total = hashlib.sha256(b"\0".join(content)).hexdigest()[:16]
    return f"autoinstall-{total}.id"


def marked(loader: bytes, mark: str) -> bytes:
    """The medium's EFI loader that searches for `mark`."""
    return loader.replace(ISO_MARK.encode(), mark.encode())

"""The medium: one file that boots from a DVD drive or a USB stick, under BIOS and UEFI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoinstall import cmdline
from autoinstall.cmdline import Word
from autoinstall.host import Host, Run
from autoinstall.image.grub import iso_mark, marked
from autoinstall.image.manifest import FILE_NAMES, Manifest, volume_label
from autoinstall.image.signature import read_papers
from autoinstall.loaders import GRUB

ACTION_WORDS = frozenset(
    (
        "storage_init", "ovirt_init", "firstboot", "ovirt_firstboot", "reinstall", "upgrade", "local_boot",
        "ovirt_upgrade", "ovirt_local_boot", "uninstall", "stateless",
    )
)  # fmt: skip
LIVE_WORDS = "rd.live.image rd.live.dir=autoinstall rd.live.squashimg=root.squashfs rd.shell=0 panic=30"
KERNEL = "/autoinstall/vmlinuz"
ADDED = (Word("BOOT_IMAGE", KERNEL),)
"""GRUB's own word, before all."""
ESP_SECTORS = 4096
EPOCH_S = 1735689600
"""What every file of a medium is dated, and what its volume is named after where that is a time: 2025-01-01."""
REPRODUCIBLE = Run(environment={"SOURCE_DATE_EPOCH": str(EPOCH_S)})


@dataclass(frozen=True)
class Medium:
    """What an ISO is made of: an image, GRUB for media, the menu's template, and the line that is baked in."""

    image: Path
    loader: Path
    template: str
    manifest: Manifest
    default_words: Sequence[str]
    line: str


def render_menu(medium: Medium) -> str:
    """The grub.cfg of the medium. Raises BadWords for a line that no kernel could get whole, with GRUB's own word.

    The default entry installs only if the baked-in line asks for it.
    """
    words = cmdline.parse(medium.line)
    asked = any(_name(word) in ACTION_WORDS for word in words)
    root = f"root=live:LABEL={volume_label(medium.manifest)}"
    live = cmdline.parse(" ".join([root, LIVE_WORDS, *medium.default_words]))
    install = [*live, *words] if asked else [*live, Word("storage_init"), *words]
    plain = live if asked else [*live, *words]
    rescue = [*live, Word("rescue")]
    entries = _entry("Install", "install", install) + _entry("Start without installing", "live", plain)
    return (
        medium.template.replace("@DEFAULT@", "install" if asked else "live")
        .replace("@ENTRIES@\n", entries)
        .replace("@RESCUE@", GRUB.quoted(cmdline.ended(rescue, ADDED)))
    )


def write_iso(medium: Medium, output: Path, host: Host, scratch: Path) -> None:
    """Makes the ISO at `output`, which appears whole or not at all. Equal media make equal bytes."""
    menu = render_menu(medium).encode()
    mark = iso_mark(menu, medium.manifest.image_id.encode())
    (scratch / "grub.cfg").write_bytes(menu)
    (scratch / "mark").write_text(f"{volume_label(medium.manifest)}\n")
    (scratch / "BOOTX64.EFI").write_bytes(marked((medium.loader / "BOOTX64.EFI").read_bytes(), mark))
    esp = _make_esp(scratch, host)
    grafts = [
        f"/autoinstall/{name}={medium.image / name}" for name in (*FILE_NAMES, *read_papers(medium.image).files)
    ]
    grafts += [
        f"/autoinstall/{mark}={scratch / 'mark'}",
        f"/boot/grub/grub.cfg={scratch / 'grub.cfg'}",
        f"/boot/grub/eltorito.img={medium.loader / 'eltorito.img'}",
    ]
    partial = output.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    host.run(
        "xorriso", "-as", "mkisofs", "-quiet", "-graft-points", "-rational-rock", "-joliet",
        "-volid", volume_label(medium.manifest), "-output", partial, "--set_all_file_dates", f"={EPOCH_S}",
        "-b", "boot/grub/eltorito.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
        "--grub2-boot-info", "--grub2-mbr", medium.loader / "boot_hybrid.img",
        "-partition_offset", "16", "-append_partition", "2", "0xef", esp, "-appended_part_as_gpt",
        "-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot",
        *grafts,
        doing=f"writing {output}",
        how=REPRODUCIBLE,
    )  # fmt: skip
    partial.rename(output)


def _make_esp(scratch: Path, host: Host) -> Path:
    esp = scratch / "esp.img"
    for argv in (
        ("mformat", "-C", "-i", esp, "-T", str(ESP_SECTORS), "-N", "0", "-v", "AUTOINST", "::"),
        ("mmd", "-i", esp, "::EFI", "::EFI/BOOT"),
        ("mcopy", "-i", esp, scratch / "BOOTX64.EFI", "::EFI/BOOT/BOOTX64.EFI"),
    ):
        host.run(*argv, doing="making the EFI system partition of the medium", how=REPRODUCIBLE)
    return esp


def _entry(title: str, name: str, words: Sequence[Word]) -> str:
    return (
        f'menuentry "{title}" --id {name} {{\n'
        f"  linux {KERNEL} {GRUB.quoted(cmdline.ended(words, ADDED))}\n"
        "  initrd /autoinstall/initrd.img\n"
        "}\n"
    )


def _name(word: Word) -> str:
    return word.name.replace("-", "_").removeprefix("autoinstall.")

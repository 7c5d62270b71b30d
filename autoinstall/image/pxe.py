"""`autoinstall pxe`: an image as a directory that a PXE server hands out."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from autoinstall import cmdline, grammar_sources
from autoinstall.cmdline import Word
from autoinstall.errors import EXIT_OK, BadUsage, ImageInvalid
from autoinstall.host import Host
from autoinstall.image.manifest import FILE_NAMES, SIGNATURE_NAME, parse_manifest
from autoinstall.image.signature import read_papers
from autoinstall.loaders import GRUB, IPXE, PXELINUX

LIVE_WORDS = "rd.live.image rd.shell=0 panic=30"
WORDS_NAME = "default-words"
"""Beside an image: the recipe's words for every boot of a medium, which a boot from the network has too."""
NETWORK_LOADER, GRUB_MENU = "grubx64.efi", "grub.cfg"
IPXE_SCRIPT, PXELINUX_MENU = "autoexec.ipxe", "pxelinux.cfg/default"
"""autoexec.ipxe is what an iPXE that was loaded from this directory looks for by itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall pxe`."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="the directory of an image")
    parser.add_argument("--url", required=True, help="where DIR will be served, such as http://192.0.2.1/node")
    parser.add_argument("--cmdline", default="", metavar="WORDS", help="words that the machines boot with")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="where the files go")


def main(args: argparse.Namespace, host: Host) -> int:
    """Write the directory. Raises BadUsage, BadWords, ImageInvalid or NoSpace."""
    url = checked_url(args.url)
    words = cmdline.parse(args.cmdline)
    if args.output.resolve() == args.image.resolve():
        raise BadUsage(f"-o: {args.output} is the image itself", hint="name another directory")
    try:
        papers = read_papers(args.image)
        parse_manifest(papers.manifest)
        live = _live(url, (args.image / WORDS_NAME).read_text())
        words = cmdline.ended(words, [*live, *_added(url)])
        texts = {
            GRUB_MENU: grub_menu(live, words),
            IPXE_SCRIPT: ipxe_script(url, live, words),
            PXELINUX_MENU: pxelinux_menu(live, words),
        }
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / SIGNATURE_NAME).unlink(missing_ok=True)
        for name in (*FILE_NAMES, *papers.files, NETWORK_LOADER):
            shutil.copyfile(args.image / name, args.output / name)
    except OSError as error:
        raise ImageInvalid(f"copying the image: {error}", hint="build it with: autoinstall build -o DIR") from error
    for name, text in texts.items():
        (args.output / name).parent.mkdir(exist_ok=True)
        (args.output / name).write_text(text)
    print(f"serve {args.output} at {url} and by TFTP; machines start with")
    print(f"  UEFI: {NETWORK_LOADER}, which reads {GRUB_MENU}")
    print(f"  BIOS: iPXE, which reads {IPXE_SCRIPT}, or pxelinux, which reads {PXELINUX_MENU}")
    return EXIT_OK


def checked_url(url: str) -> str:
    """The URL without its last slash.

    Raises BadUsage for what dracut or a kernel command line cannot carry, or the installer cannot fetch from.
    """
    try:
        parts = urlsplit(grammar_sources.url(url))
    except ValueError as error:
        raise BadUsage(f"--url: {error}", hint="such as http://HOST/DIR or https://HOST/DIR") from error
    if parts.query or parts.fragment:
        raise BadUsage(f"--url: {url!r} is not http://HOST/DIR or https://HOST/DIR")
    if any(c.isspace() or c in "\"'$;&<>\\" for c in url):
        raise BadUsage(f"--url: {url!r} holds characters that boot loaders read as their own")
    return url.rstrip("/")


def grub_menu(live: Sequence[Word], words: Sequence[Word]) -> str:
    """The menu for GRUB, which takes kernel and initrd from where its own file came from.

    Where these cannot be fetched it boots the node of the machine. Only without one it goes back to the firmware:
    EDK2 takes a loader that ends well for somebody's wish, and opens its set-up in the place of its next choice.
    """
    line = _line(GRUB.quoted(live), "BOOTIF=$net_default_mac", GRUB.quoted(words))
    return (
        "set timeout=1\nset fallback=1\n"
        f'menuentry "autoinstall" {{\n  linux $prefix/vmlinuz {line}\n  initrd $prefix/initrd.img\n}}\n'
        'menuentry "The node of this machine" {\n  if search --no-floppy --file --set=root /state1/env; then\n'
        "    chainloader /EFI/BOOT/BOOTX64.EFI\n  else\n    exit\n  fi\n}\n"
    )


def ipxe_script(url: str, live: Sequence[Word], words: Sequence[Word]) -> str:
    """The script that boots a machine into the live system; BOOTIF is the NIC it came from."""
    line = _line(IPXE.quoted(live), "BOOTIF=01-${netX/mac:hexhyp}", IPXE.quoted(words))
    return f"#!ipxe\nkernel {url}/vmlinuz initrd=initrd.img {line}\ninitrd {url}/initrd.img\nboot\n"


def pxelinux_menu(live: Sequence[Word], words: Sequence[Word]) -> str:
    """The menu for pxelinux, which takes kernel and initrd from its own server; IPAPPEND 2 adds BOOTIF."""
    line = _line("initrd=initrd.img", PXELINUX.quoted([*live, *words]))
    return f"DEFAULT autoinstall\nLABEL autoinstall\n  KERNEL vmlinuz\n  APPEND {line}\n  IPAPPEND 2\n"


def _line(*parts: str) -> str:
    """The kernel's words. A BOOTIF among the asked ones stands: the last one counts."""
    return " ".join(filter(None, parts))


def _live(url: str, default_words: str) -> tuple[Word, ...]:
    """What a boot of the live system needs, and what the recipe wants for it."""
    return Word("root", f"live:{url}/root.squashfs"), *cmdline.parse(LIVE_WORDS), *cmdline.parse(default_words)


def _added(url: str) -> tuple[Word, ...]:
    """What the loaders add to a line, the most of each: GRUB has the whole path of the kernel there."""
    return Word("BOOT_IMAGE", f"{url}/vmlinuz"), Word("initrd", "initrd.img"), Word("BOOTIF", "01-00-00-00-00-00-00")

"""What is not wrong with a line, and may still surprise. `lint` says all of it, the installer the warnings. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from autoinstall.cmdline import LIMIT_BYTES, WHITE_SPACE, Word
from autoinstall.parameters import canonical, row_of

NEARLY_FULL_BYTES = 1900

MOST_UNKNOWN = 30
"""How many NAME=VALUE that it does not know the kernel hands to init: 32 places, two of them taken
(init/main.c, unknown_bootoption). One more is a panic. Names with a dot are never handed on."""

KERNELS_OWN = frozenset(
    """
    acpi amd_iommu console crashkernel default_hugepagesz hostname hugepages hugepagesz init initrd intel_iommu
    iommu isolcpus loglevel maxcpus mem memmap mitigations nohz_full nr_cpus panic pci rcu_nocbs rdinit resume
    root rootflags rootfstype
    """.split()
)
"""Assignments that every kernel of ours knows itself."""

READ_BY_OTHERS = {
    "BOOTIF": "dracut too takes it as the NIC of the initramfs, where it is a MAC address",
    "bond": "dracut too makes that bond in the initramfs, in its own grammar",
    "bridge": "dracut makes that bridge in the initramfs; the installer does not read it",
    "console": "the kernel's own word: its messages go to each, and the last one is /dev/console",
    "debug": "the kernel and systemd say more on the console",
    "emergency": "systemd starts emergency.target, and no installer",
    "hostname": "the kernel too sets the host name from it",
    "init": "the kernel starts that program in the place of systemd",
    "initrd": "pxelinux and the kernel's EFI stub load that file",
    "ip": "dracut too sets up the network of the initramfs from it",
    "nameserver": "dracut uses it in the initramfs; the node's name servers are dns=",
    "quiet": "the kernel and systemd say less on the console",
    "rd.break": "dracut stops in a shell in the initramfs",
    "rescue": "systemd too reads it, and starts rescue.target",
    "root": "dracut finds the live system by it",
    "single": "systemd starts rescue.target, and no installer",
    "systemd.hostname": "systemd sets that host name, whatever /etc/hostname says",
    "systemd.unit": "systemd starts that unit in the place of its default target",
    "team": "dracut makes that team in the initramfs; the installer does not read it",
    "vlan": "dracut too makes that VLAN in the initramfs, in its own grammar",
}
"""Words that others also read: dracut.cmdline(7), kernel-command-line(7), the kernel's kernel-parameters.txt."""

GRUB_SPECIAL = ";&<>|${}\\'\""


FIELDS_OF_AN_ADDRESS = 6
"""systemd-network-generator(8) finds no address in an ip= with fewer; pxelinux writes four."""


def unlike_dracut(words: Sequence[Word]) -> tuple[str, ...]:
    """What the installer reads, and at which the initramfs gives up all words of the network."""
    unread = dict.fromkeys(word.plain for word in words if _is_unreadable(word.name, word.value or ""))
    return tuple(
        f"{text}: the initramfs cannot read that, and asks DHCP on every NIC, as the live system does until a plan is"
        f" made; autoinstall.{text} says the same to the installer alone"
        for text in unread
    )


def _is_unreadable(name: str, value: str) -> bool:
    if name == "vlan":
        return value.partition(":")[0].isdecimal()
    fields = re.sub(r"\[[^]]*\]", "", value).count(":") + 1
    return name == "ip" and value[:1] in tuple("[0123456789") and fields < FIELDS_OF_AN_ADDRESS


def warnings(line: str, words: Sequence[Word]) -> tuple[str, ...]:
    """What somebody should know of a line, though it will be done as it says. Values are never told."""
    return (*_length(line), *_secrets(words), *_characters(words))


def crowd(words: Sequence[Word]) -> str:
    """Why a kernel would panic at this line before anything of ours starts; empty where it would not."""
    unknown = {word.name for word in words if word.value is not None and "." not in word.name} - KERNELS_OWN
    unknown.add("BOOT_IMAGE")
    if len(unknown) <= MOST_UNKNOWN:
        return ""
    return (
        f"{len(unknown)} different NAME=VALUE without a dot in the name, BOOT_IMAGE counted: the kernel panics at "
        f"more than {MOST_UNKNOWN} that are not its own; write NAME of ours as autoinstall.NAME"
    )


def notes(words: Sequence[Word]) -> tuple[str, ...]:
    """Who else reads a word, and what GRUB's shell would do to it."""
    names = dict.fromkeys(word.name for word in words)
    others = [f"{name}: {READ_BY_OTHERS[name]}" for name in names if name in READ_BY_OTHERS]
    others += unread(words)
    eaten = [(word.name, [c for c in GRUB_SPECIAL if c in word.plain]) for word in words]
    return (
        *others,
        *(f"{name}: GRUB reads {' '.join(found)} as its own, unless quoted" for name, found in eaten if found),
    )


def unread(words: Sequence[Word]) -> tuple[str, ...]:
    """What only the machine itself will see."""
    files = [word for word in words if canonical(word.name) == "autoinstall.words" or _names_keys(word)]
    names = dict.fromkeys(word.name for word in files)
    return tuple(f"{name}: its file is read on the machine only, not here" for name in names)


def _names_keys(word: Word) -> bool:
    return canonical(word.name) == "autoinstall.ssh_key" and "://" in (word.value or "")


def _length(line: str) -> list[str]:
    size, kept = len(line.strip(WHITE_SPACE + "\0").encode(errors="surrogateescape")), LIMIT_BYTES - 1
    if size >= NEARLY_FULL_BYTES:
        return [f"the line has {size} bytes; the kernel keeps {kept}, and boot loaders add words of their own"]
    return []


def _secrets(words: Sequence[Word]) -> list[str]:
    rows = [row_of(word.name) for word in words if word.value]
    names = dict.fromkeys(row.name for row in rows if row and row.secret)
    return [f"{name}: a secret; everybody on the machine can read the kernel command line" for name in names]


def _characters(words: Sequence[Word]) -> list[str]:
    found = []
    for word in words:
        if b"\xa0" in word.plain.encode(errors="surrogateescape"):
            found.append(f"{word.name}: holds a character with the byte A0, at which the kernel ends the word")
        elif not word.plain.isascii():
            found.append(f"{word.name}: holds characters that are not ASCII; typographic quotes protect nothing")
        if "'" in word.plain:
            found.append(
                f"{word.name}: holds a single quote, which protects nothing; the kernel knows double quotes only"
            )
        if '"' in word.plain:
            found.append(
                f"{word.name}: holds a double quote that is part of it; only one around a word or value is not"
            )
    return found

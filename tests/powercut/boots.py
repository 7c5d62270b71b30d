"""What firmware, GRUB and the installer make of a disk, offline: does it boot, from which slot, is all of it there.

Read as they read: the primary table alone, no journal. Whether the installer takes the disk for a finished node
is the product's own answer (marks.our_table).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TypeVar
from unittest.mock import patch

from autoinstall import block, gpt
from autoinstall.errors import AutoinstallError
from autoinstall.facts import NodeMark
from autoinstall.image.manifest import Manifest, parse_manifest
from autoinstall.marks import our_table
from autoinstall.node.state import STATE_COPIES
from autoinstall.slotcfg import SLOT_CFG, kernel_arguments_of
from autoinstall.slots import Slot, SlotState, parse_env, pick, read_state
from autoinstall.slotsums import SLOT_SUMS, SUMMED
from autoinstall.steps.bootloader import ESP_FILES
from tests.powercut.content import BACKUP, TABLE, Content
from tests.powercut.ext4 import Ext4
from tests.powercut.fat import Fat
from tests.powercut.trace import SECTOR

Seen = TypeVar("Seen")
NONSENSE = (ValueError, struct.error, AutoinstallError, OverflowError, MemoryError)
NAMED_BY_A_SLOT = {
    "root=autoinstall:PARTUUID=": "",
    "rd.autoinstall.config=PARTUUID=": "Config",
    "rd.autoinstall.logging=PARTUUID=": "Logging",
}
"""What a slot's kernel arguments name, each once: its own partition, where there is no label here."""


class Broken(Exception):
    """Something that must be whole is not, and what."""


@dataclass(frozen=True)
class Brought:
    """What was brought to the machine: GRUB's files, and images."""

    boot_files: Mapping[str, bytes]
    image_ids: frozenset[str]


@dataclass(frozen=True)
class Esp:
    """The EFI system partition: what is wrong with GRUB's files, and the slot state in both copies."""

    problem: str
    copies: tuple[SlotState | None, SlotState | None]
    state: SlotState


@dataclass(frozen=True)
class SlotSeen:
    """What is wrong with a slot; where nothing is, the id of its image and the kernel arguments of its slot.cfg."""

    problem: str = ""
    image_id: str = ""
    kernel_arguments: str = ""


class Eyes:
    """Looks at the states of one disk. What was seen of a region holds for every state with the same bytes there."""

    def __init__(self, content: Content, known: Brought) -> None:
        self.content = content
        self.known = known
        self._seen: dict[tuple[object, ...], object] = {}

    def remember(self, what: str, regions: tuple[str, ...], look: Callable[[], Seen]) -> Seen:
        """What `look` finds, once for each content of the regions."""
        key = (what, *self.content.digest(*regions))
        if key not in self._seen:
            self._seen[key] = look()
        return self._seen[key]  # type: ignore[return-value]

    # The table

    @property
    def mark(self) -> NodeMark | None:
        """What the installer recognises."""
        return self.remember("mark", (TABLE, BACKUP), self._mark)

    def _mark(self) -> NodeMark | None:
        disk = SimpleNamespace(path="", size_bytes=self.content.size_bytes, sector_bytes=SECTOR)
        with patch.object(block, "read_direct", lambda _path, offset, size: self.content.read(offset, size)):
            found = our_table(disk)  # type: ignore[arg-type]
        return found[0] if found and isinstance(found[0], NodeMark) else None

    @property
    def may_start(self) -> bool:
        """Whether any firmware may find something to start: code or a signature in sector 0."""
        return any(self.content.read(0, SECTOR))

    def partition(self, label: str) -> gpt.Entry:
        """What the primary table says of a partition. Raises Broken."""
        if label not in self.partitions:
            raise Broken(f"the primary table has no {label}")
        return self.partitions[label]

    @property
    def partitions(self) -> dict[str, gpt.Entry]:
        """By their labels, what the primary table says."""
        return self.remember("partitions", (TABLE,), self._partitions)

    def _partitions(self) -> dict[str, gpt.Entry]:
        header = gpt.parse_header(self.content.read(SECTOR, SECTOR))
        if header is None:
            return {}
        entries = gpt.parse_entries(header, self.content.read(header.entries_lba * SECTOR, gpt.ENTRIES_BYTES))
        return {entry.label: entry for entry in entries or ()}

    def at(self, label: str) -> Callable[[int, int], bytes]:
        """Reads in a partition. Raises Broken."""
        start = self.partition(label).first_lba * SECTOR
        return lambda offset, count: self.content.read(start + offset, count)

    # GRUB

    def loader_problem(self) -> str:
        """What of GRUB's way to its state is not there; empty where a BIOS and a UEFI machine come that far."""
        code = self.known.boot_files["boot.img"][: gpt.BOOT_CODE_BYTES]
        sector_0 = self.content.read(0, SECTOR)
        if sector_0[: len(code)] != code or not gpt.has_protective_mbr(sector_0):
            return "sector 0 is not what an install writes"
        core = self.known.boot_files["core.img"]
        if self.remember("core", ("BIOS-boot",), lambda: self.at("BIOS-boot")(0, len(core))) != core:
            return "GRUB's core image is not whole"
        return self.esp.problem

    @property
    def esp(self) -> Esp:
        """Raises Broken."""
        self.partition("EFI")
        return self.remember("esp", ("EFI",), self._esp)

    def _esp(self) -> Esp:
        problem = ""
        for source, place in ESP_FILES.items():
            if self._esp_file(place) != self.known.boot_files[source]:
                problem = f"{place} on the ESP is not whole"
        first, second = (self._esp_file(name) for name in STATE_COPIES)
        return Esp(problem, (parse_env(first), parse_env(second)), read_state(first, second))

    def _esp_file(self, name: str) -> bytes:
        try:
            return Fat.of(self.at("EFI")).file(name)
        except NONSENSE:
            return b""

    def slot_problem(self, slot: Slot) -> str:
        """What of a slot is not as its manifest says, or what its slot.cfg names amiss; else empty. Raises Broken."""
        seen = self._slot_seen(slot)
        return seen.problem or self._naming_problem(slot, seen.kernel_arguments)

    def image_id(self, slot: Slot) -> str:
        """Of the manifest in a whole slot, else empty. Raises Broken."""
        return self._slot_seen(slot).image_id

    def _naming_problem(self, slot: Slot, kernel_arguments: str) -> str:
        own = slot.partition_label
        meant = [name + str(self.partition(label or own).partition_uuid) for name, label in NAMED_BY_A_SLOT.items()]
        found = [word for word in kernel_arguments.split() if word.startswith(tuple(NAMED_BY_A_SLOT))]
        return "" if sorted(found) == sorted(meant) else f"{SLOT_CFG} in {own} says {found}, and should {meant}"

    def _slot_seen(self, slot: Slot) -> SlotSeen:
        label = slot.partition_label
        self.partition(label)
        return self.remember("slot", (label,), lambda: self._slot(label))

    def _slot(self, label: str) -> SlotSeen:
        try:
            files = Ext4.of(self.at(label))
            manifest: Manifest = parse_manifest(files.file("manifest.json"))
            kernel_arguments = kernel_arguments_of(files.file(SLOT_CFG))
            sums = {}
            for file in manifest.files:
                data = files.file(file.name)
                if hashlib.sha256(data).hexdigest() != file.sha256:
                    return SlotSeen(f"{file.name} in {label} is not what its manifest says")
                sums[file.name] = f"{zlib.crc32(data):08x}  {file.name}\n"
            if files.file(SLOT_SUMS).decode() != "".join(sums[name] for name in SUMMED):
                return SlotSeen(f"{SLOT_SUMS} in {label} is not that of its files, and GRUB does not start them")
        except NONSENSE as error:
            return SlotSeen(f"{label}: {error}")
        return SlotSeen("", manifest.image_id, kernel_arguments)

    @property
    def picked(self) -> Slot:
        """The slot that GRUB will boot. Raises Broken."""
        return pick(self.esp.state)[0]

"""Filesystems, with the labels and UUIDs of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoinstall import block
from autoinstall.host import Host, Run
from autoinstall.layout import Layout, Partition, Volume
from autoinstall.sizes import MIB
from autoinstall.slots import ROLES

SLOT_FEATURES = "^has_journal,^metadata_csum,^metadata_csum_seed,^orphan_file"
"""GRUB replays no journal, so a slot has none; without checksums its label changes in one 512-byte write."""


@dataclass(frozen=True)
class Filesystems:
    """Every filesystem of the plan, empty. `groups`: where the volume groups are, as paths of disks and numbers."""

    layout: Layout
    disk: str
    groups: Mapping[str, Sequence[tuple[str, int]]]

    name = "filesystems"
    writes = True

    @property
    def title(self) -> str:
        return f"Making the filesystems on {self.disk}"

    def apply(self, host: Host) -> None:
        wanted = self._wanted()
        for done, (device, what) in enumerate(wanted):
            place = self._place(device, what)
            host.run(*_command(device, what), doing=f"making the {what.filesystem} filesystem on {place}")
            host.progress(done + 1, len(wanted))

    def why_not_done(self, host: Host) -> str:
        wanted = self._wanted()
        found = _uuids(host, [device for device, _ in wanted])
        for device, what in wanted:
            uuid = found.get(device, "of nothing")
            if uuid != what.filesystem_uuid:
                return f"{device} has the UUID {uuid}, planned was {what.filesystem_uuid}"
        return ""

    def _place(self, device: str, what: Partition | Volume) -> str:
        """The device; of a volume the disks too, which its own name does not tell."""
        disks = [disk for disk, _ in self.groups[what.group]] if isinstance(what, Volume) else []
        return f"{device} of {' and '.join(disks)}" if disks else device

    def _wanted(self) -> list[tuple[str, Partition | Volume]]:
        parts = [part for part in self.layout.partitions if part.filesystem]
        on_partitions = [(block.partition_path(self.disk, part.number), part) for part in parts]
        return [*on_partitions, *((volume.path, volume) for volume in self.layout.volumes if volume.filesystem)]


@dataclass(frozen=True)
class EmptySlot:
    """The slot's filesystem is new and empty; what was in it cannot be mounted from the first write on."""

    partition: Partition
    disk: str

    name = "empty-slot"
    writes = True

    @property
    def title(self) -> str:
        return f"Making a new filesystem in {self.partition.label} of {self.disk}"

    def apply(self, host: Host) -> None:
        device = block.partition_path(self.disk, self.partition.number)
        block.write_zeros(device, 0, MIB)
        host.run(*_command(device, self._empty), doing=f"making the filesystem on {device}")

    def why_not_done(self, host: Host) -> str:
        device = block.partition_path(self.disk, self.partition.number)
        uuid, wanted = _uuids(host, [device]).get(device, "of nothing"), self.partition.filesystem_uuid
        return "" if uuid == wanted else f"{device} has the UUID {uuid}, planned was {wanted}"

    @property
    def _empty(self) -> Partition:
        """Until its image came up healthy it is no Root."""
        return replace(self.partition, filesystem_label=ROLES[False])


def _uuids(host: Host, devices: Sequence[str]) -> dict[str, str]:
    """What blkid's low-level probe finds on each device, up to the first that holds nothing."""
    told = host.run("blkid", "-p", "-o", "export", *devices, doing="probing the filesystems", how=Run(accept=(0, 2)))
    found = {}
    for block_of_lines in told.stdout.split("\n\n"):
        values = dict(line.split("=", 1) for line in block_of_lines.splitlines() if "=" in line)
        found[values.get("DEVNAME", "")] = values.get("UUID", "of nothing")
    return found


def _command(device: str, what: Partition | Volume) -> list[str]:
    label, uuid = what.filesystem_label, what.filesystem_uuid
    ext4 = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-U", uuid, "-E", "nodiscard"]
    return {
        "vfat": ["mkfs.vfat", "-F", "32", "-n", label, "-i", uuid.replace("-", ""), device],
        "swap": ["mkswap", "-q", "-L", label, "-U", uuid, device],
        "slot": [*ext4, "-m", "0", "-O", SLOT_FEATURES, device],
        "ext4": [*ext4, device],
    }[what.filesystem]

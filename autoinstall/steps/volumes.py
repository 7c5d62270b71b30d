"""The volume groups: their physical volumes, and the volumes of the plan on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoinstall import block
from autoinstall.host import Host, Run
from autoinstall.layout import Layout, Volume
from autoinstall.space import EXTENT_BYTES, HOST_GROUP

LVM_CONFIG = (
    "devices { obtain_device_list_from_udev=0 external_device_info_source=none use_devicesfile=0 } "
    "activation { udev_sync=0 udev_rules=0 }"
)
"""Without udev: it does not look at a disk that is claimed (block.claim), so LVM must look for itself."""
WITHOUT_UDEV = Run(environment={"DM_DISABLE_UDEV": "1"})
AS_IT_IS = ("--wipesignatures", "n", "--zero", "n")
"""A new volume whose filesystem is made next."""
CLEARED = ("--wipesignatures", "y", "--zero", "y")
"""Of one that has none what was there before is not to be taken for one."""

Places = tuple[tuple[str, int], ...]
"""Paths of disks, and numbers of partitions on them."""


@dataclass(frozen=True)
class _OfGroup:
    """A step for one group."""

    layout: Layout
    group: str
    places: Places

    writes = True


@dataclass(frozen=True)
class VolumeGroup(_OfGroup):
    """A group with its volumes, active while the install goes on."""

    @property
    def name(self) -> str:
        return _named(self.group, "volume-group")

    @property
    def title(self) -> str:
        return f"Making the volume group {self.group} on {' and '.join(disk for disk, _ in self.places)}"

    def apply(self, host: Host) -> None:
        extent = f"{EXTENT_BYTES}b"  # vgcreate makes the physical volumes too
        self._lvm(host, "vgcreate", "--yes", "--force", "--zero", "y", "--physicalextentsize", extent, self.group,
                  *_devices(self.places))  # fmt: skip
        for volume in _volumes(self.layout, self.group):
            what = AS_IT_IS if volume.filesystem else CLEARED
            self._lvm(host, "lvcreate", "--yes", *what, "--name", volume.name, "--size", f"{volume.size_bytes}b",
                      self.group)  # fmt: skip

    def why_not_done(self, host: Host) -> str:
        planned = {volume.name: volume.size_bytes for volume in _volumes(self.layout, self.group)}
        told = self._lvm(host, "lvs", "--reportformat", "json", "--units", "b", "--nosuffix",
                         "--options", "lv_name,lv_size", self.group)  # fmt: skip
        rows = json.loads(told)["report"][0]["lv"]
        there = {row["lv_name"]: int(row["lv_size"]) for row in rows}
        return "" if there == planned else f"its volumes are {there}, planned were {planned}"

    def _lvm(self, host: Host, verb: str, *words: str) -> str:
        return _lvm(host, self.group, self.places, [verb, *words])


@dataclass(frozen=True)
class CloseVolumeGroup(_OfGroup):
    """A group is inactive: nothing of it is open any more, and all that was written to it is on its disks."""

    @property
    def name(self) -> str:
        return _named(self.group, "close-volume-group")

    @property
    def title(self) -> str:
        return f"Closing the volume group {self.group}"

    def apply(self, host: Host) -> None:
        _lvm(host, self.group, self.places, ["vgchange", "--activate", "n", self.group])

    def why_not_done(self, host: Host) -> str:
        left = [volume.name for volume in _volumes(self.layout, self.group) if Path(volume.path).exists()]
        return f"{', '.join(left)} still active" if left else ""


def _named(group: str, what: str) -> str:
    """The name of a step; that of HostVG's is the plain one."""
    return what if group == HOST_GROUP else f"{what}-{group.lower()}"


def _volumes(layout: Layout, group: str) -> list[Volume]:
    return [volume for volume in layout.volumes if volume.group == group]


def _devices(places: Places) -> list[str]:
    return [block.partition_path(disk, number) for disk, number in places]


def _lvm(host: Host, group: str, places: Places, words: Sequence[str]) -> str:
    """What an LVM command says that looks at a group's partitions and at nothing else."""
    devices = ",".join(_devices(places))
    verb, *rest = words
    return host.run("lvm", verb, "--devices", devices, "--config", LVM_CONFIG, *rest,
                    doing=f"{group} on {devices}: {verb}", how=WITHOUT_UDEV).stdout  # fmt: skip

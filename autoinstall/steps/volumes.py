"""HostVG: one physical volume, and the volumes of the plan on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoinstall import block
from autoinstall.host import Host, Run
from autoinstall.layout import EXTENT_BYTES, VOLUME_GROUP, Layout

LVM_CONFIG = (
    "devices { obtain_device_list_from_udev=0 external_device_info_source=none use_devicesfile=0 } "
    "activation { udev_sync=0 udev_rules=0 }"
)
"""Without udev: it does not look at a disk that is claimed (block.claim), so LVM must look for itself."""
WITHOUT_UDEV = Run(environment={"DM_DISABLE_UDEV": "1"})


@dataclass(frozen=True)
class VolumeGroup:
    """HostVG with its volumes, active while the install goes on."""

    layout: Layout
    disk: str

    name = "volume-group"
    writes = True

    @property
    def title(self) -> str:
        return f"Making the volume group {VOLUME_GROUP} on {self.disk}"

    def why_not(self, host: Host) -> str:
        return ""

    def apply(self, host: Host) -> None:
        device = block.partition_path(self.disk, self.layout.partition("HostVG").number)
        extent = f"{EXTENT_BYTES}b"  # vgcreate makes the physical volume too
        self._lvm(host, "vgcreate", "--yes", "--force", "--zero", "y", "--physicalextentsize", extent, VOLUME_GROUP,
                  device)  # fmt: skip
        for volume in self.layout.volumes:
            self._lvm(host, "lvcreate", "--yes", "--wipesignatures", "n", "--zero", "n", "--name", volume.name,
                      "--size", f"{volume.size_bytes}b", VOLUME_GROUP)  # fmt: skip

    def why_not_done(self, host: Host) -> str:
        planned = {volume.name: volume.size_bytes for volume in self.layout.volumes}
        told = self._lvm(host, "lvs", "--reportformat", "json", "--units", "b", "--nosuffix",
                         "--options", "lv_name,lv_size", VOLUME_GROUP)  # fmt: skip
        rows = json.loads(told)["report"][0]["lv"]
        there = {row["lv_name"]: int(row["lv_size"]) for row in rows}
        return "" if there == planned else f"its volumes are {there}, planned were {planned}"

    def _lvm(self, host: Host, verb: str, *words: str) -> str:
        return _lvm(host, self.layout, self.disk, [verb, *words])


@dataclass(frozen=True)
class CloseVolumeGroup:
    """HostVG is inactive: nothing of the disk is open any more, and all that was written to it is on it."""

    layout: Layout
    disk: str

    name = "close-volume-group"
    writes = True

    @property
    def title(self) -> str:
        return f"Closing the volume group {VOLUME_GROUP}"

    def why_not(self, host: Host) -> str:
        return ""

    def apply(self, host: Host) -> None:
        _lvm(host, self.layout, self.disk, ["vgchange", "--activate", "n", VOLUME_GROUP])

    def why_not_done(self, host: Host) -> str:
        left = [volume.name for volume in self.layout.volumes if Path(volume.path).exists()]
        return f"{', '.join(left)} still active" if left else ""


def _lvm(host: Host, layout: Layout, disk: str, words: Sequence[str]) -> str:
    """What an LVM command says that looks at HostVG's partition and at nothing else."""
    device = block.partition_path(disk, layout.partition("HostVG").number)
    verb, *rest = words
    return host.run("lvm", verb, "--devices", device, "--config", LVM_CONFIG, *rest,
                    doing=f"{VOLUME_GROUP} on {device}: {verb}", how=WITHOUT_UDEV).stdout  # fmt: skip

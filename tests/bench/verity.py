"""What dm-verity costs a node's boot: one disk whose two slots differ in that alone, booted in turns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from autoinstall.slots import MOST_TRIES, Slot, SlotState
from tests.vm.configured import put_slot_state
from tests.vm.hardware import Disk, Hardware
from tests.vm.image import ROOT
from tests.vm.installed import NODE_LIMIT_S, Installed
from tests.vm.machine import Machine
from tests.vm.newer import derived, put_image

ROUNDS = 3
HOOK = ROOT / "dracut/55autoinstall/mount-node.sh"
PLACE_OF_HOOK = "var/lib/dracut/hooks/mount/50-mount-node.sh"
MAP = re.compile(r"^autoinstall_map_root\(\) \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
UNVERIFIED = """\
autoinstall_map_root() {
    local _loop
    _loop=$(losetup --find --show --read-only "$AUTOINSTALL_RUN/slot/root.squashfs") || return 1
    dmsetup create autoinstall-root --readonly \\
        --table "0 $(cat "/sys/class/block/${_loop##*/}/size") linear $_loop 0"
}
"""
KINDS = {Slot.A: "with dm-verity", Slot.B: "without"}
TIMES = re.compile(r"(?:(?P<minutes>\d+)min )?(?P<seconds>[\d.]+)s \((?P<part>\w+)\)")


def run_verity(installed: Installed, place: Path) -> Mapping[str, list[Mapping[str, float]]]:
    """Seconds of each part of each boot, by what was booted. Health finds that nobody verifies, and stays up."""
    place.mkdir()
    disk = installed.disk.copy(place / "disk.raw")
    hook, count = MAP.subn(UNVERIFIED.replace("\\", "\\\\"), HOOK.read_text())
    assert count == 1
    version = f"{installed.image.manifest['version']}+unverified"
    put_image(
        disk, Slot.B.partition_label, derived(installed.image, place / "b", version, {PLACE_OF_HOOK: hook.encode()})
    )
    found: dict[str, list[Mapping[str, float]]] = {kind: [] for kind in KINDS.values()}
    for number in range(ROUNDS):
        for slot, kind in KINDS.items():
            put_slot_state(disk, SlotState(slot, MOST_TRIES, True, MOST_TRIES, True))
            hardware = Hardware(installed.line.firmware, disks=(Disk(disk.path),), cpus=2)
            with Machine(hardware, place, key=installed.line.key, name=f"verity-{number}-{slot}") as machine:
                found[kind].append(_boot(machine, slot))
            print(f"bench: {kind}: {found[kind][-1]}", flush=True)
    return found


def _boot(machine: Machine, slot: Slot) -> Mapping[str, float]:
    machine.ssh.wait(NODE_LIMIT_S)
    machine.ssh.read("systemctl is-system-running --wait || systemctl --failed --no-legend", NODE_LIMIT_S)
    assert f"slot={slot} " in machine.ssh.read("cat /proc/cmdline")
    table = machine.ssh.read("sudo -n dmsetup table autoinstall-root").split()[2]
    assert table == ("verity" if slot is Slot.A else "linear")
    times = parts(machine.ssh.read("systemd-analyze time --no-pager"))
    machine.power_off()
    return times


def parts(analyzed: str) -> Mapping[str, float]:
    """Seconds of each part of a boot, as systemd-analyze tells them."""
    return {
        match["part"]: 60 * int(match["minutes"] or 0) + float(match["seconds"]) for match in TIMES.finditer(analyzed)
    }

"""Two paths to one disk: the disk is what is installed onto, under whatever name, and what the node runs from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.gpt import LABELS
from tests.vm.hardware import GIB, MIB, Bus, Disk, Hardware
from tests.vm.installed import HEALTHY, NODE_LIMIT_S, SSH_LIMIT_S, as_root
from tests.vm.live import LiveSystem
from tests.vm.machine import Machine
from tests.vm.test_many_disks import run, untouched, volumes, watched
from tests.vm.test_refusals import blank

pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]
WWN = 0x5000C50015EA71AC
WWID = f"3{WWN:016x}"
GONE_LIMIT_S = 60


def two_paths(place: Path) -> tuple[Disk, Disk]:
    """A blank disk, by both of its paths."""
    first = replace(blank(place, "TARGET0", 8 * GIB), bus=Bus.SCSI, wwn=WWN, shared=True)
    return first, first.another_path("again")


def lose(machine: Machine, path: Disk) -> None:
    """Pull a cable."""
    machine.unplug(path)
    machine.wait_for_qmp("DEVICE_DELETED", GONE_LIMIT_S, device=f"{path.id}-dev")


def with_ssh(key: Path) -> str:
    """The word for admin's key."""
    kind, base64, _ = key.with_suffix(".pub").read_text().split()
    return f"autoinstall.ssh_key={kind}:{base64}:test"


def test_two_paths_to_one_disk_become_a_node_that_outlives_the_loss_of_one(
    live: LiveSystem, tmp_path: Path, key: Path
) -> None:
    first, again = two_paths(tmp_path)
    other = watched(tmp_path)
    result = run(live, tmp_path / "install", f"storage_init=/dev/sda {with_ssh(key)}", first, again, other)
    assert result["result"] == "installed", result
    assert result["plan"]["target"]["wwid"] == WWID
    assert sorted(result["plan"]["target"]["paths"]) == ["/dev/sda", "/dev/sdb"]
    assert untouched(other)
    assert [partition.label for partition in DiskImage(first.path).table.partitions] == LABELS
    hardware = Hardware(disks=(replace(first, boot_index=0), again))
    with Machine(hardware, tmp_path / "node", key=key, name="node") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.wait(SSH_LIMIT_S)
        assert machine.ssh.read("systemctl --failed --no-legend") == ""
        mounts = machine.ssh.read("findmnt -rno TARGET,SOURCE").splitlines()
        for where, number in (("/run/autoinstall/slot", 3), ("/config", 5), ("/var/log", 6)):
            assert f"{where} /dev/mapper/{WWID}-part{number}" in mounts
        assert as_root(machine, "pvs --noheadings -o pv_name").split() == [f"/dev/mapper/{WWID}-part7"]
        assert as_root(machine, "multipath -ll").count("active ready running") == 2
        lose(machine, first)
        for where in ("/config", "/data"):
            as_root(machine, f"dd if=/dev/urandom of={where}/after bs=1M count=4 conv=fsync")
        as_root(machine, "echo 3 >/proc/sys/vm/drop_caches; autoinstall health", NODE_LIMIT_S)
        assert as_root(machine, "multipath -ll").count("active ready running") == 1
        machine.power_off()
    with Machine(Hardware(disks=(replace(first, boot_index=0),)), tmp_path / "one", key=key, name="one") as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.wait(SSH_LIMIT_S)
        assert as_root(machine, "stat -c %s /config/after /data/after").split() == [str(4 * MIB)] * 2
        machine.power_off()


def test_a_node_on_two_paths_is_known_again_taken_apart_and_taken_away(live: LiveSystem, tmp_path: Path) -> None:
    first, again = two_paths(tmp_path)
    line = f"storage_init=/dev/mapper/{WWID}"
    installed = run(live, tmp_path / "install", line, first, again)
    assert installed["result"] == "installed", installed
    known = run(live, tmp_path / "known", f"{line} autoinstall.installed=hold", first, again)
    assert known["result"] == "already-installed", known
    anew = run(live, tmp_path / "anew", f"{line} reinstall", first, again)
    assert anew["result"] == "installed", anew
    assert set(volumes(first, "HostVG")) == {"Swap", "Data"}
    gone = run(live, tmp_path / "gone", "uninstall", first, again)
    assert gone["result"] == "uninstalled", gone
    assert DiskImage(first.path).read(0, MIB).count(0) == MIB

"""A Config that cannot be used: the node comes up all the same, says so, and nothing is made anew."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.vm.configured import SHELL, Finished
from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Hardware
from tests.vm.installed import NODE_LIMIT_S, SSH_LIMIT_S
from tests.vm.live import LiveSystem
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.exhaustive]

TELL_LIMIT_S = 60
RECORD = "/autoinstall/install.json"
DAMAGE = "zap_block -f {} 0\nset_super_value state 2\n"
"""A directory that is none, in a filesystem that knows of an error: e2fsck -p asks for a person."""


class ReadOnlyDisk(Disk):
    """A disk that takes no writes any more, as worn-out flash does."""

    def block_nodes(self) -> list[dict[str, object]]:
        *below, top = super().block_nodes()
        return [*below, {**top, "read-only": True}]


@pytest.fixture
def disk(live: LiveSystem, finished: Path, tmp_path: Path) -> DiskImage:
    """A node with a root shell for the test."""
    return Finished(live, finished).copy(tmp_path, SHELL)


def damage(disk: DiskImage, directory: str) -> None:
    """Take a directory of Config away."""
    where = f"{disk.path}?offset={disk.table['Config'].start_bytes}"
    request = DAMAGE.format(directory).encode()
    subprocess.run(["debugfs", "-w", "-f", "-", where], input=request, check=True, capture_output=True)


def boot(disk: Disk, place: Path) -> Machine:
    """A machine that runs from the disk."""
    return Machine(Hardware(disks=(disk,)), place, name="node")


def red(machine: Machine) -> set[str]:
    """The checks that failed, once the node has told of them."""
    health = machine.wait_for_event(NODE_LIMIT_S, event_type="health")
    machine.wait_for_line("^autoinstall: node=degraded slot=A ", TELL_LIMIT_S)
    return {name for name, problem in health["checks"].items() if problem}


def test_a_config_that_needs_a_person_to_repair_it_is_read_and_left_alone(disk: DiskImage, tmp_path: Path) -> None:
    damage(disk, "/home/admin/.ssh")
    record, uuid = disk.ext_file("Config", RECORD), disk.probe("Config")["UUID"]
    with boot(Disk(disk.path), tmp_path) as machine:
        assert red(machine) == {"config"}
        assert "autoinstall: degraded: config: " in machine.console.all
        machine.shell("touch /etc/of-this-boot && ! touch /config/x")
        assert "e2fsck by hand" in machine.shell("autoinstall status")
        machine.power_off()
    assert "of-this-boot" not in disk.ext_names("Config", "/etc/upper")
    assert disk.ext_file("Config", RECORD) == record
    assert disk.probe("Config")["UUID"] == uuid


@pytest.mark.parametrize("directory", ["/etc", "/etc/upper"])
def test_a_node_that_lost_its_etc_can_be_reached(disk: DiskImage, tmp_path: Path, directory: str) -> None:
    """The first is no layer any more; below the second no file is found, not those of the image either."""
    damage(disk, directory)
    with boot(Disk(disk.path), tmp_path) as machine:
        assert red(machine) == {"config"}
        machine.ssh.wait(SSH_LIMIT_S)
        machine.power_off()


def test_a_config_that_is_no_filesystem_any_more_is_not_made_one(disk: DiskImage, tmp_path: Path) -> None:
    config = disk.table["Config"]
    place = ["--offset", str(config.start_bytes), "--length", str(config.size_bytes)]
    subprocess.run(["fallocate", "--punch-hole", *place, disk.path], check=True)
    with boot(Disk(disk.path), tmp_path) as machine:
        assert red(machine) == {"config"}
        assert "cannot be mounted" in machine.console.all
        machine.ssh.wait(SSH_LIMIT_S)
        machine.power_off()
    assert disk.probe("Config") == {}
    assert not any(disk.read(config.start_bytes, config.size_bytes))


def test_a_disk_that_takes_no_writes_still_carries_a_node(disk: DiskImage, tmp_path: Path) -> None:
    with boot(ReadOnlyDisk(disk.path), tmp_path) as machine:
        assert red(machine) == {"config", "logging", "data"}
        assert machine.shell("autoinstall status").count("takes no writes") == 2

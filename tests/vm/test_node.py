"""The node: who may come in, what stays, what cannot be changed, and how it says that something is wrong.

One machine per firmware, booted a second time from the disk that `installed` made, and under the other firmware.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from tests.vm.hardware import Firmware
from tests.vm.installed import HEALTHY, NODE_LIMIT_S, Installed, as_root
from tests.vm.machine import Machine

pytestmark = pytest.mark.vm
SSH_LIMIT_S = 60
RED_LIMIT_S = 240
# What needs root, and what no firmware has a part in: on the machine where admin has no password to change first.
ON_ONE_MACHINE = pytest.mark.parametrize("installed", [Firmware.BIOS], indirect=True, ids=["bios"])

PLACES = {
    "/config": "ext4",
    "/etc": "overlay",
    "/var/log": "ext4",
    "/var": "overlay",
    "/home": "ext4",
    "/data": "ext4",
}


@pytest.fixture(scope="module")
def node(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The second boot of an installed disk, under the firmware that it was not installed under."""
    place = tmp_path_factory.mktemp(f"node-{installed.line.firmware.value}")
    with installed.boot(place, other(installed.line.firmware), reboots=True) as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.wait(SSH_LIMIT_S)
        yield machine
    (place / "disk.raw").unlink()


def other(firmware: Firmware) -> Firmware:
    return Firmware.UEFI if firmware is Firmware.BIOS else Firmware.BIOS


def test_a_disk_installed_under_one_firmware_boots_under_the_other(node: Machine, installed: Installed) -> None:
    runs_under_uefi = node.ssh.run("test -d /sys/firmware/efi").returncode == 0
    assert runs_under_uefi is (installed.line.firmware is Firmware.BIOS)


@ON_ONE_MACHINE
def test_a_change_in_etc_that_the_first_boot_made_is_there_in_the_second(node: Machine) -> None:
    assert node.ssh.read("cat /etc/motd") == "a word of mine\n"


def test_the_second_boot_is_the_same_machine(node: Machine, installed: Installed) -> None:
    assert node.ssh.read("cat /etc/machine-id").strip() == installed.result["machine_id"]
    reported = [" ".join(key.split()[:2]) for key in installed.result["host_keys"]]
    assert reported
    assert [node.ssh.host_key(key.split()[0]) for key in reported] == reported


def test_systemd_finds_everything_running(node: Machine) -> None:
    state = node.ssh.run("systemctl is-system-running --wait", limit_s=120).stdout.strip()
    assert state == "running", node.ssh.run("systemctl --failed --no-legend").stdout


def test_admin_is_the_only_one_with_a_login(node: Machine) -> None:
    shells = node.ssh.read("getent passwd | grep -v -e nologin -e /bin/false -e /bin/sync | cut -d: -f1").split()
    assert set(shells) == {"admin", "root"}
    assert node.ssh.run("true", user="root").returncode == 255


def test_a_command_over_ssh_just_runs_also_where_a_password_is_due(node: Machine, installed: Installed) -> None:
    done = node.ssh.run("id -un")
    assert (done.returncode, done.stdout, done.stderr) == (0, "admin\n", "")
    sudo = node.ssh.run("sudo -n true")
    assert (sudo.returncode == 0) is not installed.line.has_password


@pytest.mark.parametrize("user", ["admin", "root"])
def test_no_password_method_is_accepted(node: Machine, user: str) -> None:
    """sshd names what it would accept: a key, and none of these."""
    said = node.ssh.refused_methods(user, ["password", "keyboard-interactive", "hostbased"])
    assert "Permission denied (publickey)" in said


def test_the_root_is_the_image_and_cannot_be_written(node: Machine) -> None:
    assert node.ssh.read("findmnt -no FSTYPE,SOURCE /").split() == ["squashfs", "/dev/mapper/autoinstall-root"]
    assert "Read-only file system" in node.ssh.run("touch /usr/x /x").stderr


def test_config_logging_data_and_swap_are_where_the_design_says(node: Machine) -> None:
    lines = node.ssh.read("cut -d ' ' -f 2,3 /proc/mounts").splitlines()
    kinds = dict(line.split() for line in lines)
    assert {place: kinds.get(place) for place in PLACES} == PLACES
    assert node.ssh.read("cat /proc/swaps").count("/dev/dm-") == 1


@ON_ONE_MACHINE
def test_status_names_both_slots_the_record_and_every_check(node: Machine, installed: Installed) -> None:
    status = json.loads(as_root(node, "autoinstall status --json"))
    assert status["slot"] == status["primary"] == "A"
    assert {name: slot["image_id"] for name, slot in status["slots"].items()} == {
        "A": installed.image.image_id,
        "B": installed.image.image_id,
    }
    assert status["slots"]["A"]["good"]
    assert status["install"]["install_id"] == installed.result["install_id"]
    assert status["health"]["node"] == "healthy"
    assert set(status["health"]["checks"]) == {*BROKEN, "sshd"} - {"health.d/tyre"}
    for word in ("slot A", "slot B", "healthy"):
        assert word in as_root(node, "autoinstall status")


def test_a_user_is_told_that_the_checks_are_for_root(node: Machine) -> None:
    """And of no degraded node: what only root may read is not broken."""
    asked = node.ssh.run("autoinstall health")
    assert (asked.returncode, asked.stdout) == (3, ""), asked.stderr
    assert asked.stderr.splitlines()[1:] == ["autoinstall: hint: run this as root"]


SET_TRIES = """\
from dataclasses import replace
from autoinstall.host import Host
from autoinstall.node.state import change_slot_state
change_slot_state(Host(), lambda state: replace(state, a_try=1))
"""


@ON_ONE_MACHINE
@pytest.mark.parametrize("way", ["ro", "rw"])
def test_the_slot_state_is_read_and_changed_while_somebody_has_the_esp_mounted(node: Machine, way: str) -> None:
    lines = (
        f"mkdir -p /run/esp && mount -o {way} /dev/disk/by-partlabel/EFI /run/esp",
        f"python3 -c {shlex.quote(SET_TRIES)}",
        "grep -ac A_try=1 /run/esp/state1/env",
        "autoinstall mark-good --rearm",
        "grep /run/esp /proc/self/mountinfo",
        "umount /run/esp",
    )
    changed, marked, mount = as_root(node, " && ".join(lines)).splitlines()
    assert (changed, marked) == ("1", "slot A: 3 tries left, good")
    _, _, right = mount.partition(" - ")
    assert right.split()[2].split(",")[0] == way


@ON_ONE_MACHINE
def test_the_journal_keeps_the_boot_before(node: Machine) -> None:
    boots = as_root(node, "journalctl --list-boots --no-pager -q").splitlines()
    assert len(boots) >= 2


@ON_ONE_MACHINE
def test_nothing_that_nobody_wants_is_started_again_and_again(node: Machine) -> None:
    """In the initramfs too: networkd's socket once listened there on a node, which has no use for it."""
    assert not as_root(node, "journalctl -b -o cat --no-pager _PID=1 | grep trigger-limit-hit || true")


# What breaks one thing in a mount namespace of its own, so that nothing needs to be mended after.
BROKEN = {
    "root": "mount -t tmpfs none /",
    "image": "echo '{}' >/run/other && mount --bind /run/other /run/autoinstall/slot/manifest.json",
    "config": "mount -o remount,bind,ro /config",
    "logging": "mount -o remount,bind,ro /var/log",
    "slots": "mount --bind /dev/null $(readlink -f /dev/disk/by-partlabel/EFI)",
    "network": "mount -t tmpfs none /etc/systemd/network && touch /etc/systemd/network/90-nowhere.network",
    "swap": "head -n 1 /proc/swaps >/run/swaps && mount --bind /run/swaps /proc/swaps",
    "data": "umount /data",
    "health.d/tyre": "mount -t tmpfs none /etc/autoinstall && mkdir /etc/autoinstall/health.d"
    " && cp /run/tyre /etc/autoinstall/health.d/tyre",
}
SSHD = "systemctl stop ssh.socket ssh.service; autoinstall health --json >/run/red/sshd; systemctl start ssh.service"
TYRE = "#!/bin/sh\necho pressing\necho flat >&2\nexit 1\n"


@pytest.fixture(scope="module")
def red(node: Machine) -> dict[str, dict[str, str]]:
    """What `autoinstall health` finds when one thing is broken: all of them at the same time, each for itself."""
    lines = ["mkdir -p /run/red /etc/autoinstall", f"printf '{TYRE}' >/run/tyre", "chmod 755 /run/tyre"]
    for check, breaks in BROKEN.items():
        inside = shlex.quote(f"{breaks}; autoinstall health --json")
        lines.append(f"unshare --mount sh -c {inside} >/run/red/{check.replace('/', '-')} &")
    script = "\n".join([*lines, "wait", SSHD, 'cd /run/red; for check in *; do echo "$check"; cat "$check"; done'])
    found = {}
    rest = as_root(node, script, limit_s=RED_LIMIT_S)
    while rest:
        name, _, rest = rest.partition("\n")
        health, end = json.JSONDecoder().raw_decode(rest)
        found[name], rest = health["checks"], rest[end:].lstrip()
    return found


@ON_ONE_MACHINE
@pytest.mark.parametrize("check", [*BROKEN, "sshd"])
def test_a_broken_thing_turns_its_check_red_and_no_other(red: dict[str, dict[str, str]], check: str) -> None:
    assert {name for name, problem in red[check.replace("/", "-")].items() if problem} == {check}

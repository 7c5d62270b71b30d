"""The node: who may come in, what stays, what cannot be changed, and how it says that something is wrong.

One machine per firmware, booted a second time from the disk that `installed` made.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.vm.installed import HEALTHY, NODE_LIMIT_S, Installed
from tests.vm.machine import Machine

pytestmark = pytest.mark.vm
SSH_LIMIT_S = 60


@pytest.fixture(scope="module")
def node(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The second boot of an installed disk, healthy and reachable."""
    place = tmp_path_factory.mktemp(f"node-{installed.line.firmware.value}")
    with installed.boot(place, reboots=True) as machine:
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        machine.ssh.wait(SSH_LIMIT_S)
        yield machine
    (place / "disk.raw").unlink()


@pytest.fixture
def status(node: Machine) -> dict[str, Any]:
    """What the node says of itself."""
    loaded: dict[str, Any] = json.loads(node.ssh.read("autoinstall status --json"))
    return loaded


def test_the_second_boot_is_the_same_machine(node: Machine, installed: Installed) -> None:
    assert node.ssh.read("cat /etc/machine-id").strip() == installed.result["machine_id"]
    reported = {" ".join(key.split()[:2]) for key in installed.result["host_keys"]}
    assert reported
    assert node.ssh.host_keys() == reported


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
@pytest.mark.parametrize("method", ["password", "keyboard-interactive", "hostbased"])
def test_no_password_method_is_accepted(node: Machine, user: str, method: str) -> None:
    said = node.ssh.refused_methods(user, [method])
    assert "Permission denied (publickey)" in said


def test_the_root_is_the_image_and_cannot_be_written(node: Machine) -> None:
    assert node.ssh.read("findmnt -no FSTYPE /").strip() == "squashfs"
    assert "Read-only file system" in node.ssh.run("touch /usr/x /x").stderr


def test_config_logging_data_and_swap_are_where_the_design_says(node: Machine) -> None:
    found = node.ssh.read("findmnt -rno TARGET,FSTYPE,SOURCE /config /etc /var/log /var /home /data || true")
    kinds = {line.split()[0]: line.split()[1] for line in found.splitlines()}
    if not kinds:  # findmnt takes one mountpoint
        places = ("/config", "/etc", "/var/log", "/var", "/home", "/data")
        kinds = {place: node.ssh.read(f"findmnt -no FSTYPE {place}").strip() for place in places}
    assert kinds == {
        "/config": "ext4",
        "/etc": "overlay",
        "/var/log": "ext4",
        "/var": "overlay",
        "/home": "ext4",
        "/data": "ext4",
    }
    assert "dm-" in node.ssh.read("swapon --noheadings --show=NAME") or "HostVG" in node.ssh.read("swapon --show")


def test_status_names_both_slots_the_record_and_every_check(status: dict[str, Any], installed: Installed) -> None:
    text = json.dumps(status)
    assert installed.image.image_id in text
    assert installed.result["install_id"] in text
    assert {slot["slot"] for slot in status["slots"]} == {"A", "B"}
    assert status["health"]["checks"]
    assert all(check["ok"] for check in status["health"]["checks"])


def test_the_journal_keeps_the_boot_before(node: Machine) -> None:
    boots = node.ssh.read("journalctl --list-boots --no-pager -q").splitlines()
    assert len(boots) >= 2


def root(node: Machine, installed: Installed, command: str) -> str:
    """What a command prints as root: admin's sudo, where it asks for no password."""
    assert not installed.line.has_password
    return node.ssh.read(f"sudo -n sh -c {shlex.quote(command)}")


# Each line breaks one thing, in a way that only the reboot after it, or its own undoing, mends.
BROKEN = {
    "config": ("mount -o remount,ro /config", "mount -o remount,rw /config"),
    "logging": ("mount -o remount,ro /var/log", "mount -o remount,rw /var/log"),
    "sshd": (
        "systemctl stop ssh.socket; systemctl mask --runtime --now ssh.service",
        "systemctl unmask --runtime ssh.service; systemctl start ssh.service",
    ),
    "network": ("networkctl down $(ls /sys/class/net | grep ^e)", "networkctl up $(ls /sys/class/net | grep ^e)"),
}


@pytest.mark.parametrize("check", BROKEN)
def test_a_broken_thing_turns_its_check_red(node: Machine, installed: Installed, check: str) -> None:
    """All in one command: a broken network or sshd takes the way in with it."""
    if installed.line.has_password:
        pytest.skip("needs root without a password: shown under the other firmware")
    breaks, mends = BROKEN[check]
    script = f"{breaks}; autoinstall status --json >/run/red.json; {mends}"
    node.ssh.run(f"sudo -n systemd-run --quiet --collect --wait sh -c {shlex.quote(script)}", limit_s=120)
    node.ssh.wait(SSH_LIMIT_S)
    red = json.loads(node.ssh.read("cat /run/red.json"))
    failed = [found["name"] for found in red["health"]["checks"] if not found["ok"]]
    assert failed == [check]


def test_an_executable_in_health_d_is_a_check(node: Machine, installed: Installed) -> None:
    if installed.line.has_password:
        pytest.skip("needs root without a password: shown under the other firmware")
    place = "/etc/autoinstall/health.d"
    root(node, installed, f"mkdir -p {place}; printf '#!/bin/sh\\necho flat tyre; exit 1\\n' >{place}/tyre")
    root(node, installed, f"chmod 755 {place}/tyre")
    red = json.loads(node.ssh.read("sudo -n autoinstall status --json; true"))
    assert [found["name"] for found in red["health"]["checks"] if not found["ok"]] == ["tyre"]
    root(node, installed, f"rm {place}/tyre")


def test_a_change_in_etc_survives_a_reboot_and_so_does_the_identity(node: Machine, installed: Installed) -> None:
    """The last test on this machine: it goes down in it."""
    if installed.line.has_password:
        pytest.skip("needs root without a password: shown under the other firmware")
    before = node.ssh.read("cat /etc/machine-id; ls -l /etc/ssh/*.pub")
    root(node, installed, "echo 'a line of mine' >/etc/motd && sed -i s/line/word/ /etc/motd")
    node.ssh.run("sudo -n systemctl reboot")
    assert node.wait_for_line(HEALTHY, NODE_LIMIT_S).group(1) == "A"
    node.ssh.wait(SSH_LIMIT_S)
    assert node.ssh.read("cat /etc/motd") == "a word of mine\n"
    assert node.ssh.read("cat /etc/machine-id; ls -l /etc/ssh/*.pub") == before

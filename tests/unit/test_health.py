"""The health checks, each seen red, and what is told about them."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest

from autoinstall.errors import CannotHere, StateUnreadable, TookTooLong
from autoinstall.host import Completed, Host, Run
from autoinstall.node import checks, health
from autoinstall.node.checks import CHECKS
from autoinstall.node.health import Finding, Health, check_node
from autoinstall.slots import Slot, SlotState
from tests.unit.node_machine import Node, node

__all__ = ["node"]
MOUNTINFO = "/proc/self/mountinfo"
REALLY_WRITABLE = checks._writable
REALLY_BELOW = checks._below
IMAGE_ID = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def _manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "image", lambda host: "")
    rows = tuple(row if row.name != "image" else checks.Check("image", lambda host: "") for row in CHECKS)
    monkeypatch.setattr(health, "CHECKS", rows)


@pytest.fixture(autouse=True)
def _journal(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal's directory is there; the check of it is `logging` itself."""
    real = Path.is_dir
    journal = Path("/var/log/journal/feed")
    node.files["/etc/machine-id"] = "feed\n"
    monkeypatch.setattr(Path, "is_dir", lambda path: path == journal or real(path))


def problems(node: Node) -> dict[str, str]:
    """What is wrong, by check."""
    return {finding.check: finding.problem for finding in check_node(node).failed}


def remount(node: Node, old: str, new: str) -> None:
    """Change what is mounted."""
    assert old in node.files[MOUNTINFO]
    node.files[MOUNTINFO] = node.files[MOUNTINFO].replace(old, new)


def test_a_node_as_installed_is_healthy(node: Node) -> None:
    assert problems(node) == {}


def test_every_design_check_is_in_the_table() -> None:
    names = {check.name for check in CHECKS}
    assert names == {"root", "image", "config", "logging", "slots", "network", "sshd", "swap", "data"}


@pytest.mark.parametrize(
    ("old", "new", "check", "problem"),
    [
        ("- squashfs /dev/mapper/autoinstall-root ro", "- ext4 /dev/vda9 rw", "root", "/ is ext4, read-only"),
        ("/dev/mapper/autoinstall-root", "/dev/loop0", "root", "/ is /dev/loop0, and nobody verifies what is read"),
        ("- ext4 /dev/vda3 ro", "- ext4 /dev/vda4 ro", "root", "the slot is /dev/vda4, and Root-A is /dev/vda3"),
        ("/ /config rw", "/ /config ro", "config", "/config is read-only"),
        ("/dev/vda5 rw", "/dev/vdb5 rw", "config", "/config is /dev/vdb5, not Config"),
        ("/ /config rw", "/ /elsewhere rw", "config", "nothing is mounted on /config"),
        ("/sysroot/config/etc/upper", "/run/volatile", "config", "/etc is not kept on Config"),
        ("/ /var/log rw", "/ /var/log ro", "logging", "/var/log is read-only"),
        ("/ /var/log rw", "/ /var/lag rw", "logging", "nothing is mounted on /var/log"),
    ],
)
def test_what_is_mounted_otherwise_is_seen(node: Node, old: str, new: str, check: str, problem: str) -> None:
    remount(node, old, new)
    assert problems(node) == {check: problem}


def test_a_root_of_which_a_block_was_found_rotten_is_told(node: Node) -> None:
    node.told["dmsetup"] = Completed(0, "0 157840 verity C\n", "")
    """The slot is marked bad by then: an upgrade from it would be refused."""
    assert problems(node) == {"root": "root.squashfs of slot A rots (see journalctl -k): restart, then upgrade"}


def test_a_root_that_is_mapped_from_another_file_is_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_backing_file", lambda loop: (0, 0))
    assert problems(node) == {"root": "/ is /dev/mapper/autoinstall-root, not the squashfs of a slot"}


def test_below_a_mapped_device_is_what_sysfs_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dm-0/slaves/loop3").mkdir(parents=True)
    (tmp_path / "mapped").symlink_to(tmp_path / "dm-0")
    monkeypatch.setattr(checks, "BLOCKS", tmp_path)
    assert REALLY_BELOW(str(tmp_path / "mapped")) == "/dev/loop3"


@pytest.mark.parametrize("what", ["config", "logging"])
def test_what_the_initramfs_could_not_mount_is_told_in_its_words(node: Node, what: str) -> None:
    (node.root / "run" / f"degraded.{what}").write_text("/dev/vda5 needs e2fsck by hand\n")
    assert problems(node) == {what: "/dev/vda5 needs e2fsck by hand"}


def test_a_directory_that_takes_no_file_is_seen(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_writable", lambda directory: f"{directory} cannot be written: No space left")
    assert problems(node) == {
        "config": "/config cannot be written: No space left",
        "logging": "/var/log cannot be written: No space left",
    }


def test_writing_is_really_tried(tmp_path: Path) -> None:
    there = set(tmp_path.iterdir())
    assert REALLY_WRITABLE(tmp_path) == ""
    assert set(tmp_path.iterdir()) == there
    assert REALLY_WRITABLE(tmp_path / "gone") == f"{tmp_path}/gone cannot be written: No such file or directory"


def test_a_journal_that_does_not_last_is_seen(node: Node) -> None:
    node.files["/etc/machine-id"] = "another\n"
    assert problems(node) == {"logging": "the journal is not kept in /var/log/journal"}


@pytest.mark.parametrize(
    "links",
    ["[]", '[{"NetworkFile": "F", "AdministrativeState": "configuring", "OperationalState": "degraded"}]'],
)
def test_a_network_that_does_not_come_is_seen(node: Node, links: str) -> None:
    network_file = next((node.root / "network").iterdir())
    node.told["networkctl"] = Completed(0, f'{{"Interfaces": {links.replace("F", str(network_file))}}}', "")
    assert problems(node) == {"network": "waited 60 s for the network"}


@pytest.mark.parametrize(("text", "state", "fine"), [
    ("[Network]\nBond=bond0\n", "no-carrier", True),
    ("[Network]\nBridge=br0\n", "enslaved", True),
    ("[Network]\nVLAN=eth0.7\n", "carrier", True),
    ("[Network]\nVLAN=eth0.7\n", "degraded-carrier", True),
    ("[Network]\nVLAN=eth0.7\n", "no-carrier", False),
    ("[Network]\nDHCP=ipv4\n", "carrier", False),
])  # fmt: skip
def test_a_link_that_is_part_of_another_needs_no_address(node: Node, text: str, state: str, fine: bool) -> None:
    network_file = next((node.root / "network").iterdir())
    network_file.write_text(text)
    link = {"NetworkFile": str(network_file), "AdministrativeState": "configured", "OperationalState": state}
    node.told["networkctl"] = Completed(0, json.dumps({"Interfaces": [link]}), "")
    assert (problems(node) == {}) is fine


def test_a_node_without_network_files_has_the_network_it_wants(node: Node) -> None:
    next((node.root / "network").iterdir()).unlink()
    node.told["networkctl"] = Completed(0, '{"Interfaces": []}', "")
    assert problems(node) == {}


def test_a_slot_state_that_cannot_be_read_is_seen(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(host: Host) -> SlotState:
        raise StateUnreadable("reading the slot state: Input/output error")

    monkeypatch.setattr(checks, "slot_state", unreadable)
    assert problems(node) == {"slots": "reading the slot state: Input/output error"}


def test_a_dead_sshd_is_seen(node: Node) -> None:
    node.told["systemctl"] = Completed(3, "failed\ninactive\n", "")
    assert problems(node) == {"sshd": "neither ssh.service nor ssh.socket is active"}


def test_swap_that_is_not_in_use_is_seen(node: Node) -> None:
    node.files["/etc/fstab"] = "/dev/null none swap nofail 0 0\n"
    node.files["/proc/swaps"] = "Filename Type Size Used Priority\n"
    assert problems(node) == {"swap": "waited 90 s for swap /dev/null"}
    node.files["/proc/swaps"] += "/dev/null partition 1 0 -2\n"
    assert problems(node) == {}


def test_data_that_is_not_mounted_or_went_read_only_is_seen(node: Node) -> None:
    node.files["/etc/fstab"] = "UUID=d /data ext4 nofail,nodev 0 2\n/dev/sr0 /mnt iso9660 noauto 0 0\n"
    assert problems(node) == {}
    remount(node, "HostVG-Data rw", "HostVG-Data ro")
    assert problems(node) == {"data": "read-only: /data"}
    remount(node, "/ /data rw", "/ /elsewhere rw")
    assert problems(node) == {"data": "waited 90 s for /data to be mounted"}


def test_executables_in_health_d_are_checks(node: Node) -> None:
    directory = node.root / "health.d"
    directory.mkdir()
    for name, mode in (("vms", 0o755), ("notes.txt", 0o644)):
        (directory / name).touch(mode=mode)
    node.told["vms"] = Completed(1, "two of them\nare paused\n", "")
    assert problems(node) == {"health.d/vms": "exit status 1: are paused"}


OWN_LIMITS_S = checks.NETWORK_LIMIT_S + 2 * checks.DEVICE_LIMIT_S
NOT_RUN = "was not run: the checks before it took all of 280 s"


@pytest.mark.parametrize(("own_s", "ran_s"), [(0, [60, 60, 60, 60, 40]), (OWN_LIMITS_S, [40])])
def test_programs_that_hang_are_named_and_health_speaks_in_its_time(
    node: Node, monkeypatch: pytest.MonkeyPatch, own_s: int, ran_s: list[int]
) -> None:
    """The node's own checks take `own_s`, and each program all the time that it has."""
    now_s = 1000

    def goes_by(seconds: float) -> str:
        nonlocal now_s
        now_s += int(seconds)
        return ""

    def hangs(path: Path, doing: str, how: Run) -> Completed:
        goes_by(how.timeout_s or 0)
        raise TookTooLong(f"{doing}: it did not end within {how.timeout_s} s")

    directory = node.root / "health.d"
    directory.mkdir()
    for name in "abcdef":
        (directory / name).touch(mode=0o755)
    monkeypatch.setattr(health, "CHECKS", (checks.Check("own", lambda host: goes_by(own_s)),))
    monkeypatch.setattr(node, "run", hangs)
    monkeypatch.setattr(node, "monotonic_s", lambda: float(now_s))
    hung = [
        f"running {directory}/{name}: it did not end within {s} s" for name, s in zip("abcdef", ran_s, strict=False)
    ]
    assert list(problems(node).values()) == hung + [NOT_RUN] * (6 - len(ran_s))
    assert now_s - 1000 == checks.HEALTH_LIMIT_S


def test_the_service_leaves_health_the_time_to_speak() -> None:
    unit = (Path(__file__).parents[2] / "units/autoinstall-health.service").read_text()
    assert "TimeoutStartSec=5min\n" in unit
    assert OWN_LIMITS_S < checks.HEALTH_LIMIT_S <= 300 - 20


def test_a_check_that_breaks_is_a_check_that_fails(node: Node) -> None:
    node.told["networkctl"] = Completed(0, "no JSON", "")
    assert list(problems(node)) == ["network"]


def test_a_live_system_has_no_health(node: Node) -> None:
    (node.root / "run/slot-name").unlink()
    with pytest.raises(CannotHere, match="does not run from a slot"):
        check_node(node)


def test_a_healthy_node_is_not_called_degraded_by_who_may_not_read_what_is_checked(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotHere, match="what only root may") as caught:
        health.main(argparse.Namespace(tell=False, json=False), node)
    assert caught.value.hint == "run this as root"
    assert not node.ran


def test_the_line_of_a_boot_is_stable() -> None:
    findings = (Finding("root", ""), Finding("config", "gone"), Finding("sshd", "down"))
    assert Health(Slot.A, IMAGE_ID, False, findings[:1]).line == "autoinstall: node=healthy slot=A image=0123456789ab"
    assert (
        Health(Slot.B, "", True, findings).line
        == "autoinstall: node=degraded slot=B image=unknown failed=config,sshd"
    )

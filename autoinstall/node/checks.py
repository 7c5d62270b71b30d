"""The checks of a node: one row and one function each. A function returns "", or what is wrong in one line."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoinstall.host import Host, Run
from autoinstall.image.manifest import MANIFEST_NAME, parse_manifest
from autoinstall.node.state import BOOTED_IMAGE, RUN, booted_slot, mounts, partitions, slot_state

FSTAB = "/etc/fstab"
SWAPS = "/proc/swaps"
BOND_MEMBER = re.compile(r"^Bond=", re.MULTILINE)
PART = re.compile(r"^(Bridge|VLAN)=", re.MULTILINE)
"""In a network file: its link is part of another. A NIC of a bond may be without a cable: the others are there."""
NETWORK_FILES = Path("/etc/systemd/network")
HEALTH_D = (Path("/usr/lib/autoinstall/health.d"), Path("/etc/autoinstall/health.d"))
NETWORK_LIMIT_S = 60
"""A lease that did not come by then is taken for none. The deadline of a slot on trial is 5 minutes."""
DEVICE_LIMIT_S = 90
"""The installer's fstab gives a device 120 s from early in the boot; the checks come later. Seen with three machines
on two emulated processors: 112 s from power-on to the volumes."""
PROGRAM_LIMIT_S = 60
HEALTH_LIMIT_S = 280
"""All checks together; only programs of health.d are cut short for it. The service has 5 minutes: what is left is for
telling, for a health that systemd ends says nothing."""
LOOP_GET_STATUS64 = 0x4C05
LOOP_INFO64_BYTES = 232
SSH_UNITS = ("ssh.service", "ssh.socket")
MAPPED_ROOT = "/dev/mapper/autoinstall-root"
BLOCKS = Path("/sys/class/block")


@dataclass(frozen=True)
class Check:
    """One thing that must be so on a healthy node."""

    name: str
    look: Callable[[Host], str]


@dataclass(frozen=True)
class FstabLine:
    """One line of fstab(5)."""

    source: str
    target: str
    filesystem: str
    options: frozenset[str]


def root(host: Host) -> str:
    """/ is the squashfs of the booted slot, read-only, and every block of it that was read is what was built."""
    there = mounts(host)
    mount = there["/"]
    if mount.filesystem != "squashfs" or "ro" not in mount.options:
        return f"/ is {mount.filesystem}, {'read-only' if 'ro' in mount.options else 'writable'}"
    if mount.source != MAPPED_ROOT:
        return f"/ is {mount.source}, and nobody verifies what is read"
    if _backing_file(_below(MAPPED_ROOT)) != _identity(BOOTED_IMAGE / "root.squashfs"):
        return f"/ is {mount.source}, not the squashfs of a slot"
    status = host.run("dmsetup", "status", MAPPED_ROOT, doing="asking dm-verity for bit rot").stdout
    if status.split()[3:] != ["V"]:
        return f"root.squashfs of slot {booted_slot(host)} rots (see journalctl -k): restart, then upgrade"
    label = booted_slot(host).partition_label
    source = there[str(BOOTED_IMAGE)].source
    expected = partitions(host).get(label)
    return "" if os.path.realpath(source) == expected else f"the slot is {source}, and {label} is {expected}"


def image(host: Host) -> str:
    """The booted slot's manifest is one."""
    parse_manifest((BOOTED_IMAGE / MANIFEST_NAME).read_bytes())
    return ""


def config(host: Host) -> str:
    """Config is on /config and writable, and what is changed in /etc is kept there."""
    problem = _left_by_initramfs("config") or _mounted_from(host, "/config", "Config")
    if problem:
        return problem
    etc = mounts(host)["/etc"]
    if etc.filesystem != "overlay" or not any(option.endswith("/config/etc/upper") for option in etc.options):
        return "/etc is not kept on Config"
    return _writable(Path("/config"))


def logging(host: Host) -> str:
    """Logging is on /var/log and writable, and the journal is there."""
    problem = _left_by_initramfs("logging") or _mounted_from(host, "/var/log", "Logging")
    if problem:
        return problem
    machine_id = host.read_text("/etc/machine-id").strip()
    if not Path("/var/log/journal", machine_id).is_dir():
        return "the journal is not kept in /var/log/journal"
    return _writable(Path("/var/log"))


def slots(host: Host) -> str:
    """The slot state can be read. A node that cannot tell GRUB that it is up runs out of attempts."""
    slot_state(host)
    return ""


def network(host: Host) -> str:
    """Every network file of this node has a link that is configured by it, and routable or part of another."""
    wanted = {str(path) for path in NETWORK_FILES.glob("*.network") if not BOND_MEMBER.search(path.read_text())}
    missing = wanted - _networks_up(host)
    if missing:
        host.wait_for("the network", lambda: not wanted - _networks_up(host), NETWORK_LIMIT_S)
    return ""


def sshd(host: Host) -> str:
    """Somebody listens for ssh."""
    doing = "asking for the state of sshd"
    return "" if _any_active(host, SSH_UNITS, doing) else "neither ssh.service nor ssh.socket is active"


def swap(host: Host) -> str:
    """All swap of fstab is in use."""
    wanted = [line for line in _fstab(host) if line.filesystem == "swap"]

    def missing() -> list[str]:
        used = {words.split()[0] for words in host.read_text(SWAPS).splitlines()[1:]}
        return [line.source for line in wanted if os.path.realpath(_device(line.source)) not in used]

    if missing():
        host.wait_for(f"swap {' '.join(missing())}", lambda: not missing(), DEVICE_LIMIT_S)
    return ""


def data(host: Host) -> str:
    """All filesystems of fstab are mounted, and none has become read-only by itself."""
    wanted = [line for line in _fstab(host) if line.target.startswith("/")]

    def missing() -> list[str]:
        there = mounts(host)
        return [line.target for line in wanted if line.target not in there]

    if missing():
        host.wait_for(f"{' '.join(missing())} to be mounted", lambda: not missing(), DEVICE_LIMIT_S)
    there = mounts(host)
    stuck = [line.target for line in wanted if "ro" in there[line.target].options - line.options]
    return f"read-only: {' '.join(stuck)}" if stuck else ""


CHECKS = (
    Check("root", root),
    Check("image", image),
    Check("config", config),
    Check("logging", logging),
    Check("slots", slots),
    Check("network", network),
    Check("sshd", sshd),
    Check("swap", swap),
    Check("data", data),
)


def local_checks(until_s: float) -> Iterator[Check]:
    """One check for each executable in health.d: exit status 0 is fine, else its last line is what is wrong.

    At `until_s` of the monotonic clock the last of them is ended, and those behind it are not run.
    """
    for directory in HEALTH_D:
        for path in sorted(directory.glob("*")):
            if os.access(path, os.X_OK) and path.is_file():
                yield Check(f"health.d/{path.name}", _program(path, until_s))


def _program(path: Path, until_s: float) -> Callable[[Host], str]:
    def look(host: Host) -> str:
        left_s = int(until_s - host.monotonic_s())
        if left_s < 1:
            return f"was not run: the checks before it took all of {HEALTH_LIMIT_S} s"
        how = Run(accept=range(256), timeout_s=min(PROGRAM_LIMIT_S, left_s))
        done = host.run(path, doing=f"running {path}", how=how)
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        return "" if done.status == 0 else f"exit status {done.status}: {said[-1]}"

    return look


def _below(mapped: str) -> str:
    """The one device that a device of device-mapper is made of. Raises OSError, ValueError."""
    (below,) = (BLOCKS / Path(os.path.realpath(mapped)).name / "slaves").iterdir()
    return f"/dev/{below.name}"


def _backing_file(loop: str) -> tuple[int, int]:
    """Device and inode of the file behind a loop device, by LOOP_GET_STATUS64 (loop(4)).

    Its name would not do: sysfs gives it as seen from the initramfs, whose mounts are gone.
    """
    with open(loop, "rb") as device:
        answer = fcntl.ioctl(device, LOOP_GET_STATUS64, bytes(LOOP_INFO64_BYTES))
    found: tuple[int, int] = struct.unpack_from("=QQ", answer)
    return found


def _identity(path: Path) -> tuple[int, int]:
    there = path.stat()
    return there.st_dev, there.st_ino


def _left_by_initramfs(what: str) -> str:
    path = RUN / f"degraded.{what}"
    return path.read_text().strip() if path.exists() else ""


def _mounted_from(host: Host, target: str, label: str) -> str:
    mount = mounts(host).get(target)
    if mount is None:
        return f"nothing is mounted on {target}"
    if os.path.realpath(mount.source) != partitions(host).get(label):
        return f"{target} is {mount.source}, not {label}"
    return "" if "rw" in mount.options and "ro" not in mount.options else f"{target} is read-only"


def _writable(directory: Path) -> str:
    try:
        # Without a name: two checks at a time do not meet, and a power cut leaves nothing behind.
        fd = os.open(directory, os.O_WRONLY | os.O_TMPFILE | os.O_DSYNC, 0o600)
        try:
            os.write(fd, b"written by the health check\n")
        finally:
            os.close(fd)
    except OSError as error:
        return f"{directory} cannot be written: {error.strerror}"
    return ""


def _networks_up(host: Host) -> set[str]:
    """The network files whose link is configured now, and routable; one that is part of another has no address."""
    listed = host.run("networkctl", "--json=short", "list", doing="asking for the state of the network")
    links: list[dict[str, Any]] = json.loads(listed.stdout)["Interfaces"]
    return {
        link.get("NetworkFile", "")
        for link in links
        if link.get("AdministrativeState") == "configured" and link.get("OperationalState") in _states_of(link)
    }


def _states_of(link: dict[str, Any]) -> Sequence[str]:
    """The states (networkctl(1)) in which a link does what its file asks; a port or a VLAN's NIC need less."""
    with suppress(OSError):
        if PART.search(Path(link.get("NetworkFile", "")).read_text()):
            return ("enslaved", "carrier", "degraded-carrier", "routable")
    return ("routable",)


def _any_active(host: Host, units: tuple[str, ...], doing: str) -> bool:
    # is-active: 0 when one of them is, 3 or 4 when none is or one is not there.
    return host.run("systemctl", "is-active", *units, doing=doing, how=Run(accept=(0, 3, 4))).status == 0


def _fstab(host: Host) -> list[FstabLine]:
    try:
        lines = host.read_text(FSTAB).splitlines()
    except FileNotFoundError:
        return []
    fields = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    entries = [FstabLine(f[0], f[1], f[2], frozenset(f[3].split(",") if len(f) > 3 else [])) for f in fields]
    return [entry for entry in entries if "noauto" not in entry.options]


def _device(source: str) -> str:
    """The device node of a source as fstab(5) names it."""
    tag, equals, value = source.partition("=")
    return f"/dev/disk/by-{tag.lower()}/{value.strip(chr(34))}" if equals else source

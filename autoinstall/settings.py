"""Request -> files of the node: network, name, accounts, sshd, mounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from autoinstall.facts import Nic
from autoinstall.grammar_storage import KEY_BITS
from autoinstall.layout import Layout
from autoinstall.network import Nics, network_files
from autoinstall.request import Request
from autoinstall.services import SECRETS, service_files

ROOT = (0, 0)
SHADOW_GROUP = (0, 42)
ADMIN = (1000, 1000)
"""Owners (uid, gid), fixed in every recipe: Debian's own numbers for root and shadow, ours for admin."""
MAY_FAIL = "nofail,x-systemd.device-timeout=120s"


@dataclass(frozen=True)
class NodeFile:
    """One file as the node will see it. A secret one's text never reaches plans, logs or reports."""

    path: str
    text: str
    mode: int = 0o644
    owner: tuple[int, int] = ROOT
    secret: bool = False


@dataclass(frozen=True)
class Setting:
    """What the files depend on, beside the request. `wwids` are of the node's disks that have several paths."""

    layout: Layout
    shadow: Mapping[str, str]
    nics: Nics
    wwids: tuple[str, ...] = ()


def node_files(request: Request, setting: Setting) -> tuple[NodeFile, ...]:
    """Every file that the node's configuration starts with, in the order of their paths."""
    own = [
        NodeFile("/etc/machine-id", f"{machine_id(setting.layout.install_id)}\n", mode=0o444),
        NodeFile("/etc/fstab", _fstab(setting.layout)),
        *_crypttab(setting.layout),
        *_multipath(setting.wwids),
    ]
    files = [*own, *running_files(request, setting.shadow, setting.nics)]
    return tuple(sorted(files, key=lambda file: file.path))


def running_files(request: Request, shadow: Mapping[str, str], nics: Nics) -> tuple[NodeFile, ...]:
    """Those that no disk has a part in. `shadow` has the image's own lines of that file."""
    files = [
        NodeFile("/etc/ssh/sshd_config.d/10-autoinstall.conf", _sshd(request)),
        NodeFile("/etc/sudoers.d/admin", _sudoers(request), mode=0o440),
        *_network(request, nics),
        *_services(request),
    ]
    if request.host_name:
        files.append(NodeFile("/etc/hostname", f"{request.host_name}\n"))
        files.append(NodeFile("/etc/hosts", _hosts(request.host_name)))
    if request.admin_password_hash:
        text = _shadow(shadow, request)
        files.append(NodeFile("/etc/shadow", text, mode=0o640, owner=SHADOW_GROUP, secret=True))
    if request.ssh_keys:
        text = "".join(f"{key}\n" for key in request.ssh_keys)
        files.append(NodeFile("/home/admin/.ssh/authorized_keys", text, mode=0o600, owner=ADMIN))
    return tuple(files)


def machine_id(install_id: UUID) -> str:
    """The node's machine-id (machine-id(5)): planned like every other id, the same under both slots."""
    return uuid5(install_id, "machine-id").hex


def default_host_name(nic: Nic | None, install_id: UUID | None) -> str:
    """What the node is called until DHCP says otherwise: the last 6 digits of the management MAC, or of its id."""
    digits = nic.mac.replace(":", "") if nic else install_id.hex if install_id else "live"
    return f"node-{digits[-6:]}"


def without_secrets(file: NodeFile) -> NodeFile:
    """The file for plans and reports."""
    return replace(file, text="***") if file.secret else file


def _fstab(layout: Layout) -> str:
    lines = []
    for volume in layout.volumes:
        if volume.filesystem == "ext4":
            where = f"/{volume.name.lower()} ext4 {MAY_FAIL},nodev,nosuid 0 2"
            lines.append(f"UUID={volume.filesystem_uuid} {where}\n")
        else:
            source = f"/dev/mapper/{volume.name}" if volume.cipher else f"UUID={volume.filesystem_uuid}"
            lines.append(f"{source} none swap {MAY_FAIL} 0 0\n")
    return "".join(lines)


def _crypttab(layout: Layout) -> list[NodeFile]:
    """crypttab(5): swap with a key of this boot alone."""
    lines = []
    for volume in layout.volumes:
        if volume.cipher:
            options = f"swap,cipher={volume.cipher},size={KEY_BITS[volume.cipher]},{MAY_FAIL}"
            lines.append(f"{volume.name} {volume.path} /dev/urandom {options}\n")
    return [NodeFile("/etc/crypttab", "".join(lines))] if lines else []


def _multipath(wwids: tuple[str, ...]) -> list[NodeFile]:
    """multipath.conf(5): the node's own disks are multipathd's business, by their WWIDs and with one path too."""
    own = "".join(f'\twwid "^{wwid}$"\n' for wwid in wwids)
    text = (
        "defaults {\n\tuser_friendly_names no\n\tfind_multipaths greedy\n}\n"
        'blacklist {\n\twwid ".*"\n}\n'
        f"blacklist_exceptions {{\n{own}}}\n"
    )
    return [NodeFile("/etc/multipath.conf", text)] if wwids else []


def _sshd(request: Request) -> str:
    passwords = "yes" if request.ssh_passwords else "no"
    return (
        f"PasswordAuthentication {passwords}\n"
        "KbdInteractiveAuthentication no\n"
        "PermitRootLogin no\n"
    )  # fmt: skip


def _sudoers(request: Request) -> str:
    tag = "" if request.admin_password_hash else "NOPASSWD: "
    return f"admin ALL=(ALL:ALL) {tag}ALL\n"


def _network(request: Request, nics: Nics) -> list[NodeFile]:
    files = [NodeFile(path, text) for path, text in network_files(request, nics).items()]
    if request.time_servers is not None:
        text = f"[Time]\nNTP={' '.join(request.time_servers)}\n"
        text += "" if request.time_servers else "FallbackNTP=\n"
        files.append(NodeFile("/etc/systemd/timesyncd.conf.d/10-autoinstall.conf", text))
    return files


def _hosts(host_name: str) -> str:
    short = host_name.partition(".")[0]
    names = host_name if short == host_name else f"{host_name} {short}"
    return f"127.0.0.1 localhost\n127.0.1.1 {names}\n::1 localhost ip6-localhost ip6-loopback\n"


def _shadow(lines: Mapping[str, str], request: Request) -> str:
    """The image's shadow file with the hashes that are given.

    The age of admin's is 0 (shadow(5)), which asks for a change at first use; root's is what it is.
    """
    given = {"admin": f"admin:{request.admin_password_hash}:0:0:99999:7:::"}
    if request.root_password_hash:
        given["root"] = f"root:{request.root_password_hash}::0:99999:7:::"
    return "".join(f"{given.get(user, line)}\n" for user, line in lines.items())


def _services(request: Request) -> list[NodeFile]:
    """What the line says to programs that read it themselves."""
    return [
        NodeFile(path, text, mode=0o600, secret=True) if path == SECRETS else NodeFile(path, text)
        for path, text in service_files(request.services).items()
    ]

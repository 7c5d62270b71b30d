"""The grammar of the network: NICs, addresses, names, VLANs and bonds. Text -> value, or ValueError."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class NicBy(Enum):
    """What BOOTIF names its NIC by."""

    LINK = "the first with a carrier"
    NAME = "name"
    MAC = "MAC address"


@dataclass(frozen=True)
class NicSelector:
    """The value of BOOTIF; a MAC is lower case with colons."""

    by: NicBy
    value: str = ""

    def __str__(self) -> str:
        return self.value or "link"


class AddressBy(Enum):
    """How the management NIC gets its address."""

    DHCP = "dhcp"
    OFF = "off"
    AUTO6 = "auto6"
    DHCP6 = "dhcp6"
    STATIC = "static"


@dataclass(frozen=True)
class Address:
    """The value of ip. What stands behind `by` belongs to STATIC; `prefix_bits` None: netmask= must say."""

    by: AddressBy
    client: Ip | None = None
    prefix_bits: int | None = None
    gateway: Ip | None = None
    host_name: str = ""
    nic: str = ""
    dns: tuple[str, ...] = ()


class Ipv6(Enum):
    """What IPv6 there is beside what ip= says."""

    DHCP = "dhcp"
    AUTO = "auto"
    OFF = "off"


@dataclass(frozen=True)
class Vlan:
    """The value of vlan: a tag, the interface's own name and the NIC that it is on, both where they are given."""

    number: int
    name: str = ""
    nic: str = ""


@dataclass(frozen=True)
class Bond:
    """The value of bond. Without NICs it is made of all wired ones. `options` are keys of systemd.netdev(5)."""

    name: str
    nics: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    primary: str = ""


def boot_interface(value: str | None) -> NicSelector:
    """`link`, a NIC's name, a MAC, or pxelinux's hardware type and MAC."""
    if not value:
        raise ValueError("is empty; give link, a NIC or a MAC address")
    if value == "link":
        return NicSelector(NicBy.LINK)
    mac = value.lower().replace("-", ":")
    if re.fullmatch(r"(01:)?([0-9a-f]{2}:){5}[0-9a-f]{2}", mac):
        return NicSelector(NicBy.MAC, mac[-17:])
    return NicSelector(NicBy.NAME, _nic_name(value))


def host_name(value: str | None) -> str:
    """A name of RFC 1123: labels of letters, digits and inner hyphens; at most 64 characters, as in Linux."""
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if not value or len(value) > 64 or not re.fullmatch(rf"{label}(\.{label})*", value):
        raise ValueError(f"{value or ''!r} is not a host name of RFC 1123")
    return value.lower()


WORDS = {by.value: by for by in AddressBy if by is not AddressBy.STATIC}
FIELDS = 9
"""client:server:gateway:netmask:hostname:device:autoconf:dns0:dns1 (kernel, nfsroot.txt; dracut's form, whose
eighth field may be an MTU, and pxelinux's, which ends at the netmask, are beginnings of it)."""


def address(value: str | None) -> Address:
    """A word, or the colon form with IPv6 addresses in brackets."""
    if value in WORDS:
        return Address(WORDS[value])
    fields = re.findall(r"(\[[^\]]*\]|[^:]*)(?::|$)", value or "")[:-1] if value else []
    if not fields or len(fields) > FIELDS:
        raise ValueError(f"{value or ''!r} is none of {', '.join(WORDS)}, and not CLIENT:SERVER:GATEWAY:NETMASK:…")
    padded: list[str] = fields + [""] * (FIELDS - len(fields))
    client, _, gateway, mask, name, nic, autoconf = padded[:7]
    if not client and autoconf in WORDS:
        return Address(WORDS[autoconf], nic=_nic_name(nic) if nic else "")
    if autoconf not in ("", "none", "off", "static"):
        raise ValueError(f"{value!r}: an address and {autoconf} contradict each other")
    plain, slash, bits = client.strip("[]").partition("/")
    return Address(
        AddressBy.STATIC,
        client=ip(plain),
        prefix_bits=netmask(mask or bits) if mask or slash else None,
        gateway=ip(gateway.strip("[]")) if gateway else None,
        host_name=host_name(name) if name else "",
        nic=_nic_name(nic) if nic else "",
        dns=tuple(str(ip(server.strip("[]"))) for server in padded[7:] if server and not server.isdigit()),
    )


def ip(value: str | None) -> Ip:
    """One IPv4 or IPv6 address."""
    try:
        return ipaddress.ip_address(value or "")
    except ValueError:
        raise ValueError(f"{value or ''!r} is not an IP address") from None


def netmask(value: str | None) -> int:
    """A netmask, dotted or as a number of bits: the number of bits."""
    text = value or ""
    if text.isdigit() and int(text) <= 128:
        return int(text)
    try:
        network = ipaddress.IPv4Network(f"0.0.0.0/{text}")
    except ValueError:
        raise ValueError(f"{text!r} is not a netmask") from None
    if str(network.netmask) != text:
        raise ValueError(f"{text!r} is not a netmask; did you mean {network.netmask}?")
    return network.prefixlen


def name_servers(value: str | None) -> tuple[str, ...]:
    """A comma list of addresses."""
    return tuple(str(ip(item)) for item in (value or "").split(","))


def time_servers(value: str | None) -> tuple[str, ...]:
    """A comma list of names and addresses; `off` is the empty list."""
    if value == "off":
        return ()
    return tuple(_time_server(item) for item in (value or "").split(","))


def _time_server(item: str) -> str:
    try:
        return str(ip(item))
    except ValueError:
        return host_name(item)


def ipv6(value: str | None) -> Ipv6:
    """Whether there is IPv6, and by whom."""
    known = [kind.value for kind in Ipv6]
    if value not in known:
        raise ValueError(f"{value or ''!r} is none of {', '.join(known)}")
    return Ipv6(value)


def vlan(value: str | None) -> Vlan:
    """`ID`, `ID:NIC` or `NAME:NIC`, the ID being the digits that the name ends with (vlan7, vlan0007, eth0.7)."""
    first, colon, nic = (value or "").partition(":")
    digits = re.search(r"[0-9]+$", first)
    if not digits or not 0 < int(digits[0]) < 4095 or (not colon and not first.isdigit()):
        raise ValueError(f"{value or ''!r} is not ID, ID:NIC or NAME:NIC with an ID from 1 to 4094")
    return Vlan(int(digits[0]), "" if first.isdigit() else _nic_name(first), _nic_name(nic) if colon else "")


def bond(value: str | None) -> Bond:
    """`NAME[:NIC,NIC[:OPTION=VALUE,…]]`, options as the kernel calls them."""
    name, _, rest = (value or "").partition(":")
    nics, _, text = rest.partition(":")
    given = dict(item.partition("=")[::2] for item in text.split(",")) if text else DEFAULT_BOND
    options = [_bond_option(key, setting) for key, setting in given.items() if key != "primary"]
    members = tuple(_nic_name(nic) for nic in nics.split(",")) if nics else ()
    primary = given.get("primary", "")
    if len({*members}) < len(members) or (primary and primary not in members):
        raise ValueError(f"{value!r}: a NIC is there twice, or the primary one is not among them")
    return Bond(_nic_name(name), members, tuple(options), primary)


DEFAULT_BOND = {"mode": "active-backup", "miimon": "100"}
MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
MILLISECONDS = {"miimon": "MIIMonitorSec", "updelay": "UpDelaySec", "downdelay": "DownDelaySec",
                "arp_interval": "ARPIntervalSec"}  # fmt: skip
BOND_WORDS = {
    "mode": ("Mode", MODES),
    "xmit_hash_policy": (
        "TransmitHashPolicy", ("layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac")
    ),
    "lacp_rate": ("LACPTransmitRate", ("slow", "fast")),
    "ad_select": ("AdSelect", ("stable", "bandwidth", "count")),
    "fail_over_mac": ("FailOverMACPolicy", ("none", "active", "follow")),
}  # fmt: skip
"""Options of the bonding driver, by their names or numbers, as systemd.netdev(5) has them."""


def _bond_option(key: str, setting: str) -> tuple[str, str]:
    if key in MILLISECONDS and re.fullmatch(r"[0-9]{1,6}", setting):
        return MILLISECONDS[key], f"{setting}ms"
    if key == "min_links" and re.fullmatch(r"[0-9]{1,3}", setting):
        return "MinLinks", setting
    if key == "arp_ip_target":
        return "ARPIPTargets", str(ip(setting))
    if key in BOND_WORDS:
        name, known = BOND_WORDS[key]
        if setting in known:
            return name, setting
        if setting.isdigit() and int(setting) < len(known):
            return name, known[int(setting)]
    raise ValueError(f"{key}={setting} is no option of a bond that is known here")


def layout(value: str | None) -> bool:
    """Whether the node's address is on a bridge."""
    if value not in ("direct", "bridged"):
        raise ValueError(f"{value or ''!r} is none of direct, bridged")
    return value == "bridged"


NAME_CHARACTERS = 15
"""Of a network interface, at most (IFNAMSIZ)."""


def _nic_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", value) or len(value) > NAME_CHARACTERS:
        raise ValueError(f"{value!r} is not link, a NIC's name or a MAC address")
    return value

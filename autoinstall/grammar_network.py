"""The grammar of the network: BOOTIF, ip, netmask, gateway, dns, ntp, hostname. Text -> value, or ValueError."""

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
        return ipaddress.IPv4Network(f"0.0.0.0/{text}").prefixlen
    except ValueError:
        raise ValueError(f"{text!r} is not a netmask") from None


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


def _nic_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", value):
        raise ValueError(f"{value!r} is not link, a NIC's name or a MAC address")
    return value

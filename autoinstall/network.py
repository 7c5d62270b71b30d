"""Request -> the node's network, as files of systemd-networkd: NIC, bond, VLAN and bridge, in this order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoinstall.errors import Refused
from autoinstall.facts import Facts, Nic
from autoinstall.grammar_network import NAME_CHARACTERS, AddressBy, Bond, Ipv6, NicBy
from autoinstall.request import Request
from autoinstall.select import select_nic

PLACE = "/etc/systemd/network"
MANAGEMENT_NETWORK = f"{PLACE}/10-management.network"
"""Of the interface with the node's address. Whatever it stands on has files of its own, which come later."""


@dataclass(frozen=True)
class Nics:
    """The machine's NICs that the node's address is on: the management NIC, and the members of its bond."""

    management: Nic | None
    members: tuple[Nic, ...] = ()


def nics_for(request: Request, facts: Facts) -> Nics:
    """The NICs that are meant. Raises Refused where they are not there, or one is needed and none is named."""
    wired = [nic for nic in facts.nics if nic.wired]
    if request.bond:
        return _bonded(request, request.bond, wired)
    if request.boot_interface:
        named = select_nic(request.boot_interface, facts.nics)
        _refuse_another_carrier(request, named.name)
        return Nics(named)
    if not _is_stacked(request):
        _refuse_shared_address(request, wired)
        return Nics(None)
    if len(wired) != 1:
        raise Refused(
            f"a VLAN or bridge is on one NIC, and this machine has {', '.join(nic.name for nic in wired) or 'none'}",
            hint="say on which it is: BOOTIF=link, or BOOTIF= and its name or MAC",
        )
    return Nics(wired[0])


def network_files(request: Request, nics: Nics) -> dict[str, str]:
    """Path -> text. With ip=off and no IPv6 there is none."""
    if request.address.by is AddressBy.OFF and request.ipv6 not in (Ipv6.DHCP, Ipv6.AUTO):
        return {}
    if not _is_stacked(request):
        match = [f"MACAddress={nics.management.mac}"] if nics.management else ["Type=ether", "Kind=!*"]
        return {MANAGEMENT_NETWORK: _management(request, match)}
    assert nics.management
    files: dict[str, str] = {}
    below, name = _permanently(nics.management), nics.management.name
    if request.bond:
        files |= _bond(request.bond, nics)
        below, name = [f"Name={request.bond.name}"], request.bond.name
    bottom = name
    if request.vlan:
        name = request.vlan.name or _short(f"{bottom}.{request.vlan.number}")
        files[f"{PLACE}/12-vlan.netdev"] = _netdev(name, "vlan", "", ["[VLAN]", f"Id={request.vlan.number}"])
        files[f"{PLACE}/12-vlan-carrier.network"] = _part(below, f"VLAN={name}")
        below = [f"Name={name}"]
    if request.bridged:
        name = _short(f"br{bottom}")
        bridge = ["[Bridge]", "STP=no", "ForwardDelaySec=0"]
        files[f"{PLACE}/13-bridge.netdev"] = _netdev(name, "bridge", nics.management.mac, bridge)
        files[f"{PLACE}/13-bridge-port.network"] = _part(below, f"Bridge={name}")
    return {**files, MANAGEMENT_NETWORK: _management(request, [f"Name={name}"])}


def _is_stacked(request: Request) -> bool:
    return bool(request.bond or request.vlan or request.bridged)


def _refuse_shared_address(request: Request, wired: Sequence[Nic]) -> None:
    if request.address.by is AddressBy.STATIC and len(wired) > 1:
        names = ", ".join(nic.name for nic in wired)
        raise Refused(
            f"ip={request.address.client} is for one NIC, and this machine has {names}",
            hint="say for which it is: BOOTIF=link, or BOOTIF= and its name or MAC",
        )


def _refuse_another_carrier(request: Request, name: str) -> None:
    if request.vlan and request.vlan.nic not in ("", name):
        raise Refused(
            f"vlan is for {request.vlan.nic}, and the node's address is on {name}",
            hint="name one: the VLAN carries the node's address",
        )


def _bonded(request: Request, bond: Bond, wired: Sequence[Nic]) -> Nics:
    _refuse_another_carrier(request, bond.name)
    names = {nic.name: nic for nic in wired}
    missing = [name for name in bond.nics if name not in names]
    if missing or not wired:
        there = [f"  {nic.name} {nic.mac} {'carrier' if nic.carrier else 'no carrier'}" for nic in wired]
        raise Refused(
            f"bond={bond.name} is made of {', '.join(missing) or 'NICs'}, and this machine has:",
            *(there or ["  no wired NIC at all"]),
            hint="name NICs that are there",
        )
    members = tuple(names[name] for name in bond.nics) or tuple(wired)
    selector = request.boot_interface
    if selector is None:
        return Nics(members[0], members)
    if selector.by is NicBy.LINK:
        return Nics(select_nic(selector, members), members)
    named = select_nic(selector, wired)
    if named not in members:
        raise Refused(
            f"BOOTIF={selector} is {named.name}, which is not in the bond {bond.name}",
            hint=f"name one of its NICs, or say BOOTIF={bond.name}",
        )
    return Nics(named, members)


def _bond(bond: Bond, nics: Nics) -> dict[str, str]:
    assert nics.management
    options = ["[Bond]", *(f"{key}={value}" for key, value in bond.options)]
    files = {f"{PLACE}/11-bond.netdev": _netdev(bond.name, "bond", nics.management.mac, options)}
    for nic in nics.members:
        primary = ["PrimarySlave=yes"] if nic.name == bond.primary else []
        member = _part(_permanently(nic), "\n".join([f"Bond={bond.name}", *primary]))
        files[f"{PLACE}/11-bond-member-{nic.name}.network"] = member
    return files


def _permanently(nic: Nic) -> list[str]:
    """A NIC by the MAC that it was made with: in a bond it takes another, and a VLAN has that of its NIC."""
    return [f"PermanentMACAddress={nic.mac}", "Kind=!*"]


def _part(match: Sequence[str], master: str) -> str:
    """A link that is part of another, and has no address itself."""
    lines = ["[Match]", *match, "", "[Network]", master, "DHCP=no", "IPv6AcceptRA=no", "LinkLocalAddressing=no", ""]
    return "\n".join(lines)


def _netdev(name: str, kind: str, mac: str, options: Sequence[str]) -> str:
    lines = ["[NetDev]", f"Name={name}", f"Kind={kind}", *([f"MACAddress={mac}"] if mac else [])]
    return "\n".join([*lines, "", *options, ""])


def _short(name: str) -> str:
    """A name that Linux takes. Raises Refused where it is too long."""
    if len(name) > NAME_CHARACTERS:
        raise Refused(
            f"{name} is too long for a network interface, which has {NAME_CHARACTERS} characters at most",
            hint="use a bond with a short name, or for a VLAN vlan=NAME:NIC",
        )
    return name


def _management(request: Request, match: Sequence[str]) -> str:
    """The interface with the node's address, for systemd.network(5).

    DHCP is asked by the MAC, in the live system and on the node alike: both get the same lease.
    """
    address = request.address
    lines = ["[Match]", *match, "", "[Network]", *_protocols(request)]
    if address.by is AddressBy.STATIC:
        lines.append(f"Address={address.client}/{address.prefix_bits}")
        lines += [f"Gateway={address.gateway}"] if address.gateway else []
    lines += [f"DNS={server}" for server in request.name_servers]
    return "\n".join([*lines, "", "[DHCPv4]", "ClientIdentifier=mac", "UseHostname=yes", ""])


def _protocols(request: Request) -> list[str]:
    """Who is asked for addresses: by ip= and, where it is there, by ipv6=."""
    by, ipv6 = request.address.by, request.ipv6
    dhcp4, dhcp6 = by is AddressBy.DHCP, by is AddressBy.DHCP6 or ipv6 is Ipv6.DHCP
    asked = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6", (False, False): "no"}
    lines = [f"DHCP={asked[dhcp4, dhcp6]}"]
    if by is AddressBy.AUTO6 or ipv6 in (Ipv6.AUTO, Ipv6.DHCP):
        lines.append("IPv6AcceptRA=yes")
    if ipv6 is Ipv6.OFF:
        lines += ["IPv6AcceptRA=no", "LinkLocalAddressing=no"]
    return lines

"""The node's network: which NICs, and what stands on what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autoinstall import grammar_network as grammar
from autoinstall.errors import BadWords, Refused
from autoinstall.facts import Nic
from autoinstall.grammar_network import Bond, Vlan
from autoinstall.network import MANAGEMENT_NETWORK, PLACE
from autoinstall.plan import Plan, make_plan
from tests.unit.machines import MACHINE, NIC, asked

SECOND = replace(NIC, name="enp0s4", mac="52:54:00:12:34:57", carrier=False)
WLAN = Nic("wlp2s0", "52:54:00:12:34:99", wired=False, carrier=True)
TWO = replace(MACHINE, nics=(NIC, SECOND, WLAN))
PAIR = "bond=bond0:enp0s3,enp0s4"
ACTIVE_BACKUP = (("Mode", "active-backup"), ("MIIMonitorSec", "100ms"))


def _plan(words: str, *nics: Nic) -> Plan:
    return make_plan(asked(f"storage_init {words}"), replace(MACHINE, nics=nics) if nics else TWO)


def _files(words: str, *nics: Nic) -> dict[str, str]:
    files = {file.path: file.text for file in _plan(words, *nics).files}
    return {path.removeprefix(f"{PLACE}/"): text for path, text in files.items() if path.startswith(PLACE)}


def _sections(text: str) -> dict[str, list[str]]:
    """A unit file: section -> its lines."""
    found: dict[str, list[str]] = {}
    for line in filter(None, text.splitlines()):
        if line.startswith("["):
            here = found.setdefault(line.strip("[]"), [])
        else:
            here.append(line)
    return found


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (grammar.vlan, "100", Vlan(100)),
        (grammar.vlan, "7:enp0s3", Vlan(7, "", "enp0s3")),
        (grammar.vlan, "vlan0007:enp0s3", Vlan(7, "vlan0007", "enp0s3")),
        (grammar.vlan, "enp0s3.7:enp0s3", Vlan(7, "enp0s3.7", "enp0s3")),
        (grammar.bond, "bond0", Bond("bond0", (), ACTIVE_BACKUP)),
        (grammar.bond, "b:eth0", Bond("b", ("eth0",), ACTIVE_BACKUP)),
        (
            grammar.bond,
            "b:e1,e2:mode=4,lacp_rate=1,xmit_hash_policy=layer3+4,miimon=50",
            Bond(
                "b",
                ("e1", "e2"),
                (
                    ("Mode", "802.3ad"),
                    ("LACPTransmitRate", "fast"),
                    ("TransmitHashPolicy", "layer3+4"),
                    ("MIIMonitorSec", "50ms"),
                ),
            ),
        ),
        (grammar.bond, "b:e1,e2:primary=e2", Bond("b", ("e1", "e2"), (), "e2")),
    ],
)
def test_a_value_is_read(parse: Any, text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (grammar.vlan, "0"),
        (grammar.vlan, "4095"),
        (grammar.vlan, "12345"),
        (grammar.vlan, "1000000007"),
        (grammar.vlan, "vlan12345:enp0s3"),
        (grammar.netmask, "0.0.0.255"),
        (grammar.vlan, "vlan7"),
        (grammar.vlan, "vlan:enp0s3"),
        (grammar.vlan, "7:"),
        (grammar.vlan, "10;id"),
        (grammar.bond, ""),
        (grammar.bond, "b:e1,e1"),
        (grammar.bond, "b:e1,"),
        (grammar.bond, "b:e1:mode=7"),
        (grammar.bond, "b:e1:mode"),
        (grammar.bond, "b:e1:miimon=soon"),
        (grammar.bond, "b:e1:primary=e2"),
        (grammar.bond, "a-name-of-sixteen"),
        (grammar.ipv6, "on"),
        (grammar.layout, "bridge"),
    ],
)
def test_what_is_no_value_is_refused(parse: Any, text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
    with pytest.raises(ValueError):
        parse(None)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("", ["DHCP=ipv4"]),
        ("ipv6=auto", ["DHCP=ipv4", "IPv6AcceptRA=yes"]),
        ("ipv6=dhcp", ["DHCP=yes", "IPv6AcceptRA=yes"]),
        ("ipv6=off", ["DHCP=ipv4", "IPv6AcceptRA=no", "LinkLocalAddressing=no"]),
        ("ip=off ipv6=dhcp", ["DHCP=ipv6", "IPv6AcceptRA=yes"]),
        ("ip=dhcp6", ["DHCP=ipv6"]),
        ("ip=auto6", ["DHCP=no", "IPv6AcceptRA=yes"]),
        ("ip=192.0.2.7::192.0.2.1:24 ipv6=auto",
         ["DHCP=no", "IPv6AcceptRA=yes", "Address=192.0.2.7/24", "Gateway=192.0.2.1"]),
    ],
)  # fmt: skip
def test_both_families_are_asked_as_the_line_says(words: str, lines: list[str]) -> None:
    assert _sections(_files(f"BOOTIF=enp0s3 {words}")["10-management.network"])["Network"] == lines


def test_a_vlan_is_on_the_nic_and_carries_the_address() -> None:
    files = _files("BOOTIF=enp0s3 vlan=100 ip=192.0.2.7::192.0.2.1:24")
    assert sorted(files) == ["10-management.network", "12-vlan-carrier.network", "12-vlan.netdev"]
    netdev, carrier = _sections(files["12-vlan.netdev"]), _sections(files["12-vlan-carrier.network"])
    assert netdev == {"NetDev": ["Name=enp0s3.100", "Kind=vlan"], "VLAN": ["Id=100"]}
    assert carrier["Match"] == [f"PermanentMACAddress={NIC.mac}", "Kind=!*"]
    assert carrier["Network"][0] == "VLAN=enp0s3.100"
    top = _sections(files["10-management.network"])
    assert top["Match"] == ["Name=enp0s3.100"]
    assert "Address=192.0.2.7/24" in top["Network"]


@pytest.mark.parametrize("words", ["vlan=vlan7:enp0s4", "vlan=vlan7:enp0s4 BOOTIF=52:54:00:12:34:57"])
def test_a_vlan_may_name_itself_and_its_nic(words: str) -> None:
    plan = _plan(words)
    assert plan.nic == SECOND
    assert "Name=vlan7\n" in _files(words)["12-vlan.netdev"]


def test_a_bridge_is_on_the_nic_and_asks_with_its_mac() -> None:
    files = _files("network_layout=bridged", NIC)
    assert _sections(files["13-bridge.netdev"]) == {
        "NetDev": ["Name=brenp0s3", "Kind=bridge", f"MACAddress={NIC.mac}"],
        "Bridge": ["STP=no", "ForwardDelaySec=0"],
    }
    assert _sections(files["13-bridge-port.network"])["Match"] == [f"PermanentMACAddress={NIC.mac}", "Kind=!*"]
    assert _sections(files["10-management.network"])["Match"] == ["Name=brenp0s3"]


def test_a_bond_has_the_mac_that_the_machine_booted_with() -> None:
    files = _files(f"{PAIR} BOOTIF=01-52-54-00-12-34-57")
    assert _sections(files["11-bond.netdev"]) == {
        "NetDev": ["Name=bond0", "Kind=bond", f"MACAddress={SECOND.mac}"],
        "Bond": ["Mode=active-backup", "MIIMonitorSec=100ms"],
    }
    for nic in (NIC, SECOND):
        member = _sections(files[f"11-bond-member-{nic.name}.network"])
        assert member["Match"] == [f"PermanentMACAddress={nic.mac}", "Kind=!*"]
        assert member["Network"][0] == "Bond=bond0"
    assert "ClientIdentifier=mac" in files["10-management.network"]


@pytest.mark.parametrize(
    ("words", "nic"),
    [
        (PAIR, NIC),
        (f"{PAIR} BOOTIF=bond0", NIC),
        (f"{PAIR} ip=192.0.2.7::192.0.2.1:24::bond0", NIC),
        ("bond=bond0 BOOTIF=bond0", NIC),
        ("bond=bond0:enp0s4,enp0s3 BOOTIF=bond0", SECOND),
        ("bond_setup=bond0:enp0s4,enp0s3 BOOTIF=link", NIC),
        (f"{PAIR} vlan=7:bond0", NIC),
    ],
)
def test_the_management_nic_of_a_bond_is_the_one_that_is_named(words: str, nic: Nic) -> None:
    assert _plan(words).nic == nic


def test_a_bond_without_nics_is_made_of_all_wired_ones() -> None:
    assert [name for name in _files("bond=bond0") if "member" in name] == [
        "11-bond-member-enp0s3.network",
        "11-bond-member-enp0s4.network",
    ]
    assert "PrimarySlave=yes" in _files("bond=b:enp0s3,enp0s4:primary=enp0s4")["11-bond-member-enp0s4.network"]


def test_bond_vlan_and_bridge_stand_on_each_other() -> None:
    files = _files(f"{PAIR} vlan=7 network_layout=bridged")
    assert _sections(files["12-vlan-carrier.network"])["Match"] == ["Name=bond0"]
    assert "Name=bond0.7\n" in files["12-vlan.netdev"]
    assert _sections(files["13-bridge-port.network"])["Match"] == ["Name=bond0.7"]
    assert _sections(files["10-management.network"])["Match"] == ["Name=brbond0"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("vlan=7", "a VLAN or bridge is on one NIC, and this machine has enp0s3, enp0s4"),
        ("network_layout=bridged", "a VLAN or bridge is on one NIC"),
        ("vlan=7:enp0s4 BOOTIF=enp0s3", "vlan is for enp0s4, and the node's address is on enp0s3"),
        (f"{PAIR} vlan=7:enp0s3", "vlan is for enp0s3, and the node's address is on bond0"),
        ("bond=bond0:enp0s3,enp0s9", "bond=bond0 is made of enp0s9, and this machine has:"),
        ("bond=bond0:wlp2s0", "bond=bond0 is made of wlp2s0"),
        ("bond=bond0:enp0s3 BOOTIF=enp0s4", "BOOTIF=enp0s4 is enp0s4, which is not in the bond bond0"),
        ("bond=bond-of-fifteen:enp0s3 vlan=100", "bond-of-fifteen.100 is too long for a network interface"),
    ],
)
def test_what_does_not_fit_the_machine_is_refused(words: str, says: str) -> None:
    with pytest.raises(Refused) as caught:
        _plan(words)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("ip=dhcp6 ipv6=off", "ipv6: is off, and ip= asks for an IPv6 address"),
        ("ip=[2001:db8::7]:::64 ipv6=off", "ipv6: is off"),
        ("ip=off vlan=7", "vlan: carries the node's address, and with ip=off there is none"),
        (f"ip=off {PAIR} ipv6=off", "bond: carries the node's address"),
    ],
)
def test_what_does_not_go_together_is_refused(words: str, says: str) -> None:
    with pytest.raises(BadWords) as caught:
        asked(words)
    assert says in str(caught.value)


def test_a_static_address_on_a_bond_needs_no_other_name() -> None:
    assert "Address=192.0.2.7/24" in _files(f"{PAIR} ip=192.0.2.7::192.0.2.1:24")["10-management.network"]
    assert MANAGEMENT_NETWORK.startswith(PLACE)

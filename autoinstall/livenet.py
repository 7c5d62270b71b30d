"""The live system's own network: where the line gives the machine an address or a bond, it is used from now on."""

from __future__ import annotations

from pathlib import Path

from autoinstall.errors import Refused, ToolFailed
from autoinstall.facts import Facts
from autoinstall.grammar_network import AddressBy
from autoinstall.host import Host
from autoinstall.network import network_files, nics_for
from autoinstall.request import Request

RUNTIME = Path("/run/systemd/network")


def use_address(request: Request, facts: Facts, host: Host) -> None:
    """Give this machine the static or stacked set-up that a node of the same words has, by that node's own files.

    What the initramfs made of the same words gives way: its forms are fewer, and it may have asked DHCP.
    Raises Refused, also where a NIC that is meant is not there.
    """
    nics = nics_for(request, facts)
    stacked = request.bond or request.vlan or request.bridged
    if request.address.by is not AddressBy.STATIC and not stacked:
        return
    RUNTIME.mkdir(parents=True, exist_ok=True)
    for path, text in network_files(request, nics).items():
        (RUNTIME / Path(path).name).write_text(text)
    try:
        host.run("networkctl", "reload", doing="giving this machine its address")
    except ToolFailed as error:
        raise Refused(*error.reasons, hint=error.hint) from error

"""The live system's own network: where the line gives the machine an address, it is used from now on."""

from __future__ import annotations

from pathlib import Path

from autoinstall.grammar_network import AddressBy
from autoinstall.host import Host
from autoinstall.plan import Plan
from autoinstall.request import Request
from autoinstall.settings import MANAGEMENT_NETWORK

RUNTIME = Path("/run/systemd/network")


def use_address(request: Request, plan: Plan, host: Host) -> None:
    """Give the management NIC the static address that the node will have, by the node's own file.

    What the initramfs made of the same word gives way: its forms are fewer, and it may have asked DHCP.
    Raises ToolFailed.
    """
    if request.address.by is not AddressBy.STATIC:
        return
    (file,) = (file for file in plan.files if file.path == MANAGEMENT_NETWORK)
    RUNTIME.mkdir(parents=True, exist_ok=True)
    (RUNTIME / Path(file.path).name).write_text(file.text)
    host.run("networkctl", "reload", doing="giving this machine its address")

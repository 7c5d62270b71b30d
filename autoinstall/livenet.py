"""The live system's own network: where the line gives the machine an address or a bond, it is used from now on."""

from __future__ import annotations

from pathlib import Path

from autoinstall.grammar_network import AddressBy
from autoinstall.host import Host
from autoinstall.network import PLACE
from autoinstall.plan import Plan
from autoinstall.request import Request

RUNTIME = Path("/run/systemd/network")


def use_address(request: Request, plan: Plan, host: Host) -> None:
    """Give this machine the static or stacked set-up that the node will have, by the node's own files.

    What the initramfs made of the same words gives way: its forms are fewer, and it may have asked DHCP.
    Raises ToolFailed.
    """
    stacked = request.bond or request.vlan or request.bridged
    if request.address.by is not AddressBy.STATIC and not stacked:
        return
    RUNTIME.mkdir(parents=True, exist_ok=True)
    for file in plan.files:
        if file.path.startswith(f"{PLACE}/"):
            (RUNTIME / Path(file.path).name).write_text(file.text)
    host.run("networkctl", "reload", doing="giving this machine its address")

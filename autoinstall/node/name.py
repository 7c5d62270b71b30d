"""What a node is called, as its disk tells it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from autoinstall.errors import AutoinstallError
from autoinstall.host import Host
from autoinstall.mounts import mounted
from autoinstall.node.ondisk import NodeDisk
from autoinstall.settings import default_host_name
from autoinstall.slotcfg import SLOT_CFG, kernel_arguments_of
from autoinstall.slots import Slot

HOST_NAME = Path("etc/upper/hostname")
WORD = "systemd.hostname="


def stored_name(host: Host, node: NodeDisk, slot: Slot) -> str:
    """The name that was given to the node, else the one that its boot entry gives it."""
    with suppress(AutoinstallError, OSError), mounted(host, node.device("Config"), "ro", "noload") as config:
        return (config / HOST_NAME).read_text().strip()
    with suppress(AutoinstallError, OSError), mounted(host, node.device(slot.partition_label), "ro") as root:
        words = kernel_arguments_of((root / SLOT_CFG).read_bytes()).split()
        if names := [word.removeprefix(WORD) for word in words if word.startswith(WORD)]:
            return names[-1]
    return default_host_name(None, node.disk.node.install_id if node.disk.node else None)

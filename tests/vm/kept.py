"""What of a node outlives every upgrade and every rollback."""

from __future__ import annotations

from tests.vm.installed import as_root
from tests.vm.machine import Machine

KEPT = "cd /config && find . -type f ! -path './autoinstall/*' ! -path './var/*' ! -name '.*'"


def config_hash(node: Machine) -> str:
    """Of each file of Config but for what the node itself notes there."""
    return as_root(node, f"{KEPT} | sort | xargs -d '\\n' sha256sum")

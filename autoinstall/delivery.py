"""The end of a run, told to servers before the machine leaves. What they did not hear goes with the node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoinstall import cmdline
from autoinstall.errors import EXIT_ASKED, EXIT_HERE, AutoinstallError
from autoinstall.grammar_sources import HOST_NAME
from autoinstall.host import Host
from autoinstall.marks import partition_of_node
from autoinstall.mounts import mounted, write_file
from autoinstall.plan import Plan
from autoinstall.report.events import Ending, Result
from autoinstall.report.http import Servers, try_until
from autoinstall.report.sinks import Memory, alive
from autoinstall.settings import default_host_name
from autoinstall.telling import Telling, telling_from

KEPT = Path("etc/upper/autoinstall/report.json")
"""On Config: /etc/autoinstall/report.json of the node, which node/report.py delivers."""
MOST_KEPT = 8
"""Ends that a node keeps, the newest of them."""
UNTOLD = "they will not hear of it:"
CALLED_AFTER = (Ending.INSTALLED, Ending.ALREADY_INSTALLED, Ending.UPGRADED)
"""What local_boot_trigger tells: that this machine is to be started from its disk from now on."""


def deliver(result: Result, told: Memory, servers: Servers, host: Host) -> list[str]:
    """Tell the servers of the line how it ended; what there is to say of that, one line each."""
    telling = telling_from(told.words)
    if not servers.begun:
        servers.begin(telling.urls)
    failed = servers.deliver(result, telling.limit_s, alive)
    said = _not_told(failed, telling)
    if failed:
        said.append(_kept(result, failed, told, host))
    if telling.trigger and result.ending in CALLED_AFTER and not telling.dry_run:
        said += _call(telling, told.node_name)
    return said


def tell_servers(line: str, result: Result) -> list[str]:
    """The same for a run that died: its line is all that is known of it."""
    try:
        telling = telling_from(cmdline.parse(line))
    except AutoinstallError:
        return []
    servers = Servers()
    servers.begin(telling.urls)
    said = _not_told(servers.deliver(result, telling.limit_s, alive), telling)
    return [*said, f"{UNTOLD} a run that died keeps nothing"] if said else []


def node_name(plan: Plan) -> str:
    """What the node is called, as far as this machine knows."""
    given = [file.text.strip() for file in plan.files if file.path == "/etc/hostname"]
    return given[0] if given else default_host_name(plan.nic, plan.layout.install_id)


def _not_told(failed: Mapping[str, str], telling: Telling) -> list[str]:
    return [f"{url} did not acknowledge within {telling.limit_s} s: {why}" for url, why in failed.items()]


def _kept(result: Result, failed: Mapping[str, str], told: Memory, host: Host) -> str:
    """What becomes of an end that not everybody heard of. A refusal writes nothing, not even this."""
    if result.exit_code in (EXIT_ASKED, EXIT_HERE):
        return f"{UNTOLD} where a run is refused, nothing is written"
    if not told.node_disk:
        return f"{UNTOLD} there is no node to deliver it"
    try:
        _keep({"urls": list(failed), "result": result.to_json()}, told.node_disk, host)
    except (AutoinstallError, OSError) as error:
        return f"{UNTOLD} it cannot be kept on the node: {error}"
    return "it is kept on the node, which delivers it"


def _keep(entry: Mapping[str, Any], disk: str, host: Host) -> None:
    """Behind those that the node keeps already; after a cut all of the old ones are there, or all of the new ones."""
    with mounted(host, partition_of_node(disk, "Config")) as root:
        path, partial = root / KEPT, (root / KEPT).with_suffix(".new")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        write_file(partial, json.dumps([*_before(path), entry][-MOST_KEPT:], sort_keys=True).encode(), 0o600)
        partial.rename(path)


def _before(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def _call(telling: Telling, name: str) -> list[str]:
    url = telling.trigger.replace(HOST_NAME, name)
    why = try_until(url, telling.limit_s, alive)
    return [f"local_boot_trigger: {url} did not answer within {telling.limit_s} s: {why}"] if why else []

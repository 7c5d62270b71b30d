"""The end of a run, told to servers before the machine leaves. What they did not hear goes with the node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from autoinstall import cmdline
from autoinstall.errors import AutoinstallError
from autoinstall.grammar_sources import HOST_NAME
from autoinstall.host import Host
from autoinstall.mounts import mounted, write_file
from autoinstall.plan import Plan
from autoinstall.report.events import Ending, Result
from autoinstall.report.http import Servers, try_until
from autoinstall.report.sinks import Memory, alive
from autoinstall.settings import default_host_name
from autoinstall.telling import Telling, telling_from

KEPT = Path("etc/upper/autoinstall/report.json")
"""On Config: /etc/autoinstall/report.json of the node, which node/report.py delivers."""


def deliver(result: Result, told: Memory, servers: Servers, host: Host) -> list[str]:
    """Tell the servers of the line how it ended; what there is to say of that, one line each."""
    telling = telling_from(told.words)
    if not servers.begun:
        servers.begin(telling.urls)
    failed = servers.deliver(result, telling.limit_s, alive)
    said = _not_told(failed, telling)
    if failed and result.ending is Ending.INSTALLED:
        said.append(_keep(result, failed, told, host))
    if telling.trigger and result.ending is Ending.INSTALLED:
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
    return _not_told(servers.deliver(result, telling.limit_s, alive), telling)


def node_name(plan: Plan) -> str:
    """What the node is called, as far as this machine knows."""
    given = [file.text.strip() for file in plan.files if file.path == "/etc/hostname"]
    return given[0] if given else default_host_name(plan.nic, plan.layout.install_id)


def _not_told(failed: Mapping[str, str], telling: Telling) -> list[str]:
    return [f"{url} did not acknowledge within {telling.limit_s} s: {why}" for url, why in failed.items()]


def _keep(result: Result, failed: Mapping[str, str], told: Memory, host: Host) -> str:
    text = json.dumps({"urls": list(failed), "result": result.to_json()}, sort_keys=True)
    try:
        with mounted(host, told.config) as root:
            (root / KEPT).parent.mkdir(parents=True, exist_ok=True)
            write_file(root / KEPT, text.encode(), 0o600)
    except (AutoinstallError, OSError) as error:
        return f"it cannot be kept on the node: {error}"
    return "it is kept on the node, which delivers it"


def _call(telling: Telling, name: str) -> list[str]:
    url = telling.trigger.replace(HOST_NAME, name)
    why = try_until(url, telling.limit_s, alive)
    return [f"local_boot_trigger: {url} did not answer within {telling.limit_s} s: {why}"] if why else []

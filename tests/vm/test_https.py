"""https of the image: a server is told and asked where its authority is known, and nothing where it is not."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest

from autoinstall.grammar import EXAMPLE_KEY
from tests.authority import make_authority
from tests.vm.hardware import Disk, new_disk
from tests.vm.listener import HOST, listener, plug_nic
from tests.vm.live import LiveSystem, install

pytestmark = pytest.mark.vm
LINE = "autoinstall.dry_run autoinstall.report_timeout=5 console=ttyS0"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def test_a_server_is_told_and_asked_over_https_where_its_authority_is_known(live: LiveSystem, tmp_path: Path) -> None:
    make_authority(tmp_path, HOST)
    authority = base64.b64encode((tmp_path / "ca.crt").read_bytes()).decode()
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None)
    with listener(certificate=tmp_path / "server.pem") as up, live.start(tmp_path, disk) as machine:
        plug_nic(machine)
        machine.shell(f"date -s @{int(time.time())}")  # a machine that was saved has the time of then
        up.files["/keys"] = f"ssh-ed25519 {EXAMPLE_KEY} me@laptop\n"
        line = f"storage_init autoinstall.report={up.url}/r {LINE}"
        assert install(machine, line)["result"] == "planned"
        machine.wait_for_line("report: WARN: .* did not acknowledge within 5 s: .*certificate verify failed", 60)
        machine.wait_for_line("report: WARN: they will not hear of it: there is no node to deliver it", 30)
        assert not up.told
        machine.shell(f"echo {authority} | base64 -d >>{BUNDLE}")
        machine.events.clear()
        result = install(machine, f"{line} autoinstall.ssh_key={up.url}/keys")
        assert result["result"] == "planned", result
    (keys,) = [file for file in result["plan"]["files"] if file["path"].endswith("/authorized_keys")]
    assert keys["text"] == up.files["/keys"]
    assert up.told[-1]["plan_digest"] == result["plan_digest"]

"""Words from a file and from credentials, servers that hear of a run, and the network of bonds, VLANs and bridges."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.hardware import Disk, Hardware, new_disk
from tests.vm.image import Image
from tests.vm.installed import ADMIN_HASH, HEALTHY, LIVE_LIMIT_S, NODE_LIMIT_S, NOT_INSTALLED
from tests.vm.listener import MAC, listener, nic_words, plug_nic
from tests.vm.live import LiveSystem, install
from tests.vm.machine import Machine
from tests.vm.ssh import free_port
from tests.vm.writes import written

pytestmark = pytest.mark.vm
LINE = "console=ttyS0 autoinstall.after=hold autoinstall.kargs=systemd.debug_shell=ttyS1"
UPPER = "/etc/upper"
REPORT = f"{UPPER}/autoinstall/report.json"
SETTLE_LIMIT_S = 120


def words_medium(place: Path, *words: str) -> Disk:
    """A medium with the label WORDS, and these in its file node.words."""
    (place / "medium").mkdir()
    (place / "medium/node.words").write_text("\n".join(["# words of a node", *words, ""]))
    path = new_disk(place / "WORDS0.raw", 8 << 20)
    subprocess.run(["mke2fs", "-q", "-L", "WORDS", "-d", place / "medium", path], check=True)
    return Disk(path, serial="WORDS0", boot_index=None)


def test_words_come_from_a_file_servers_hear_of_it_and_the_node_keeps_what_one_did_not(
    live: LiveSystem, tmp_path: Path
) -> None:
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None)
    down = f"http://10.0.9.2:{free_port()}/down"
    with listener() as up, live.start(tmp_path, disk) as machine:
        plug_nic(machine)
        medium = words_medium(
            tmp_path, f"adminpw={ADMIN_HASH}", "hostname=node7", f"autoinstall.report={up.url}/up",
            f"autoinstall.report={down}", "autoinstall.report_timeout=3", f"local_boot_trigger={up.url}/@HOSTNAME@",
            "management_server=engine.example",
        )  # fmt: skip
        for node in medium.block_nodes():
            machine.qmp("blockdev-add", **node)
        machine.qmp("device_add", **medium.device())
        result = install(machine, f"storage_init=serial:TARGET0 autoinstall.words=LABEL=WORDS:/node.words {LINE}")
        machine.wait_for_line("^autoinstall: report: WARN: it is kept on the node", SETTLE_LIMIT_S)
    assert result["result"] == "installed", result
    assert up.told[-1]["plan_digest"] == result["plan_digest"]
    steps = [event["name"] for event in up.told[:-1] if event["event_type"] == "finish"]
    assert len(steps) == len(result["seconds"])
    assert up.asked == ["/node7"]
    after = DiskImage(disk.path)
    (kept,) = json.loads(after.ext_file("Config", REPORT))
    assert kept["urls"] == [down]
    assert kept["result"]["plan_digest"] == result["plan_digest"]
    assert ADMIN_HASH in after.ext_file("Config", f"{UPPER}/shadow").decode()
    assert json.loads(after.ext_file("Config", f"{UPPER}/autoinstall/management.json")) == {
        "management_server": "engine.example"
    }
    said = json.dumps([*up.told, *machine.events, kept]) + machine.console.all
    assert ADMIN_HASH not in said


def test_a_stateless_system_has_its_settings_lets_admin_in_and_wrote_to_no_disk(
    live: LiveSystem, tmp_path: Path
) -> None:
    log = tmp_path / "writes.log"
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None, write_log=log)
    with live.start(tmp_path, disk) as machine:
        words = f"stateless adminpw={ADMIN_HASH} hostname=bench network_layout=bridged autoinstall.log_level=error"
        result = install(machine, f"{words} console=ttyS0")
        machine.wait_for_line("^autoinstall: result=applied", SETTLE_LIMIT_S)
        assert machine.shell("hostname").strip() == "bench"
        assert ADMIN_HASH in machine.shell("cat /etc/shadow")
        assert machine.shell("systemctl is-active ssh.service").strip() == "active"
        machine.shell("until ip -4 -o address show | grep -q 'br.*10.0.2.'; do udevadm settle; done", SETTLE_LIMIT_S)
        assert "command line:" not in machine.console.all.rpartition("result=none")[2]
    assert (result["result"], result["host_name"]) == ("applied", "bench")
    assert ADMIN_HASH not in json.dumps(machine.events)
    assert not written(log)


@pytest.mark.exhaustive
def test_a_node_on_a_bonded_bridge_is_healthy_and_delivers_what_a_server_did_not_hear(
    live: LiveSystem, tmp_path: Path
) -> None:
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None)
    port = free_port()
    with live.start(tmp_path, disk) as machine:
        plug_nic(machine)
        first, second = _nics(machine)
        bond = f"bond=bond0:{first},{second}:mode=active-backup,miimon=100,primary={second}"
        words = f"BOOTIF=bond0 {bond} network_layout=bridged autoinstall.report=http://10.0.9.2:{port}/"
        result = install(machine, f"storage_init=serial:TARGET0 {words} autoinstall.report_timeout=1 {LINE}")
        assert result["result"] == "installed", result
        machine.shell("until ip -4 -o address show brbond0 | grep -q 10.0.9; do udevadm settle; done", SETTLE_LIMIT_S)
    hardware = Hardware(disks=(replace(disk, boot_index=0),), more=nic_words())
    with listener(port) as up, Machine(hardware, tmp_path, name="node") as node:
        node.wait_for_line(HEALTHY, NODE_LIMIT_S)
        assert "MII Status: up\n" in node.shell("cat /proc/net/bonding/bond0")
        active = node.shell("cat /sys/class/net/bond0/bonding/active_slave").strip()
        assert node.shell(f"cat /sys/class/net/{active}/bonding_slave/perm_hwaddr").strip() == MAC
        assert node.shell("cat /sys/class/net/brbond0/address").strip() == hardware.mac
        assert "10.0.9." in node.shell("ip -4 -o address show brbond0")
        node.shell("while test -e /etc/autoinstall/report.json; do udevadm settle; done", SETTLE_LIMIT_S)
        assert node.shell("systemctl --failed --no-legend").strip() == ""
    assert [told["plan_digest"] for told in up.told] == [result["plan_digest"]]


@pytest.mark.exhaustive
def test_a_node_has_its_static_address_on_a_vlan_of_a_bond_with_a_bridge(live: LiveSystem, tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None)
    with live.start(tmp_path, disk) as machine:
        plug_nic(machine)
        words = "bond=bond0 vlan=100 network_layout=bridged ip=192.0.2.7::192.0.2.1:24 ipv6=off"
        result = install(machine, f"storage_init=serial:TARGET0 {words} {LINE}")
        assert result["result"] == "installed", result
        assert "192.0.2.7/24" in result["addresses"]
    with Machine(Hardware(disks=(replace(disk, boot_index=0),), more=nic_words()), tmp_path, name="node") as node:
        node.wait_for_line(HEALTHY, NODE_LIMIT_S)
        links = {link["ifname"]: link for link in json.loads(node.shell("ip -json -details address"))}
        assert links["bond0.100"]["linkinfo"]["info_data"]["id"] == 100
        assert links["bond0.100"]["link"] == "bond0"
        assert links["bond0.100"]["master"] == "brbond0"
        assert [info["local"] for info in links["brbond0"]["addr_info"]] == ["192.0.2.7"]
        assert len([link for link in links.values() if link.get("master") == "bond0"]) == 2
        assert MAC in node.shell("cat /proc/net/bonding/bond0")


@pytest.mark.exhaustive
def test_secrets_come_as_credentials_from_smbios_and_fw_cfg(image: Image, live: LiveSystem, tmp_path: Path) -> None:
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None)
    root_hash = ADMIN_HASH.replace("autoinstalltest", "autoinstallroot")
    more = (
        "-smbios", f"type=11,value=io.systemd.credential:autoinstall.adminpw={ADMIN_HASH}",
        "-fw_cfg", f"name=opt/io.systemd.credentials/autoinstall.rootpw,string={root_hash}",
    )  # fmt: skip
    direct = live.hardware.direct
    assert direct
    line = f"{direct.command_line} storage_init=serial:TARGET0 {LINE}"
    hardware = Hardware(cdrom=image.iso, direct=replace(direct, command_line=line), disks=(disk,), more=more)
    with Machine(hardware, tmp_path) as machine:
        machine.wait_for_line("^autoinstall: result=installed", LIVE_LIMIT_S, unless=NOT_INSTALLED)
    shadow = DiskImage(disk.path).ext_file("Config", f"{UPPER}/shadow").decode()
    assert f"admin:{ADMIN_HASH}:0:" in shadow
    assert f"root:{root_hash}::0:" in shadow
    assert not [text for text in (ADMIN_HASH, root_hash) if text in machine.console.all + json.dumps(machine.events)]


def _nics(machine: Machine) -> tuple[str, str]:
    """The usual NIC, and the one of the listener."""
    links = json.loads(machine.shell("ip -json link"))
    names = {link["address"]: link["ifname"] for link in links}
    return names[machine.hardware.mac], names[MAC]

"""Booting from the network: the product's own directory, over QEMU's TFTP and an HTTP server on the loopback."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from autoinstall.live import ROOT_IMAGE
from tests.vm.disk import DiskImage
from tests.vm.hardware import SILENT_MAC, Direct, Disk, Firmware, Hardware, Netboot, new_disk
from tests.vm.image import ROOT, Image
from tests.vm.installed import (
    HEALTHY,
    INSTALL_LIMIT_S,
    LIVE_LIMIT_S,
    NODE_LIMIT_S,
    NOT_INSTALLED,
    SSH_LIMIT_S,
    as_root,
)
from tests.vm.live import CONSOLE, LiveSystem, install
from tests.vm.machine import Machine

pytestmark = pytest.mark.vm
HOST = "10.0.2.2"
WORDS = "storage_init console=ttyS0,115200"
INSTALLER = "Python-urllib"
END_LIMIT_S = 60
FILES = {"vmlinuz", "initrd.img", "manifest.json", "manifest.json.sig"}


class Loader(Enum):
    """The file that a NIC boots: what it holds is for one kind of firmware."""

    IPXE = "autoexec.ipxe"
    PXELINUX = "pxelinux.0"
    GRUB = "grubx64.efi"

    @property
    def firmware(self) -> Firmware:
        """What starts it."""
        return Firmware.UEFI if self is Loader.GRUB else Firmware.BIOS


FIRST = [Loader.IPXE, Loader.GRUB]
SYSLINUX = ("/usr/lib/PXELINUX/pxelinux.0", "/usr/lib/syslinux/modules/bios/ldlinux.c32")


def loader_name(loader: Loader) -> str:
    """For the names of tests."""
    return f"{loader.firmware.value}-{loader.name.lower()}"


class Fault(Enum):
    """How a server fails to hand out a whole file: after half of it."""

    HANGS_UP = "hangs up"
    FALLS_SILENT = "falls silent"


@dataclass
class Server:
    """A PXE server: what it hands out over HTTP and, by QEMU, over TFTP; and who asked it for what, over HTTP.

    `faults`: what becomes of the first requests for the live system.
    """

    place: Path
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def root(self) -> str:
        """Where the live system comes from, and with it the image."""
        return f"http://{HOST}:{self.port}/{ROOT_IMAGE}"

    def asked_by(self, agent: str) -> set[str]:
        """The files that a program asked for."""
        return {path.strip("/") for who, path in self.asked if who.startswith(agent)}


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, site: Server) -> None:
        self.site = site
        super().__init__(*args, directory=str(site.place))

    def do_GET(self) -> None:
        self.site.asked.append((self.headers["User-Agent"] or "", self.path))
        if self.path.endswith(ROOT_IMAGE) and self.site.faults:
            self._send_half(self.site.faults.pop(0))
        else:
            super().do_GET()

    def _send_half(self, fault: Fault) -> None:
        content = (self.site.place / ROOT_IMAGE).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        if fault is Fault.FALLS_SILENT:
            self.site.over.wait()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Requests are no news."""


def publish(image: Image, site: Server, words: str) -> None:
    """What `autoinstall pxe` makes of the image and a line, where the server hands it out from now on."""
    options = ["--url", f"http://{HOST}:{site.port}", "--cmdline", words, "-o", str(site.place)]
    subprocess.run([sys.executable, "-m", "autoinstall", "pxe", image.place, *options], cwd=ROOT, check=True)


@contextmanager
def pxe_server(image: Image, place: Path, words: str = WORDS) -> Iterator[Server]:
    """What `autoinstall pxe` makes of the image, served."""
    place.mkdir()
    site = Server(place)
    handler = functools.partial(_Handler, site=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        publish(image, site, words)
        yield site
        site.over.set()
        server.shutdown()


@pytest.mark.exhaustive
@pytest.mark.parametrize("loader", Loader, ids=loader_name)
def test_a_machine_that_boots_from_the_network_becomes_a_node(image: Image, tmp_path: Path, loader: Loader) -> None:
    """Its first NIC has a link too, and nobody there: the one that it booted from is the management NIC."""
    disk = Disk(new_disk(tmp_path / "disk.raw"))
    with pxe_server(image, tmp_path / "pxe") as server:
        if loader is Loader.PXELINUX:
            for file in SYSLINUX:
                shutil.copy(file, server.place)
        netboot = Netboot(server.place, loader.value)
        hardware = Hardware(loader.firmware, disks=(disk,), netboot=netboot, silent_nic=True, reboots=True)
        with Machine(hardware, tmp_path) as machine:
            nic = machine.wait_for_line("^autoinstall: NIC +(.+)$", LIVE_LIMIT_S, unless=NOT_INSTALLED)
            assert nic.group(1).endswith(hardware.mac)
            machine.wait_for_line("^autoinstall: result=installed", INSTALL_LIMIT_S, unless=NOT_INSTALLED)
            machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
            assert "[FAILED]" not in machine.console.all, "a unit waited for the silent NIC"
            machine.power_off()
    assert server.asked_by(INSTALLER) == FILES
    after = DiskImage(disk.path)
    for slot in ("Root-A", "Root-B"):
        for name, entry in image.manifest["files"].items():
            assert after.ext_sha256(slot, f"/{name}") == entry["sha256"]
    network = after.ext_file("Config", "/etc/upper/systemd/network/10-management.network").decode()
    assert f"MACAddress={hardware.mac}\n" in network
    assert SILENT_MAC not in network


def network_first(loader: Loader, server: Server, place: Path, node: Path) -> Hardware:
    """A machine with a node on its disk, whose firmware takes the network first for ever."""
    disk = Disk(DiskImage(node).copy(place / "disk.raw").path, boot_index=1)
    return Hardware(loader.firmware, disks=(disk,), netboot=Netboot(server.place, loader.value, first=True))


@pytest.mark.exhaustive
@pytest.mark.parametrize("loader", FIRST, ids=loader_name)
def test_a_machine_whose_firmware_always_takes_the_network_first_reaches_its_node(
    image: Image, tmp_path: Path, finished: Path, loader: Loader
) -> None:
    with (
        pxe_server(image, tmp_path / "pxe") as server,
        Machine(network_first(loader, server, tmp_path, finished), tmp_path) as machine,
    ):
        machine.wait_for_line("^autoinstall: result=already-installed", LIVE_LIMIT_S)
        machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
        assert not [event for event in machine.events if event.get("name") == "install/wipe"]


@pytest.mark.exhaustive
def test_a_machine_that_always_boots_from_the_network_is_installed_once_for_each_id(
    image: Image, tmp_path: Path, key: Path
) -> None:
    """Five boots with one line, one install; then another id, two boots, and one install more."""
    kind, base64, _ = key.with_suffix(".pub").read_text().split()
    line = f"{WORDS} autoinstall.ssh_key={kind}:{base64}:test autoinstall.id="
    disk = Disk(new_disk(tmp_path / "disk.raw"), boot_index=1)
    with pxe_server(image, tmp_path / "pxe", f"{line}one") as server:
        netboot = Netboot(server.place, Loader.IPXE.value, first=True)
        with Machine(Hardware(disks=(disk,), netboot=netboot, reboots=True), tmp_path, key=key) as machine:
            endings = []
            for boot in range(1, 8):
                ending = machine.wait_for_line("^autoinstall: result=(\\S+)$", LIVE_LIMIT_S + INSTALL_LIMIT_S)
                endings.append(ending.group(1))
                if endings[-1] == "already-installed":
                    machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
                    machine.ssh.wait(SSH_LIMIT_S)
                    if boot == 5:
                        publish(image, server, f"{line}two")
                    as_root(machine, "systemctl --no-block reboot")
    assert endings == ["installed", *["already-installed"] * 4, "installed", "already-installed"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("loader", FIRST, ids=loader_name)
def test_a_node_boots_from_its_disk_where_the_network_has_no_kernel(
    image: Image, tmp_path: Path, finished: Path, loader: Loader
) -> None:
    with pxe_server(image, tmp_path / "pxe") as server:
        (server.place / "vmlinuz").unlink()
        with Machine(network_first(loader, server, tmp_path, finished), tmp_path) as machine:
            machine.wait_for_line(HEALTHY, NODE_LIMIT_S)
            assert "autoinstall: command line:" not in machine.console.all


def spoil(file: Path) -> None:
    """Another file of the same size."""
    with file.open("r+b") as opened:
        opened.seek(-1, 2)
        last = opened.read(1)
        opened.seek(-1, 2)
        opened.write(bytes([last[0] ^ 1]))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (spoil, "vmlinuz is not what its manifest says"),
        pytest.param(Path.unlink, "vmlinuz cannot be fetched: HTTP Error 404", marks=pytest.mark.exhaustive),
    ],
    ids=["changed", "missing"],
)
def test_a_server_whose_files_are_not_the_image_is_refused_and_nothing_is_written(
    live: LiveSystem, tmp_path: Path, harm: Callable[[Path], None], why: str
) -> None:
    log = tmp_path / "writes.log"
    disk = Disk(new_disk(tmp_path / "TARGET0.raw"), boot_index=None, write_log=log)
    with pxe_server(live.image, tmp_path / "pxe") as server:
        harm(server.place / "vmlinuz")
        reaching = replace(live, hardware=replace(live.hardware, netboot=Netboot(server.place)))
        with reaching.start(tmp_path, disk) as machine:
            result = install(machine, f"{WORDS} root=live:{server.root}")
    assert (result["result"], result["exit_code"]) == ("refused", 3)
    assert why in result["reasons"][0]
    assert not log.stat().st_size, "the disk was written to"
    assert DiskImage(disk.path).is_blank()


def fetching(image: Image, server: Server, words: str) -> Hardware:
    """A live boot from the server, without waiting for a firmware."""
    line = f"root=live:{server.root} rd.live.image rd.shell=0 {CONSOLE} {words}"
    return Hardware(direct=Direct(image.kernel, image.initrd, line), netboot=Netboot(server.place))


@pytest.mark.exhaustive
def test_a_live_system_that_its_server_does_not_have_is_told_and_the_machine_does_as_its_line_says(
    image: Image, tmp_path: Path
) -> None:
    """With two tries instead of a hundred."""
    patience = "systemd.setenv=RETRIES=2 rd.retry=6"
    with pxe_server(image, tmp_path / "pxe") as server:
        (server.place / ROOT_IMAGE).unlink()
        with Machine(fetching(image, server, f"autoinstall.on_failure=poweroff {patience}"), tmp_path) as machine:
            machine.wait_for_line(f"Downloading '{server.root}' failed!", LIVE_LIMIT_S)
            machine.wait_for_line("^autoinstall: result=failed", LIVE_LIMIT_S)
            result = machine.result(END_LIMIT_S)
            machine.wait_for_end(END_LIMIT_S)
    assert (result["result"], result["exit_code"], result["stage"]) == ("failed", 4, "initramfs")
    assert result["reasons"] == [f"booting, in the initramfs: {server.root} could not be fetched"]


@pytest.mark.exhaustive
def test_a_server_that_breaks_off_is_asked_again(image: Image, tmp_path: Path) -> None:
    with pxe_server(image, tmp_path / "pxe") as server:
        server.faults += [Fault.HANGS_UP, Fault.FALLS_SILENT]
        with Machine(fetching(image, server, ""), tmp_path) as machine:
            result = machine.result(LIVE_LIMIT_S)
    assert result["result"] == "none", result
    assert not server.faults

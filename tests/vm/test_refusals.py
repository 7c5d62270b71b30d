"""What must not happen to a disk, proved from outside: the exit code says why, and not one byte has changed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.vm.disk import DiskImage
from tests.vm.faults import bad_sector
from tests.vm.hardware import GIB, MIB, Disk, new_disk
from tests.vm.live import INSTALL_LIMIT_S, LiveSystem, begin, install
from tests.vm.machine import Event, Machine

pytestmark = pytest.mark.vm
SECTOR = 512
LINE = "BOOTIF=link autoinstall.after=hold"


def blank(place: Path, serial: str = "TARGET0", size_bytes: int = 8 * GIB) -> Disk:
    """A blank disk."""
    return Disk(new_disk(place / f"{serial}.raw", size_bytes), serial=serial, boot_index=None)


def foreign(place: Path, serial: str = "TARGET0") -> Disk:
    """A disk with somebody's photos."""
    disk = blank(place, serial)
    script = "label: gpt\nstart=1MiB, size=64MiB, name=photos\n"
    subprocess.run(["sfdisk", "--quiet", disk.path], input=script.encode(), check=True)
    options = ["-q", "-F", "-L", "HOLIDAY", "-E", f"offset={1 << 20}"]
    subprocess.run(["mkfs.ext4", *options, disk.path, "64M"], check=True)
    return disk


def refused(live: LiveSystem, place: Path, words: str, *disks: Disk) -> tuple[Event, str]:
    """Run the installer; it must refuse, say so everywhere, and leave every disk as it is."""
    before = {disk.serial: DiskImage(disk.path).digest() for disk in disks}
    with live.start(place, *disks) as machine:
        result = _refusal(machine, words)
        text = machine.console.all
    assert {disk.serial: DiskImage(disk.path).digest() for disk in disks} == before
    return result, text


def _refusal(machine: Machine, words: str) -> Event:
    result = install(machine, f"{words} {LINE}")
    machine.wait_for_line(r"^autoinstall: Nothing was written\.", limit_s=30)
    machine.wait_for_line(r"^autoinstall: result=refused$", limit_s=30)
    assert result["result"] == "refused"
    assert result["exit_code"] in (2, 3)
    assert not [event for event in machine.events if event.get("name") == "install/wipe"]
    return result


def told(result: Event) -> str:
    """Everything that the result tells a person."""
    return "\n".join([*result["reasons"], result["hint"]])


def test_a_disk_that_is_not_there(live: LiveSystem, tmp_path: Path) -> None:
    result, text = refused(live, tmp_path, "storage_init=serial:NOSUCH autoinstall.disk_timeout=2", blank(tmp_path))
    assert result["exit_code"] == 3
    assert re.search(r"serial is TARGET0, not NOSUCH", told(result))
    assert "storage_init=serial:TARGET0" in told(result)
    assert "storage_init=serial:TARGET0" in text


def test_several_disks_and_none_named(live: LiveSystem, tmp_path: Path) -> None:
    disks = blank(tmp_path, "FIRST0"), blank(tmp_path, "SECOND0")
    result, _ = refused(live, tmp_path, "storage_init", *disks)
    assert result["exit_code"] == 3
    for serial in ("FIRST0", "SECOND0"):
        assert f"storage_init=serial:{serial}" in told(result)


def test_a_disk_that_is_too_small_and_by_how_much(live: LiveSystem, tmp_path: Path) -> None:
    result, _ = refused(live, tmp_path, "storage_init=serial:TARGET0", blank(tmp_path, size_bytes=4 * GIB))
    assert result["exit_code"] == 3
    assert re.search(r"\d+ MiB", told(result))


def test_somebody_elses_data_under_a_bare_storage_init(live: LiveSystem, tmp_path: Path) -> None:
    result, _ = refused(live, tmp_path, "storage_init", foreign(tmp_path))
    assert result["exit_code"] == 3
    assert "HOLIDAY" in told(result)
    assert "ext4" in told(result)


def test_a_password_in_plain_text(live: LiveSystem, tmp_path: Path) -> None:
    result, text = refused(live, tmp_path, "storage_init adminpw=hunter2", blank(tmp_path))
    assert result["exit_code"] == 2
    assert "adminpw" in told(result)
    assert "hunter2" not in text.split("Kernel command line")[-1].split("\n", 1)[1]
    assert "hunter2" not in told(result)


def test_an_unknown_word_of_ours(live: LiveSystem, tmp_path: Path) -> None:
    result, _ = refused(live, tmp_path, "storage_init autoinstall.ssh_kye=x", blank(tmp_path))
    assert result["exit_code"] == 2
    assert "autoinstall.ssh_key" in told(result)


def test_every_problem_at_once(live: LiveSystem, tmp_path: Path) -> None:
    result, _ = refused(live, tmp_path, "storage_init adminpw=x hostname=-a- autoinstall.no", blank(tmp_path))
    assert result["exit_code"] == 2
    assert len(result["reasons"]) >= 3


def test_an_image_that_is_not_what_its_manifest_says(live: LiveSystem, tmp_path: Path) -> None:
    disk = blank(tmp_path)
    with live.start(tmp_path, disk) as machine:
        manifest = "/run/initramfs/live/autoinstall/manifest.json"
        good = live.image.sha256("vmlinuz")
        machine.shell(f"sed s/{good}/{good[::-1]}/ {manifest} >/run/other.json")
        machine.shell(f"mount --bind /run/other.json {manifest}")
        result = install(machine, f"storage_init=serial:TARGET0 {LINE}")
        machine.wait_for_line(r"^autoinstall: result=refused$", limit_s=30)
    assert result["exit_code"] == 3
    assert "vmlinuz" in told(result) or "image_id" in told(result)
    assert DiskImage(disk.path).is_blank()


def test_a_node_is_already_there_and_the_same_line_comes_again(
    live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, boot_index=None)
    before = DiskImage(disk.path).digest()
    with live.start(tmp_path, disk) as machine:
        result = install(machine, f"storage_init=serial:TARGET0 {LINE} autoinstall.installed=hold")
        machine.wait_for_line("^autoinstall: result=already-installed$", limit_s=30)
    assert (result["result"], result["exit_code"]) == ("already-installed", 0)
    assert DiskImage(disk.path).digest() == before


def test_a_line_that_is_typed_by_hand_is_refused_and_done_as_from_the_boot_menu(
    live: LiveSystem, tmp_path: Path
) -> None:
    """On a terminal that is no console; while one run waits for its disk, there is no second one."""
    disk = blank(tmp_path)
    with live.start(tmp_path, disk) as machine:
        told = typed(machine, f"storage_init=serial:NOSUCH autoinstall.disk_timeout=2 {LINE}", 3)
        assert "\nautoinstall: Nothing was written." in told
        assert "autoinstall: hint: " in told
        assert told.rstrip().endswith("autoinstall: result=refused")
        assert machine.result(60)["exit_code"] == 3
        assert "adminpw" in typed(machine, f"storage_init=serial:TARGET0 adminpw=hunter2 {LINE}", 2)
        assert DiskImage(disk.path).is_blank()
        patient = shlex.quote(f"storage_init=serial:LATE autoinstall.disk_timeout=300 {LINE}")
        machine.shell(f"systemd-run --quiet --unit=first autoinstall install --cmdline {patient}")
        machine.wait_for_line("^autoinstall: waiting for .*LATE", limit_s=60)
        assert "is under way" in typed(machine, f"storage_init=serial:TARGET0 {LINE}", 3)
        machine.shell("systemctl kill --signal=SIGINT first")
        machine.wait_for_line(r"^autoinstall: it was told to end \(SIGINT\)", limit_s=60)
        told = typed(machine, f"storage_init=serial:TARGET0 {LINE}", 0)
        assert told.rstrip().endswith("autoinstall: result=installed")
    assert DiskImage(disk.path).table.partitions[0].label == "BIOS-boot"


def typed(machine: Machine, words: str, status: int) -> str:
    """What `autoinstall install --cmdline WORDS` prints, and ends with that exit status."""
    text = machine.shell(f"autoinstall install --cmdline {shlex.quote(words)} 2>&1; echo status=$?", INSTALL_LIMIT_S)
    text, _, ended = text.rpartition("status=")
    assert int(ended) == status, text
    return text


def test_a_node_whose_table_cannot_be_read_is_no_blank_disk(live: LiveSystem, tmp_path: Path, finished: Path) -> None:
    """blkid, which cannot read it either, says nothing of it: that is how blank disks are."""
    there = DiskImage(finished).copy(tmp_path / "TARGET0.raw").path
    faulty = Disk(there, boot_index=None, faults=bad_sector(tmp_path / "rules", SECTOR, "read"))
    result, _ = refused(live, tmp_path, "storage_init=serial:TARGET0", faulty)
    assert result["exit_code"] == 3
    assert "does not tell all that is on it" in told(result)


def test_a_partition_that_somebody_put_behind_a_node_harms_neither(
    live: LiveSystem, tmp_path: Path, finished: Path
) -> None:
    disk = Disk(DiskImage(finished).copy(tmp_path / "TARGET0.raw").path, boot_index=None)
    os.truncate(disk.path, disk.path.stat().st_size + 64 * MIB)
    more = ["sfdisk", "--quiet", "--append", "--no-reread", str(disk.path)]
    subprocess.run(more, input=b"size=16MiB, name=scratch\n", check=True)
    before = DiskImage(disk.path).digest()
    with live.start(tmp_path, disk) as machine:
        result = install(machine, f"storage_init=serial:TARGET0 {LINE} autoinstall.installed=hold")
        machine.wait_for_line("^autoinstall: result=already-installed$", limit_s=30)
        assert result["exit_code"] == 0
        for word in ("reinstall", "uninstall"):
            begin(machine, f"{word} {LINE}")
            machine.wait_for_line(
                "^autoinstall:   a partition 'scratch' that is none of the node's$", INSTALL_LIMIT_S
            )
            machine.wait_for_line("^autoinstall: result=refused$", limit_s=30)
    assert DiskImage(disk.path).digest() == before


def test_a_dry_run_shows_the_plan_and_writes_nothing(live: LiveSystem, tmp_path: Path) -> None:
    disk = blank(tmp_path)
    with live.start(tmp_path, disk) as machine:
        result = install(machine, f"storage_init=serial:TARGET0 autoinstall.dry_run {LINE}")
        machine.wait_for_line("^autoinstall: result=planned$", limit_s=30)
    assert (result["result"], result["exit_code"]) == ("planned", 0)
    assert result["plan"]["layout"]["partitions"][0]["label"] == "BIOS-boot"
    assert DiskImage(disk.path).is_blank()

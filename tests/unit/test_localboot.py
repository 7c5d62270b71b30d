"""Booting the node from a medium, as its GRUB would: with the same line, and with the same fallback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from autoinstall import localboot
from autoinstall.errors import MountFailed, StateUnreadable, Stopped, ToolFailed
from autoinstall.host import Host
from autoinstall.image.layers import NODE_GRUB_CFG, node_menu
from autoinstall.localboot import kexec_or_reboot, load_either
from autoinstall.node.state import STATE_COPIES, read_state_files
from autoinstall.report.sinks import Memory
from autoinstall.slotcfg import render_slot_cfg
from autoinstall.slots import Slot, SlotState, render_env
from autoinstall.slotsums import SLOT_SUMS, SUMMED, sums_of

ALWAYS = "panic=30 rd.shell=0 rd.emergency=reboot no_timer_check lsm=yama"
GOOD = SlotState(Slot.A, 3, True, 3, True)
TRIAL_B = SlotState(Slot.B, 3, True, 3, False)


class Node(Host):
    """A node whose partitions are directories, and what kexec was told."""

    def __init__(self, place: Path, state: SlotState) -> None:
        super().__init__()
        self.place, self.lines = place, list[str]()
        self.broken: dict[str, Exception] = {}
        for copy in STATE_COPIES:
            self.put(f"EFI/{copy}", render_env(state))
        self.put("EFI/grub/grub.cfg", node_menu(NODE_GRUB_CFG.read_text(), ALWAYS.split()[3:]).encode())
        for slot in Slot:
            self.put(f"{slot.partition_label}/slot.cfg", render_slot_cfg("1", f"root={slot} panic=30"))
            for name in SUMMED:
                self.put(f"{slot.partition_label}/{name}", b"sound")
            self.put(f"{slot.partition_label}/{SLOT_SUMS}", sums_of(place / slot.partition_label))

    def put(self, name: str, data: bytes) -> None:
        (self.place / name).parent.mkdir(parents=True, exist_ok=True)
        (self.place / name).write_bytes(data)

    def run(self, *argv: str | Path, doing: str) -> None:  # type: ignore[override]
        if argv == ("kexec", "--unload"):
            self.lines.pop()
            return
        assert argv[:2] == ("kexec", "--load")
        if error := self.broken.get(f"kernel of {Path(argv[2]).parent.name}"):
            raise error
        self.lines.append(str(argv[-1]).removeprefix("--command-line="))

    @property
    def state(self) -> SlotState:
        """What GRUB will read."""
        return read_state_files(self.place / "EFI")


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node with two good slots."""

    @contextmanager
    def mounted(host: Node, device: str, *options: str) -> Iterator[Path]:
        if error := host.broken.get(device):
            raise error
        yield tmp_path / device

    monkeypatch.setattr(localboot, "mounted", mounted)
    monkeypatch.setattr(localboot, "partition_of_node", lambda disk, label: label)
    return Node(tmp_path, GOOD)


def _set(node: Node, state: SlotState) -> None:
    for copy in STATE_COPIES:
        node.put(f"EFI/{copy}", render_env(state))


def test_the_line_is_that_of_the_menu_entry(node: Node) -> None:
    assert load_either(node, "/dev/vda", [Memory()]) is Slot.A
    assert node.lines == [f"root=A panic=30 rd.autoinstall.slot=A {ALWAYS}"]
    _set(node, TRIAL_B)
    assert load_either(node, "/dev/vda", [Memory()]) is Slot.B
    assert node.lines[-1] == f"root=B panic=30 rd.autoinstall.slot=B rd.autoinstall.trial=1 {ALWAYS}"


@pytest.mark.parametrize("grub_cfg", [None, b"", b"set always=$x\n"])
def test_a_menu_that_says_nothing_keeps_no_node_from_its_boot(node: Node, grub_cfg: bytes | None) -> None:
    node.place.joinpath("EFI/grub/grub.cfg").unlink()
    if grub_cfg is not None:
        node.put("EFI/grub/grub.cfg", grub_cfg)
    load_either(node, "/dev/vda", [Memory()])
    assert node.lines == ["root=A panic=30 rd.autoinstall.slot=A"]


BROKEN = {
    "Root-A": MountFailed("mounting /dev/vda3: Structure needs cleaning"),
    "kernel of Root-A": ToolFailed("loading slot A: kexec exited with 255"),
}


@pytest.mark.parametrize("broken", [*BROKEN, "slot.cfg", *SUMMED])
@pytest.mark.parametrize("tries_of_b", [3, 0])
def test_a_slot_that_cannot_be_started_gives_way_within_its_attempt(node: Node, broken: str, tries_of_b: int) -> None:
    """Whatever attempts the other has, as in GRUB's menu."""
    _set(node, SlotState(Slot.A, 3, True, tries_of_b, False))
    if broken in BROKEN:
        node.broken = {broken: BROKEN[broken]}
    else:
        (node.place / "Root-A" / broken).unlink()
    told = Memory()
    assert load_either(node, "/dev/vda", [told]) is Slot.B
    assert node.lines == [f"root=B panic=30 rd.autoinstall.slot=B rd.autoinstall.trial=1 {ALWAYS}"]
    assert node.state == SlotState(Slot.A, 2, True, tries_of_b, False)
    assert told.events[-1].description.startswith("slot A cannot be started, and slot B is tried: ")


@pytest.mark.parametrize("name", SUMMED)
def test_a_kernel_or_initramfs_that_rots_is_not_started(node: Node, name: str) -> None:
    node.put(f"Root-A/{name}", b"rotten")
    told = Memory()
    assert load_either(node, "/dev/vda", [told]) is Slot.B
    assert "vmlinuz or initrd.img is not what slot.crc32 says" in told.events[-1].description


def test_a_slot_of_an_installer_that_wrote_no_sums_is_started(node: Node) -> None:
    node.place.joinpath("Root-A", SLOT_SUMS).unlink()
    assert load_either(node, "/dev/vda", [Memory()]) is Slot.A


def test_a_node_with_no_slot_to_start_is_an_error_of_the_last(node: Node) -> None:
    node.broken = {"Root-A": BROKEN["Root-A"], "kernel of Root-B": ToolFailed("loading slot B: it said nothing")}
    with pytest.raises(ToolFailed, match="loading slot B"):
        load_either(node, "/dev/vda", [Memory()])
    assert node.state == GOOD, "a machine that comes back here each time uses no attempt up"


def test_who_ends_the_run_does_not_choose_the_other_slot(node: Node) -> None:
    node.broken = {"kernel of Root-A": Stopped("it was told to end (SIGTERM)")}
    with pytest.raises(Stopped):
        load_either(node, "/dev/vda", [Memory()])
    assert not node.lines


def test_after_an_upgrade_the_firmware_is_asked_before_the_old_slot(node: Node) -> None:
    """What this kernel does not take, GRUB may: nothing fell back yet."""
    node.broken = {"kernel of Root-B": ToolFailed("loading slot B: kexec exited with 255")}
    once = replace(TRIAL_B, b_try=1)
    _set(node, once)
    assert kexec_or_reboot("/dev/vda", node, [Memory()]) == {"after": "reboot"}
    assert (node.lines, node.state) == ([], once)


def test_a_boot_that_cannot_be_counted_does_not_stay_loaded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise StateUnreadable("writing the slot state: Input/output error")

    monkeypatch.setattr(localboot, "write_state", fails)
    assert kexec_or_reboot("/dev/vda", node, [Memory()]) == {"after": "reboot"}
    assert (node.lines, node.state) == ([], GOOD)


def test_an_attempt_is_counted_before_it_begins(node: Node) -> None:
    assert kexec_or_reboot("/dev/vda", node, [Memory()]) == {}
    assert (len(node.lines), node.state) == (1, replace(GOOD, a_try=2))

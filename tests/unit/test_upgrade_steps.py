"""The steps of an upgrade: in which order, what each of them writes to the slot state, and what it refuses."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from autoinstall import block, carry, fromedium, gpt, layout, localboot
from autoinstall import install as story
from autoinstall.errors import EXIT_HERE, DeviceLost, MountFailed, NotDone, Refused, StateUnreadable, Stopped
from autoinstall.execute import execute
from autoinstall.facts import Disk, LiveImage, NodeMark
from autoinstall.host import Host
from autoinstall.image.manifest import Manifest
from autoinstall.node import name, records
from autoinstall.node import state as node_state
from autoinstall.node.state import STATE_COPIES, read_state_files, write_state
from autoinstall.plan import SlotPlan
from autoinstall.report.events import Ending, Kind, Result
from autoinstall.report.sinks import Memory
from autoinstall.sizes import MIB
from autoinstall.slotcfg import render_slot_cfg
from autoinstall.slots import Slot, SlotState, disarm, flip, fresh, render_env
from autoinstall.space import Space
from autoinstall.steps import MadeAnew, filesystems, upgrade, upgrade_steps
from autoinstall.upgrade import OnNode
from tests.unit.machines import MACHINE, MANIFEST, VDA, VDB, asked
from tests.unit.test_upgrade import NEW, OLD

GOOD_A = SlotState(Slot.A, 3, True, 2, False)
ROW = next(row for row in layout.PARTITIONS if row.label == "Root-B")
PART = layout.partition_of(UUID(int=7), ROW, (4, 0, 2048 * MIB))
SLOT = SlotPlan("B", "Root-B", "1.1", "root=autoinstall:PARTUUID=x")
NODE = replace(VDA, node=NodeMark(UUID(int=7), finished=True))


@pytest.fixture
def esp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ESP that is a directory, of a node whose slot A is good."""
    for copy in STATE_COPIES:
        (tmp_path / copy).parent.mkdir()
        (tmp_path / copy).write_bytes(render_env(fresh()))
    write_state(tmp_path, GOOD_A)

    @contextmanager
    def mounted(host: Host, device: str, *options: str, filesystem: str) -> Iterator[Path]:
        yield tmp_path

    monkeypatch.setattr(node_state, "mounted_beside", mounted)
    monkeypatch.setattr(node_state, "RUN", tmp_path)
    monkeypatch.setattr(upgrade, "_esp", lambda disk: disk)
    return tmp_path


def test_the_image_is_found_whole_before_anything_and_the_flip_is_last() -> None:
    made = MadeAnew(SLOT, PART, "/dev/vda", 3)
    image = LiveImage("/image", MANIFEST)
    online = [(step.name, step.writes) for step in upgrade_steps(made, image)]
    assert online == [
        ("verify-image", False),
        ("free-slot", False),
        ("disarm", True),
        ("empty-slot", True),
        ("image-b", True),
        ("flip", True),
    ]
    offline = [step.name for step in upgrade_steps(replace(made, claimed=VDA), image)]
    assert offline == ["verify-image", "claim", *(name for name, _ in online[1:])]


def test_disarm_and_flip_change_the_slot_state_and_nothing_between(esp: Path) -> None:
    told = Memory()
    execute([upgrade.Disarm(Slot.B, "vda")], Host(), told.event)
    assert read_state_files(esp) == disarm(GOOD_A, Slot.B)
    execute([upgrade.Flip(Slot.B, 2, "vda")], Host(), told.event)
    assert read_state_files(esp) == flip(GOOD_A, Slot.B, 2) == SlotState(Slot.B, 3, True, 2, False)
    assert [event.name for event in told.events if event.kind is Kind.FINISH] == ["disarm", "flip"]


@pytest.mark.parametrize("step", [upgrade.Disarm(Slot.A, "vda"), upgrade.Flip(Slot.A, 3, "vda")])
def test_the_only_good_slot_is_never_taken_out(esp: Path, step: Any) -> None:
    """Whatever was decided: the state is looked at again in the moment in which it is written."""
    with pytest.raises(NotDone, match="slot B, which is to be kept, is not good"):
        step.apply(Host())
    assert read_state_files(esp) == GOOD_A


@dataclass(frozen=True)
class Ended:
    """The Flip, and a signal or an error at a moment of it."""

    flip: upgrade.Flip
    when: str
    error: Exception = field(default_factory=lambda: Stopped("it was told to end (SIGTERM)"))
    name: str = "flip"

    writes = True
    title = "Flipping"

    def apply(self, host: Host) -> None:
        if self.when != "before":
            self.flip.apply(host)
        if self.when != "later":
            raise self.error

    def why_not_done(self, host: Host) -> str:
        if self.when == "unreadable":
            raise StateUnreadable("reading the slot state: Input/output error")
        return self.flip.why_not_done(host)


@pytest.fixture
def ignored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that are ignored from then on."""
    numbers: list[int] = []
    monkeypatch.setattr(signal, "signal", lambda number, what: numbers.append(number))
    return numbers


@pytest.mark.parametrize("error", [Stopped("it was told to end"), DeviceLost("/dev/vda2: Input/output error")])
def test_what_comes_after_the_flip_is_told_and_the_upgrade_has_taken_place(
    esp: Path, ignored: list[int], error: Exception
) -> None:
    told = Memory()
    carry.carry_out([Ended(upgrade.Flip(Slot.B, 2, "vda"), "after", error)], Host(), [told])
    assert read_state_files(esp) == flip(GOOD_A, Slot.B, 2)
    assert told.events[-1].description == f"all of it had taken place already when this came: {error}"


@pytest.mark.parametrize("when", ["before", "unreadable"])
def test_what_comes_before_the_flip_or_hides_it_ends_the_upgrade(esp: Path, ignored: list[int], when: str) -> None:
    with pytest.raises(Stopped):
        carry.carry_out([Ended(upgrade.Flip(Slot.B, 2, "vda"), when)], Host(), [Memory()])


def test_an_upgrade_that_waits_is_not_taken_for_the_one_that_was_stopped(esp: Path, ignored: list[int]) -> None:
    """The slot state is what the Flip would have made it; but it was not begun."""
    write_state(esp, flip(GOOD_A, Slot.B, 3))
    first = replace(Ended(upgrade.Flip(Slot.B, 3, "vda"), "before"), name="fetch")
    with pytest.raises(Stopped):
        carry.carry_out([first, upgrade.Flip(Slot.B, 3, "vda")], Host(), [Memory()])


def test_from_the_flip_on_no_signal_is_heard(esp: Path, ignored: list[int]) -> None:
    carry.carry_out([Ended(upgrade.Flip(Slot.B, 2, "vda"), "later")], Host(), [Memory()])
    assert set(ignored) == {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def test_a_slot_is_made_anew_with_the_label_of_a_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    zeroed: list[tuple[str, int, int]] = []
    monkeypatch.setattr(block, "partition_path", lambda disk, number: f"{disk}{number}")
    monkeypatch.setattr(block, "write_zeros", lambda *where: zeroed.append(where))
    host = Host()
    monkeypatch.setattr(host, "run", lambda *argv, doing: ran.append(argv))
    partition = replace(PART, number=3, label="Root-A", filesystem_label="Root")
    filesystems.EmptySlot(partition, "/dev/vda").apply(host)
    assert zeroed == [("/dev/vda3", 0, MIB)]
    words = ran[0]
    assert words[words.index("-L") + 1] == "RootBackup"
    assert words[words.index("-U") + 1] == PART.filesystem_uuid
    assert any("^has_journal" in word for word in words)


def test_the_table_of_a_node_tells_its_partitions() -> None:
    planned = layout.place(UUID(int=3), Space(VDA.size_bytes, 512, 1 << 30))
    table = gpt.render(planned)
    header = gpt.parse_header(table.primary)
    assert header
    entries = gpt.parse_entries(header, table.primary[512:])
    assert entries
    assert gpt.partitions(UUID(int=3), entries, 512) == planned.partitions


# From a medium


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine with a node, that runs from a medium with the image NEW; what is done to it is kept."""
    there: dict[str, Any] = {"node": OnNode(GOOD_A, None, {Slot.A: OLD, Slot.B: OLD}), "did": []}
    facts = replace(MACHINE, disks=(NODE, VDB), image=LiveImage("/image", NEW))

    class OnDisk:
        slot_bytes = dict.fromkeys(Slot, 2048 * MIB)

        def device(self, label: str) -> str:
            return label

    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: facts)
    monkeypatch.setattr(fromedium, "node_on", lambda disk: OnDisk())
    monkeypatch.setattr(fromedium, "read_node", lambda host, node: there["node"])
    monkeypatch.setattr(fromedium, "made_anew", lambda host, node, plan: MadeAnew(SLOT, PART, "/dev/vda", plan.tries))
    monkeypatch.setattr(fromedium, "carry_out", lambda steps, host, sinks: there["did"].append(steps[-1]))
    monkeypatch.setattr(fromedium, "stored_name", lambda host, node, slot: f"node-of-{slot.value}")
    for room, load in ((fromedium, "load_either"), (localboot, "load_installed")):
        monkeypatch.setattr(room, load, lambda *_: there["did"].append("kexec") or Slot.A)
    return there


def _ended(line: str) -> Result:
    return story.install(line, Host(), [Memory()])


def test_a_medium_upgrades_the_node_of_the_machine(machine: dict[str, Any]) -> None:
    result = _ended("upgrade autoinstall.tries=2")
    assert (result.ending, result.exit_code) == (Ending.UPGRADED, 0), result
    assert machine["did"] == [upgrade.Flip(Slot.B, 2, "/dev/vda")]
    assert result.detail["upgrade"]["target"] == "B"
    assert story.leaving_unit("upgrade", result) == "autoinstall-reboot.service"


def test_a_dry_run_of_an_upgrade_changes_nothing(machine: dict[str, Any]) -> None:
    assert _ended("upgrade autoinstall.dry_run").ending is Ending.PLANNED
    assert not machine["did"]


@pytest.mark.parametrize(
    ("state", "b", "ending"),
    [
        (SlotState(Slot.B, 3, True, 2, False), NEW, Ending.ALREADY_INSTALLED),
        (SlotState(Slot.B, 3, True, 0, False), NEW, Ending.ROLLED_BACK),
    ],
)
def test_a_medium_that_is_left_in_goes_on_to_the_node(
    machine: dict[str, Any], state: SlotState, b: Manifest, ending: Ending
) -> None:
    """Also where the image fell back: a machine that boots from the network for ever must not end at a refusal."""
    machine["node"] = OnNode(state, None, {Slot.A: OLD, Slot.B: b})
    result = _ended("upgrade")
    assert (result.ending, result.exit_code) == (ending, 0)
    assert machine["did"] == ["kexec"]
    assert story.leaving_unit("upgrade", result) == "autoinstall-kexec.service"
    assert _ended("upgrade autoinstall.installed=hold").ending is ending
    assert machine["did"] == ["kexec"]


def test_a_line_that_stays_forces_an_image_once(
    machine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that boots its medium again and again would write the image at each fallback, for ever."""
    asked_for: list[tuple[str, ...]] = []

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        asked_for.append((device, *options))
        yield tmp_path

    monkeypatch.setattr(upgrade, "mounted", mounted)
    monkeypatch.setattr(upgrade, "partition_of_node", lambda disk, label: label)
    monkeypatch.setattr(fromedium, "mounted", mounted)
    monkeypatch.setattr(fromedium, "carry_out", lambda steps, host, _: execute([steps[2]], host, Memory().event))
    records.write(tmp_path / records.FALLEN, [{"image_id": NEW.image_id}])
    machine["node"] = replace(machine["node"], fallen=frozenset({NEW.image_id}))
    assert _ended("upgrade autoinstall.force=fallen").ending is Ending.UPGRADED
    assert records.fallen(tmp_path) == [], "its next end is news"
    assert asked_for == [("Config", "rw"), ("Config", "ro"), ("Config", "rw")]
    machine["node"] = replace(machine["node"], forced=frozenset(records.forced(tmp_path)))
    again = _ended("upgrade autoinstall.force=fallen autoinstall.installed=hold")
    assert (again.ending, again.hint.partition(";")[0]) == (Ending.ROLLED_BACK, "a line forces an image once")


def test_where_it_cannot_be_counted_that_an_image_is_forced_no_slot_is_touched(
    esp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mounted(*_: object) -> None:
        raise MountFailed("mounting /dev/vda5: Structure needs cleaning")

    monkeypatch.setattr(upgrade, "mounted", mounted)
    monkeypatch.setattr(upgrade, "partition_of_node", lambda disk, label: label)
    made = MadeAnew(SLOT, PART, "/dev/vda", 3, forced=True)
    steps = upgrade_steps(made, LiveImage("/image", MANIFEST))[2:]
    assert [step.name for step in steps][:2] == ["count-force", "disarm"]
    with pytest.raises(MountFailed):
        execute(steps, Host(), Memory().event)
    assert read_state_files(esp) == GOOD_A


@pytest.mark.parametrize(
    ("words", "state", "keeps"),
    [
        ("", GOOD_A, True),
        ("autoinstall.dry_run", GOOD_A, False),
        ("", SlotState(Slot.B, 3, True, 2, False), True),
        ("autoinstall.installed=hold", SlotState(Slot.B, 3, True, 2, False), False),
    ],
)
def test_a_node_that_is_written_to_keeps_what_a_server_does_not_hear_and_its_name_is_told(
    machine: dict[str, Any], words: str, state: SlotState, keeps: bool
) -> None:
    machine["node"] = OnNode(state, None, {Slot.A: OLD, Slot.B: OLD if state == GOOD_A else NEW})
    told = Memory()
    story.install(f"upgrade local_boot_trigger=http://a/@HOSTNAME@ {words}", Host(), [told])
    assert (told.node_disk, told.node_name) == ("/dev/vda" if keeps else "", "node-of-A")


def broken(*_: object) -> None:
    """A disk that fails."""
    raise DeviceLost("/dev/vda4 takes no more")


def test_a_failed_upgrade_is_kept_on_the_node_too(machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fromedium, "carry_out", broken)
    told = Memory()
    assert story.install("upgrade", Host(), [told]).ending is Ending.FAILED
    assert told.node_disk == "/dev/vda"


@pytest.mark.parametrize(
    ("files", "called"),
    [
        ({"Config": "node7.example\n", "Root-A": "systemd.hostname=x"}, "node7.example"),
        ({"Root-A": "root=x systemd.hostname=node-123456 quiet"}, "node-123456"),
        ({"Root-A": "root=x"}, "node-000007"),
        ({}, "node-000007"),
    ],
)
def test_the_name_of_a_node_is_what_its_disk_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], called: str
) -> None:
    for label, text in files.items():
        (tmp_path / label / "etc/upper").mkdir(parents=True)
        place = "etc/upper/hostname" if label == "Config" else "slot.cfg"
        (tmp_path / label / place).write_bytes(text.encode() if label == "Config" else render_slot_cfg("1", text))

    @contextmanager
    def mounted(host: Host, device: str, *options: str) -> Iterator[Path]:
        assert options[0] == "ro"
        yield tmp_path / device

    monkeypatch.setattr(name, "mounted", mounted)
    node = SimpleNamespace(disk=NODE, device=lambda label: label)
    assert name.stored_name(Host(), node, Slot.A) == called  # type: ignore[arg-type]


def test_after_kexec_the_new_image_is_started_at_once(machine: dict[str, Any]) -> None:
    assert _ended("upgrade autoinstall.after=kexec").ending is Ending.UPGRADED
    assert machine["did"][-1] == "kexec"


def test_a_kernel_that_cannot_be_loaded_costs_a_reboot_and_no_upgrade(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(localboot, "load_installed", broken)
    line, told = "upgrade autoinstall.after=kexec", Memory()
    result = story.install(line, Host(), [told])
    assert (result.ending, result.exit_code, result.detail["after"]) == (Ending.UPGRADED, 0, "reboot")
    assert story.leaving_unit(line, result) == "autoinstall-reboot.service"
    assert told.events[-1].description == (
        "no kexec: this machine reboots through its firmware instead: /dev/vda4 takes no more"
    )


@pytest.mark.parametrize(
    ("disks", "says"),
    [
        ((VDB,), "without storage_init fits no disk of this machine"),
        ((replace(NODE, node=NodeMark(UUID(int=7), finished=False)),), "carries no finished node"),
        (
            (replace(NODE, node=NodeMark(UUID(int=7), finished=True, from_backup=True)),),
            "first copy of its",
        ),
        ((replace(NODE, in_use=("/dev/vda6 is mounted on /mnt",)),), "is in use: /dev/vda6 is mounted"),
        ((replace(NODE, examined=False),), "reading it needs root"),
        ((NODE, replace(NODE, path="/dev/vdb", serial="TWO")), "fits 2 disks"),
    ],
)
def test_a_node_that_cannot_be_upgraded_is_left_alone(disks: tuple[Disk, ...], says: str) -> None:
    facts = replace(MACHINE, disks=disks)
    with pytest.raises(Refused) as caught:
        fromedium.select_node(asked("upgrade"), facts)
    assert says in str(caught.value)
    assert caught.value.exit_code == EXIT_HERE


def test_storage_init_names_the_node_that_is_meant() -> None:
    two = replace(NODE, path="/dev/vdb", serial="TWO")
    facts = replace(MACHINE, disks=(NODE, two))
    assert fromedium.select_node(asked("upgrade storage_init=serial:TWO"), facts) == two

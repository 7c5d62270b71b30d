"""What an upgrade of a running node is given, what a node remembers of its images, and how it tells of a fallback."""

from __future__ import annotations

import argparse
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from autoinstall import block
from autoinstall.errors import BadUsage, CannotHere, ImageInvalid, NoSpace, Refused, StateUnreadable, ToolFailed
from autoinstall.host import Completed, Host
from autoinstall.image.manifest import MANIFEST_NAME, render_manifest
from autoinstall.node import fallback, records, roles, staging
from autoinstall.node.preview import hidden_changes
from autoinstall.node.state import only_one
from autoinstall.slots import MOST_TRIES, Slot, SlotState, flip, roll_back
from autoinstall.upgrade import OnNode
from tests.unit.machines import MANIFEST
from tests.unit.node_machine import Node, esp, node
from tests.unit.test_upgrade import NEW, OLD

__all__ = ["esp", "node"]
SMALL = replace(MANIFEST, files=tuple(replace(file, size_bytes=5) for file in MANIFEST.files))


# Where an image comes from


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A directory with an image of 15 bytes."""
    place = tmp_path / "image"
    place.mkdir()
    (place / MANIFEST_NAME).write_bytes(render_manifest(SMALL))
    for file in SMALL.files:
        (place / file.name).write_bytes(b"12345")
    return place


@pytest.fixture
def url(image: Path) -> Iterator[str]:
    """A server of that directory."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Not into the output of tests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(image))) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _look(source: str) -> staging.Offer:
    with ExitStack() as stack:
        return staging.look_at(source, Host(), stack)


def test_a_directory_is_taken_as_it_is(image: Path) -> None:
    offer = _look(str(image))
    assert (offer.manifest, offer.directory) == (SMALL, image)


def test_an_iso_is_mounted(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image.rename(tmp_path / staging.ON_MEDIUM)
    asked: list[Path] = []

    @contextmanager
    def mounted_file(host: Host, file: Path) -> Iterator[Path]:
        asked.append(file)
        yield tmp_path

    monkeypatch.setattr(staging, "mounted_file", mounted_file)
    (tmp_path / "node.iso").touch()
    assert _look(str(tmp_path / "node.iso")).directory == tmp_path / staging.ON_MEDIUM
    assert asked == [tmp_path / "node.iso"]


def test_what_is_no_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadUsage, match="is not there"):
        _look(str(tmp_path / "gone.iso"))
    with pytest.raises(BadUsage, match="neither http"):
        _look("ftp://192.0.2.1/image")
    with pytest.raises(ImageInvalid, match="Invalid IPv6 URL"):
        _look("http://[::1/image")
    with pytest.raises(ImageInvalid, match="holds no image"):
        _look(str(tmp_path))

    def mounted(*_: object) -> None:
        raise ToolFailed("mounting it: wrong fs type")

    monkeypatch.setattr(staging, "mounted_file", mounted)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ImageInvalid, match=r"photo\.jpg holds no image: mounting it: wrong fs type"):
        _look(str(tmp_path / "photo.jpg"))


def test_a_url_is_looked_at_then_fetched_whole(url: str, tmp_path: Path) -> None:
    offer = _look(f"{url}/manifest.json")
    assert (offer.manifest, offer.directory, offer.url) == (SMALL, None, url)
    fetch = staging.Fetch(offer, tmp_path / "stage")
    fetch.apply(Host())
    assert fetch.why_not_done(Host()) == ""
    assert (tmp_path / "stage/manifest.json").read_bytes() == render_manifest(SMALL)


@pytest.mark.parametrize(("content", "says"), [(b"123456", "more than the 5 bytes"), (None, "404")])
def test_a_server_that_gives_something_else_is_told(
    url: str, image: Path, tmp_path: Path, content: bytes | None, says: str
) -> None:
    offer = _look(url)
    (image / "initrd.img").unlink()
    if content:
        (image / "initrd.img").write_bytes(content)
    with pytest.raises(ImageInvalid, match=says):
        staging.Fetch(offer, tmp_path / "stage").apply(Host())


def test_a_file_that_is_too_short_is_seen_before_it_is_hashed(url: str, image: Path, tmp_path: Path) -> None:
    offer = _look(url)
    (image / "vmlinuz").write_bytes(b"1")
    fetch = staging.Fetch(offer, tmp_path / "stage")
    with pytest.raises(ImageInvalid, match="vmlinuz ended after 1 of the 5 bytes that its manifest says"):
        fetch.apply(Host())
    for file in SMALL.files:
        (tmp_path / "stage" / file.name).write_bytes(b"12345")
    assert fetch.why_not_done(Host()) == ""
    (tmp_path / "stage/vmlinuz").write_bytes(b"1")
    assert fetch.why_not_done(Host()) == "vmlinuz is not as long as its manifest says"


def test_staging_takes_the_first_place_with_room_once_nothing_is_left_of_before(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"/data": 0, "/var/log": 1 << 40}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: argparse.Namespace(free=free[str(path)]))
    assert staging.stage_for(SMALL, node) == Path("/var/log/autoinstall/upgrade")
    free["/data"] = 1 << 40
    assert staging.stage_for(SMALL, node) == Path("/data/autoinstall-upgrade")
    free.update({"/data": staging.LEFT_BYTES, "/var/log": staging.LEFT_BYTES})
    below = tmp_path / "left/of-before"
    below.mkdir(parents=True)
    free[str(tmp_path)] = 1 << 40
    node.files["/proc/self/mountinfo"] += f"40 20 254:9 / {tmp_path} rw - ext4 /dev/vda9 rw\n"
    (below / "vmlinuz").write_bytes(bytes(65536))
    free[str(tmp_path)] = staging.LEFT_BYTES + SMALL.size_bytes - 4096
    both = staging.STAGES
    monkeypatch.setattr(staging, "STAGES", [(str(tmp_path), "left/of-before")])
    assert staging.stage_for(SMALL, node) == below
    assert (below / "vmlinuz").exists(), "a preview changes nothing"
    staging.clear()
    assert not below.exists()
    with pytest.raises(NoSpace):
        staging.stage_for(SMALL, node)
    monkeypatch.setattr(staging, "STAGES", both)
    with pytest.raises(NoSpace, match="needs 194 MiB on Data or Logging; 130 MiB are missing"):
        staging.stage_for(MANIFEST, node)


def test_two_upgrades_at_a_time_are_one_too_many(node: Node) -> None:
    with only_one(node), pytest.raises(Refused, match="is under way"), only_one(node):
        pass
    with pytest.raises(BlockingIOError), only_one(node):
        raise BlockingIOError  # of what is done meanwhile
    with only_one(node):
        pass
    (node.root / "run/upgrade.lock").unlink()
    (node.root / "run/upgrade.lock").mkdir()
    with pytest.raises(CannotHere, match=r"cannot be locked: .*: Is a directory"), only_one(node):
        pass


# What a node remembers


def test_the_floor_and_the_fallen_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "CONFIG", tmp_path)
    monkeypatch.setattr(records, "LOGGING", tmp_path / "logging")
    assert (records.floor(), records.fallen()) == (0, [])
    records.set_floor(3)
    for number in range(10):
        records.remember_fallen({"image_id": str(number)})
    records.remember_fallen({"image_id": "5", "again": True})
    records.forget_fallen("7")
    assert records.floor() == 3
    assert [one["image_id"] for one in records.fallen()] == ["2", "3", "4", "6", "8", "9", "5"]
    assert sorted(path.name for path in (tmp_path / "autoinstall").iterdir()) == ["fallen.json", "floor.json"]


@pytest.mark.parametrize("data", [b"", b"[", b"7", b'{"security_version": "x"}', b'["a", 3]'])
def test_a_record_that_is_none_says_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "autoinstall").mkdir()
    (tmp_path / records.FLOOR).write_bytes(data)
    (tmp_path / records.FALLEN).write_bytes(data)
    assert (records.floor(tmp_path), records.fallen(tmp_path)) == (0, [])


# Why an image was given up


def _fell(state: SlotState, booted: Slot | None = Slot.A, *reasons: str) -> dict[str, Any] | None:
    return fallback.entry_for(OnNode(state, booted, {Slot.A: OLD, Slot.B: NEW}), reasons, ["Kernel panic"])


def test_a_boot_that_was_wanted_fell_back_from_nothing() -> None:
    for state in (
        SlotState(Slot.A, 2, True, 0, False),
        SlotState(Slot.B, 0, True, 3, True),  # power cuts left a good primary
        SlotState(Slot.B, 3, False, 0, False),
    ):
        assert _fell(state) is None
    assert _fell(SlotState(Slot.B, 3, True, 1, False), Slot.B) is None


@pytest.mark.parametrize(
    ("left", "reasons", "says"),
    [
        (0, ["health.d/tyre: flat"], "health.d/tyre: flat"),
        (0, [], "each attempt ended before its health was checked"),
        (2, [], "the boot loader could not load it, or slot A was chosen in its menu"),
    ],
)
def test_the_boot_that_fell_back_says_from_what_and_why(left: int, reasons: list[str], says: str) -> None:
    entry = _fell(SlotState(Slot.B, 2, True, left, False), Slot.A, *reasons)
    assert entry
    assert (entry["slot"], entry["image_id"]) == ("B", NEW.image_id)
    lines = fallback.to_lines(entry)
    assert lines[0].startswith("fell back from slot B, image 1.1 (")
    assert ("2 attempts left" in lines[0]) == bool(left)
    assert says in lines[1]
    assert lines[-1] == "  Kernel panic"


@pytest.mark.parametrize(
    ("left", "attempts", "says"),
    [
        (0, "no attempts left", "none of its last attempts came to a shutdown, or to ten healthy minutes"),
        (2, "2 attempts left", "the boot loader could not load it, or slot A was chosen in its menu"),
    ],
)
def test_a_good_slot_that_was_first_and_does_not_run_is_told_and_not_given_up(
    left: int, attempts: str, says: str
) -> None:
    entry = _fell(SlotState(Slot.B, 2, True, left, True), Slot.A, "what was kept before it was good")
    assert entry
    first, *rest = fallback.to_lines(entry)
    assert first.startswith("runs slot A, not slot B, which has a good image and was first: image 1.1 (")
    assert first.endswith(f"), {attempts}:")
    assert rest == [f"  {says}", "  Kernel panic"]


def test_a_slot_that_was_made_first_in_this_boot_was_not_left() -> None:
    """The boot loader counts an attempt of the one that is first before it boots any."""
    assert _fell(roll_back(SlotState(Slot.A, 2, True, 0, True)), Slot.A) is None
    assert _fell(flip(SlotState(Slot.A, 2, True, 0, True), Slot.B, MOST_TRIES), Slot.A) is None


@pytest.mark.parametrize(
    ("reasons", "says"), [([], "none of its attempts was found good"), (["network: no cable"], "network: no cable")]
)
def test_an_image_that_runs_well_from_the_other_slot_is_not_given_up(reasons: list[str], says: str) -> None:
    """Both slots of a new node have one image: three first boots without a cable, say."""
    state = SlotState(Slot.A, 0, False, 2, True)
    entry = fallback.entry_for(OnNode(state, Slot.B, {Slot.A: OLD, Slot.B: OLD}), reasons, [])
    assert entry
    assert entry["good"]
    first, *rest = fallback.to_lines(entry)
    assert first.startswith("runs slot B, not slot A, which has a good image and was first: image 1.0 (")
    assert rest == [f"  {says}"]


def test_what_failed_boots_kept_is_read_once_each_and_only_of_that_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "TRIALS", tmp_path / "log/trials.jsonl")
    for slot, why in ((Slot.B, "one"), (Slot.A, "other"), (Slot.B, "two"), (Slot.B, "one")):
        fallback.keep_reasons(slot, [why], Host())
    with fallback.TRIALS.open("a") as file:
        file.write('torn{\n[]\n{"slot":"B","when":1,"why":["by hand"]}\n')
    assert fallback._trial_reasons(Slot.B) == ["one", "two", "by hand"]
    fallback.forget_trials()
    fallback.forget_trials()
    assert fallback._trial_reasons(Slot.B) == []


def test_only_a_kernel_log_of_this_boot_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "PSTORE", tmp_path)
    monkeypatch.setattr(fallback, "BOOTED", tmp_path / "slot-name")
    fallback.BOOTED.touch()
    (tmp_path / "1").mkdir()
    (tmp_path / "1/dmesg.txt").write_text("".join(f"line {number}\n\n" for number in range(9)))
    assert fallback._last_kernel_lines() == [f"line {number}" for number in range(3, 9)]
    while fallback.BOOTED.stat().st_ctime <= (tmp_path / "1/dmesg.txt").stat().st_ctime:
        fallback.BOOTED.touch()  # a later boot
    assert fallback._last_kernel_lines() == []


def test_a_boot_without_health_keeps_what_systemd_says(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "TRIALS", tmp_path / "trials.jsonl")
    monkeypatch.setattr(fallback, "CHECKED", tmp_path / "health.json")
    assert fallback.main(argparse.Namespace(), node) == 0
    kept = json.loads(fallback.TRIALS.read_text())
    assert (kept["slot"], kept["why"]) == ("A", ["systemd went to emergency mode; failed: nothing"])
    jobs = "12 hang.service start running\n13 autoinstall-fallback.service start running\n"
    node.told["systemctl"] = Completed(3, jobs, "")
    assert fallback._what_systemd_says(node) == [
        "it was not found good in time; waiting: hang.service; failed: hang.service"
    ]
    node.told["systemctl"] = Completed(3, jobs + "14 emergency.target start waiting\n", "")
    assert fallback._what_systemd_says(node)[0].startswith("systemd went to emergency mode; failed: hang.service")


@pytest.mark.parametrize(
    ("checked", "kept"), [('{"node": "degraded"}', False), ('{"node": "healthy"}', True), ("", True), ("[]", True)]
)
def test_a_healthy_boot_that_gives_up_keeps_what_systemd_says_too(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checked: str, kept: bool
) -> None:
    """It could not be marked good; and `health` keeps the words of one that is ill."""
    monkeypatch.setattr(fallback, "TRIALS", tmp_path / "trials.jsonl")
    monkeypatch.setattr(fallback, "CHECKED", tmp_path / "health.json")
    fallback.CHECKED.write_text(checked)
    node.told["systemctl"] = Completed(3, "autoinstall-mark-good.service loaded failed failed\n", "")
    fallback.main(argparse.Namespace(), node)
    told = [why.endswith("; failed: autoinstall-mark-good.service") for why in fallback._trial_reasons(Slot.A)]
    assert told == ([True] if kept else [])


# Labels, and what hides a default


def test_a_label_changes_sixteen_bytes_of_a_superblock() -> None:
    before = bytes(56) + b"\x53\xef" + bytes(range(256)) + bytes(198)
    after = roles.relabelled(before, "RootBackup")
    assert after[120:136] == b"RootBackup" + bytes(6)
    assert (after[:120], after[136:]) == (before[:120], before[136:])
    with pytest.raises(StateUnreadable):
        roles.relabelled(bytes(512), "Root")


@pytest.mark.parametrize("sector", [512, 4096])
def test_labels_follow_the_slot_state_with_one_write_each(
    node: Node, monkeypatch: pytest.MonkeyPatch, sector: int
) -> None:
    superblock = bytes(56) + b"\x53\xef" + bytes(62) + b"Root".ljust(16, b"\0") + bytes(888)
    disks = {f"/dev/vda{number}": bytes(1024) + superblock + bytes(2048) for number in (3, 4)}
    wrote: list[str] = []
    node.files[str(node.root / "sys/block/vda/queue/logical_block_size")] = f"{sector}\n"

    def write(device: str, start: int, data: bytes) -> None:
        assert len(data) == sector
        wrote.append(device)
        disks[device] = disks[device][:start] + data + disks[device][start + sector :]

    monkeypatch.setattr(block, "read_direct", lambda device, start, size: disks[device][start : start + size])
    monkeypatch.setattr(block, "write_direct", write)
    for state, labels, writes in (
        (SlotState(Slot.A, 3, True, 3, False), (b"Root", b"RootBackup"), ["/dev/vda4"]),
        (SlotState(Slot.B, 3, True, 0, False), (b"Root", b"RootBackup"), []),  # B fell back
        (SlotState(Slot.B, 3, True, 3, True), (b"RootBackup", b"Root"), ["/dev/vda3", "/dev/vda4"]),
    ):
        wrote.clear()
        roles.follow(node, state)
        assert tuple(disks[f"/dev/vda{number}"][1144:1160].rstrip(b"\0") for number in (3, 4)) == labels
        assert wrote == writes


def test_a_kept_file_that_hides_a_changed_default_is_listed(tmp_path: Path) -> None:
    kept, old, new = (tmp_path / name for name in ("kept", "old", "new"))
    files = {
        "same": ("mine", "a", "a"),
        "changed": ("mine", "a", "b"),
        "dir/added": ("mine", None, "b"),
        "gone": ("mine", "a", None),
        "own": ("mine", None, None),
        "not-kept": (None, "a", "b"),
    }
    for name, texts in files.items():
        for place, text in zip((kept, old, new), texts, strict=True):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            if text:
                (place / name).write_text(text)
    for place, target in ((kept, "mine"), (old, "a"), (new, "b")):
        (place / "link").symlink_to(target)
    assert hidden_changes(kept, old, new) == ["/etc/changed", "/etc/dir/added", "/etc/gone", "/etc/link"]

"""A plan as a file: what its digest covers and what not, what is told of two, and the line that pins one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstall import install as story
from autoinstall.__main__ import main as autoinstall
from autoinstall.codec import to_plain
from autoinstall.difference import differences
from autoinstall.facts import Disk, Facts, Firmware, Nic, NodeMark, Signature
from autoinstall.host import Host
from autoinstall.pin import BECOMES, digest, document, refuse_another, render
from autoinstall.plan import Plan, make_plan
from autoinstall.report.events import Ending, Result
from autoinstall.sizes import GIB, MIB, TIB
from tests.unit.machines import HASH, MACHINE, NIC, SR0, VDA, VDB, asked
from tests.unit.test_install import Paper

LINE = "storage_init=serial:TARGET0 BOOTIF=link hostname=node7 console=tty0 console=ttyS0"
NIC_2 = replace(NIC, name="enp0s4", mac="52:54:00:12:34:57", carrier=False)
FACTS = replace(MACHINE, disks=(SR0, VDA, VDB), nics=(NIC, NIC_2), memory_bytes=15 * GIB + 700 * MIB)
HOLIDAY = (Signature("/dev/vda1", "ext4", "holiday", size_bytes=GIB),)


def planned(line: str = LINE, facts: Facts = FACTS) -> Plan:
    return make_plan(asked(line), facts)


def with_target(**changes: object) -> Facts:
    return replace(FACTS, disks=(SR0, replace(VDA, **changes), VDB))  # type: ignore[arg-type]


DIGEST = digest(planned())


def test_of_each_field_of_a_plan_it_was_decided_whether_the_digest_covers_it() -> None:
    lasting_part, aside = (
        {"target", "members", "nic"},
        {"firmware", "after", "installed", "on_failure", "dry_run", "lost", "warnings"},
    )
    assert {field.name for field in fields(Plan)} == {*BECOMES} | lasting_part | aside


LIT = (NIC, replace(NIC_2, carrier=True))


@given(st.permutations(FACTS.disks), st.permutations(LIT), st.permutations(LINE.split()[:3]))
def test_the_order_of_disks_nics_and_words_is_not_in_the_digest(
    disks: list[Disk], nics: list[Nic], words: list[str]
) -> None:
    line = " ".join([*words, *LINE.split()[3:]])
    assert digest(planned(line, replace(FACTS, disks=tuple(disks), nics=tuple(nics)))) == DIGEST


@given(st.sampled_from(["/dev/vda", "/dev/sdx"]), st.sampled_from(["enp0s3", "eth9"]))
def test_the_kernels_names_are_not_in_the_digest(disk: str, nic: str) -> None:
    facts = with_target(path=disk, links=(f"{disk}-link",))
    assert digest(planned(facts=replace(facts, nics=(replace(NIC, name=nic), NIC_2)))) == DIGEST


@given(st.integers(-64 * MIB, 64 * MIB))
def test_a_little_more_or_less_memory_is_not_in_the_digest(more_bytes: int) -> None:
    facts = with_target(size_bytes=TIB)  # a large disk: of a small one Swap takes a tenth, whatever the memory
    varied = replace(facts, memory_bytes=FACTS.memory_bytes + more_bytes)
    assert digest(planned(facts=varied)) == digest(planned(facts=facts))
    assert digest(planned(facts=facts)) != digest(planned(facts=replace(facts, memory_bytes=32 * GIB)))


def test_a_link_on_a_nic_that_is_not_chosen_is_not_in_the_digest() -> None:
    assert digest(planned(facts=replace(FACTS, nics=(NIC, replace(NIC_2, carrier=True))))) == DIGEST


@pytest.mark.parametrize(
    "words",
    ["autoinstall.dry_run", f"autoinstall.plan={DIGEST}", "autoinstall.after=hold", "autoinstall.on_failure=shell",
     "autoinstall.disk_timeout=9", "autoinstall.disk_timeout=9 autoinstall.disk_timeout=9"],
)  # fmt: skip
def test_how_the_run_goes_is_not_in_the_digest(words: str) -> None:
    assert digest(planned(f"{LINE} {words}")) == DIGEST


@pytest.mark.parametrize(
    "facts",
    [
        with_target(signatures=HOLIDAY),
        with_target(node=NodeMark(UUID(int=1), finished=False)),
        replace(FACTS, firmware=Firmware.UEFI),
    ],
    ids=["foreign data", "an install that was cut", "the other firmware"],
)
def test_what_was_there_before_is_not_in_the_digest(facts: Facts) -> None:
    assert digest(planned(facts=facts)) == DIGEST


@pytest.mark.parametrize(
    ("line", "facts"),
    [
        (LINE.replace("TARGET0", "OTHER"), FACTS),
        (LINE.replace("node7", "node8"), FACTS),
        (f"{LINE} storage_vol=1G,Data", FACTS),
        (f"{LINE} ssh_pwauth", FACTS),
        (f"{LINE} quiet", FACTS),
        (LINE.replace("console=tty0 console=ttyS0", "console=ttyS0 console=tty0"), FACTS),
        (f"{LINE} adminpw={HASH}", FACTS),
        (LINE, with_target(wwn="0x5000c500a0000001")),
        (LINE, with_target(size_bytes=17 * GIB)),
        (LINE, replace(FACTS, product_uuid="another")),
        (LINE, replace(FACTS, nics=(NIC,))),
        (LINE, replace(FACTS, nics=(replace(NIC, carrier=False), replace(NIC_2, carrier=True)))),
    ],
)
def test_another_machine_is_another_digest(line: str, facts: Facts) -> None:
    assert digest(planned(line, facts)) != DIGEST


def test_equal_disks_without_names_of_their_own_are_told_apart_by_their_places() -> None:
    def nameless(place: str) -> Facts:
        return replace(MACHINE, disks=(replace(VDA, serial="", links=(f"/dev/disk/by-path/{place}",)),))

    assert digest(planned("storage_init", nameless("pci-1"))) != digest(planned("storage_init", nameless("pci-2")))


def test_a_secret_is_in_no_plan_file() -> None:
    assert HASH not in render(document(planned(f"{LINE} adminpw={HASH}")))


def test_the_digest_of_a_file_can_be_told_from_the_file() -> None:
    content = json.loads(render(document(planned())))
    canonical = json.dumps(content["plan"], sort_keys=True, separators=(",", ":"))
    assert content["digest"] == "sha256:" + hashlib.sha256(canonical.encode()).hexdigest() == DIGEST


def test_nothing_is_told_of_equal_plans() -> None:
    assert differences(document(planned()), document(planned())) == []


@pytest.mark.parametrize(
    ("line", "facts", "told"),
    [
        ("storage_vol=1G,Data", FACTS, ["layout: Data 8068 MiB -> 1024 MiB"]),
        (
            "storage_vol=1G,Root:8068,Data",
            FACTS,
            ["layout: HostVG 9709 MiB -> 11.5 GiB", "layout: Root-A 2048 MiB -> 1024 MiB",
             "layout: Root-B 2048 MiB -> 1024 MiB"],
        ),
        ("quiet", FACTS, ["slots: A kernel arguments + quiet", "slots: B kernel arguments + quiet"]),
        ("ssh_pwauth", FACTS, ["files: /etc/ssh/sshd_config.d/10-autoinstall.conf - PasswordAuthentication no",
                               "files: /etc/ssh/sshd_config.d/10-autoinstall.conf + PasswordAuthentication yes"]),
        ("ntp=off", FACTS, ["files: /etc/systemd/timesyncd.conf.d/10-autoinstall.conf nothing -> there"]),
        ("", with_target(wwn="0x1"), ["layout: install id INSTALL-ID -> INSTALL-ID", "target: wwn nothing -> 0x1"]),
        ("autoinstall.dry_run", with_target(path="/dev/sda", signatures=HOLIDAY),
         ["aside dry run: False -> True", "aside lost: /dev/vda1 nothing -> 1024 MiB",
          "aside path: /dev/vda -> /dev/sda"]),
    ],
)  # fmt: skip
def test_what_differs_is_told_in_the_words_of_the_plan(line: str, facts: Facts, told: list[str]) -> None:
    one, other = planned(), planned(f"{LINE} {line}", facts)
    lines = differences(document(one), document(other))
    for plan in (one, other):
        lines = [text.replace(str(plan.layout.install_id), "INSTALL-ID") for text in lines]
    assert lines == told


def test_plans_that_differ_in_nothing_for_people_are_told_to_differ() -> None:
    moved = json.loads(render(document(planned())))
    moved["plan"]["layout"]["partitions"][2]["start_bytes"] += MIB
    assert len(differences(document(planned()), moved)) == 1


@pytest.fixture
def plan_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], Path]:
    """Makes a plan file by the command."""
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps({**to_plain(FACTS), "image": None}))
    image = Path(__file__).with_name("facts")

    def make(name: str, words: str) -> Path:
        path = tmp_path / name
        options = ["--facts", str(facts), "--image", str(image), "-o", str(path)]
        assert autoinstall(["plan", "--cmdline", f"{LINE} {words}", *options]) == 0
        assert json.loads(path.read_text())["digest"] in capsys.readouterr().out
        return path

    return make


def test_the_exit_code_of_diff_is_whether_the_digests_are_equal(
    plan_file: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    one, rehearsal, other = (
        str(plan_file(*row)) for row in (("a", ""), ("b", "autoinstall.dry_run"), ("c", "quiet"))
    )
    assert autoinstall(["plan", "--diff", one, one]) == 0
    assert capsys.readouterr().out == ""
    assert autoinstall(["plan", "--diff", one, rehearsal]) == 0
    assert capsys.readouterr().out == "aside dry run: False -> True\n"
    assert autoinstall(["plan", "--diff", one, other]) == 3
    assert "slots: A kernel arguments + quiet" in capsys.readouterr().out


def test_the_same_plan_is_the_same_file(plan_file: Callable[[str, str], Path]) -> None:
    assert plan_file("a", "").read_bytes() == plan_file("b", "").read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("node7", "node8"), "it was changed"),
        (lambda text: "[]", "holds no plan"),
        (lambda text: text[:-9], "holds no plan"),
    ],
)
def test_what_is_no_plan_is_not_compared(
    plan_file: Callable[[str, str], Path],
    capsys: pytest.CaptureFixture[str],
    change: Callable[[str], str],
    says: str,
) -> None:
    path = plan_file("a", "")
    path.write_text(change(path.read_text()))
    assert autoinstall(["plan", "--diff", str(path), str(path)]) == 2
    assert says in capsys.readouterr().err


def run(monkeypatch: pytest.MonkeyPatch, line: str, facts: Facts = FACTS) -> tuple[Result, str]:
    """What the installer answers, up to its first step."""
    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: facts)
    monkeypatch.setattr(story, "use_address", lambda *_: None)
    monkeypatch.setattr(story, "_execute", lambda *_: Result(Ending.INSTALLED, 0))
    paper = Paper()
    return story.install(line, Host(), [paper]), paper.text


def test_a_machine_with_another_plan_is_refused_and_tells_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pin = f"autoinstall.plan={DIGEST}"
    assert run(monkeypatch, f"{LINE} {pin}")[0].ending is Ending.INSTALLED
    assert run(monkeypatch, f"{LINE} {pin.upper().replace('AUTOINSTALL.PLAN', 'autoinstall.plan')}")[0].exit_code == 0
    result, text = run(monkeypatch, f"{LINE} {pin} hostname=other")
    assert (result.ending, result.exit_code) == (Ending.REFUSED, 3)
    assert DIGEST in result.reasons[1]
    assert result.reasons[0].removeprefix("the plan made here is ") in text
    assert run(monkeypatch, f"{LINE} {pin} hostname=other autoinstall.dry_run")[0].ending is Ending.REFUSED


def test_a_finished_node_boots_whatever_plan_the_line_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"{LINE} autoinstall.installed=hold autoinstall.plan=sha256:{'0' * 64}"
    node = with_target(node=NodeMark(UUID(int=1), finished=True))
    assert run(monkeypatch, line, node)[0].ending is Ending.ALREADY_INSTALLED
    refuse_another(asked(line), planned(line, node))

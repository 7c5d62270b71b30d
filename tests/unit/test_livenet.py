"""The address of the line in the live system: the node's own file, and only where the line gives one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autoinstall import install as story
from autoinstall import livenet
from autoinstall.errors import Refused, ToolFailed
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.plan import make_plan
from autoinstall.report.events import Ending
from autoinstall.report.sinks import Memory
from tests.unit.machines import MACHINE, NIC, asked


class Recording(Host):
    """A host that runs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[str, ...]] = []

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        self.ran.append(tuple(str(word) for word in argv))
        return Completed(0, "", "")


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where networkd of the live system reads what is to be used now."""
    monkeypatch.setattr(livenet, "RUNTIME", tmp_path / "network")
    return tmp_path / "network"


@pytest.mark.parametrize(
    ("words", "used"),
    [
        ("ip=192.0.2.7::192.0.2.1:24:host BOOTIF=link", True),
        ("ip=dhcp", False),
        ("ip=off", False),
        ("", False),
        ("bond=bond0:enp0s3 network_layout=bridged", True),
    ],
)
def test_an_address_of_the_line_is_used_at_once(runtime: Path, words: str, used: bool) -> None:
    request, host = asked(f"storage_init {words}"), Recording()
    plan = make_plan(request, MACHINE)
    livenet.use_address(request, MACHINE, host)
    assert host.ran == ([("networkctl", "reload")] if used else [])
    written = {path.name: path.read_text() for path in runtime.glob("*")}
    planned = {Path(file.path).name: file.text for file in plan.files if "/network/" in file.path}
    assert written == (planned if used else {})


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        ("storage_init autoinstall.dry_run", Ending.PLANNED),
        ("storage_init=/dev/nowhere", Ending.REFUSED),
        ("stateless autoinstall.dry_run", Ending.PLANNED),
        ("uninstall", Ending.REFUSED),
        ("upgrade", Ending.REFUSED),
    ],
)
def test_whatever_a_line_asks_its_servers_are_told_from_that_address(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, ending: Ending
) -> None:
    monkeypatch.setattr(story, "find_image", lambda *_: tmp_path)
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: MACHINE)
    host = Recording()
    result = story.install(f"{words} ip=192.0.2.7::192.0.2.1:24 vlan=100", host, [Memory()])
    assert (result.ending, host.ran) == (ending, [("networkctl", "reload")])
    assert "Address=192.0.2.7/24" in (runtime / "10-management.network").read_text()
    assert "Id=100" in (runtime / "12-vlan.netdev").read_text()


@pytest.mark.parametrize("action", ["storage_init", "uninstall", "upgrade"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("ip=192.0.2.7::192.0.2.1:24", "ip=192.0.2.7 is for one NIC, and this machine has enp0s3, enp0s4"),
        ("BOOTIF=enp9s9", "BOOTIF=enp9s9 fits no NIC of this machine"),
    ],
)
def test_an_address_for_a_nic_that_is_not_clear_is_refused_whatever_is_asked(
    runtime: Path, action: str, words: str, says: str
) -> None:
    second = replace(NIC, name="enp0s4", mac="52:54:00:12:34:57")
    with pytest.raises(Refused) as caught:
        livenet.use_address(asked(f"{action} {words}"), replace(MACHINE, nics=(NIC, second)), Recording())
    assert says in str(caught.value)
    assert not runtime.exists()


def test_a_network_that_cannot_be_had_is_a_refusal_for_nothing_was_written(runtime: Path) -> None:
    class Broken(Recording):
        def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
            raise ToolFailed(f"{doing}: networkctl: no")

    with pytest.raises(Refused, match="giving this machine its address: networkctl: no"):
        livenet.use_address(asked("upgrade ip=192.0.2.7::192.0.2.1:24"), MACHINE, Broken())

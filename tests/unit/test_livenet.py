"""The address of the line in the live system: the node's own file, and only where the line gives one."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoinstall import livenet
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.plan import make_plan
from tests.unit.machines import MACHINE, asked


class Recording(Host):
    """A host that runs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[str, ...]] = []

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        self.ran.append(tuple(str(word) for word in argv))
        return Completed(0, "", "")


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
def test_an_address_of_the_line_is_used_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, used: bool
) -> None:
    monkeypatch.setattr(livenet, "RUNTIME", tmp_path / "network")
    request, host = asked(f"storage_init {words}"), Recording()
    plan = make_plan(request, MACHINE)
    livenet.use_address(request, plan, host)
    assert host.ran == ([("networkctl", "reload")] if used else [])
    written = {path.name: path.read_text() for path in tmp_path.glob("network/*")}
    planned = {Path(file.path).name: file.text for file in plan.files if "/network/" in file.path}
    assert written == (planned if used else {})

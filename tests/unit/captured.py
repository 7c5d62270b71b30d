"""Machines as `autoinstall facts` captured them, lines to plan with on each, and what `autoinstall plan` answers.

    python -m tests.unit.captured           writes what it answers now to tests/unit/facts/NAME.txt

The difference is for people to look at: `git diff`. How the facts themselves were captured: tests/vm/capture.py.
"""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from autoinstall.__main__ import main as autoinstall

FACTS = Path(__file__).with_name("facts")
MANIFEST = FACTS / "manifest.json"
"""Of the image that the facts were captured on, for those of a machine that ran none."""

LINES = {
    "live-virtio": (
        "storage_init BOOTIF=link",
        "storage_init=/dev/sr0",
        "storage_init storage_vol=300,EFI:none,Swap:1G,Data ip=10.0.2.77::10.0.2.2:255.255.255.0:node-one",
    ),
    "scsi": ("storage_init=scsi:TARGET0", "storage_init=virtio"),
    "nvme": ("storage_init=nvme:TARGET0", "storage_init=/dev/nvme0n1"),
    "sata": ("storage_init=ata:TARGET0", "storage_init=match:size=..4G"),
    "4096-uefi": ("storage_init", "storage_init storage_vol=100,EFI"),
    "4096-bios": ("storage_init",),
    "two-disks": ("storage_init", "storage_init=virtio", "storage_init=serial:OTHER0", "storage_init=/dev/vd[a-b]"),
    "lvm": ("storage_init", "storage_init=serial:TARGET0"),
    "md": ("storage_init", "storage_init=/dev/vda"),
}


def answers(name: str) -> str:
    """What `autoinstall plan` says of each line on the machine `name`."""
    return "\n".join(_answer(FACTS / f"{name}.json", line) for line in LINES[name])


def _answer(facts: Path, line: str) -> str:
    """One line's answer, as a terminal would show it, but for the digest, which every change of a plan changes."""
    words = ["plan", "--facts", str(facts), "--cmdline", line]
    if json.loads(facts.read_text())["image"] is None:
        words += ["--image", str(FACTS)]
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        status = autoinstall(words)
    text = [row for row in said.getvalue().splitlines() if not row.startswith("plan ")]
    return "\n".join([f"$ autoinstall plan --cmdline '{line}'", *text, f"exit code {status}", ""])


if __name__ == "__main__":
    for each in LINES:
        (FACTS / f"{each}.txt").write_text(answers(each))

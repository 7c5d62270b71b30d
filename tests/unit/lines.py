"""Command lines at random: words of ours, each with a machine of the corpus that they could mean, and mutations."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from autoinstall.facts import Disk, Facts
from autoinstall.parameters import PARAMETERS
from tests.unit.corpus import ROWS

STRANGE = 'storage_init= \t"=,;:*?[]-/.&<>$~é\0\x1bA1'
"""Characters that mutations put in."""
SIZES = ("1G,Root", "300,EFI:none,Swap", "rest,Data", "0,Swap:64,Data", "9T,Data", "1,Config", "-1,Root", ":", "")
OTHERS = (
    "quiet",
    "ro",
    "root=live:LABEL=X",
    "BOOT_IMAGE=/vmlinuz",
    "systemd.unit=rescue.target",
    "foo=bar",
    "rd.break",
)
FREE = [row for row in PARAMETERS if row.name not in ("storage_init", "rescue", "autoinstall.plan")]
GOOD, BAD = [row.example for row in FREE], [row.bad_example for row in FREE]
MACHINES = tuple(row.facts for row in ROWS)


def any_line(random: Random) -> tuple[str, Facts]:
    """A line, and a machine to plan for."""
    facts = random.choice(MACHINES)
    words = [_storage(random, facts.disks), *(_word(random) for _ in range(random.randrange(4)))]
    random.shuffle(words)
    line = " ".join(words)
    return (_mutated(random, line) if random.randrange(3) == 0 else line), facts


def _storage(random: Random, disks: Sequence[Disk]) -> str:
    """A DISK that could mean one of these disks."""
    disk = random.choice(disks)
    bus = disk.bus.value if disk.bus else "virtio"
    name = random.choice(["storage_init", "ovirt_init", "autoinstall.storage-init"])
    value = random.choice(
        ["", "", disk.path, disk.path[:-1] + "*", disk.path[:-1] + "?", bus, f"{bus}:{disk.serial}", "nvme", "ata",
         f"serial:{disk.serial}", f"wwn:{disk.wwn}", f"match:bus={bus}", "match:size=1T..", "match:size<1T",
         f"match:serial!={disk.serial}", f"match:rotational=no+name={disk.name}", *disk.links]
    )  # fmt: skip
    return f"{name}={value}" if value else name


def _word(random: Random) -> str:
    words = random.choice([GOOD, GOOD, GOOD, GOOD, BAD, OTHERS, OTHERS, SIZES])
    word = random.choice(words)
    return f"storage_vol={word}" if words is SIZES else word


def _mutated(random: Random, line: str) -> str:
    """The line with a few characters gone, doubled, swapped or strange."""
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(line) or 1)
        here, after = line[at : at + 1], line[at + 1 : at + 2]
        line = line[:at] + random.choice(["", here * 2, after + here, random.choice(STRANGE)]) + line[at + 1 :]
    return line

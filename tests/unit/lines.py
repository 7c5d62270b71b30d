"""Command lines at random: words of ours, each with a machine of the corpus that they could mean, and mutations."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from autoinstall.facts import Disk, Facts
from autoinstall.parameters import PARAMETERS
from tests.unit.corpus import ROWS

STRANGE = 'storage_init= \t"=,;:*?[]-/.&<>$~é\0\x1bA1'
"""Characters that mutations put in."""
APP_SIZES = ("rest,Data2", "1G,Data2:16,Swap2", ":::::::1G")
SIZES = (
    "1G,Root",
    "300,EFI:none,Swap",
    "rest,Data",
    "0,Swap:64,Data",
    "9T,Data",
    "1,Config",
    "-1,Root",
    ":",
    "",
)
OTHERS = (
    "quiet",
    "ro",
    "root=live:LABEL=X",
    "BOOT_IMAGE=/vmlinuz",
    "systemd.unit=rescue.target",
    "foo=bar",
    "rd.break",
)
NOT_FREE = ("storage_init", "rescue", "autoinstall.plan", "autoinstall.app_disks")
FREE = [row for row in PARAMETERS if row.name not in NOT_FREE]
GOOD, BAD = [row.example for row in FREE], [row.bad_example for row in FREE]
MACHINES = tuple(row.facts for row in ROWS)


def any_line(random: Random) -> tuple[str, Facts]:
    """A line, and a machine to plan for."""
    facts = random.choice(MACHINES)
    words = [*_storage(random, facts.disks), *(_word(random) for _ in range(random.randrange(4)))]
    random.shuffle(words)
    line = " ".join(words)
    return (_mutated(random, line) if random.randrange(3) == 0 else line), facts


def _storage(random: Random, disks: Sequence[Disk]) -> list[str]:
    """storage_init with a DISK that could mean one of these disks, now and then with more, and some of AppVG."""
    name = random.choice(["storage_init", "ovirt_init", "autoinstall.storage-init"])
    first, *others = [_disk(random, disks) for _ in range(random.choice([1, 1, 1, 1, 2, 3]))]
    word = ",".join([f"{name}={first}" if first else name, *filter(None, others)])
    app = _disk(random, disks)
    if not app or random.randrange(6):
        return [word]
    both = random.choice([[word, f"autoinstall.app_disks={app}"], [f"{word};{app}"]])
    return [*both, f"storage_vol={random.choice(APP_SIZES)}"]


def _disk(random: Random, disks: Sequence[Disk]) -> str:
    """A DISK that could mean one of these disks."""
    disk = random.choice(disks)
    bus = disk.bus.value if disk.bus else "virtio"
    return random.choice(
        ["", "", disk.path, disk.path[:-1] + "*", disk.path[:-1] + "?", bus, f"{bus}:{disk.serial}", "nvme", "ata",
         f"{bus}:ALL", "ata:ALL",
         f"serial:{disk.serial}", f"wwn:{disk.wwn}", f"match:bus={bus}", "match:size=1T..", "match:size<1T",
         f"match:serial!={disk.serial}", f"match:rotational=no+name={disk.name}", *disk.links]
    )  # fmt: skip


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

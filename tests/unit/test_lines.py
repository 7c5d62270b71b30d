"""Whatever a line says: it is refused with reasons, or each disk of its plan is one that the line allows.

Which that is, says an oracle that knows nothing of the product's parser and selection. With `pytest -s` it is told
how long a line took.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from random import Random
from time import thread_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoinstall import cmdline
from autoinstall.errors import AutoinstallError
from autoinstall.facts import Disk, Facts
from autoinstall.plan import Plan, make_plan
from autoinstall.request import Action, request_from
from tests.unit.lines import MACHINES, any_line
from tests.unit.machines import VDA, VDB

NAMES = ("storage_init", "ovirt_init")
KINDS = ("disk", "multipath")
UNITS = {"": 1 << 20, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
LIMIT_S = 0.005
"""Of processor time, for 99 of 100 lines: what others do on this processor is not counted, a cold cache is."""
BUSES = "ata scsi sas usb cciss virtio nvme mmc".split()


def test_five_thousand_lines() -> None:
    print(many(seed=1, count=5_000))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(2, 10))
def test_two_hundred_thousand_lines(seed: int) -> None:
    print(many(seed, count=25_000))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_a_line_that_goes_wrong_is_made_short(random: Random) -> None:
    line, facts = any_line(random)
    check(line, facts, answer(line, facts))


def many(seed: int, count: int) -> str:
    """What became of so many lines, and the processor time that parsing and planning took."""
    random, ends, times = Random(seed), Counter[str](), []
    for _ in range(count):
        line, facts = any_line(random)
        started = thread_time()
        end = answer(line, facts)
        times.append(thread_time() - started)
        ends[check(line, facts, end)] += 1
    assert {"plan", "plans", "Refused", "BadWords", "none"} <= ends.keys(), "the lines are too much alike"
    assert max(len(facts.disks) for facts in MACHINES) >= 48
    times.sort()
    assert times[count * 99 // 100] < LIMIT_S, "a line and its plan take too long"
    shown = [f"{time * 1000:.2f} ms" for time in (times[count // 2], times[count * 99 // 100], times[-1])]
    return f"{dict(ends)}; median, 99 of 100, longest: {', '.join(shown)}"


def answer(line: str, facts: Facts) -> Plan | AutoinstallError | None:
    """The plan, the refusal, or None where none is asked for."""
    try:
        request = request_from(cmdline.parse(line))
        return make_plan(request, facts) if request.action is Action.INSTALL else None
    except AutoinstallError as error:
        return error
    except Exception as error:
        raise AssertionError(f"{line!r} breaks it") from error


def check(line: str, facts: Facts, end: Plan | AutoinstallError | None) -> str:
    """A name for how the line ended, once that was found right."""
    if isinstance(end, AutoinstallError):
        assert end.exit_code in (2, 3), line
        assert all(end.reasons), line
        return type(end).__name__
    if end is None:
        return "none"
    if '"' not in line and not values(line):
        assert end.target.node and not end.members, line  # reinstall
    elif '"' not in line:  # the oracle reads no quotes
        first, *others = values(line)
        elsewhere = [disk for value in others for disk in meant(value, facts.disks)]
        assert meant(first, facts.disks) == [end.target] or end.target in elsewhere, line
        assert all(disk in elsewhere for disk in end.members), line
        assert all(len(meant(value, facts.disks)) == 1 for value in others if by_itself(value)), line
    for disk in end.disks:
        assert disk in facts.disks
        assert not taboo(disk), line
    assert len({disk.path for disk in end.disks}) == len(end.disks), line
    return "plans" if end.members else "plan"


def taboo(disk: Disk) -> bool:
    """What no line may ask for."""
    groups = [mark.group for mark in disk.signatures if mark.group]
    never = disk.live_medium or disk.read_only or disk.multipath or disk.in_use or not disk.examined
    return bool(
        never or disk.kind not in KINDS or any("storage_domain" in tag for group in groups for tag in group.tags)
    )


def values(line: str) -> list[str]:
    """Each DISK of a line, the boot disk's first; none where it has no storage_init."""
    words = [word.partition("=") for word in line.split()]
    named = [(name.replace("-", "_").removeprefix("autoinstall."), value) for name, _, value in words]
    storage = [value for name, value in named if name in NAMES][-1:]
    app = [value for name, value in named if name == "app_disks"][-1:]
    return re.split("[,;]", ",".join([*storage, *app])) if storage else []


def meant(value: str, disks: Sequence[Disk]) -> list[Disk]:
    """The disks that a DISK means."""
    targets = [disk for disk in disks if disk.kind in KINDS and disk.size_bytes and not disk.read_only]
    return [disk for disk in targets if not disk.multipath and not disk.live_medium and means(value, disk)]


def by_itself(value: str) -> bool:
    """Whether a DISK names one disk, whatever else the line says of that."""
    return value.startswith(("serial:", "wwn:", "id:", "path:"))


def means(value: str, disk: Disk) -> bool:
    """Whether a DISK means this one; by a rule none is meant that is removable, or holds what is not ours."""
    kind, _, name = value.partition(":")
    names = [disk.path, *disk.links, *disk.paths]
    unclaimed = not disk.signatures or disk.node is not None
    by_rule = not disk.removable and unclaimed
    if value.startswith("/dev/"):
        return any(fnmatchcase(one, value) for one in names) and (by_rule or not re.search(r"[*?[]", value))
    if kind == "match":
        clauses = re.split("[+&]", name)
        return all(holds(clause, disk) for clause in clauses) and (by_rule or "removable" in name)
    if kind in BUSES:
        on_it = kind in buses(disk)
        by_its_own = disk.serial == name if name not in ("", "ALL") else by_rule
        return on_it and (by_its_own or (kind == "usb" and name in ("", "ALL") and unclaimed))
    told = {"serial": [disk.serial], "wwn": [disk.wwn], "id": [one.removeprefix("/dev/disk/by-id/") for one in names],
            "path": [one.removeprefix("/dev/disk/by-path/") for one in names]}  # fmt: skip
    return name in told[kind] if value else by_rule


def holds(clause: str, disk: Disk) -> bool:
    """Whether a clause of match: holds."""
    key, operator, wanted = re.fullmatch(r"([a-z_]+)([!<>]?=|[<>])(.*)", clause).groups()  # type: ignore[union-attr]
    if key == "size":
        least, dots, most = wanted.partition("..")
        low, high = in_bytes(least, 0), in_bytes(most, 1 << 80) if dots else in_bytes(least, 0)
        size = disk.size_bytes
        return {"=": low <= size <= high, "!=": not low <= size <= high, "<": size < low, "<=": size <= low,
                ">": size > low, ">=": size >= low}[operator]  # fmt: skip
    yes = ["no", "0", "false", "off"], ["yes", "1", "true", "on"]
    there = {
        "rotational": yes[disk.rotational], "removable": yes[disk.removable], "bus": buses(disk),
        "path": [disk.path, *disk.links, *disk.paths], "sector_size": [str(disk.sector_bytes)],
    }.get(key) or [getattr(disk, key)]  # fmt: skip
    return any(fnmatchcase(one, wanted) for one in there) is (operator == "=")


def buses(disk: Disk) -> list[str]:
    """What its bus may be called."""
    if disk.bus is None:
        return [""]
    return [disk.bus.value, *(["sas"] if disk.bus.value == "scsi" and "-sas-" in " ".join(disk.links) else [])]


def in_bytes(text: str, without: int) -> int:
    """A size, or what it is where there is none."""
    return int(text.rstrip("kKmMgGtT")) * UNITS[text.lstrip("0123456789").lower()] if text else without


@pytest.mark.parametrize("line", ["storage_init=virtio", "storage_init=match:bus=virtio"])
def test_the_oracle_names_every_disk_that_is_meant(line: str) -> None:
    assert meant(values(line)[0], [VDA, VDB]) == [VDA, VDB]
    assert meant(values(f"quiet {line},virtio:ALL")[1], [VDA]) == [VDA]

"""python -m tests.powercut: cut the power of a recorded machine everywhere, and look at what is left.

Exit status 1: a promise is broken somewhere, and it is said how to see that state again.
"""

from __future__ import annotations

import argparse
import sys

from autoinstall.host import Host
from autoinstall.image.cache import Cache
from tests.powercut.cuts import Cut
from tests.powercut.lab import TRACES, Lab, Outcome
from tests.powercut.recording import SETTINGS, recorded
from tests.powercut.seeded import SEEDED, caught
from tests.vm.image import Image, build, cache

HEAD = f"{'trace':<24}{'writes':>8}{'flushes':>9}{'cuts':>8}{'distinct':>10}{'mended':>8}{'violations':>12}{'s':>7}"
SHOWN = 10


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.powercut", description=__doc__)
    parser.add_argument("--states", type=int, default=2500, help="distinct states to look for, over all traces")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--setting", choices=sorted(SETTINGS), default="bios-virtio", help="the machine")
    parser.add_argument("--trace", choices=list(TRACES), action="append", help="this one only; may be repeated")
    parser.add_argument("--only", type=Cut.parse, metavar="CUT", help="one cut of --trace, such as torn@120.7")
    parser.add_argument("--seeded", action="store_true", help="put bugs in instead, and see each of them caught")
    asked = parser.parse_args()
    if asked.only and len(asked.trace or TRACES) != 1:
        parser.error("--only needs one --trace")
    with Cache(cache(), Host()).scratch() as place:
        build(place)
        recording = recorded(SETTINGS[asked.setting], Image(place).image_id)
        print(f"seed {asked.seed}, {asked.setting}, {recording.place}")
        (place / "recording").mkdir()
        lab = Lab(recording.held_in(place / "recording"))
        return _seeded(lab, asked.seed) if asked.seeded else _cut(lab, asked)


def _cut(lab: Lab, asked: argparse.Namespace) -> int:
    print(HEAD, flush=True)
    names = asked.trace or list(TRACES)
    outcomes: list[Outcome] = []
    # The short ones first: the others make up for the states that they do not have.
    for trace in sorted(map(lab.trace, names), key=lambda trace: trace.end - trace.begin):
        if asked.only:
            outcome = lab.again(trace, asked.only, asked.seed)
        else:
            seen = sum(one.distinct for one in outcomes)
            outcome = lab.run(trace, (asked.states - seen) // (len(names) - len(outcomes)), asked.seed)
        outcomes.append(outcome)
        _tell(outcome)
    violations = [violation for outcome in outcomes for violation in outcome.violations]
    distinct = sum(outcome.distinct for outcome in outcomes)
    print(f"{sum(o.states for o in outcomes)} cuts, {distinct} distinct states, {len(violations)} violations")
    return 1 if violations else 0


def _tell(outcome: Outcome) -> None:
    counts = f"{outcome.writes:>8}{outcome.flushes:>9}{outcome.states:>8}{outcome.distinct:>10}{outcome.mended:>8}"
    print(f"{outcome.trace:<24}{counts}{len(outcome.violations):>12}{outcome.seconds:>7.0f}", flush=True)
    for violation in outcome.violations[:SHOWN]:
        print(f"  {violation}")


def _seeded(lab: Lab, seed: int) -> int:
    missed = 0
    for name in SEEDED:
        found = caught(lab, name, seed)
        missed += not found
        print(f"{'caught' if found else 'MISSED'}  {name}: {found[-1].problem if found else ''}", flush=True)
    print(f"{len(SEEDED) - missed} of {len(SEEDED)} seeded bugs caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Each step of an upgrade that writes or reads back is one that a test in a machine lets fail."""

from __future__ import annotations

from autoinstall.facts import LiveImage
from autoinstall.node import staging
from autoinstall.steps import MadeAnew, upgrade, upgrade_steps
from tests.unit.machines import MANIFEST, VDA
from tests.unit.test_upgrade_steps import PART, SLOT
from tests.vm.test_killed_upgrade import OF_THE_STAGE
from tests.vm.test_upgrade_faults import CASES, OF_THE_MEDIUM

ONLY_ASK_THE_KERNEL = {"claim", "free-slot"}


def test_every_step_has_a_row() -> None:
    """Those of a medium with all that may be asked, and whatever else is a step of an upgrade alone."""
    made = MadeAnew(SLOT, PART, "/dev/vda", 3, claimed=VDA, forced=True)
    steps = {step.name for step in upgrade_steps(made, LiveImage("/image", MANIFEST))}
    more = {step.name for room in (upgrade, staging) for step in vars(room).values() if hasattr(step, "writes")}
    rows = {case.step for case in CASES.values()} | {OF_THE_MEDIUM, OF_THE_STAGE}
    assert (steps | more) - ONLY_ASK_THE_KERNEL == rows

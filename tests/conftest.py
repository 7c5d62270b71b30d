"""What unit and VM tests share: where they work, and who runs what."""

from __future__ import annotations

import os
import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.vm.image import cache


def pytest_configure() -> None:
    """Temporary files go beside the product's cache: /tmp may be memory, and disks are big."""
    place = cache() / "tests"
    place.mkdir(exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))


class OneMachineOneWorker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests of one installed machine, or of one file of unit tests, stay together and in order.

    What others do with xdist_group, which does nothing in pytest-xdist 3.8 under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/unit/"):
            return nodeid.split("::")[0]
        machine = re.match(r"tests/vm/test_(?:install|node)\.py::.*\[(?:.*-)?(bios|uefi)\b", nodeid)
        return machine.group(1) if machine else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneMachineOneWorker:
    """Our scheduler, whatever --dist says."""
    return OneMachineOneWorker(config, log)

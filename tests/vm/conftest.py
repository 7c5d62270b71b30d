"""What VM tests share: the image, a key, a live system, installed disks. Each is made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.hardware import Firmware, Hardware
from tests.vm.image import Image, Shared, build
from tests.vm.installed import Installed, Line, install_from_iso
from tests.vm.live import LiveSystem, boot_live
from tests.vm.recorded import Recorded, record
from tests.vm.ssh import new_key


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Shared:
    """A directory of all workers of this session."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if hasattr(request.config, "workerinput") else base) / "shared"
    place.mkdir(exist_ok=True)
    return Shared(place)


@pytest.fixture(scope="session")
def image(shared: Shared) -> Image:
    """The image, and an ISO whose menu installs nothing by itself."""
    return Image(shared.once("image", build))


@pytest.fixture(scope="session")
def key(shared: Shared) -> Path:
    """admin's ssh key."""

    def make(place: Path) -> None:
        new_key(place / "key")

    return shared.once("key", make) / "key"


@pytest.fixture(scope="session")
def live(image: Image, shared: Shared) -> LiveSystem:
    """A live system that was booted without any of our words."""
    return boot_live(image, Hardware(cdrom=image.iso), shared)


@pytest.fixture(scope="session")
def recorded(live: LiveSystem, shared: Shared) -> Recorded:
    """One install with every write on record."""
    return record(live, shared)


@pytest.fixture(scope="session")
def finished(recorded: Recorded) -> Path:
    """A disk with a finished node that was never booted; to be copied."""
    return recorded.disk.path


@pytest.fixture(scope="session", params=list(Firmware), ids=lambda firmware: firmware.value)
def installed(request: pytest.FixtureRequest, shared: Shared, key: Path) -> Installed:
    """A disk that installed itself from the ISO's own menu and booted as a node, under each firmware."""
    return install_from_iso(Line(request.param, key), shared)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The two long chains first, so that both workers are busy to the end."""
    items.sort(key=lambda item: (not item.nodeid.startswith("tests/unit/"), "installed" not in _fixtures(item)))


def _fixtures(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []

"""What the laboratory reads is of the image that is built now, and stays while it is read."""

from __future__ import annotations

from pathlib import Path

from autoinstall.host import Host
from autoinstall.image.cache import KEPT_ENTRIES, Cache
from tests.powercut.recording import SETTINGS, Recording, product_of

SETTING = next(iter(SETTINGS.values()))


def test_another_image_is_another_recording() -> None:
    assert product_of(SETTING, "one").key == product_of(SETTING, "one").key != product_of(SETTING, "other").key


def test_a_recording_that_is_held_outlives_that_the_cache_forgets_it(tmp_path: Path) -> None:
    store = Cache(tmp_path / "cache", Host())
    (tmp_path / "session").mkdir()

    def record(place: Path) -> None:
        (place / "writes.log").write_text("all of it")

    first, *_ = recordings = [Recording(store.get(product_of(SETTING, "0"), record))]
    held = first.held_in(tmp_path / "session")
    recordings += [Recording(store.get(product_of(SETTING, f"{n}"), record)) for n in range(1, KEPT_ENTRIES + 1)]
    assert [recording.log.exists() for recording in recordings] == [False] + [True] * KEPT_ENTRIES
    assert held.log.read_text() == "all of it"

"""The table: each row's examples hold, and each spelling is one row's."""

from __future__ import annotations

from contextlib import suppress

import pytest

from autoinstall.parameters import PARAMETERS, REFUSED, Parameter, canonical, is_kept, row_of
from tests.unit.machines import HASH

BY_NAME = pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)


def _value(text: str) -> str | None:
    _, equals, value = text.partition("=")
    return value if equals else None


@BY_NAME
def test_the_example_parses(row: Parameter) -> None:
    assert row_of(row.example.partition("=")[0]) is row
    row.parse(_value(row.example))


@BY_NAME
def test_the_bad_example_does_not(row: Parameter) -> None:
    assert row_of(row.bad_example.partition("=")[0]) is row
    with pytest.raises(ValueError):
        row.parse(_value(row.bad_example))


@BY_NAME
def test_it_may_be_written_with_our_prefix_and_either_dash(row: Parameter) -> None:
    for spelling in (row.name, *row.aliases):
        assert row_of(spelling.replace("_", "-")) is row
        assert row_of("autoinstall." + spelling.removeprefix("autoinstall.")) is row


def test_no_spelling_belongs_to_two_rows() -> None:
    spellings = [spelling for row in PARAMETERS for spelling in (row.name, *row.aliases)]
    assert len(spellings) == len(set(spellings))
    assert not REFUSED.keys() & set(spellings)


@pytest.mark.parametrize("name", ["storage_initx", "storage", "xstorage_init", "BOOTIFF", "bootif", "ip.x"])
def test_names_match_whole_and_exactly(name: str) -> None:
    assert row_of(name) is None


def test_secrets_and_modes_never_survive_into_the_boot_entry() -> None:
    assert [row.name for row in PARAMETERS if is_kept(row.name)] == ["console"]
    assert not is_kept("root")
    assert canonical("ovirt-init") == "storage_init"


SECRET = [row for row in PARAMETERS if row.secret]
WRONG_SECRETS = [
    "hunter2",
    HASH[:20],
    "$1$md5$" + "x" * 22,
    "salt$" + "x" * 86,
    "http://example.org/key",
    "a 'b' \\c",
]


@pytest.mark.parametrize("row", SECRET, ids=lambda row: row.name)
def test_a_secret_is_never_told_in_its_own_error(row: Parameter) -> None:
    errors = {}
    for value in WRONG_SECRETS:
        with suppress(ValueError):
            row.parse(value)
            continue
        with pytest.raises(ValueError) as caught:
            row.parse(value)
        errors[value] = str(caught.value)
    assert len(errors) >= 3
    assert not [value for value, text in errors.items() if value in text]

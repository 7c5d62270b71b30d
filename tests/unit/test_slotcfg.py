"""slot.cfg: what is rendered for GRUB reads back, whatever a kept word holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoinstall.errors import StateUnreadable
from autoinstall.slotcfg import kernel_arguments_of, render_slot_cfg

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(PRINTABLE, PRINTABLE)
def test_arguments_read_back_as_they_were_given(version: str, arguments: str) -> None:
    assert kernel_arguments_of(render_slot_cfg(version, arguments)) == arguments


@pytest.mark.parametrize("data", [b"", b"set slot_version='1'\n", b"\xff\xfe", b"set slot_kargs=$evil\n"])
def test_a_file_that_is_not_ours_is_an_error(data: bytes) -> None:
    with pytest.raises(StateUnreadable):
        kernel_arguments_of(data)

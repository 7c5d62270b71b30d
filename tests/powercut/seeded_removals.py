"""Bugs of what is done at the desk: of an uninstall, and of how an install begins over a node."""

from __future__ import annotations

import os
from unittest.mock import patch

from tests.powercut.content import BACKUP
from tests.powercut.lab import Lab
from tests.powercut.surgery import Bug, commit, lost, without_flushes, writes_to
from tests.powercut.trace import Trace


def _last_write_never_flushed(_: Lab, trace: Trace) -> Trace:
    return without_flushes(trace, trace.end - 1, trace.end)


def _backup_table_left(lab: Lab, trace: Trace) -> Trace:
    for index in writes_to(lab, trace, BACKUP):
        trace = lost(trace, index)
    return trace


def _without_o_dsync(lab: Lab, trace: Trace) -> Trace:
    with patch.object(os, "O_DSYNC", 0):
        return lab.trace(trace.name)


def _old_sector_0_left(_: Lab, trace: Trace) -> Trace:
    last = commit(trace)
    for index in (i for i in range(trace.begin, last) if trace.entries[i].count and not trace.entries[i].sector):
        trace = lost(trace, index)
    return trace


REMOVALS: dict[str, Bug] = {
    "an uninstall told before its last write is flushed": Bug(
        "uninstall", _last_write_never_flushed, "was removed", quick=True
    ),
    "a wipe that leaves the backup table": Bug("wipe", _backup_table_left, "was removed"),
    "an uninstall that opens without O_DSYNC": Bug("uninstall", _without_o_dsync, "is not whole", quick=True),
    "a wipe that opens without O_DSYNC": Bug("wipe", _without_o_dsync, "was removed"),
    "sector 0 of the old node left until the new one's": Bug(
        "reinstall", _old_sector_0_left, "core image", quick=True
    ),
}

"""Two plan files -> what differs between them, in the words of the plan: one line a difference. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from autoinstall.settings import machine_id
from autoinstall.sizes import for_people

NAMES = ("device", "label", "name", "path", "slot")
"""What the items of a list are told apart by."""
UNSAID = ("partitions", "volumes", "members", "size_bytes", "text")
"""Members whose place says what they are: `layout: Data 10.0 GiB`."""
FOLLOWS = ("number", "start_bytes")
"""Members that follow from the sizes of others."""
PIECES: Mapping[str, Callable[[str], list[str]]] = {"text": str.splitlines, "kernel_arguments": str.split}
"""Texts that are compared piece by piece."""


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What differs between two plan files: `FIELD OLD -> NEW`, of texts `FIELD - GONE` and `FIELD + NEW`.

    Of the planned UUIDs, which all follow from the install id, only that is told; the others are called by what
    they are of. What the digest does not cover comes last, and begins with `aside`.
    """
    told = [*_differ("", _by_names(one["plan"]), _by_names(other["plan"]))]
    if not told and one["plan"] != other["plan"]:
        told = ["in UUIDs, starts or numbers of partitions only: another version of autoinstall made one of them"]
    return told + [f"aside {line}" for line in _differ("", one.get("aside"), other.get("aside"))]


def _differ(where: str, one: Any, other: Any, key: str = "") -> Iterator[str]:
    if one == other:
        return
    items, other_items = _by_name(one), _by_name(other)
    if items is not None and other_items is not None:
        for name in sorted((items.keys() | other_items.keys()) - {*FOLLOWS}):
            yield from _differ(_join(where, name), items.get(name), other_items.get(name), name)
    elif key in PIECES and isinstance(one, str) and isinstance(other, str):
        yield from _pieces(where, PIECES[key](one), PIECES[key](other))
    else:
        old, new = _say(key, one), _say(key, other)
        yield f"{where} {old} -> {new}" if old != new else f"{where} {one} -> {other}"


def _pieces(where: str, one: list[str], other: list[str]) -> Iterator[str]:
    yield from (f"{where} - {piece}" for piece in one if piece not in other)
    yield from (f"{where} + {piece}" for piece in other if piece not in one)
    if {*one} == {*other}:
        yield f"{where} in another order, or more often: {' '.join(one)} -> {' '.join(other)}"


def _join(where: str, key: str) -> str:
    if key in UNSAID:
        return where
    words = key if "/" in key else key.removesuffix("_bytes").replace("_", " ")
    return f"{where} {words}" if where else f"{words}:"


def _by_name(value: Any) -> dict[str, Any] | None:
    """The members of an object, or the items of a list by their names; None of what has neither."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    named = {str(next((item[name] for name in NAMES if name in item), "")): item for item in value}
    return named if len(named) == len(value) else None


def _say(key: str, value: Any) -> str:
    """A value for people."""
    if isinstance(value, dict):
        return _say("size_bytes", value["size_bytes"]) if "size_bytes" in value else "there"
    if key.endswith("_bytes") and isinstance(value, int):
        return for_people(value)
    return "nothing" if value in (None, "", []) else str(value)


def _by_names(plan: Any) -> Any:
    """The plan with every planned UUID replaced by the name of what it is of, wherever it stands."""
    text = json.dumps(plan)
    layout = plan.get("layout", {})
    members = layout.get("members", [])
    on_members = [{**part, "label": member["name"]} for member in members for part in member["partitions"]]
    for item in [*layout.get("partitions", []), *layout.get("volumes", []), *members, *on_members]:
        what = item.get("label") or item.get("name")
        for key in ("disk_guid", "partition_uuid", "filesystem_uuid"):
            text = text.replace(item[key], f"({what})") if item.get(key) else text
    if layout.get("install_id"):
        text = text.replace(machine_id(UUID(layout["install_id"])), "(machine-id)")
    return json.loads(text)

"""What must hold in every state that a cut may leave.

Until the disk is a finished node, nothing starts from it, and the installer does not take it for one.
Once it is one, everything is there: GRUB, both slots whole, a slot state, a Config and a Logging that can be
mended, and on Config all that was acknowledged. Once an install said that it is done, it stays one. Once a removal
said so, nothing starts, and the installer finds no node, not even an unfinished one.
No slot is good before a boot of its image was healthy. What is booted next is the image that was told: the old one
until an upgrade or a rollback began, the new one once it said that it is done, and one of both between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.powercut.boots import Broken, Eyes
from tests.powercut.content import Digest
from tests.powercut.marks import INSTALLED, Mark
from tests.powercut.mends import Workshop

REMOVED = "removed"


@dataclass(frozen=True)
class Known:
    """What had been told at a point of the log: done things are in force, begun ones may be.

    `kept`: the digests that a partition may have in which nothing but its label may change.
    """

    installed: bool
    removed: bool
    healthy: frozenset[str]
    boots: frozenset[str]
    config: Mapping[str, frozenset[str | None]]
    state: Mapping[str, frozenset[object]]
    kept: Mapping[str, frozenset[Digest]] = field(default_factory=dict)


def known(marks: Sequence[Mark], at: int) -> Known:
    """What holds for a cut before entry `at`. What was begun there had not written anything yet."""
    config: dict[str, frozenset[str | None]] = {}
    state: dict[str, frozenset[object]] = {}
    told: set[str] = set()
    healthy: frozenset[str] = frozenset()
    boots: frozenset[str] = frozenset()
    for mark in marks:
        if mark.at > at:
            break
        if not mark.acknowledged and mark.at == at:
            continue
        if mark.boots:
            boots = frozenset([mark.boots]) | (frozenset() if mark.acknowledged else boots)
        if mark.acknowledged:
            told.add(mark.what)
            healthy |= {mark.healthy} - {""}
            config.update({path: frozenset([text]) for path, text in mark.config.items()})
            state.update({name: frozenset([value]) for name, value in mark.state.items()})
        else:
            config.update({path: config.get(path, frozenset([None])) | {text} for path, text in mark.config.items()})
            state.update({name: state[name] | {value} for name, value in mark.state.items() if name in state})
    return Known(INSTALLED in told, REMOVED in told, healthy, boots, config, state)


def broken_promise(eyes: Eyes, workshop: Workshop, told: Known) -> str:
    """What is wrong with the state that `eyes` look at; empty where every promise is kept."""
    mark = eyes.mark
    if told.removed:
        return "the node was removed, and something of it starts or is recognised" if mark or eyes.may_start else ""
    if not (mark and mark.finished):
        if told.installed:
            return "the install was done, and the installer does not find a finished node"
        return "no finished node, but sector 0 is not empty" if eyes.may_start else ""
    if mark.from_backup:
        return "a finished node by its backup table alone"
    try:
        return (
            eyes.loader_problem()
            or _state(eyes, told)
            or slots_problem(eyes, told)
            or _kept(eyes, told)
            or _filesystems(workshop)
            or _config(workshop, told)
        )
    except Broken as broken:
        return str(broken)


def slots_problem(eyes: Eyes, told: Known) -> str:
    """What GRUB may boot, now or when that fails, is whole, and one of the images that were brought here."""
    state = eyes.esp.state
    for slot in (eyes.picked, eyes.picked.other):
        if slot is eyes.picked or state.tries(slot) or state.good(slot):
            if problem := eyes.slot_problem(slot):
                return f"slot {slot} may boot: {problem}"
            if eyes.image_id(slot) not in eyes.known.image_ids:
                return f"slot {slot} may boot, and holds an image that nobody brought"
        if state.good(slot) and eyes.image_id(slot) not in told.healthy:
            return f"slot {slot} is good, and no boot of its image was healthy yet"
    if told.boots and eyes.image_id(eyes.picked) not in told.boots:
        return (
            f"slot {eyes.picked} boots next, and holds image {eyes.image_id(eyes.picked)}: not the one that was told"
        )
    return ""


def _state(eyes: Eyes, told: Known) -> str:
    esp = eyes.esp
    if not any(esp.copies):
        return "neither copy of the slot state is whole"
    for name, allowed in told.state.items():
        if (found := getattr(esp.state, name)) not in allowed:
            return f"the slot state says {name}={found}, told was {sorted(map(str, allowed))}"
    return ""


def _kept(eyes: Eyes, told: Known) -> str:
    changed = (label for label, digests in told.kept.items() if eyes.content.digest(label) not in digests)
    return next((f"{label} is kept, and not byte by byte what it was" for label in changed), "")


def _filesystems(workshop: Workshop) -> str:
    problems = {label: workshop.mended(label).problem for label in ("Config", "Logging")}
    return next((f"{label}: {problem}" for label, problem in problems.items() if problem), "")


def _config(workshop: Workshop, told: Known) -> str:
    files = workshop.mended("Config").files
    for path, allowed in told.config.items():
        found = files[path]
        if (None if found is None else found.decode(errors="replace")) not in allowed:
            return f"Config: {path} holds {found!r}, told was {sorted(map(repr, allowed))}"
    return ""

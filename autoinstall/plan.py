"""Request + facts -> Plan: everything the steps need, in bytes and UUIDs. The plan is a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from uuid import UUID, uuid5

from autoinstall.chosen import Chosen, choose, refuse_left_behind, refuse_same_groups, staying, why_over
from autoinstall.codec import to_plain
from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts, Firmware, LiveImage, Nic, Signature
from autoinstall.grammar import After, Installed, OnFailure, is_spoilt_by_grub
from autoinstall.grammar_disks import Wipe
from autoinstall.layout import DiskTable, Layout, place
from autoinstall.network import nics_for
from autoinstall.paths import MULTIPATH_WORD, refuse_a_path, refuse_paths, wwids_of
from autoinstall.request import Action, Request
from autoinstall.select import (
    describe,
    disk_word,
    foreign_marks,
    refuse_unknown,
    selector_for,
    strange_partitions,
    why_not,
)
from autoinstall.services import refuse_missing_features, refuse_unchecked
from autoinstall.settings import NodeFile, Setting, default_host_name, node_files, without_secrets
from autoinstall.sizes import GIB, MIB, align_up, mib_up
from autoinstall.space import MEM_OVERCOMMIT, Extra, Space
from autoinstall.stacks import has_stack, refuse_stacks

PRODUCT = uuid5(UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8"), "https://autoinstall.invalid/product")
"""The name space of install ids."""

ALWAYS = ("panic=30", "rd.shell=0", "rd.emergency=reboot")
"""Kernel arguments of every boot entry: a boot that fails ends by itself, and in no unauthenticated shell."""

LEAST_ESP_OF_LARGE_SECTORS = 272 * MIB
"""65525 clusters of 4096 bytes, and FAT: fewer is not FAT32 (fatgen103)."""

OR_REINSTALL = "look at the disk and its cable, or replace it; said with `reinstall`, whatever is on it is lost"
SWAP_ENCRYPT = "swap-encrypt"
"""The feature of an image that has what swap_encrypt needs."""

LEAST_MEMORY_BYTES = 256 * MIB
"""As Linux counts. Measured with the image vm from its ISO: with 148 it installs and comes up as a node, with 212 it
takes an LVM apart and 108 are left. The rest is for larger kernels, and for an image that came over the network."""
ENOUGH_MEMORY_BYTES = 384 * MIB
"""Of which Linux has those, under either firmware."""


class Decision(Enum):
    """What a run will do."""

    INSTALL = "install"
    ALREADY_INSTALLED = "already-installed"


@dataclass(frozen=True)
class SlotPlan:
    """One slot: the partition's label, the image's version, and the kernel arguments of its boot entry."""

    slot: str
    partition_label: str
    version: str
    kernel_arguments: str


@dataclass(frozen=True)
class Plan:
    """A decided run. `target` is the boot disk, `members` are the disks beside it, in the order of the layout's, all
    as they were when this was decided; `lost` is what they hold. For a node that stays nothing is made: its layout
    is empty, and so is all that would follow from one.
    """

    decision: Decision
    target: Disk
    members: tuple[Disk, ...]
    layout: Layout
    firmware: Firmware
    image: LiveImage
    slots: tuple[SlotPlan, ...]
    files: tuple[NodeFile, ...]
    nic: Nic | None
    id_text: str | None
    after: After
    installed: Installed
    on_failure: OnFailure
    dry_run: bool
    lost: tuple[Signature, ...]
    warnings: tuple[str, ...]

    @property
    def has_stack(self) -> bool:
        """Whether a disk carries something that must be torn down, not just overwritten."""
        return has_stack(self.lost)

    @property
    def disks(self) -> tuple[Disk, ...]:
        """Every disk that it is for, the boot disk first."""
        return (self.target, *self.members)

    @property
    def tables(self) -> tuple[tuple[str, DiskTable], ...]:
        """What is on each of them, by the paths of now."""
        tables: tuple[DiskTable, ...] = (self.layout, *self.layout.members)
        return tuple((disk.path, table) for disk, table in zip(self.disks, tables, strict=True))


def make_plan(request: Request, facts: Facts) -> Plan:
    """Decide. Pure: the same request and facts make the same plan.

    Linux counts some memory less than there is, and not the same at each boot: Swap goes by whole GiB, rounded up.
    Raises Refused (nothing was written) where the machine cannot become what was asked.
    """
    if request.action is not Action.INSTALL or request.disk is None:
        raise ValueError("only an install has a plan")
    if facts.image is None:
        raise Refused("this system does not run from an image of autoinstall", hint="boot one, then install")
    refuse_unchecked(request.https, facts.image.manifest.features)
    node_disk = staying(request, facts.disks)
    if node_disk:
        return _of_a_node_that_stays(request, facts, node_disk)
    refuse_missing_features(request.services, facts.image.manifest.features)
    chosen = choose(request, facts.disks)
    nics = nics_for(request, facts)
    target = chosen.boot
    for disk in chosen.disks:
        refuse_unknown(disk if not request.reinstall else replace(disk, unread=""), hint=OR_REINSTALL)
        refuse_paths(disk, facts)
    planned = install_id(target, facts, request.id_text)
    _refuse_losses(request, chosen, planned)
    _refuse_large_sectors(target, facts)
    _refuse_second_node(chosen.others(facts), facts)
    _refuse_little_memory(facts)
    _refuse_spoilt_words(request)
    refuse_left_behind(chosen, facts)
    refuse_stacks(request, chosen.disks, facts)
    refuse_same_groups(chosen, facts)
    layout = place(planned, _space(request, chosen, facts))
    _refuse_small_slots(layout, facts.image)
    _refuse_small_esp(layout)
    _refuse_without_crypt(request, facts.image)
    wwids = wwids_of(chosen.disks)
    return Plan(
        decision=Decision.INSTALL,
        target=target,
        members=chosen.members,
        layout=layout,
        slots=_slots(request, facts.image, (layout, nics.management, wwids)),
        files=node_files(request, Setting(layout, facts.shadow, nics, wwids)),
        nic=nics.management,
        lost=tuple(mark for disk in chosen.disks for mark in disk.signatures),
        warnings=(*request.warnings, *_told_of_the_node(request, target)),
        **_of_any_plan(request, facts),
    )


def _of_a_node_that_stays(request: Request, facts: Facts, target: Disk) -> Plan:
    """Nothing is written: what only an install needs may be gone, be it a disk, a NIC, or room for the layout.

    Raises Refused where it is not clear that the machine comes up as this node.
    """
    assert target.node is not None
    named = (*request.host_disks, *request.app_disks)
    others = [disk for disk in facts.disks if disk != target and all(why_not(disk, one) for one in named)]
    refuse_a_path(target, facts)
    _refuse_in_use(target)
    _refuse_second_node(others, facts)
    _refuse_half_a_table(request, target)
    unread = [f"{describe(target)} does not tell all that is on it: {target.unread}"] if target.unread else []
    return Plan(
        decision=Decision.ALREADY_INSTALLED,
        target=target,
        members=(),
        layout=Layout(target.node.install_id, target.size_bytes, target.sector_bytes, (), ()),
        slots=(),
        files=(),
        nic=None,
        lost=(),
        warnings=(*request.warnings, *unread),
        **_of_any_plan(request, facts),
    )


def _of_any_plan(request: Request, facts: Facts) -> dict[str, Any]:
    """The fields of a plan that say where it is made, and how the run goes."""
    return {
        "firmware": facts.firmware,
        "image": facts.image,
        "id_text": request.id_text,
        "after": request.after,
        "installed": request.installed,
        "on_failure": request.on_failure,
        "dry_run": request.dry_run,
    }


def install_id(target: Disk, facts: Facts, id_text: str | None = None) -> UUID:
    """The id of an install: of this product, on this machine, on this disk, with this autoinstall.id."""
    macs = ",".join(sorted(nic.mac for nic in facts.nics if nic.wired))
    identity = [facts.product_uuid, macs, target.serial, target.wwn, str(target.size_bytes)]
    identity += [] if id_text is None else [id_text]
    return uuid5(PRODUCT, "\n".join(identity))


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON values, without secrets."""
    public: dict[str, Any] = to_plain(replace(plan, files=tuple(without_secrets(file) for file in plan.files)))
    public["image"] = {"image_id": plan.image.manifest.image_id, "version": plan.image.manifest.version}
    return public


def _space(request: Request, chosen: Chosen, facts: Facts) -> Space:
    """Of the memory whole GiB count: what firmware and kernel keep of it differs from boot to boot."""
    asked = request.mem_overcommit
    extras = [Extra(disk.path, disk.size_bytes, disk.sector_bytes) for disk in chosen.members]
    hosts = len(extras) - len(chosen.app)
    return Space(
        chosen.boot.size_bytes,
        chosen.boot.sector_bytes,
        align_up(facts.memory_bytes, GIB),
        request.sizes,
        mem_overcommit=MEM_OVERCOMMIT if asked is None else asked,
        id_text=request.id_text,
        host=tuple(extras[:hosts]),
        app=tuple(extras[hosts:]),
        host_on_boot=chosen.boot in chosen.host,
        ciphers=request.swap_ciphers,
    )


def _refuse_losses(request: Request, chosen: Chosen, planned: UUID) -> None:
    """Raises Refused, with the inventory, where what is on the disks may not go.

    `planned` is the install id that will be: an install that was cut may have left a member of it.
    """
    for disk in chosen.disks:
        _refuse_in_use(disk)
    node = chosen.boot.node
    for disk in chosen.members:
        _refuse_node_as_member(request, disk)
    for disk in chosen.disks:
        _refuse_strangers(request, disk, chosen.named)
        _refuse_foreign(request, disk, (chosen, [planned, *([node.install_id] if node else [])]))


def _refuse_in_use(disk: Disk) -> None:
    if disk.in_use:
        raise Refused(f"{disk.path} is in use: {'; '.join(disk.in_use)}", hint="free it, or name another disk")


def _refuse_node_as_member(request: Request, disk: Disk) -> None:
    if disk.node and disk.node.finished and not request.reinstall:
        raise Refused(
            f"{describe(disk)} carries a finished node, and is asked for as a disk of a volume group",
            hint="name it first, to boot that node; or say reinstall, and it is lost",
        )


def _told_of_the_node(request: Request, target: Disk) -> Sequence[str]:
    why = why_over(request, target.node) if target.node and target.node.finished else ""
    return [f"the node on {target.path} is installed over, {why}"] if why else []


def _refuse_strangers(request: Request, target: Disk, named: frozenset[str]) -> None:
    """Partitions that somebody put behind those of a node go as what is not ours does."""
    kept = request.wipe is Wipe.NONE or (target.path not in named and request.wipe is not Wipe.FOREIGN)
    if kept and target.node and target.node.strangers:
        raise Refused(
            f"{describe(target)} holds a node, and beside it:",
            *(f"  {one}" for one in strange_partitions(target)),
            hint="save what is there, and delete these partitions; or name the disk, and they are lost",
        )


def _refuse_foreign(request: Request, target: Disk, known: tuple[Chosen, Sequence[UUID]]) -> None:
    """What is not ours goes where the disk is named, or `autoinstall.wipe` says so.

    A finished member is ours where it is one of the installs that are `known`, which may be of this machine or not.
    """
    chosen, installs = known
    member = target.member if target.member and target.member.install_id in installs else None
    foreign = foreign_marks(target, target.node or member)
    inventory = [f"  {mark}" for mark in target.signatures]
    word = disk_word if chosen.members else selector_for
    if foreign and request.wipe is Wipe.NONE:
        raise Refused(
            f"{describe(target)} is not blank, and autoinstall.wipe=none; it holds:",
            *inventory,
            hint="use a blank disk, or take autoinstall.wipe=none off the line",
        )
    if foreign and target.path not in chosen.named and request.wipe is not Wipe.FOREIGN:
        raise Refused(
            f"{describe(target)} was not named, and holds what would be lost:",
            *inventory,
            hint=f"to wipe it, name it: {word(target, [target])}, or say autoinstall.wipe=foreign",
        )


def _refuse_half_a_table(request: Request, target: Disk) -> None:
    """A node that only the backup table knows cannot be booted: neither GRUB nor Linux reads that one."""
    if target.node and target.node.from_backup and request.installed is Installed.BOOT:
        raise Refused(
            f"the node on {target.path} cannot be booted: the first copy of its partition table is broken",
            hint=f"boot with the word rescue, and have the backup copied: fdisk {target.path}, then w",
        )


def _refuse_large_sectors(target: Disk, facts: Facts) -> None:
    if target.sector_bytes != 512 and facts.firmware is Firmware.BIOS:
        raise Refused(
            f"{target.path} has sectors of {target.sector_bytes} bytes; a BIOS boots from sectors of 512 only",
            hint="boot this machine under UEFI, or use a disk with 512-byte sectors",
        )


def _refuse_second_node(others: Sequence[Disk], facts: Facts) -> None:
    """`others` are the disks that take no part."""
    nodes = [disk for disk in others if disk.node and disk.node.finished]
    if nodes:
        raise Refused(
            f"a node of ours is already on {describe(nodes[0])}: two in one machine have the same roles",
            hint=f"install onto that one ({selector_for(nodes[0], facts.disks)}), or remove it",
        )


def _refuse_little_memory(facts: Facts) -> None:
    if facts.memory_bytes < LEAST_MEMORY_BYTES:
        raise Refused(
            f"Linux has {mib_up(facts.memory_bytes)} MiB of memory here; "
            f"an installation needs {mib_up(LEAST_MEMORY_BYTES)} MiB",
            hint=f"give this machine {mib_up(ENOUGH_MEMORY_BYTES)} MiB: firmware and kernel keep some for themselves",
        )


def _refuse_small_esp(layout: Layout) -> None:
    esp, least_mib = layout.partition("EFI").size_bytes, mib_up(LEAST_ESP_OF_LARGE_SECTORS)
    if layout.sector_bytes != 512 and esp < LEAST_ESP_OF_LARGE_SECTORS:
        raise Refused(
            f"EFI of {mib_up(esp)} MiB is too small for FAT32 on sectors of {layout.sector_bytes} bytes",
            hint=f"give it {least_mib} MiB: storage_vol={least_mib},EFI",
        )


def _refuse_small_slots(layout: Layout, image: LiveImage) -> None:
    needed = sum(file.size_bytes for file in image.manifest.files)
    room = layout.partition("Root-A").size_bytes
    if needed * 2 > room:
        raise Refused(
            f"the image has {mib_up(needed)} MiB; a slot of {mib_up(room)} MiB must be twice that",
            hint="build a smaller image",
        )


def _refuse_spoilt_words(request: Request) -> None:
    for word in request.kept_words:
        if is_spoilt_by_grub(word):
            raise Refused(
                f"the node would keep {word}, and its GRUB hands no blanks, quotes and backslashes on as they are",
                hint="leave that word out",
            )


def _refuse_without_crypt(request: Request, image: LiveImage) -> None:
    if request.swap_ciphers and SWAP_ENCRYPT not in image.manifest.features:
        raise Refused(
            "swap_encrypt: this image has nothing to encrypt swap with",
            hint=f"use an image with the feature {SWAP_ENCRYPT}",
        )


def _slots(
    request: Request, image: LiveImage, where: tuple[Layout, Nic | None, Sequence[str]]
) -> tuple[SlotPlan, ...]:
    layout, nic, wwids = where
    common = [
        *ALWAYS,
        f"rd.autoinstall.config=PARTUUID={layout.partition('Config').partition_uuid}",
        f"rd.autoinstall.logging=PARTUUID={layout.partition('Logging').partition_uuid}",
        *([MULTIPATH_WORD + ",".join(wwids)] if wwids else []),
        *([] if request.host_name else [f"systemd.hostname={default_host_name(nic, layout.install_id)}"]),
        *request.kept_words,
    ]
    return tuple(
        SlotPlan(
            slot=slot,
            partition_label=f"Root-{slot}",
            version=image.manifest.version,
            kernel_arguments=" ".join(
                [f"root=autoinstall:PARTUUID={layout.partition(f'Root-{slot}').partition_uuid}", *common]
            ),
        )
        for slot in ("A", "B")
    )

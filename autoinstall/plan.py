"""Request + facts -> Plan: everything the steps need, in bytes and UUIDs. The plan is a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from uuid import UUID, uuid5

from autoinstall.codec import to_plain
from autoinstall.errors import Refused
from autoinstall.facts import Disk, Facts, Firmware, LiveImage, Nic, NodeMark, Signature
from autoinstall.grammar import After, Installed, OnFailure
from autoinstall.grammar_disks import Wipe
from autoinstall.grammar_network import AddressBy
from autoinstall.layout import MEM_OVERCOMMIT, Layout, Space, id_mark, place
from autoinstall.network import nics_for
from autoinstall.request import Action, Request
from autoinstall.select import describe, select_disk, selector_for
from autoinstall.services import refuse_missing_features
from autoinstall.settings import NodeFile, Setting, default_host_name, node_files, without_secrets
from autoinstall.sizes import GIB, MIB, align_up, mib_up
from autoinstall.stacks import has_stack, refuse_stacks

PRODUCT = uuid5(UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8"), "https://autoinstall.invalid/product")
"""The name space of install ids."""

ALWAYS = ("panic=30", "rd.shell=0", "rd.emergency=reboot")
"""Kernel arguments of every boot entry: a boot that fails ends by itself, and in no unauthenticated shell."""

LEAST_ESP_OF_LARGE_SECTORS = 272 * MIB
"""65525 clusters of 4096 bytes, and FAT: fewer is not FAT32 (fatgen103)."""

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
    """A decided run. `target` is the disk as it was when this was decided; `lost` is what it holds."""

    decision: Decision
    target: Disk
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
        """Whether the disk carries something that must be torn down, not just overwritten."""
        return has_stack(self.lost)


def make_plan(request: Request, facts: Facts) -> Plan:
    """Decide. Pure: the same request and facts make the same plan.

    Linux counts some memory less than there is, and not the same at each boot: Swap goes by whole GiB, rounded up.
    Raises Refused (nothing was written) where the machine cannot become what was asked.
    """
    if request.action is not Action.INSTALL or request.disk is None:
        raise ValueError("only an install has a plan")
    if facts.image is None:
        raise Refused("this system does not run from an image of autoinstall", hint="boot one, then install")
    refuse_missing_features(request.services, facts.image.manifest.features)
    target = select_disk(request.disk, facts.disks)
    nics = nics_for(request, facts)
    if not target.examined:
        raise Refused(f"what is on {target.path} is unknown: reading it needs root", hint="run this as root")
    decision = _decide(request, target)
    _refuse_unfit(target, facts)
    _refuse_little_memory(decision, facts)
    _refuse_a_path(target, facts)
    if decision is Decision.INSTALL:
        refuse_stacks(request, target, facts)
    _refuse_shared_address(request, facts)
    if decision is Decision.ALREADY_INSTALLED:
        _refuse_half_a_table(request, target)
    layout = place(install_id(target, facts, request.id_text), _space(request, target, facts))
    _refuse_small_slots(layout, facts.image)
    _refuse_small_esp(layout)
    return Plan(
        decision=decision,
        target=target,
        layout=layout,
        firmware=facts.firmware,
        image=facts.image,
        slots=_slots(request, facts.image, (layout, nics.management)),
        files=node_files(request, Setting(layout, facts.shadow, nics)),
        nic=nics.management,
        id_text=request.id_text,
        after=request.after,
        installed=request.installed,
        on_failure=request.on_failure,
        dry_run=request.dry_run,
        lost=target.signatures,
        warnings=(*request.warnings, *_told_of_the_node(request, target)),
    )


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


def _space(request: Request, target: Disk, facts: Facts) -> Space:
    """Of the memory whole GiB count: what firmware and kernel keep of it differs from boot to boot."""
    asked = request.mem_overcommit
    return Space(
        target.size_bytes,
        target.sector_bytes,
        align_up(facts.memory_bytes, GIB),
        request.sizes,
        mem_overcommit=MEM_OVERCOMMIT if asked is None else asked,
        id_text=request.id_text,
    )


def _decide(request: Request, target: Disk) -> Decision:
    """Whether what is on the disk may go. Raises Refused with the inventory where it may not."""
    if target.in_use:
        raise Refused(f"{target.path} is in use: {'; '.join(target.in_use)}", hint="free it, or name another disk")
    if target.node and target.node.finished:
        return Decision.INSTALL if _why_over(request, target.node) else Decision.ALREADY_INSTALLED
    _refuse_foreign(request, target)
    return Decision.INSTALL


def _why_over(request: Request, node: NodeMark) -> str:
    """Why a finished node is installed over; empty where it stays."""
    if request.reinstall:
        return "as `reinstall` asks; take that word away, or the next boot of this line does so again"
    if request.id_text is not None and node.id_mark != id_mark(node.install_id, request.id_text):
        return f"for it was not installed as autoinstall.id={request.id_text}"
    return ""


def _told_of_the_node(request: Request, target: Disk) -> Sequence[str]:
    why = _why_over(request, target.node) if target.node and target.node.finished else ""
    return [f"the node on {target.path} is installed over, {why}"] if why else []


def _refuse_foreign(request: Request, target: Disk) -> None:
    """What is not ours goes where the disk is named, or `autoinstall.wipe` says so.

    Of an unfinished install Linux sees no table: one that it sees came later, and is somebody else's.
    """
    foreign = [mark for mark in target.signatures if not target.node or mark.device == target.path]
    inventory = [f"  {mark}" for mark in target.signatures]
    assert request.disk is not None
    if foreign and request.wipe is Wipe.NONE:
        raise Refused(
            f"{describe(target)} is not blank, and autoinstall.wipe=none; it holds:",
            *inventory,
            hint="use a blank disk, or take autoinstall.wipe=none off the line",
        )
    if foreign and not request.disk.explicit and request.wipe is not Wipe.FOREIGN:
        raise Refused(
            f"{describe(target)} was not named, and holds what would be lost:",
            *inventory,
            hint=f"to wipe it, name it: {selector_for(target, [target])}, or say autoinstall.wipe=foreign",
        )


def _refuse_half_a_table(request: Request, target: Disk) -> None:
    """A node that only the backup table knows cannot be booted: neither GRUB nor Linux reads that one."""
    if target.node and target.node.from_backup and request.installed is Installed.BOOT:
        raise Refused(
            f"the node on {target.path} cannot be booted: the first copy of its partition table is broken",
            hint=f"boot with the word rescue, and have the backup copied: fdisk {target.path}, then w",
        )


def _refuse_unfit(target: Disk, facts: Facts) -> None:
    if target.sector_bytes != 512 and facts.firmware is Firmware.BIOS:
        raise Refused(
            f"{target.path} has sectors of {target.sector_bytes} bytes; a BIOS boots from sectors of 512 only",
            hint="boot this machine under UEFI, or use a disk with 512-byte sectors",
        )
    others = [disk for disk in facts.disks if disk.node and disk.node.finished and disk.path != target.path]
    if others:
        raise Refused(
            f"a node of ours is already on {describe(others[0])}: two in one machine have the same roles",
            hint=f"install onto that one ({selector_for(others[0], facts.disks)}), or remove it",
        )


def _refuse_little_memory(decision: Decision, facts: Facts) -> None:
    if decision is Decision.INSTALL and facts.memory_bytes < LEAST_MEMORY_BYTES:
        raise Refused(
            f"Linux has {mib_up(facts.memory_bytes)} MiB of memory here; "
            f"an installation needs {mib_up(LEAST_MEMORY_BYTES)} MiB",
            hint=f"give this machine {mib_up(ENOUGH_MEMORY_BYTES)} MiB: firmware and kernel keep some for themselves",
        )


def _refuse_a_path(target: Disk, facts: Facts) -> None:
    """Two disks of one WWN, serial and size are two paths to one disk, and none of them is it."""
    identity = (target.wwn, target.serial, target.size_bytes)
    paths = [disk for disk in facts.disks if (disk.wwn, disk.serial, disk.size_bytes) == identity]
    if target.wwn and len(paths) > 1:
        raise Refused(
            f"{' and '.join(disk.path for disk in paths)} are paths to one disk, of WWN {target.wwn}",
            hint="this version knows no multipath: leave one path connected, or name another disk",
        )


def _refuse_shared_address(request: Request, facts: Facts) -> None:
    wired = [nic.name for nic in facts.nics if nic.wired]
    shared = not request.boot_interface and not request.bond and len(wired) > 1
    if request.address.by is AddressBy.STATIC and shared:
        raise Refused(
            f"ip={request.address.client} is for one NIC, and this machine has {', '.join(wired)}",
            hint="say for which it is: BOOTIF=link, or BOOTIF= and its name or MAC",
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


def _slots(request: Request, image: LiveImage, where: tuple[Layout, Nic | None]) -> tuple[SlotPlan, ...]:
    layout, nic = where
    common = [
        *ALWAYS,
        f"rd.autoinstall.config=PARTUUID={layout.partition('Config').partition_uuid}",
        f"rd.autoinstall.logging=PARTUUID={layout.partition('Logging').partition_uuid}",
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

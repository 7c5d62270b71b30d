"""`upgrade` on the line of a newer medium: the image that runs here goes into the node of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from autoinstall.carry import carry_out
from autoinstall.errors import EXIT_OK, AutoinstallError, Refused
from autoinstall.facts import Disk, Facts
from autoinstall.grammar import After, Installed
from autoinstall.host import Host
from autoinstall.localboot import kexec_or_reboot, load_either
from autoinstall.mounts import mounted
from autoinstall.node import records
from autoinstall.node.name import stored_name
from autoinstall.node.ondisk import NodeDisk, made_anew, node_on, read_node
from autoinstall.node.upgrading import show, upgraded
from autoinstall.report.events import Ending, Result
from autoinstall.report.sinks import Memory, Sink, warn
from autoinstall.request import Request
from autoinstall.select import describe, refuse_unknown, select_disk
from autoinstall.services import refuse_unchecked
from autoinstall.steps import upgrade_steps
from autoinstall.telling import telling_from
from autoinstall.upgrade import Decision, NewImage, UpgradePlan, already_reason, fallen_reason, make_upgrade


def select_node(request: Request, facts: Facts) -> Disk:
    """The disk with the node that is meant. Raises Refused where there is none, or it cannot be upgraded."""
    if request.disk is None or facts.image is None:
        raise Refused("this system does not run from an image of autoinstall", hint="boot one, then upgrade")
    refuse_unchecked(request.https, facts.image.manifest.features)
    target = select_disk(request.disk, facts.disks, of_node=True)
    refuse_unknown(target)
    if target.node is None or not target.node.finished:
        raise Refused(f"{describe(target)} carries no finished node of ours", hint="install one: storage_init")
    if target.node.from_backup:
        raise Refused(
            f"the node on {target.path} cannot be booted: the first copy of its partition table is broken",
            hint=f"boot with the word rescue, and have the backup copied: fdisk {target.path}, then w",
        )
    if target.in_use:
        raise Refused(f"{target.path} is in use: {'; '.join(target.in_use)}", hint="free it first")
    return target


def upgrade_from_medium(request: Request, facts: Facts, host: Host, sinks: Sequence[Sink]) -> Result:
    """Decide, show, act. A node that has this image already, or gave it up, is gone on to as it is."""
    target, image = select_node(request, facts), facts.image
    assert image is not None
    node = node_on(target)
    offered = NewImage(image.manifest, request.tries, request.force)
    there = read_node(host, node)
    plan = make_upgrade(there, offered, node.slot_bytes)
    show(plan, target.path, sinks)
    warn(plan.warnings, host, sinks)
    told = Memory.among(sinks)
    here = (host, sinks)
    if telling_from(told.words).trigger:
        told.node_name = stored_name(host, node, plan.kept)
    if plan.decision is Decision.ALREADY:
        return _go_on(request, target, here, Result(Ending.ALREADY_INSTALLED, EXIT_OK, (already_reason(plan),)))
    if plan.decision is Decision.FALLEN:
        hint = "to try it again: autoinstall.force=fallen"
        if plan.new.image_id in there.forced:
            hint = "a line forces an image once; to try it again: autoinstall upgrade --force fallen, on the node"
        return _go_on(request, target, here, Result(Ending.ROLLED_BACK, EXIT_OK, (fallen_reason(plan),), hint))
    if request.dry_run:
        return Result(Ending.PLANNED, EXIT_OK, detail={"upgrade": plan.to_json()})
    told.node_disk = target.path
    made = replace(made_anew(host, node, plan), forced=plan.new.image_id in there.fallen_ids)
    carry_out(upgrade_steps(made, image), host, sinks)
    if plan.new.image_id in there.fallen or plan.target in there.rotten:
        _forget(plan, node, host)
    result = upgraded(plan, target.path, sinks)
    if request.after is After.KEXEC:
        result.detail.update(kexec_or_reboot(target.path, host, sinks))
    return result


def _forget(plan: UpgradePlan, node: NodeDisk, host: Host) -> None:
    """The slot is a new one: while it waits for its boot it is not forced again, and its next end is news."""
    with suppress(AutoinstallError, OSError), mounted(host, node.device("Config"), "rw") as config:
        records.forget_fallen(plan.new.image_id, config)
        records.set_rotten(plan.target.value, [], config)


def _go_on(request: Request, target: Disk, here: tuple[Host, Sequence[Sink]], result: Result) -> Result:
    """By kexec: a reboot could come back to this medium, for ever."""
    if request.installed is not Installed.BOOT or request.dry_run:
        return result
    host, sinks = here
    slot = load_either(host, target.path, sinks)
    Memory.among(sinks).node_disk = target.path
    return replace(result, reasons=(*result.reasons, f"going on to slot {slot} of {target.path}"))

"""A plan as a file, and its digest: what `autoinstall.plan=sha256:…` of the command line pins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from autoinstall.errors import Refused
from autoinstall.facts import Disk
from autoinstall.plan import Decision, Plan, to_json
from autoinstall.request import Request
from autoinstall.select import identity
from autoinstall.uninstall import Removal
from autoinstall.uninstall import to_json as removal_json

BECOMES = ("decision", "id_text", "layout", "image", "slots", "files")
"""The parts of a plan that its digest covers as they are; of target and NIC it covers what they keep."""
BY_PATH = "/dev/disk/by-path/"


def pinned(plan: Plan) -> dict[str, Any]:
    """What a digest covers: what the machine becomes, as plain JSON values.

    It is the same at every boot, before and after a cut, on the machine and at a desk with its facts:

    * the decision, the layout to the byte, image, kernel arguments and files of the node (of a secret one only that
      it is there: a digest of a password's hash could be guessed at);
    * of each disk serial, WWN, size and sectors, and where it tells neither of the first two, its place on the bus;
      of the management NIC the MAC. No kernel name: /dev/sda may be another disk's tomorrow;
    * of the memory only what the default of Swap takes from it, and that counts whole GiB (plan.make_plan).

    Not covered is how the run goes: dry_run, after, installed, on_failure, warnings, autoinstall.plan itself; and
    what the disks lose, for an install that was cut has already taken that, and its line starts it over. What may
    go is another rule's (plan._refuse_losses).

    What does change it: another wired NIC in the machine or one less (they are part of the install id), BOOTIF=link
    with the cable in another NIC, and the order of the words that go on into the boot entry, which the kernel reads
    in their order (console=, hugepages=). The order of other words, of disks and of NICs does not.
    """
    whole = to_json(plan)
    return {
        **{name: whole[name] for name in BECOMES},
        "target": _lasting(plan.target),
        "member_disks": {
            member.name: _lasting(disk) for member, disk in zip(plan.layout.members, plan.members, strict=True)
        },
        "nic": plan.nic.mac if plan.nic else None,
    }


def digest(plan: Plan) -> str:
    """`sha256:` and the SHA-256 of what is pinned."""
    return digest_of(pinned(plan))


def digest_of(content: object) -> str:
    """The digest of the member `plan` of a plan file: of its canonical JSON.

    That is ASCII, keys sorted, no white space: `jq -acjS .plan FILE | sha256sum` tells it too.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def document(plan: Plan) -> dict[str, Any]:
    """The content of a plan file: `plan` is what its `digest` covers, `aside` what it does not."""
    content, whole = pinned(plan), to_json(plan)
    aside = {name: value for name, value in whole.items() if name not in content}
    aside |= {
        "path": plan.target.path,
        "member_paths": [disk.path for disk in plan.members],
        "nic_name": plan.nic.name if plan.nic else None,
    }
    return {"digest": digest_of(content), "plan": content, "aside": aside}


def pinned_removal(removal: Removal) -> dict[str, Any]:
    """What the digest of a removal covers: the node that goes, and its disks, each as of a plan.

    Of a removal that was cut it is the same where the line names the disks: those that are blank by now count too.
    """
    node = removal.target.node
    members = sorted(removal.members, key=identity)
    return {
        "decision": "uninstall",
        "install_id": str(node.install_id) if node else "",
        "target": _lasting(removal.target),
        "members": [_lasting(disk) for disk in members],
    }


def removal_digest(removal: Removal) -> str:
    """`sha256:` and the SHA-256 of what is pinned."""
    return digest_of(pinned_removal(removal))


def removal_document(removal: Removal) -> dict[str, Any]:
    """The content of a plan file of a removal."""
    return {"digest": removal_digest(removal), "plan": pinned_removal(removal), "aside": removal_json(removal)}


def render(content: Mapping[str, Any]) -> str:
    """The text of a plan file, the same for the same plan."""
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def refuse_another(request: Request, plan: Plan) -> None:
    """Raises Refused where the line pins a plan, and this one is not it.

    Of a finished node nothing is written, so nothing is pinned: with the pin on the line it boots, like without.
    """
    if plan.decision is not Decision.ALREADY_INSTALLED:
        refuse_unpinned(request, digest(plan))


def refuse_unpinned(request: Request, made: str) -> None:
    """Raises Refused where the line pins a plan or a removal, and it is not the one with the digest `made`."""
    if request.plan_digest and request.plan_digest != made:
        raise Refused(
            f"the plan made here is {made}",
            f"autoinstall.plan asks for {request.plan_digest}",
            hint="what differs tells `autoinstall plan --diff`, with this machine's plan from `autoinstall plan -o`",
        )


def _lasting(disk: Disk) -> dict[str, Any]:
    """What a disk keeps from boot to boot."""
    kept = {
        "serial": disk.serial,
        "wwn": disk.wwn,
        "size_bytes": disk.size_bytes,
        "sector_bytes": disk.sector_bytes,
    }
    if disk.serial or disk.wwn:
        return kept
    return {**kept, "place": sorted(link for link in disk.links if link.startswith(BY_PATH))}

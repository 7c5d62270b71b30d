"""A machine that has its node already, or something else, and is asked again."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from autoinstall.drawing import to_text
from autoinstall.errors import Refused
from autoinstall.facts import Disk, NodeMark, Signature
from autoinstall.layout import id_mark
from autoinstall.plan import Decision, Plan, install_id, make_plan
from autoinstall.sizes import GIB
from tests.unit.machines import MACHINE, NIC, SR0, VDA, VDB, asked

INSTALL_ID = UUID(int=7)
FOREIGN = replace(VDA, signatures=(Signature("/dev/vda", "ext4", "holiday", "u-u-i-d", 16 * GIB),))
ON_IT = (
    Signature("/dev/vda", "gpt", size_bytes=16 * GIB),
    Signature("/dev/vda5", "ext4", "CONFIG", size_bytes=GIB),
    Signature("/dev/vda7", "LVM2_member", size_bytes=8 * GIB),
)


def _node(text: str | None = None, *, finished: bool = True, disk: Disk = VDA) -> Disk:
    """A disk with a node that was installed with this autoinstall.id."""
    mark = None if text is None else id_mark(INSTALL_ID, text)
    return replace(disk, node=NodeMark(INSTALL_ID, finished, mark), signatures=ON_IT if finished else ())


def _plan(line: str, *disks: Disk) -> Plan:
    return make_plan(asked(line), replace(MACHINE, disks=(SR0, *disks)))


STAYS, OVER = Decision.ALREADY_INSTALLED, Decision.INSTALL


@pytest.mark.parametrize(
    ("line", "had", "decision"),
    [
        ("storage_init", None, STAYS),
        ("storage_init", "one", STAYS),
        ("storage_init autoinstall.id=one", "one", STAYS),
        ("storage_init autoinstall.id=two", "one", OVER),
        ("storage_init autoinstall.id=one", None, OVER),
        ("storage_init=serial:TARGET0 autoinstall.id=two", "one", OVER),
        ("storage_init autoinstall.id=two autoinstall.wipe=none", "one", OVER),
        ("storage_init reinstall", "one", OVER),
        ("storage_init reinstall autoinstall.id=one", "one", OVER),
        ("storage_init reinstall=no autoinstall.id=one", "one", STAYS),
        ("reinstall", None, OVER),
        ("firstboot=1", None, OVER),
    ],
)
def test_a_finished_node_stays_unless_the_line_says_another_id_or_reinstall(
    line: str, had: str | None, decision: Decision
) -> None:
    assert _plan(line, _node(had)).decision is decision


@pytest.mark.parametrize("line", ["storage_init", "storage_init autoinstall.id=one", "reinstall"])
def test_an_install_that_was_cut_is_started_over_whatever_its_id(line: str) -> None:
    plan = _plan(line, _node("two", finished=False))
    assert plan.decision is OVER
    assert "lost   an install that was not finished" in to_text(plan)
    assert not plan.warnings


def test_the_same_id_is_known_again_on_a_machine_that_got_another_nic() -> None:
    line = "storage_init autoinstall.id=one"
    first = _plan(line, VDA)
    mark = first.layout.partition("BIOS-boot").partition_uuid
    disk = replace(VDA, node=NodeMark(first.layout.install_id, True, mark))
    other = replace(MACHINE, disks=(disk,), nics=(replace(NIC, mac="52:54:00:00:00:01"),))
    assert install_id(disk, other, "one") != first.layout.install_id
    assert make_plan(asked(line), other).decision is STAYS


def test_another_id_makes_another_node() -> None:
    ids = {
        _plan(f"storage_init {words}", VDA).layout.install_id
        for words in ("", "autoinstall.id=1", "autoinstall.id=2")
    }
    assert len(ids) == 3


def test_what_is_lost_of_a_node_and_why_is_told() -> None:
    plan = _plan("storage_init autoinstall.id=two", _node("one"))
    assert plan.warnings == (
        "the node on /dev/vda is installed over, for it was not installed as autoinstall.id=two",
    )
    text = to_text(plan)
    assert f"lost   the node {INSTALL_ID}: its configuration, its logs, all of /data" in text
    assert "lost   /dev/vda5: ext4 'CONFIG', 1024 MiB" in text
    assert plan.has_stack


def test_a_line_that_would_reinstall_for_ever_says_so() -> None:
    assert _plan("reinstall", _node()).warnings == (
        "the node on /dev/vda is installed over, as `reinstall` asks; "
        "take that word away, or the next boot of this line does so again",
    )


def test_reinstall_alone_takes_the_one_disk_that_carries_our_node() -> None:
    node = _node(disk=VDB)
    assert _plan("reinstall", VDA, node).target == node


@pytest.mark.parametrize(
    ("disks", "says"),
    [
        (
            (VDA, FOREIGN),
            (
                "reinstall, upgrade or uninstall without storage_init fits no disk of this machine",
                "  /dev/vda (16.0 GiB, virtio, serial TARGET0): it carries no node of ours",
            ),
        ),
        (
            (_node(), _node(disk=VDB)),
            (
                "reinstall, upgrade or uninstall without storage_init fits 2 disks; it must name exactly one",
                "  /dev/vdb (32.0 GiB, virtio, serial OTHER): fits",
            ),
        ),
        ((replace(VDA, examined=False),), ("  /dev/vda (16.0 GiB, virtio, serial TARGET0): reading it needs root",)),
        ((_node(disk=replace(VDA, removable=True)),), ("it is removable, and not named",)),
    ],
)
def test_reinstall_alone_with_no_node_or_several_is_refused_with_the_table(
    disks: tuple[Disk, ...], says: tuple[str, ...]
) -> None:
    with pytest.raises(Refused) as caught:
        _plan("reinstall", *disks)
    for text in says:
        assert text in str(caught.value)


def test_reinstall_takes_no_disk_with_foreign_data_by_a_rule() -> None:
    with pytest.raises(Refused, match="was not named"):
        _plan("storage_init reinstall", FOREIGN)


def test_reinstall_on_another_disk_than_the_nodes_is_refused() -> None:
    with pytest.raises(Refused, match="a node of ours is already on /dev/vda"):
        _plan("storage_init=/dev/vdb reinstall", _node(), VDB)


@pytest.mark.parametrize(
    "line", ["storage_init autoinstall.wipe=foreign", "storage_init=virtio autoinstall.wipe=foreign"]
)
def test_wipe_foreign_lets_a_disk_chosen_by_rule_be_wiped(line: str) -> None:
    plan = _plan(line, FOREIGN)
    assert (plan.decision, plan.lost) == (OVER, FOREIGN.signatures)


@pytest.mark.parametrize("line", ["storage_init", "storage_init=/dev/vda", "storage_init=serial:TARGET0"])
def test_wipe_none_refuses_what_is_not_blank_or_ours_also_where_it_is_named(line: str) -> None:
    with pytest.raises(Refused) as caught:
        _plan(f"{line} autoinstall.wipe=none", FOREIGN)
    assert caught.value.reasons == (
        "/dev/vda (16.0 GiB, virtio, serial TARGET0) is not blank, and autoinstall.wipe=none; it holds:",
        "  /dev/vda: ext4 'holiday', 16.0 GiB",
    )
    assert _plan(f"{line} autoinstall.wipe=none", VDA).decision is OVER


HALF = replace(VDA, node=NodeMark(INSTALL_ID, finished=True, from_backup=True))


def test_a_node_that_only_the_backup_table_knows_is_not_booted_and_the_refusal_says_how_to_mend_it() -> None:
    with pytest.raises(Refused) as caught:
        _plan("storage_init", HALF)
    assert str(caught.value) == (
        "the node on /dev/vda cannot be booted: the first copy of its partition table is broken"
    )
    assert caught.value.hint == "boot with the word rescue, and have the backup copied: fdisk /dev/vda, then w"


@pytest.mark.parametrize(("words", "decision"), [("autoinstall.installed=hold", STAYS), ("reinstall", OVER)])
def test_where_it_need_not_be_booted_it_is_a_node_like_any_other(words: str, decision: Decision) -> None:
    plan = _plan(f"storage_init {words}", HALF)
    assert plan.decision is decision
    assert str(INSTALL_ID) in to_text(plan)
    assert "before" not in to_text(plan)


@pytest.mark.parametrize("line", ["reinstall", "storage_init autoinstall.id=new"])
def test_what_somebody_put_on_all_of_a_nodes_disk_goes_only_where_the_disk_is_named(line: str) -> None:
    swap = replace(HALF, signatures=(Signature("/dev/vda", "swap", size_bytes=16 * GIB),))
    with pytest.raises(Refused, match="was not named, and holds what would be lost"):
        _plan(line, swap)
    table = replace(HALF, signatures=(Signature("/dev/vda", "gpt", uuid=str(INSTALL_ID), size_bytes=16 * GIB),))
    assert _plan(line, table).decision is OVER
    assert _plan("reinstall storage_init=/dev/vda", swap).decision is OVER

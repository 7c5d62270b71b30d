"""Lines that oVirt Node misread, and what becomes of them here.

The hazards are those that reference material of the project found by running oVirt Node's own parser: two parsers
that disagreed, names matched by their beginning, values evaluated by a shell, disks that were missing or replaced.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoinstall.errors import AutoinstallError, BadWords, Refused
from autoinstall.facts import Disk
from autoinstall.grammar_disks import Bus
from autoinstall.plan import Plan, make_plan
from autoinstall.request import Action
from autoinstall.sizes import GIB, MIB
from tests.unit.machines import HASH, MACHINE, SR0, VDA, VDB, asked

LIVE_STICK = Disk("/dev/sda", "disk", 8 * GIB, 512, bus=Bus.USB, serial="LIVE", live_medium=True)
NVME = Disk("/dev/nvme0n1", "disk", 64 * GIB, 512, bus=Bus.NVME, serial="N1")


def _plan(line: str, *disks: Disk) -> Plan:
    return make_plan(asked(line), replace(MACHINE, disks=(SR0, *disks)))


def _refusal(kind: type[AutoinstallError], line: str, *disks: Disk) -> str:
    with pytest.raises(kind) as caught:
        _plan(line, *disks)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("firstboot reinstall=0", "firstboot and reinstall are one word, given with different values"),
        ("firstboot=0 reinstall", "firstboot and reinstall are one word, given with different values"),
        ("reinstall reinstall=no", "firstboot is given more than once, with different values"),
        ("ovirt_firstboot=no autoinstall.reinstall", "ovirt_firstboot and autoinstall.reinstall are one word"),
    ],
)
def test_1_contradictory_flags_are_refused_and_no_parser_sees_another_thing(line: str, says: str) -> None:
    assert says in _refusal(BadWords, f"storage_init {line}", VDA)


@pytest.mark.parametrize(
    "word", ["reinstall", "reinstall=1", "firstboot=yes", "ovirt_firstboot=on", "reinstall=true"]
)
def test_2_every_way_to_say_yes_means_yes(word: str) -> None:
    assert asked(f"storage_init {word} firstboot").reinstall


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("stateless upgrade", "stateless: the line says upgrade too"),
        ("storage_init stateless", "stateless: the line says storage_init too"),
        ("uninstall stateless", "stateless: the line says uninstall too"),
    ],
)
def test_3_two_actions_are_refused(line: str, says: str) -> None:
    assert says in _refusal(BadWords, line, VDA)


@pytest.mark.parametrize("one", ["storage_init", "reinstall", "uninstall"])
@pytest.mark.parametrize("upgrade", ["upgrade", "ovirt_upgrade", "local_boot", "ovirt_local_boot"])
def test_3_an_upgrade_that_is_something_else_too_is_refused(one: str, upgrade: str) -> None:
    assert f"upgrade: the line says {one} too" in _refusal(BadWords, f"{one} {upgrade}", VDA)


def test_4_uninstall_switched_off_takes_nothing_away() -> None:
    assert asked("storage_init uninstall=0").action is Action.INSTALL


@pytest.mark.parametrize("word", ["upgrade=0", "ovirt_local_boot=no"])
def test_4_an_upgrade_that_is_switched_off_is_none(word: str) -> None:
    assert asked(f"storage_init {word}").action is Action.INSTALL


def test_4_install_switched_off_asks_for_nothing_and_alone_installs_nothing() -> None:
    assert asked("storage_init install=0").action is Action.INSTALL
    assert asked("install").action is Action.NONE


@pytest.mark.parametrize(
    "word", ["installfoo", "upgraded", "local_boot_triggers=x", "uninstaller", "ovirt_initx=/dev/vda"]
)
def test_5_a_word_that_only_begins_like_ours_is_not_ours(word: str) -> None:
    try:
        assert asked(word).action is Action.NONE
    except BadWords as error:
        assert "one slip away" in str(error)


INJECTED = "$(reboot)", "`reboot`", "x;reboot", "%s%n", "-1", "x|reboot", "$6"


@pytest.mark.parametrize("value", INJECTED)
def test_6_a_value_is_data_in_every_word(value: str) -> None:
    """Taken literally, or refused; nothing is evaluated, formatted or lost."""
    assert _plan(f"storage_init autoinstall.id={value}", VDA).id_text == value
    *_, last = value.split(";")  # which is a separator there
    assert last in _refusal(AutoinstallError, f"storage_init=serial:{value}", VDA)
    assert repr(value) in _refusal(BadWords, f"storage_init hostname={value}", VDA)
    assert repr(value) in _refusal(BadWords, f"storage_init bond={value}", VDA)
    assert repr(value) in _refusal(BadWords, f"storage_init vlan={value}", VDA)


def test_7_a_quoted_blank_does_not_split_a_word_and_a_control_character_is_refused() -> None:
    assert asked('storage_init autoinstall.id="a reinstall b"').id_text == "a reinstall b"
    assert not asked('storage_init autoinstall.id="a reinstall b"').reinstall
    assert "control character" in _refusal(BadWords, "storage_init autoinstall.id=a\x07b", VDA)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("storage_vol", "storage_vol: '' is not SIZE,NAME"),
        ("mem_overcommit", "mem_overcommit: '' is not a number such as 0.5 or 2"),
        ("mem_overcommit=half", "mem_overcommit: 'half' is not a number such as 0.5 or 2"),
        ("storage_vol=2048,Swop", "storage_vol: '2048,Swop' is not SIZE,NAME; NAME is one of EFI, Root, Config, "),
        ("storage_vol=2048,Swap:512", "storage_vol: '512' is not SIZE,NAME"),
        (
            "storage_vol=:4096:2048",
            "storage_vol: ':4096:2048' has 3 fields; it must be BOOT:SWAP:ROOT:CONFIG:LOGGING:",
        ),
        ("storage_vol=big:::::::", "storage_vol: 'big' is not a size"),
        ("storage_vol=:5::::::", "storage_vol: '5,Swap': Swap needs 16 MiB or more"),
        ("storage_vol=:-1::::::", "storage_vol: '-1,Swap': only Data and Data2 can be 'rest'"),
        ("storage_vol=::::::512:", "Swap2: name a disk for it: autoinstall.app_disks=DISK"),
        ("storage_vol=:::::::-1", "Data2: name a disk for it: autoinstall.app_disks=DISK"),
        ("storage_vol=-1,Data3", "storage_vol: '-1,Data3' is not SIZE,NAME"),
    ],
)
def test_8_a_size_that_is_none_is_refused_with_its_field(word: str, says: str) -> None:
    assert says in _refusal(BadWords, f"storage_init {word}", VDA)


def test_9_minus_1_and_0_are_sizes_in_both_forms() -> None:
    whole = _plan("storage_init", VDA).layout
    for text in ("-1,Data", "rest,data", ":::::::", ":::::-1::", "100:::::-1:0:none", ":::::rest::"):
        assert _plan(f"storage_init storage_vol={text}", VDA).layout == whole
    sized = _plan("storage_init storage_vol=:512:3G:64:::0:0", VDA).layout
    assert (sized.partition("Root-A").size_bytes, sized.partition("Config").size_bytes) == (3 * GIB, 64 * MIB)
    assert (sized.volumes[0].name, sized.volumes[0].size_bytes) == ("Swap", 512 * MIB)
    assert _plan("storage_init storage_vol=:0::::0::", VDA).layout.volumes == ()


def test_10_a_missing_disk_is_neither_dropped_nor_replaced() -> None:
    assert "fits no disk" in _refusal(Refused, "storage_init=/dev/sda", VDA, VDB)
    for text in ("/dev/sda,/dev/vda", "/dev/vda,/dev/sda", "/dev/vda;/dev/sda"):
        line = f"storage_init={text} storage_vol=rest,Data2" if ";" in text else f"storage_init={text}"
        assert "/dev/sda, one of several, fits no disk" in _refusal(Refused, line, VDA)
    assert "has a place without a disk" in _refusal(BadWords, "storage_init=/dev/vda,", VDA)
    assert "different values" in _refusal(BadWords, "storage_init=/dev/vda ovirt_init=/dev/vdb", VDA, VDB)
    assert _plan("storage_init", LIVE_STICK, NVME).target == NVME
    assert "the medium this system runs from" in _refusal(Refused, "storage_init=/dev/sda", LIVE_STICK, VDA)


def test_11_a_glob_or_a_bus_is_exactly_one_disk() -> None:
    assert _plan("storage_init=/dev/vd*", VDA).target == VDA
    assert "fits 2 disks; it must name exactly one" in _refusal(Refused, "storage_init=/dev/vd*", VDA, VDB)
    assert "fits 2 disks; it must name exactly one" in _refusal(Refused, "storage_init=virtio", VDA, VDB)
    assert _plan("storage_init=nvme", VDA, NVME).target == NVME
    for text in ("nvme0n1", "atafoo", "virtioTARGET0"):
        assert f"storage_init: {text!r} is not /dev/PATH, serial:S" in _refusal(BadWords, f"storage_init={text}", VDA)


@pytest.mark.parametrize(
    "words",
    [
        "reinstall=1",
        "ssh_pwauth=yes",
        "reboot_delay=3",
        "mem_overcommit=1",
        f"adminpw={HASH}",
        "rhevm_admin_password=x",
        "check=1",
        "autoinstall.wipe=foreign",
        "root=live:LABEL=x",
    ],
)
def test_12_what_is_not_on_the_list_does_not_survive_into_the_boot_entry(words: str) -> None:
    plain, more = _plan("storage_init", VDA), _plan(f"storage_init {words}", VDA)
    assert [slot.kernel_arguments for slot in more.slots] == [slot.kernel_arguments for slot in plain.slots]


def test_swap_grows_with_the_memory_as_the_line_says() -> None:
    def swap(words: str) -> int:
        return _plan(f"storage_init {words}", replace(VDA, size_bytes=640 * GIB)).layout.volumes[0].size_bytes

    assert swap("") == swap("mem_overcommit=0.5") == 3 * GIB
    assert swap("mem_overcommit=0") == 2 * GIB
    assert swap("ovirt_overcommit=2") == 6 * GIB


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("kdump_nfs=server:/crash", "kdump_nfs: not supported, use kdump_ssh"),
        ("iscsi_install", "iscsi_install: refused until implemented: this version installs onto no iSCSI disk"),
        ("iscsi-server=192.0.2.1:3260", "iscsi-server: refused until implemented: "),
        ("autoinstall.iscsi_init=/dev/sda", "autoinstall.iscsi_init: refused until implemented: "),
    ],
)
def test_what_will_not_be_had_is_refused_in_its_own_words(word: str, says: str) -> None:
    assert says in _refusal(BadWords, f"storage_init {word}", VDA)


@pytest.mark.parametrize(
    "word", ["use_strong_rng", "use_strong_rng=20", "disable-aes-ni", "autoinstall.disable_aes_ni=yes"]
)
def test_what_has_no_effect_is_taken_with_a_warning(word: str) -> None:
    name = word.partition("=")[0]
    assert asked(f"storage_init {word}").warnings == (f"{name}: it has no effect on this system",)

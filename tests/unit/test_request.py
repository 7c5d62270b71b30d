"""Words -> Request."""

from __future__ import annotations

import pytest

from autoinstall.cmdline import Word, parse
from autoinstall.errors import BadWords
from autoinstall.grammar import After, FailureAction, Force, OnFailure
from autoinstall.grammar_disks import Bus, DiskBy, DiskSelector
from autoinstall.grammar_network import NicBy, NicSelector
from autoinstall.request import Action, Request, on_failure_from, redacted
from tests.unit.machines import HASH, asked


def test_a_whole_line() -> None:
    request = asked(
        "BOOT_IMAGE=/vmlinuz root=live:LABEL=AI console=tty0 console=ttyS0,115200 storage_init=virtio:TARGET0 "
        f"BOOTIF=01-52-54-00-AB-cd-EF hostname=Node7 adminpw={HASH} autoinstall.after=poweroff "
        "autoinstall.on-failure=reboot:30 autoinstall.dry_run iommu=pt"
    )
    assert request == Request(
        action=Action.INSTALL,
        disk=DiskSelector(DiskBy.BUS_SERIAL, "TARGET0", Bus.VIRTIO),
        boot_interface=NicSelector(NicBy.MAC, "52:54:00:ab:cd:ef"),
        host_name="node7",
        admin_password_hash=HASH,
        after=After.POWEROFF,
        on_failure=OnFailure(FailureAction.REBOOT, 30),
        dry_run=True,
        kept_words=("console=tty0", "console=ttyS0,115200", "iommu=pt"),
    )


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("", Action.NONE),
        ("quiet BOOTIF=link ip=dhcp console=ttyS0", Action.NONE),
        (f"adminpw={HASH}", Action.NONE),
        ("storage_init", Action.INSTALL),
        ("ovirt_init=/dev/sda", Action.INSTALL),
        ("autoinstall.storage_init=serial:X", Action.INSTALL),
        ("upgrade", Action.UPGRADE),
        ("ovirt_upgrade local_boot", Action.UPGRADE),
        ("autoinstall.ovirt_local_boot=1 storage_init=serial:X", Action.UPGRADE),
        ("storage_init upgrade=no", Action.INSTALL),
        ("upgrade rescue", Action.RESCUE),
        ("storage_init rescue", Action.RESCUE),
        ("storage_init rescue=no", Action.INSTALL),
    ],
)
def test_which_action_a_line_asks_for(line: str, action: Action) -> None:
    assert asked(line).action is action


def test_an_upgrade_is_of_the_node_that_is_there_and_edits_nothing() -> None:
    request = asked("upgrade autoinstall.tries=1 autoinstall.force=fallen,major hostname=other ntp=off dns=192.0.2.1")
    assert request.disk == DiskSelector(DiskBy.NODE)
    assert (request.tries, request.force) == (1, frozenset(Force))
    assert request.warnings == ("upgrade: the node keeps its configuration; of no effect on it: hostname, dns, ntp",)


@pytest.mark.parametrize(
    "word",
    [f"rootpw={HASH}", "vlan=7", "network_layout=bridged", "ipv6=auto", "tuned=x",
     "standalone", "snmp_password=correct-horse"],
)  # fmt: skip
def test_no_word_that_an_upgrade_ignores_is_ignored_in_silence(word: str) -> None:
    told = asked(f"upgrade {word}").warnings
    assert any("of no effect on it: " + word.partition("=")[0] in text for text in told)


REFUSED = [
    ("storage_inti", "one slip away from storage_init"),
    ("adminpwd=x", "one slip away from adminpw"),
    ("autoinstall.aftr=reboot", "did you mean autoinstall.after"),
    ("autoinstall.frobnicate=1", "there is no such word"),
    ("storage_init=/dev/sda storage_init=/dev/sdb", "more than once, with different values"),
    ("storage_init=/dev/../etc", "leaves /dev"),
    ("storage_init=usb:", "names nothing"),
    ("storage_init=/dev/sda,", "has a place without a disk"),
    ("storage_init=;/dev/sda", "has a place without a disk"),
    ("storage_init=/dev/sda;", "has a place without a disk"),
    ("storage_init=/dev/sda;/dev/sdb", "AppVG has nothing to hold"),
    ("storage_init=/dev/sda;/dev/sdb storage_vol=0,Swap2:none,Data2", "AppVG has nothing to hold"),
    ("storage_init storage_vol=1G,Data2:1G,swap2", "Swap2 and Data2: name a disk for it"),
    ("storage_vol=1G,Data2 autoinstall.app_disks=/dev/sdb", "name the boot disk too"),
    ("storage_init=/dev/sda;/dev/sdb autoinstall.app_disks=/dev/sdc", "storage_init names other disks"),
    ("storage_init swap_encrypt", "'' is not Swap[,CIPHER]"),
    ("storage_init swap_encrypt=Swap2", "there will be no Swap2"),
    ("storage_init swap_encrypt=Swap storage_vol=none,Swap", "there will be no Swap"),
    ("storage_init swap_encrypt=Swap:swap", "Swap is given twice"),
    ("storage_init swap_encrypt=Swap,rot13", "'rot13' is none of aes-xts-plain64, aes-cbc-essiv:sha256"),
    ("storage_init=serial:", "names nothing"),
    ("storage_init=match:size~3", "not KEY=VALUE"),
    ("storage_init=match:size=100G..50G", "ends before it begins"),
    ("storage_init=match:size!=100G..50G", "ends before it begins"),
    ("storage_init=match:model<3", "only size can be compared"),
    ("storage_vol=1G", "not SIZE,NAME"),
    ("storage_vol=16,Config", "needs 32 MiB or more"),
    ("storage_vol=none,Root", "only Swap and Data and Swap2 and Data2"),
    ("storage_vol=rest,Swap", "only Data"),
    ("storage_vol=1G,Data:2G,data", "given twice"),
    ("ip=192.0.2.7", "needs a netmask"),
    ("ip=192.0.2.7:::255.0.255.0", "not a netmask"),
    ("ip=192.0.2.7::192.0.2.1:24:::dhcp", "contradict"),
    ("ip=[2001:db8::7]::192.0.2.1:64", "different families"),
    ("ip=dhcp gateway=192.0.2.1", "belong to an address"),
    ("storage_init upgrade", "upgrade: the line says storage_init too, which installs"),
    ("upgrade reinstall", "upgrade: the line says reinstall too"),
    ("local_boot uninstall", "upgrade: the line says uninstall too"),
    ("upgrade ovirt_local_boot=0", "upgrade and ovirt_local_boot are one word, given with different values"),
    ("upgrade autoinstall.plan=sha256:" + "0" * 64, "upgrade: autoinstall.plan is for installations"),
    ("storage_init autoinstall.tries=1", "autoinstall.tries: belongs to upgrade"),
    ("autoinstall.force=major", "autoinstall.force: belongs to upgrade"),
    ("upgrade autoinstall.tries=4", "'4' is none of 1, 2, 3"),
    ("upgrade autoinstall.force=major,", "'' is none of major, fallen"),
    ("storage_init autoinstall.stateless", "stateless: the line says storage_init too"),
    ("storage_init install", "install: installs nothing, and the line asks for something"),
    ("install uninstall", "install: installs nothing"),
    ("install stateless", "install: installs nothing"),
    ("ovirt_stateless reinstall uninstall", "stateless: the line says uninstall too"),
    ("stateless autoinstall.after=reboot", "stateless: the line says autoinstall.after too"),
    ("stateless autoinstall.kargs=nosmt", "stateless: the line says autoinstall.kargs too"),
    ("autoinstall.report=http://me:secret@a/b", "autoinstall.report: there is a name or password in the URL"),
    ("autoinstall.words=https://me:secret@a/b", "autoinstall.words: there is a name or password in the URL"),
    ("local_boot_trigger=http://me@a/@HOSTNAME@", "local_boot_trigger: there is a name or password in the URL"),
    ("autoinstall.words=https://files..example/x", "words: the host's name in the URL has an empty part"),
    (
        f"autoinstall.ssh_key=https://{'x' * 64}.example:443/x",
        "ssh_key: the host's name in the URL has an empty part",
    ),
    ("autoinstall.report=http://.", "report: the host's name in the URL has an empty part"),
    ("stateless reboot_delay=9", "stateless: the line says reboot_delay too"),
    ("stateless local_boot_trigger=http://a", "stateless: the line says local_boot_trigger too"),
    ("stateless autoinstall.id=a", "stateless: the line says autoinstall.id too"),
    ("stateless autoinstall.wipe=foreign", "stateless: the line says autoinstall.wipe too"),
    ("stateless storage_vol=1G,Data swap_encrypt=Swap", "stateless: the line says swap_encrypt too"),
    ("adminpw=secret", "adminpw: is not a crypt"),
    ("adminpw=somesalt$" + "a" * 86, "the boot loader ate it"),
    ("ssh_pwauth=perhaps", "neither on"),
    ("storage_init rescue=maybe", "neither on"),
    ("autoinstall.on_failure=hold:3", "only reboot takes a delay"),
    ("autoinstall.wipe=none autoinstall.wipe=foreign", "autoinstall.wipe is given more than once, with different"),
    ("autoinstall.wipe", "'' is none of none, foreign"),
    ("autoinstall.installed=reboot", "'reboot' is none of boot, poweroff, hold"),
    ("autoinstall.id=", "it needs a text of printable characters"),
    ("autoinstall.id", "it needs a text of printable characters"),
    ("reboot_delay=3 autoinstall.after=hold", "there is no reboot to delay with autoinstall.after=hold"),
    ("autoinstall.kargs=a autoinstall.kargs=", "autoinstall.kargs: it takes one word"),
    ('autoinstall.kargs="a b"', "kargs: it takes one word"),
    ("autoinstall.kargs=a\\b=c", "kargs: it takes one word"),
    ("autoinstall.kargs=root=/dev/sda", "autoinstall.kargs: root is the installer's to say"),
    ("autoinstall.kargs=reinstall", "autoinstall.kargs: reinstall is the installer's to say"),
    ("autoinstall.kargs=upgrade", "autoinstall.kargs: upgrade is the installer's to say"),
    ("autoinstall.kargs=rd.autoinstall.slot=B", "autoinstall.kargs: rd.autoinstall.slot is the installer's to say"),
    ("autoinstall.kargs=autoinstall.x=1", "autoinstall.kargs: autoinstall.x is the installer's to say"),
    ("autoinstall.kargs=admin-pw=x", "autoinstall.kargs: admin-pw is the installer's to say"),
    ("autoinstall.strict=no autoinstall.aftr=hold", "did you mean autoinstall.after"),
    ("storage_init autoinstall.end dns=192.0.2.1", "dns: stands behind autoinstall.end"),
    ("autoinstall.end autoinstall.storage-init", "autoinstall.storage-init: stands behind"),
    ("storage_init autoinstall.end=1", "autoinstall.end: takes no value"),
]


@pytest.mark.parametrize(("line", "says"), REFUSED)
def test_what_is_wrong_is_refused_with_its_reason(line: str, says: str) -> None:
    with pytest.raises(BadWords) as caught:
        asked(line)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_every_problem_of_a_line_is_listed() -> None:
    with pytest.raises(BadWords) as caught:
        asked("storage_inti ip=maybe autoinstall.x hostname=-")
    assert len(caught.value.reasons) == 4


def test_behind_the_end_loaders_and_operators_may_add_what_installs_nothing() -> None:
    assert asked("storage_init autoinstall.end BOOTIF=01-52-54-00-12-34-56 quiet foo=bar").action is Action.INSTALL
    assert asked("storage_init autoinstall.end rescue").action is Action.RESCUE


def test_words_of_others_are_none_of_our_business() -> None:
    assert asked("ro quiet rd.break foo=bar nfs.port=3 i915.modeset=1 consoleblank=0").action is Action.NONE


def test_a_slip_is_a_warning_where_the_line_is_not_strict() -> None:
    request = asked("storage_init storage_vo=1 autoinstall.strict=no")
    assert request.warnings == ("storage_vo: unknown, and one slip away from storage_vol; did you mean that?",)
    assert asked("adminpwd=x autoinstall.strict=off").action is Action.NONE


def test_more_words_of_the_nodes_kernel_stand_behind_those_that_are_kept() -> None:
    words = "autoinstall.kargs=isolcpus=1,2 console=ttyS0 autoinstall.kargs=nosmt autoinstall.kargs=console=tty0"
    assert asked(f"storage_init {words}").kept_words == ("console=ttyS0", "isolcpus=1,2", "nosmt", "console=tty0")


def test_of_equal_kept_words_the_last_stays_where_it_is() -> None:
    line = "storage_init console=tty0 console=ttyS0 quiet console=tty0"
    assert asked(line).kept_words == ("console=ttyS0", "quiet", "console=tty0")


def test_a_repeated_word_counts_last_and_warns() -> None:
    request = asked("storage_init autoinstall.after=hold autoinstall.after=poweroff")
    assert request.after is After.POWEROFF
    assert "more than once" in request.warnings[0]


def test_the_failure_action_is_read_even_from_a_wrong_line() -> None:
    assert on_failure_from(parse("storage_inti autoinstall.on_failure=reboot:9")) == OnFailure(
        FailureAction.REBOOT, 9
    )
    assert on_failure_from(parse("autoinstall.on_failure=nonsense")).action is FailureAction.HOLD


@pytest.mark.parametrize(
    "name",
    ["adminpw", "autoinstall.adminpw", "adminpwd", "admipw", "autoinstall.adminpwd", "autoinstall.snmp-pasword"],
)
def test_a_secret_is_not_shown(name: str) -> None:
    shown = redacted((Word("quiet"), Word(name, HASH)))
    assert HASH not in shown
    assert HASH not in redacted((Word("autoinstall.kargs", f"{name}={HASH}"),))
    assert "***" in shown

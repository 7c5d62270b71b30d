"""`autoinstall lint`: all that is wrong, what may surprise, and the line as each boot loader must be given it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from autoinstall import install as story
from autoinstall.__main__ import main
from autoinstall.advice import KERNELS_OWN, crowd, notes, warnings
from autoinstall.cmdline import LIMIT_BYTES, parse
from autoinstall.host import Host
from autoinstall.loaders import LOADERS
from autoinstall.parameters import PARAMETERS
from tests.unit.machines import HASH
from tests.unit.test_install import Paper


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """The exit code, and what was printed, line by line."""
    status = main(["lint", *words])
    printed = capsys.readouterr()
    return status, (printed.out + printed.err).splitlines()


def test_a_line_is_told_as_each_loader_must_be_given_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, 'storage_init=match:model=a&bus=b "x y=;" hostname=one') == (
        0,
        [
            "note: hostname: the kernel too sets the host name from it",
            "note: storage_init: GRUB reads & as its own, unless quoted",
            "note: x y: GRUB reads ; as its own, unless quoted",
            "note: bls: systemd-boot hands this on as it is; Fedora's GRUB (blscfg) changes it: it runs as a script",
            'pxelinux: APPEND storage_init=match:model=a&bus=b "x y=;" hostname=one',
            "grub: linux /vmlinuz 'storage_init=match:model=a&bus=b' 'x y=;' hostname=one",
            'ipxe: kernel vmlinuz storage_init=match:model=a&bus=b "x y=;" hostname=one',
            'bls: options storage_init=match:model=a&bus=b "x y=;" hostname=one',
        ],
    )


def test_every_error_is_told_in_the_words_of_the_installer(capsys: pytest.CaptureFixture[str]) -> None:
    line = "storage_inti autoinstall.aftr=x ip=yes upgrade"
    status, lines = said(capsys, line)
    refused = story.install(line, Host(), [Paper()])
    assert status == refused.exit_code == 2
    assert [text for text in lines if text.startswith("error: ")] == [f"error: {why}" for why in refused.reasons]
    assert "did you mean autoinstall.after" in "".join(lines)
    assert not [text for text in lines if text.startswith("grub: ")]


def test_who_judges_a_line_refuses_one_that_may_have_been_cut_but_for_rescue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun = "storage_init autoinstall.report_timeout=0 autoinstall.id="
    line = begun.ljust(LIMIT_BYTES - 1, "x")
    refused = story.install(line, Host(), [Paper()])
    assert said(capsys, line)[1][0] == f"error: {refused.reasons[0]}"
    assert main(["plan", "--cmdline", line]) == refused.exit_code == 2
    assert f"autoinstall: {refused.reasons[0]}" in capsys.readouterr().err
    line = f"rescue {begun}".ljust(LIMIT_BYTES - 1, "x")
    assert said(capsys, line)[0] == story.install(line, Host(), [Paper()]).exit_code == 0


def test_a_line_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = said(capsys, 'a="b')
    assert (status, len(lines)) == (2, 1)
    assert "never ends" in lines[0]


def test_the_installer_gives_the_same_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"rescue adminpw={HASH} x='y' autoinstall.id"
    paper = Paper()
    story.install(line, Host(), [paper])
    _, lines = said(capsys, line)
    given = [f"warning: {event.description}" for event in paper.events]
    assert len(given) == 3
    assert given == [text for text in lines if text.startswith("warning: ")]


def test_what_one_loader_cannot_hand_on_is_no_fault_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = said(capsys, "storage_init a=${b} c=\\")
    assert status == 0
    assert "ipxe: cannot hand this on: a: iPXE expands ${…}" in lines
    assert "grub: cannot hand this on: c: GRUB doubles backslashes and escapes single quotes" in lines
    assert "pxelinux: APPEND storage_init a=${b} c=\\" in lines


def test_files_hold_one_line_each_and_comments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("# for rack 2\n\n  storage_init\r\n")
    bad.write_text("quiet\nstorage_init=floppy\n")
    assert said(capsys, "--file", str(good))[0] == 0
    status, lines = said(capsys, "--file", str(good), str(bad))
    assert status == 2
    assert f"{good}:3: pxelinux: APPEND storage_init" in lines
    assert [text for text in lines if text.startswith(f"{bad}:2: error: storage_init: 'floppy' is not")]
    assert not [text for text in lines if f"{good}:1" in text or f"{good}:2" in text]


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, lines = said(capsys, "--file", str(tmp_path / "none"))
    assert status == 2
    assert "No such file" in lines[0]


@pytest.mark.parametrize("words", [[], ["storage_init", "--file", "x"]])
def test_one_line_or_files_are_asked_for(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    status, lines = said(capsys, *words)
    assert status == 2
    assert "one LINE, or --file FILE" in lines[0]


def test_json_says_the_same_of_each_line_of_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("# comment\nstorage_init ip=dhcp\nip=yes\nadminpw=x'y\n"))
    status, lines = said(capsys, "-", "--json")
    opinions: list[dict[str, Any]] = json.loads("\n".join(lines))
    assert status == 2
    assert [(one["where"], one["ok"], one["action"]) for one in opinions] == [
        ("-:2", True, "install"), ("-:3", False, None), ("-:4", False, None),
    ]  # fmt: skip
    assert opinions[0]["loaders"]["bls"] == {"line": "options storage_init ip=dhcp", "errors": []}
    assert set(opinions[0]["loaders"]) == {loader.name for loader in LOADERS}
    assert len(opinions[0]["notes"]) == len(opinions[1]["errors"]) == 1


# Each line, and what is said of it; empty where nothing is.
WARNED = [
    ("storage_init ssh_pwauth=no", ""),
    (f"adminpw={HASH}", "adminpw: a secret"),
    (f"autoinstall.adminpw={HASH}", "adminpw: a secret"),
    ("x" * 1899, ""),
    ("x" * 1900 + "\n", "1900 bytes; the kernel keeps 2047"),
    ("x" * (LIMIT_BYTES - 1), "2047 bytes; the kernel keeps 2047"),
    ("é" * 950, "1900 bytes"),
    ("a='b", "single quote"),
    ('a=b"c d"', "double quote that is part of it"),
    ('a="c d"', ""),
    ("a=“b”", "not ASCII"),
    ("a=b\u00a0c", "the byte A0"),
    ("a=à", "the byte A0"),
]


@pytest.mark.parametrize(("line", "says"), WARNED, ids=[line[:20] for line, _ in WARNED])
def test_what_may_surprise_is_warned_of(line: str, says: str) -> None:
    found = warnings(line, parse(line))
    assert (says in found[0]) if says else not found
    assert HASH not in "".join(found)


@pytest.mark.parametrize(
    ("word", "unread"),
    [
        ("vlan=100", True),
        ("vlan=100:eth0", True),
        ("vlan=vlan100:eth0", False),
        ("autoinstall.vlan=100", False),
        ("ip=192.0.2.7:192.0.2.1:192.0.2.1:255.255.255.0", True),
        ("ip=192.0.2.7::192.0.2.1:24:node7", True),
        ("ip=192.0.2.7/24", True),
        ("ip=[2001:db8::7]::[2001:db8::1]:64", True),
        ("ip=192.0.2.7::192.0.2.1:24:node7:eth0", False),
        ("ip=[2001:db8::7]::[2001:db8::1]:64:node7:eth0:none", False),
        ("autoinstall.ip=192.0.2.7/24", False),
        ("ip=dhcp", False),
    ],
)
def test_what_the_initramfs_cannot_read_is_warned_of_with_what_is_the_same(
    capsys: pytest.CaptureFixture[str], word: str, unread: bool
) -> None:
    status, lines = said(capsys, word)
    warned = [text for text in lines if text.startswith(f"warning: {word}: the initramfs cannot read that")]
    assert (status, len(warned)) == (0, unread)
    assert not unread or f"; autoinstall.{word} says the same to the installer alone" in warned[0]


def test_a_crowd_of_words_that_makes_the_kernel_panic_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Linux 6.12, init/main.c: envp_init has 32 places, HOME and TERM take two; loaders add BOOT_IMAGE."""
    most = " ".join(f"a{number}=1" for number in range(29))
    own = " ".join(f"{name}=1" for name in KERNELS_OWN)
    assert not crowd(parse(f"{most} {own} a.b=1 autoinstall.x=1 bare a1=2 BOOT_IMAGE=x"))
    assert "31 different" in crowd(parse(f"{most} ip=dhcp"))
    assert said(capsys, most)[0] == 0
    status, lines = said(capsys, f"{most} ip=dhcp")
    assert status == 2
    assert "write NAME of ours as autoinstall.NAME" in lines[0]
    assert len([text for text in said(capsys, f"{most} ip=maybe")[1] if text.startswith("error: ")]) == 2


def test_who_else_reads_a_word_is_noted_once() -> None:
    assert len(notes(parse("console=tty0 console=ttyS0 quiet autoinstall.ip=dhcp foo=bar"))) == 2


BESIDE = {
    "netmask": "ip=192.0.2.7::192.0.2.1:24",
    "gateway": "ip=192.0.2.7::192.0.2.1:24",
    "autoinstall.app_disks": "storage_init storage_vol=rest,Data2",
    "autoinstall.tries": "upgrade",
    "autoinstall.force": "upgrade",
    "autoinstall.syslog_protocol": "syslog=log.example",
    "management_port": "management_server=engine.example",
    "management_server_fingerprint": "management_server=engine.example",
    "kdump_ssh": "kdump_ssh_key=https://dump.example/key crashkernel=256M",
    "kdump_ssh_key": "kdump_ssh=dump@dump.example crashkernel=256M",
}
"""What a word needs beside it."""


@pytest.mark.parametrize("row", PARAMETERS, ids=lambda row: row.name)
def test_every_example_is_fine_and_every_bad_one_is_not(capsys: pytest.CaptureFixture[str], row: Any) -> None:
    before = BESIDE.get(row.name, "")
    assert said(capsys, f"{before} {row.example}")[0] == 0
    assert said(capsys, f"{before} {row.bad_example}")[0] == 2

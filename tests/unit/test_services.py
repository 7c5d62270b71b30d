"""Words of services: what goes together, which image can do it, and what the node is told; secrets nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from autoinstall import grammar_services as services
from autoinstall import grammar_sources as sources
from autoinstall.errors import BadWords, Refused
from autoinstall.facts import Facts
from autoinstall.grammar_services import Endpoint, SshTarget
from autoinstall.parameters import PARAMETERS
from autoinstall.pin import digest, document, render
from autoinstall.plan import Plan, make_plan
from autoinstall.services import FEATURES, MANAGEMENT, SECRET_FEATURES, SECRETS, SERVICES
from autoinstall.settings import NodeFile
from tests.unit.machines import HASH, MACHINE, asked

FINGERPRINT = ":".join(["5A"] * 32)
EVERY_FEATURE = tuple(sorted({*FEATURES.values(), *SECRET_FEATURES.values()}))
assert MACHINE.image
WHOLE = replace(
    MACHINE,
    image=replace(MACHINE.image, manifest=replace(MACHINE.image.manifest, features=EVERY_FEATURE)),
)
KDUMP = "kdump_ssh=dump@[2001:db8::1]:/srv crashkernel=256M kdump_ssh_key=https://dump.example/key?token=hunter2"


def _plan(words: str, facts: Facts = MACHINE) -> Plan:
    return make_plan(asked(f"storage_init {words}"), facts)


def _files(words: str, facts: Facts = MACHINE) -> dict[str, NodeFile]:
    return {file.path: file for file in _plan(words, facts).files}


def _told(path: str, words: str, facts: Facts = WHOLE) -> Any:
    return json.loads(_files(words, facts)[path].text)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (services.syslog, "log.example", Endpoint("log.example", 514)),
        (services.syslog, "LOG.example:1514", Endpoint("log.example", 1514)),
        (services.netconsole, "192.0.2.9", Endpoint("192.0.2.9", 6666)),
        (services.collectd, "[2001:DB8::9]", Endpoint("2001:db8::9", 25826)),
        (services.collectd, "[2001:db8::9]:1", Endpoint("2001:db8::9", 1)),
        (services.host, "2001:db8::9", "2001:db8::9"),
        (services.fingerprint, "5a" * 20, ":".join(["5A"] * 20)),
        (services.ssh_target, "dump@[2001:db8::1]:/srv", SshTarget("dump", "2001:db8::1", "/srv")),
        (services.ssh_target, "dump@dump.example", SshTarget("dump", "dump.example", "")),
        (services.plain_names, "one:two;three", ("one", "two", "three")),
        (sources.trigger_url, "http://pxe.example/done/@HOSTNAME@", "http://pxe.example/done/@HOSTNAME@"),
    ],
)
def test_a_value_is_read(parse: Any, text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (services.syslog, "2001:db8::9"),
        (services.syslog, "log.example:"),
        (services.syslog, "log.example:65536"),
        (services.syslog, ":514"),
        (services.syslog, "[log.example:514"),
        (services.syslog, "[log.example]"),
        (services.netconsole, "a b"),
        (services.fingerprint, "5A" * 16),
        (services.ssh_target, "dump@dump.example:srv"),
        (services.ssh_target, "dump@$(reboot)"),
        (services.plain_name, ".."),
        (services.plain_names, "one,"),
        (services.passphrase, "sevench"),
        (sources.secret_url, "http://dump.example/key"),
        (sources.trigger_url, "ftp://pxe.example/"),
        (sources.trigger_url, "https:///done"),
        (sources.trigger_url, "https://pxe.example:0/"),
        (sources.trigger_url, "https://[pxe/"),
    ],
)
def test_what_is_no_value_is_refused(parse: Any, text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
    with pytest.raises(ValueError):
        parse(None)


@pytest.mark.parametrize("name", [*FEATURES, *SECRET_FEATURES])
def test_a_word_for_a_program_that_the_image_lacks_is_refused_with_its_feature(name: str) -> None:
    row = next(row for row in PARAMETERS if row.name == name)
    feature = {**FEATURES, **SECRET_FEATURES}[name]
    assert f"image feature {feature}" in row.meaning or name == "disable_kdump"
    words = {
        "autoinstall.syslog_protocol": f"{row.example} syslog=log.example",
        "kdump_ssh": KDUMP,
        "kdump_ssh_key": KDUMP,
    }.get(name, row.example)
    assert _plan(words, WHOLE)
    if name == "disable_kdump":
        assert _told(SERVICES, words, MACHINE) == {"disable_kdump": True}  # an image without kdump makes no dump
        return
    with pytest.raises(Refused) as caught:
        _plan(words)
    assert f"{name}: this image lacks the feature {feature}, which brings its program" in caught.value.reasons
    assert feature in caught.value.hint


def test_every_word_that_is_lacking_is_named_at_once() -> None:
    with pytest.raises(Refused) as caught:
        _plan("syslog=a tuned=b snmp_password=correct-horse")
    assert len(caught.value.reasons) == 3
    assert "features = snmp syslog tuned" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("autoinstall.syslog_protocol=tcp", "autoinstall.syslog_protocol: needs syslog too"),
        ("management_port=443", "management_port: needs management_server too"),
        (f"management_server_fingerprint={FINGERPRINT}", "needs management_server too"),
        ("kdump_ssh=a@b crashkernel=1M", "kdump_ssh: needs kdump_ssh_key too"),
        ("kdump_ssh_key=https://a/b", "kdump_ssh_key: needs kdump_ssh too"),
        ("kdump_ssh=a@b kdump_ssh_key=https://a/b", "kdump_ssh: needs crashkernel= too"),
        (f"{KDUMP} disable_kdump", "kdump_ssh: the line says disable_kdump too"),
    ],
)
def test_words_that_make_no_sense_together_are_refused(words: str, says: str) -> None:
    with pytest.raises(BadWords) as caught:
        asked(f"storage_init {words}")
    assert says in str(caught.value)


def test_management_is_stored_for_the_programs_that_do_it() -> None:
    words = (
        f"management_server=engine.example management_port=443 management_server_fingerprint={FINGERPRINT}"
        " standalone=no runtime_mode=managed"
    )
    assert _told(MANAGEMENT, words, MACHINE) == {
        "management_server": "engine.example",
        "management_port": 443,
        "management_server_fingerprint": FINGERPRINT,
        "standalone": False,
        "runtime_mode": "managed",
    }
    assert _files(words)[MANAGEMENT].mode == 0o644


def test_a_line_that_asks_for_no_service_makes_no_file() -> None:
    assert not {MANAGEMENT, SERVICES, SECRETS} & _files("disable_kdump=no").keys()


def test_what_a_feature_reads_is_in_its_file_and_secrets_in_one_of_roots() -> None:
    words = f"syslog=log.example autoinstall.syslog_protocol=tcp {KDUMP} snmp_password=correct-horse"
    assert _told(SERVICES, words) == {
        "syslog": {"host": "log.example", "port": 514},
        "syslog_protocol": "tcp",
        "kdump_ssh": {"user": "dump", "host": "2001:db8::1", "path": "/srv"},
    }
    assert _told(SECRETS, words) == {
        "kdump_ssh_key": "https://dump.example/key?token=hunter2",
        "snmp_password": "correct-horse",
    }
    assert (_files(words, WHOLE)[SECRETS].mode, _files(words, WHOLE)[SECRETS].owner) == (0o600, (0, 0))


def test_no_secret_is_in_a_plan_and_its_digest_is_not_of_one() -> None:
    plans = [
        _plan(f"{KDUMP} snmp_password={word} rootpw={HASH}", WHOLE) for word in ("correct-horse", "battery-staple")
    ]
    text = render(document(plans[0]))
    assert "/etc/autoinstall/secrets.json" in text
    assert not [secret for secret in ("hunter2", "correct-horse", HASH, "a" * 86) if secret in text]
    assert digest(plans[0]) == digest(plans[1])


def test_root_has_the_password_that_is_given_and_is_not_asked_to_change_it() -> None:
    files = _files(f"rootpw={HASH} adminpw={HASH.replace('a' * 86, 'b' * 86)}")
    root, admin = files["/etc/shadow"].text.splitlines()
    assert root == f"root:{HASH}::0:99999:7:::"
    assert admin.startswith("admin:$6$somesalt$bbb")


def test_without_a_password_of_its_own_admin_has_roots_and_that_is_warned_of() -> None:
    request = asked(f"storage_init rootpw={HASH}")
    assert request.warnings == ("rootpw: is admin's password too, for there is no adminpw",)
    files = _files(f"rootpw={HASH}")
    assert f"admin:{HASH}:0:0:" in files["/etc/shadow"].text
    assert "NOPASSWD" not in files["/etc/sudoers.d/admin"].text

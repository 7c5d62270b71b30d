"""Words of services: what goes together, which image brings the program, and what the node is told. Pure.

What is asked is in two files of the node: of management in MANAGEMENT, for the programs of image features in
SERVICES, and their secrets in SECRETS. Each is there only where a word asks for something.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoinstall.codec import to_plain
from autoinstall.errors import Refused

MANAGEMENT = "/etc/autoinstall/management.json"
SERVICES = "/etc/autoinstall/services.json"
SECRETS = "/etc/autoinstall/secrets.json"

MANAGEMENT_WORDS = (
    "management_server", "management_port", "management_server_fingerprint", "standalone", "runtime_mode",
)  # fmt: skip
FEATURES = {
    "syslog": "syslog",
    "autoinstall.syslog_protocol": "syslog",
    "netconsole": "netconsole",
    "collectd": "collectd",
    "logrotate_max_size": "logrotate",
    "logrotate_interval": "logrotate",
    "kdump_ssh": "kdump",
    "disable_kdump": "kdump",
    "keyboard": "keymaps",
    "tuned": "tuned",
    "nfsv4_domain": "nfs",
    "ovirt_early": "early-hooks",
}
"""The feature of an image that brings the program which reads what a word says."""
SECRET_FEATURES = {"kdump_ssh_key": "kdump", "snmp_password": "snmp"}
CERTIFICATES = "certificates"
"""The feature of an image that has the certificates of the usual authorities."""
NEEDS = {
    "autoinstall.syslog_protocol": "syslog",
    "kdump_ssh": "kdump_ssh_key",
    "kdump_ssh_key": "kdump_ssh",
    "management_port": "management_server",
    "management_server_fingerprint": "management_server",
}
"""Words that say nothing without another one."""


@dataclass(frozen=True)
class Services:
    """What the words ask, by their names. `secrets` are never shown."""

    management: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def services_from(values: Mapping[str, Any]) -> Services:
    """The part of a line's values that is about services; disable_kdump=no asks for nothing."""
    said = {name: value for name, value in values.items() if (name, value) != ("disable_kdump", False)}
    return Services(
        management=_some(said, MANAGEMENT_WORDS),
        asked=_some(said, FEATURES),
        secrets=_some(said, SECRET_FEATURES),
    )


def contradictions(values: Mapping[str, Any], kept: tuple[str, ...]) -> list[str]:
    """What is wrong with words that are right one by one. `kept` are the words of the node's kernel."""
    found = [f"{name}: needs {other} too" for name, other in NEEDS.items() if name in values and other not in values]
    if "kdump_ssh" in values and not any(word.startswith("crashkernel=") for word in kept):
        found.append("kdump_ssh: needs crashkernel= too, memory for the kernel that makes the dump")
    if "kdump_ssh" in values and values.get("disable_kdump"):
        found.append("kdump_ssh: the line says disable_kdump too")
    return found


def refuse_missing_features(services: Services, features: tuple[str, ...]) -> None:
    """Raises Refused where a word is for a program that the image lacks. An image without kdump makes no dump."""
    features = (*features, "kdump") if services.asked.get("disable_kdump") else features
    needed = {**FEATURES, **SECRET_FEATURES}
    lacking = {name: needed[name] for name in (*services.asked, *services.secrets) if needed[name] not in features}
    if lacking:
        names = " ".join(sorted({*lacking.values()}))
        raise Refused(
            *(f"{name}: this image lacks the feature {feature}, which brings its program"
              for name, feature in lacking.items()),
            hint=f"take the word off the line, or use an image with features = {names}",
        )  # fmt: skip


def refuse_unchecked(https: Sequence[str], features: Sequence[str]) -> None:
    """Raises Refused where words, by their names, ask servers that an image without CERTIFICATES cannot check."""
    if https and CERTIFICATES not in features:
        raise Refused(
            f"{' and '.join(https)}: https is asked for, and this image lacks the feature {CERTIFICATES}, which"
            " brings what it is checked with",
            hint=f"use an image with the package ca-certificates and features = {CERTIFICATES}",
        )


def service_files(services: Services) -> dict[str, str]:
    """Path -> text of what the node is told."""
    texts = {MANAGEMENT: services.management, SERVICES: services.asked, SECRETS: services.secrets}
    return {path: _json(content) for path, content in texts.items() if content}


def _some(values: Mapping[str, Any], names: Mapping[str, str] | tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _json(content: Mapping[str, Any]) -> str:
    plain = {name.removeprefix("autoinstall."): to_plain(value) for name, value in content.items()}
    return json.dumps(plain, indent=1, sort_keys=True) + "\n"

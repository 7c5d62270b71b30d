"""The grammar of services and management: text -> value, or ValueError. Secrets are never told in errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from autoinstall.grammar_network import host_name, ip

SYSLOG_PORT, NETCONSOLE_PORT, COLLECTD_PORT = 514, 6666, 25826
HASH_BYTES = (20, 32)
"""Of a certificate's fingerprint: SHA-1 and SHA-256."""


@dataclass(frozen=True)
class Endpoint:
    """Where something is sent: a name or an address, and a port."""

    host: str
    port: int


@dataclass(frozen=True)
class SshTarget:
    """Where a dump goes; an empty path is the user's home directory."""

    user: str
    host: str
    path: str


def syslog(value: str | None) -> Endpoint:
    """Where the log goes."""
    return _endpoint(value, SYSLOG_PORT)


def netconsole(value: str | None) -> Endpoint:
    """Where the kernel's messages go."""
    return _endpoint(value, NETCONSOLE_PORT)


def collectd(value: str | None) -> Endpoint:
    """Where the measurements go."""
    return _endpoint(value, COLLECTD_PORT)


def host(value: str | None) -> str:
    """A name or an IP address."""
    try:
        return str(ip(value))
    except ValueError:
        return host_name(value)


def port(value: str | None) -> int:
    """A port of TCP or UDP."""
    if not value or not re.fullmatch(r"[0-9]{1,5}", value) or not 0 < int(value) < 1 << 16:
        raise ValueError(f"{value or ''!r} is not a port from 1 to 65535")
    return int(value)


def fingerprint(value: str | None) -> str:
    """The fingerprint of a certificate: SHA-1 or SHA-256, in capitals with colons."""
    digits = (value or "").replace(":", "").upper()
    if not re.fullmatch(r"[0-9A-F]*", digits) or len(digits) not in [2 * size for size in HASH_BYTES]:
        raise ValueError(f"{value or ''!r} is not the SHA-1 or SHA-256 of a certificate in hexadecimal digits")
    return ":".join(re.findall("..", digits))


def one_of(*known: str) -> Callable[[str | None], str]:
    """The grammar of a closed set of names."""

    def parse(value: str | None) -> str:
        if value not in known:
            raise ValueError(f"{value or ''!r} is none of {', '.join(known)}")
        return value

    return parse


def kibibytes(value: str | None) -> int:
    """A number of KiB."""
    if not value or not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError(f"{value or ''!r} is not a number of KiB")
    return int(value)


def ssh_target(value: str | None) -> SshTarget:
    """`user@host[:/path]`."""
    match = re.fullmatch(r"([a-z_][a-z0-9_-]{0,31})@(\[[^\]]*\]|[^:@\[]+)(?::(/[A-Za-z0-9_./-]*))?", value or "")
    if not match:
        raise ValueError(f"{value or ''!r} is not USER@HOST or USER@HOST:/PATH")
    return SshTarget(match[1], _bracketed(match[2]), match[3] or "")


def plain_name(value: str | None) -> str:
    """The name of a keymap or profile, which is a file's name too."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value or ""):
        raise ValueError(f"{value or ''!r} is not a name of letters, digits and _ . -")
    return value or ""


def plain_names(value: str | None) -> tuple[str, ...]:
    """A list of names; oVirt separated them by any of `,:;`."""
    return tuple(plain_name(item) for item in re.split("[,:;]", value or ""))


def passphrase(value: str | None) -> str:
    """A pass phrase of 8 characters or more. It is a secret."""
    if not value or not re.fullmatch(r"[!-~]{8,64}", value) or set(value) & set("\"'\\"):
        raise ValueError("must have 8 to 64 characters, and no blanks, quotes and backslashes")
    return value


def _bracketed(text: str) -> str:
    """A host; what stands in brackets is an address."""
    return str(ip(text[1:-1])) if text.startswith("[") and text.endswith("]") else host(text)


def _endpoint(value: str | None, default_port: int) -> Endpoint:
    """`HOST[:PORT]`, IPv6 in brackets."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[]*)(?::(.*))?", value or "")
    if not value or not match:
        raise ValueError(f"{value or ''!r} is not HOST or HOST:PORT; an IPv6 address stands in brackets")
    return Endpoint(_bracketed(match[1]), default_port if match[2] is None else port(match[2]))

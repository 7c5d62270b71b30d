"""The grammar of where words come from and reports go: text -> value, or ValueError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from autoinstall import grammar
from autoinstall.grammar_services import port

LONGEST_PART = 63
"""Of a host's name, between its dots (RFC 1035)."""


class Break(Enum):
    """Where a run waits, with a root shell on the console."""

    PRE_INSTALLER = "pre-installer"
    POST_INSTALLER = "post-installer"
    PRE_REBOOT = "pre-reboot"


class LogLevel(Enum):
    """How much is said on the consoles; each says what those before it say."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


@dataclass(frozen=True)
class OnMedium:
    """A file on the filesystem with that label."""

    label: str
    path: str


def words(value: str | None) -> OnMedium | str:
    """`LABEL=NAME:/path`, or an https URL."""
    match = re.fullmatch(r"LABEL=([A-Za-z0-9_.-]{1,32}):(/[!-~]+)", value or "")
    if match and ".." not in match[2].split("/"):
        return OnMedium(match[1], match[2])
    _refuse_host(value)
    try:
        return _url(value, "https")
    except ValueError:
        raise ValueError(f"{value or ''!r} is neither an https:// URL nor LABEL=NAME:/PATH") from None


@dataclass(frozen=True)
class KeysAt:
    """A file of authorized keys on a server."""

    url: str


def ssh_key(value: str | None) -> str | KeysAt:
    """A line of an authorized_keys file, or where such a file is."""
    if "://" not in (value or ""):
        return grammar.ssh_key(value)
    _refuse_host(value)
    return KeysAt(_url(value, "https"))


def url(value: str | None) -> str:
    """An https or http URL."""
    _refuse_host(value)
    return _url(value, "https", "http")


def secret_url(value: str | None) -> str:
    """An https URL of something secret, which may have a password in it."""
    try:
        return _url(value, "https")
    except ValueError:
        raise ValueError("is not an https:// URL") from None


HOST_NAME = "@HOSTNAME@"


def trigger_url(value: str | None) -> str:
    """An http or https URL; `@HOSTNAME@` in it is the node's name."""
    url((value or "").replace(HOST_NAME, "node"))
    return value or ""


def break_at(value: str | None) -> Break:
    """Where to wait."""
    known = [kind.value for kind in Break]
    if value not in known:
        raise ValueError(f"{value or ''!r} is none of {', '.join(known)}")
    return Break(value)


def log_level(value: str | None) -> LogLevel:
    """How much to say."""
    known = [kind.value for kind in LogLevel]
    if value not in known:
        raise ValueError(f"{value or ''!r} is none of {', '.join(known)}")
    return LogLevel(value)


def _url(value: str | None, *schemes: str) -> str:
    """The URL, which has a host and one of these schemes."""
    text = value or ""
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname or not re.fullmatch(r"[!-~]+", text):
        raise ValueError(f"{text!r} is not a URL of {' or '.join(schemes)}")
    if parts.port is not None:
        port(str(parts.port))
    return text


def _refuse_host(value: str | None) -> None:
    """What urllib.request can ask no server by: it takes a password for a part of the host's name, and sends none."""
    place = re.split("[/?#]", (value or "").partition("://")[2], maxsplit=1)[0]
    if "@" in place:
        raise ValueError("there is a name or password in the URL, and none would be sent")
    host = re.sub(":[0-9]*$", "", place)
    if host and not all(1 <= len(part) <= LONGEST_PART for part in host.removesuffix(".").split(".")):
        raise ValueError(
            f"the host's name in the URL has an empty part, or one of more than {LONGEST_PART} characters"
        )

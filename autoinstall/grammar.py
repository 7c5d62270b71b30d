"""The grammar of flags, accounts and endings: text -> a typed value, or ValueError with what is wrong.

That of disks and sizes stands in grammar_disks.py, that of the network in grammar_network.py.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass
from enum import Enum

EXAMPLE_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
"""A well-formed ed25519 public key that nobody has the private half of."""

YES = frozenset({"1", "yes", "true", "on"})
NO = frozenset({"0", "no", "false", "off"})


class After(Enum):
    """What the machine does once it is installed."""

    REBOOT = "reboot"
    POWEROFF = "poweroff"
    KEXEC = "kexec"
    HOLD = "hold"


class Installed(Enum):
    """What the machine does where its node was installed already."""

    BOOT = "boot"
    POWEROFF = "poweroff"
    HOLD = "hold"


class FailureAction(Enum):
    """What the machine does when the run was refused or failed."""

    HOLD = "hold"
    REBOOT = "reboot"
    POWEROFF = "poweroff"
    SHELL = "shell"


class Force(Enum):
    """What an upgrade may be forced to: another major version; an image that fell back here before."""

    MAJOR = "major"
    FALLEN = "fallen"


@dataclass(frozen=True)
class OnFailure:
    """The value of autoinstall.on_failure; `delay_s` belongs to reboot."""

    action: FailureAction
    delay_s: int = 0


HOLD = OnFailure(FailureAction.HOLD)


def flag(value: str | None) -> bool:
    """A flag: bare, `1 yes true on`; `0 no false off`."""
    if value is None or value in YES:
        return True
    if value in NO:
        return False
    raise ValueError(f"{value!r} is neither on (1, yes, true, on) nor off (0, no, false, off)")


def bare(value: str | None) -> bool:
    """A word that takes no value."""
    if value is not None:
        raise ValueError("takes no value")
    return True


_HASHES = (
    r"\$y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}",
    r"\$6\$(rounds=[1-9][0-9]{3,8}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{86}",
    r"\$5\$(rounds=[1-9][0-9]{3,8}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43}",
    r"\$2[aby]\$[0-3][0-9]\$[./A-Za-z0-9]{53}",
)


def password_hash(value: str | None) -> str:
    """A crypt(5) hash of a method that is still safe. The value is never told in the error: it is a secret."""
    if value and any(re.fullmatch(pattern, value) for pattern in _HASHES):
        return value
    if value and value.startswith("$1$"):
        raise ValueError("is an MD5 hash, which is no longer safe; make one with: openssl passwd -6")
    if value and not value.startswith("$") and "$" in value:
        raise ValueError("lost its $id$ (the boot loader ate it): quote it, in GRUB with single quotes")
    raise ValueError("is not a crypt(3) hash (yescrypt, sha512, sha256, bcrypt); make one with: openssl passwd -6")


KEY_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
LEAST_RSA_BYTES = 3072 // 8


def ssh_key(value: str | None) -> str:
    """`TYPE:BASE64[:COMMENT]` -> the line of an authorized_keys file. RSA keys have 3072 bits or more."""
    kind, _, rest = (value or "").partition(":")
    blob, _, comment = rest.partition(":")
    if kind not in KEY_TYPES:
        raise ValueError(f"{kind!r} is not a key type; there are {', '.join(KEY_TYPES)}")
    if not re.fullmatch(r"[A-Za-z0-9_.@+-]*", comment):
        raise ValueError("its comment may hold letters, digits and _ . @ + - only")
    fields = _key_fields(blob)
    if not fields or fields[0] != kind.encode():
        raise ValueError(f"its base64 part is not an {kind} key")
    if kind == "ssh-rsa" and len(fields[-1].lstrip(b"\0")) < LEAST_RSA_BYTES:
        raise ValueError("an RSA key must have 3072 bits or more")
    return f"{kind} {blob} {comment}".rstrip()


def _key_fields(blob: str) -> list[bytes]:
    """The fields of a public key (RFC 4253, section 6.6); none where it is not one."""
    try:
        data = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return []
    fields = []
    while len(data) >= 4:
        (length,) = struct.unpack(">I", data[:4])
        if length > len(data) - 4:
            return []
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return fields if not data and len(fields) >= 2 else []


def console(value: str | None) -> str:
    """A console as the kernel reads it: `tty0`, `ttyS0,115200n8`."""
    if not value or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_:/.]*(,[A-Za-z0-9]+)*", value):
        raise ValueError(f"{value or ''!r} is not a console of the kernel")
    return value


def after(value: str | None) -> After:
    """What to do once installed."""
    return After(_one_of(value, [kind.value for kind in After]))


def installed(value: str | None) -> Installed:
    """What to do where the node was installed already."""
    return Installed(_one_of(value, [kind.value for kind in Installed]))


def force(value: str | None) -> frozenset[Force]:
    """A comma list of what may be forced."""
    return frozenset(Force(_one_of(name, [kind.value for kind in Force])) for name in (value or "").split(","))


def tries(value: str | None) -> int:
    """Boot attempts of a new image."""
    return int(_one_of(value, ["1", "2", "3"]))


def on_failure(value: str | None) -> OnFailure:
    """What to do on failure, for reboot with a delay in seconds."""
    action, colon, delay = (value or "").partition(":")
    action = _one_of(action, [kind.value for kind in FailureAction])
    if colon and (action != "reboot" or not re.fullmatch(r"[0-9]{1,5}", delay)):
        raise ValueError(f"{value!r}: only reboot takes a delay, a whole number of seconds")
    return OnFailure(FailureAction(action), int(delay or 0))


def seconds(value: str | None) -> int:
    """A whole number of seconds, at most a day."""
    if not value or not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 86400:
        raise ValueError(f"{value or ''!r} is not a number of seconds from 0 to 86400")
    return int(value)


def factor(value: str | None) -> float:
    """A decimal number that is not negative."""
    if not value or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", value):
        raise ValueError(f"{value or ''!r} is not a number such as 0.5 or 2")
    return float(value)


def id_text(value: str | None) -> str:
    """Any text that can be shown."""
    if not value or not value.isprintable():
        raise ValueError("it needs a text of printable characters")
    return value


def is_spoilt_by_grub(word: str) -> bool:
    """Whether GRUB hands another word than this to the kernel: it splits at blanks, and escapes what quotes."""
    return not set(word).isdisjoint(" \t\"'\\")


def kernel_word(value: str | None) -> str:
    """One word of the kernel command line, which GRUB and the kernel hand on as it is. It may hold a secret."""
    if not value or not re.fullmatch(r"[A-Za-z0-9_.-]+(=[!-~]*)?", value) or is_spoilt_by_grub(value):
        raise ValueError("it takes one word, NAME or NAME=VALUE without blanks and quotes")
    return value


def byte_count(value: str | None) -> int | None:
    """A whole number, or none."""
    if value is not None and not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value) if value else None


def plan_digest(value: str | None) -> str:
    """The digest of a plan (pin.digest), in small letters."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", (value or "").lower()):
        raise ValueError(f"{value or ''!r} is not sha256: and 64 hexadecimal digits")
    return (value or "").lower()


def _one_of(value: str | None, known: list[str]) -> str:
    if value not in known:
        raise ValueError(f"{value or ''!r} is none of {', '.join(known)}")
    return value

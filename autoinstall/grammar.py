"""The grammar of each value: text -> a typed value, or ValueError with what is wrong in a few words."""

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


class Bus(Enum):
    """How a disk is attached, in the words of the command line."""

    ATA = "ata"
    SCSI = "scsi"
    SAS = "sas"
    USB = "usb"
    CCISS = "cciss"
    VIRTIO = "virtio"
    NVME = "nvme"
    MMC = "mmc"


class DiskBy(Enum):
    """What a DISK word names its disk by."""

    RULE = "the one eligible disk"
    PATH = "path"
    SERIAL = "serial"
    BUS_SERIAL = "bus and serial"


@dataclass(frozen=True)
class DiskSelector:
    """One DISK of storage_init. `value` is the path or the serial."""

    by: DiskBy
    value: str = ""
    bus: Bus | None = None

    @property
    def explicit(self) -> bool:
        """Whether it names one particular disk, so that foreign data on it may be wiped."""
        return self.by is not DiskBy.RULE

    def __str__(self) -> str:
        if self.by is DiskBy.BUS_SERIAL and self.bus:
            return f"{self.bus.value}:{self.value}"
        return f"serial:{self.value}" if self.by is DiskBy.SERIAL else self.value


class NicBy(Enum):
    """What BOOTIF names its NIC by."""

    LINK = "the first with a carrier"
    NAME = "name"
    MAC = "MAC address"


@dataclass(frozen=True)
class NicSelector:
    """The value of BOOTIF; a MAC is lower case with colons."""

    by: NicBy
    value: str = ""

    def __str__(self) -> str:
        return self.value or "link"


class Address(Enum):
    """How the management NIC gets its address."""

    DHCP = "dhcp"
    OFF = "off"


class After(Enum):
    """What the machine does once it is installed."""

    REBOOT = "reboot"
    POWEROFF = "poweroff"
    KEXEC = "kexec"
    HOLD = "hold"


class FailureAction(Enum):
    """What the machine does when the run was refused or failed."""

    HOLD = "hold"
    REBOOT = "reboot"
    POWEROFF = "poweroff"
    SHELL = "shell"


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


def disk(value: str | None) -> DiskSelector:
    """One DISK; no value asks for the one eligible disk."""
    if not value:
        return DiskSelector(DiskBy.RULE)
    if value.startswith("/dev/"):
        if re.search(r"[*?\[]", value) or "/../" in value or any(c in value for c in ",;"):
            raise ValueError(f"{value!r} must be the path of exactly one disk")
        return DiskSelector(DiskBy.PATH, value)
    kind, colon, name = value.partition(":")
    if not colon or not name:
        raise ValueError(f"{value!r} is not /dev/PATH, serial:S or BUS:SERIAL")
    if kind == "serial":
        return DiskSelector(DiskBy.SERIAL, name)
    if kind not in {bus.value for bus in Bus}:
        raise ValueError(f"{kind!r} is not a bus; there are {', '.join(bus.value for bus in Bus)}")
    return DiskSelector(DiskBy.BUS_SERIAL, name, Bus(kind))


def boot_interface(value: str | None) -> NicSelector:
    """`link`, a NIC's name, a MAC, or pxelinux's hardware type and MAC."""
    if not value:
        raise ValueError("is empty; give link, a NIC or a MAC address")
    if value == "link":
        return NicSelector(NicBy.LINK)
    mac = value.lower().replace("-", ":")
    if re.fullmatch(r"(01:)?([0-9a-f]{2}:){5}[0-9a-f]{2}", mac):
        return NicSelector(NicBy.MAC, mac[-17:])
    if ":" in value or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", value):
        raise ValueError(f"{value!r} is not link, a NIC's name or a MAC address")
    return NicSelector(NicBy.NAME, value)


def address(value: str | None) -> Address:
    """`dhcp` or `off`."""
    return Address(_one_of(value, [kind.value for kind in Address]))


def host_name(value: str | None) -> str:
    """A name of RFC 1123: labels of letters, digits and inner hyphens; at most 64 characters, as in Linux."""
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    if not value or len(value) > 64 or not re.fullmatch(rf"{label}(\.{label})*", value):
        raise ValueError(f"{value or ''!r} is not a host name of RFC 1123")
    return value.lower()


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


def on_failure(value: str | None) -> OnFailure:
    """What to do on failure, for reboot with a delay in seconds."""
    action, colon, delay = (value or "").partition(":")
    action = _one_of(action, [kind.value for kind in FailureAction])
    if colon and (action != "reboot" or not re.fullmatch(r"[0-9]{1,5}", delay)):
        raise ValueError(f"{value!r}: only reboot takes a delay, a whole number of seconds")
    return OnFailure(FailureAction(action), int(delay or 0))


def _one_of(value: str | None, known: list[str]) -> str:
    if value not in known:
        raise ValueError(f"{value or ''!r} is none of {', '.join(known)}")
    return value

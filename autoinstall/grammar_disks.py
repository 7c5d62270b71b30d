"""The grammar of disks and sizes: DISK of storage_init, SIZE,NAME of storage_vol. Text -> value, or ValueError."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from autoinstall.sizes import GIB, KIB, MIB, TIB


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
    """What a DISK word names its disk by; the value is the word's prefix, where it has one."""

    RULE = "the one eligible disk"
    NODE = "the one disk with a node of ours"
    PATH = "/dev/"
    GLOB = "/dev/ with wildcards"
    SERIAL = "serial"
    WWN = "wwn"
    ID = "id"
    BY_PATH = "path"
    BUS_SERIAL = "bus and serial"
    BUS = "bus"
    BUS_ALL = "all of a bus"
    MATCH = "match"


EXPLICIT = frozenset({DiskBy.PATH, DiskBy.SERIAL, DiskBy.WWN, DiskBy.ID, DiskBy.BY_PATH, DiskBy.BUS_SERIAL})


class Wipe(Enum):
    """What of a disk that is neither blank nor ours may be wiped, whatever names it."""

    NONE = "none"
    FOREIGN = "foreign"


class Key(Enum):
    """What a clause of match: may look at."""

    SIZE = "size"
    MODEL = "model"
    VENDOR = "vendor"
    SERIAL = "serial"
    WWN = "wwn"
    BUS = "bus"
    PATH = "path"
    NAME = "name"
    ROTATIONAL = "rotational"
    REMOVABLE = "removable"
    SECTOR_SIZE = "sector_size"


@dataclass(frozen=True)
class Clause:
    """One clause of match: a glob that must fit (or must not), or for sizes a range in bytes, both ends in it."""

    key: Key
    text: str
    pattern: str = ""
    negated: bool = False
    least_bytes: int = 0
    most_bytes: int | None = None


@dataclass(frozen=True)
class DiskSelector:
    """One DISK of storage_init. `value` is what stands behind its prefix."""

    by: DiskBy
    value: str = ""
    bus: Bus | None = None
    clauses: tuple[Clause, ...] = ()

    @property
    def explicit(self) -> bool:
        """Whether it names one particular disk, so that foreign data on it may be wiped."""
        return self.by in EXPLICIT

    @property
    def asks_for_removable(self) -> bool:
        """Whether a removable disk may be meant: one particular disk, any on USB, or a clause that looks at that."""
        return self.explicit or self.bus is Bus.USB or any(clause.key is Key.REMOVABLE for clause in self.clauses)

    def __str__(self) -> str:
        if self.bus:
            return f"{self.bus.value}:{self.value}" if self.value else self.bus.value
        if self.by in (DiskBy.RULE, DiskBy.NODE, DiskBy.PATH, DiskBy.GLOB):
            return self.value
        return f"{self.by.value}:{self.value}"


UNITS = {"": MIB, "K": KIB, "M": MIB, "G": GIB, "T": TIB}


def size(text: str) -> int:
    """A size in bytes: MiB, or with a suffix K M G T (binary)."""
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)", text.upper())
    if not match:
        raise ValueError(f"{text!r} is not a size: a number of MiB, or with K, M, G or T")
    return int(match[1]) * UNITS[match[2]]


def wipe(value: str | None) -> Wipe:
    """What may be wiped."""
    known = [kind.value for kind in Wipe]
    if value not in known:
        raise ValueError(f"{value or ''!r} is none of {', '.join(known)}")
    return Wipe(value)


def disk(value: str | None) -> DiskSelector:
    """One DISK; no value asks for the one eligible disk. BUS:ALL is each eligible one of that bus."""
    if not value:
        return DiskSelector(DiskBy.RULE)
    if value.startswith("match:"):
        return _match(value.removeprefix("match:"))
    if value.startswith("/dev/"):
        return _device(value)
    kind, colon, name = value.partition(":")
    prefixed = {by.value: by for by in (DiskBy.SERIAL, DiskBy.WWN, DiskBy.ID, DiskBy.BY_PATH)}
    if kind in prefixed:
        if not name:
            raise ValueError(f"{value!r} names nothing behind its colon")
        return DiskSelector(prefixed[kind], name)
    if kind not in {bus.value for bus in Bus}:
        raise ValueError(
            f"{value!r} is not /dev/PATH, serial:S, wwn:W, id:NAME, path:NAME, match:CLAUSE, or a bus "
            f"({', '.join(bus.value for bus in Bus)}), which may have :SERIAL or :ALL"
        )
    if name == "ALL":
        return DiskSelector(DiskBy.BUS_ALL, name, Bus(kind))
    if colon and not name:
        raise ValueError(f"{value!r} names nothing behind its colon")
    return DiskSelector(DiskBy.BUS_SERIAL if name else DiskBy.BUS, name, Bus(kind))


def _device(value: str) -> DiskSelector:
    if ".." in value.split("/"):
        raise ValueError(f"{value!r} leaves /dev")
    by = DiskBy.GLOB if re.search(r"[*?\[]", value) else DiskBy.PATH
    return DiskSelector(by, value)


def _match(text: str) -> DiskSelector:
    clauses = tuple(_clause(clause) for clause in re.split(r"[+&]", text))
    return DiskSelector(DiskBy.MATCH, text, clauses=clauses)


def _clause(text: str) -> Clause:
    match = re.fullmatch(r"([a-z_]+)(!=|<=|>=|=|<|>)(.+)", text)
    if not match or match[1] not in {key.value for key in Key}:
        known = ", ".join(key.value for key in Key)
        raise ValueError(f"{text!r} is not KEY=VALUE or KEY!=VALUE; KEY is one of {known}")
    key, operator, value = Key(match[1]), match[2], match[3]
    if key is Key.SIZE:
        return _size_clause(text, operator, value)
    if operator not in ("=", "!="):
        raise ValueError(f"{text!r}: only size can be compared by {operator}")
    return Clause(key, text, value, negated=operator == "!=")


def _size_clause(text: str, operator: str, value: str) -> Clause:
    if operator in ("=", "!=") and ".." in value:
        least, _, most = value.partition("..")
        if not least and not most:
            raise ValueError(f"{text!r} is a range without ends")
        low, high = size(least) if least else 0, size(most) if most else None
    else:
        exact = size(value)
        low, high = {
            "=": (exact, exact),
            "!=": (exact, exact),
            "<": (0, exact - 1),
            "<=": (0, exact),
            ">": (exact + 1, None),
            ">=": (exact, None),
        }[operator]
    if high is not None and high < low:
        raise ValueError(f"{text!r} is a range that ends before it begins")
    return Clause(Key.SIZE, text, negated=operator == "!=", least_bytes=low, most_bytes=high)


class Amount(Enum):
    """A size that is not a number."""

    DEFAULT = "default"
    REST = "rest"
    NONE = "none"


@dataclass(frozen=True)
class VolumeSize:
    """One SIZE,NAME of storage_vol. `amount` is bytes, or an Amount."""

    name: str
    amount: int | Amount


# fmt: off
LEAST_BYTES = {"EFI": 64 * MIB, "Root": 128 * MIB, "Config": 32 * MIB, "Logging": 128 * MIB,
               "Swap": 16 * MIB, "Data": 64 * MIB, "Swap2": 16 * MIB, "Data2": 64 * MIB}
"""The volumes that storage_vol can size, and the least of each; EFI on 4096-byte sectors and Root need more."""
MAY_TAKE = {Amount.REST: ("Data", "Data2"), Amount.NONE: ("Swap", "Data", "Swap2", "Data2")}
POSITIONS = ("Boot", "Swap", "Root", "Config", "Logging", "Data", "Swap2", "Data2")
"""The fields of oVirt Node's own form. Boot is read and unused."""
# fmt: on


def volumes(value: str | None) -> tuple[VolumeSize, ...]:
    """storage_vol: SIZE,NAME[:SIZE,NAME…], names in any case, each once; or a size for each of POSITIONS."""
    items = (value or "").split(":")
    if len(items) > 1 and "," not in (value or ""):
        return _positional(items)
    found = [_volume(item) for item in items]
    names = [volume.name for volume in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} is given twice")
    return tuple(found)


def _positional(items: Sequence[str]) -> tuple[VolumeSize, ...]:
    """The sizes that are given; an empty field is the default."""
    if len(items) != len(POSITIONS):
        raise ValueError(f"{':'.join(items)!r} has {len(items)} fields; it must be {':'.join(POSITIONS).upper()}")
    sizes = dict(zip(POSITIONS, items, strict=True))
    if sizes["Boot"]:
        size(sizes["Boot"])
    return tuple(_volume(f"{text},{name}") for name, text in sizes.items() if text and name in LEAST_BYTES)


def _volume(item: str) -> VolumeSize:
    text, comma, name = item.partition(",")
    proper = {known.lower(): known for known in LEAST_BYTES}.get(name.lower())
    if not comma or proper is None:
        raise ValueError(f"{item!r} is not SIZE,NAME; NAME is one of {', '.join(LEAST_BYTES)}")
    amount = _amount(text)
    if isinstance(amount, Amount):
        if amount in MAY_TAKE and proper not in MAY_TAKE[amount]:
            raise ValueError(f"{item!r}: only {' and '.join(MAY_TAKE[amount])} can be {amount.value!r}")
        return VolumeSize(proper, amount)
    if amount < LEAST_BYTES[proper]:
        raise ValueError(f"{item!r}: {proper} needs {LEAST_BYTES[proper] // MIB} MiB or more")
    return VolumeSize(proper, amount)


def _amount(text: str) -> int | Amount:
    spelled: Callable[[str], Amount | None] = {
        "": Amount.DEFAULT, "-1": Amount.REST, "rest": Amount.REST, "0": Amount.NONE, "none": Amount.NONE
    }.get  # fmt: skip
    return spelled(text.lower()) or size(text)

"""Words -> Request: what the command line asks, one typed field per structural parameter."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from autoinstall import grammar
from autoinstall.cmdline import Word
from autoinstall.errors import BadWords
from autoinstall.grammar_disks import DiskBy, DiskSelector, VolumeSize, Wipe
from autoinstall.grammar_network import Address, AddressBy, Bond, Ipv6, NicBy, NicSelector, Vlan
from autoinstall.parameters import (
    NOT_YET,
    PARAMETERS,
    PREFIX,
    REFUSED,
    Parameter,
    Twice,
    canonical,
    is_kept,
    row_of,
)
from autoinstall.services import Services, contradictions, services_from

DHCP = Address(AddressBy.DHCP)
NO_SERVICES = Services()


class Action(Enum):
    """What the line asks for as a whole."""

    NONE = "none"
    INSTALL = "install"
    UNINSTALL = "uninstall"
    STATELESS = "stateless"
    RESCUE = "rescue"


@dataclass(frozen=True)
class Request:
    """What is asked. Optional fields are None where the line does not say; defaults are the plan's.

    `reinstall` is whether a finished node may be installed over.
    """

    action: Action
    disk: DiskSelector | None = None
    reinstall: bool = False
    wipe: Wipe | None = None
    id_text: str | None = None
    sizes: tuple[VolumeSize, ...] = ()
    mem_overcommit: float | None = None
    wipe_fakeraid: bool = False
    disk_timeout_s: int = 60
    boot_interface: NicSelector | None = None
    carrier_timeout_s: int = 60
    address: Address = DHCP
    ipv6: Ipv6 | None = None
    vlan: Vlan | None = None
    bond: Bond | None = None
    bridged: bool = False
    host_name: str | None = None
    name_servers: tuple[str, ...] = ()
    time_servers: tuple[str, ...] | None = None
    admin_password_hash: str | None = None
    root_password_hash: str | None = None
    ssh_keys: tuple[str, ...] = ()
    ssh_passwords: bool = False
    services: Services = NO_SERVICES
    after: grammar.After = grammar.After.REBOOT
    reboot_delay_s: int = 0
    installed: grammar.Installed = grammar.Installed.BOOT
    on_failure: grammar.OnFailure = grammar.HOLD
    dry_run: bool = False
    plan_digest: str | None = None
    kept_words: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def request_from(words: Sequence[Word]) -> Request:
    """What `words` ask for. Raises BadWords with every problem of the line, not only the first."""
    reader = _Reader(words)
    get = reader.values.get
    reinstall = get("firstboot", False)
    uninstall = get("uninstall", False)
    storage = get("storage_init") or (DiskSelector(DiskBy.NODE) if reinstall or uninstall else None)
    address = _address(reader)
    after = _after(reader)
    kept = [*(str(word) for word in words if is_kept(word.name)), *_more_kernel_words(reader)]
    reader.problems += _against_ip(reader, address)
    reader.problems += contradictions(reader.values, tuple(kept))
    if uninstall:
        reader.problems += _against_uninstall(reinstall, after)
    if get("install") and (storage or get("stateless")):
        reader.problems.append("install: installs nothing, and the line asks for something; take it away")
    if get("stateless"):
        reader.problems += [f"stateless: the line says {name} too" for name in NOT_STATELESS if get(name)]
    if reader.problems:
        raise BadWords(*reader.problems, hint="correct the kernel command line and boot again")
    kinds = ((uninstall, Action.UNINSTALL), (storage, Action.INSTALL), (get("stateless"), Action.STATELESS))
    action = next((kind for asked, kind in kinds if asked), Action.NONE)
    return Request(
        action=Action.RESCUE if get("rescue") else action,
        disk=storage,
        reinstall=reinstall,
        wipe=get("autoinstall.wipe"),
        id_text=get("autoinstall.id"),
        sizes=get("storage_vol", ()),
        mem_overcommit=get("mem_overcommit"),
        wipe_fakeraid=get("wipe_fakeraid", False),
        disk_timeout_s=get("autoinstall.disk_timeout", 60),
        **_network(reader, address),
        admin_password_hash=_admin_password(reader),
        root_password_hash=get("rootpw"),
        ssh_keys=tuple(get("autoinstall.ssh_key", ())),
        ssh_passwords=get("ssh_pwauth", False),
        services=services_from(reader.values),
        after=after,
        reboot_delay_s=get("reboot_delay", 0),
        installed=get("autoinstall.installed", grammar.Installed.BOOT),
        on_failure=get("autoinstall.on_failure", grammar.HOLD),
        dry_run=get("autoinstall.dry_run", False),
        plan_digest=get("autoinstall.plan"),
        kept_words=tuple(reversed(dict.fromkeys(reversed(kept)))),  # the last console is /dev/console
        warnings=tuple(reader.warnings),
    )


def on_failure_from(words: Sequence[Word]) -> grammar.OnFailure:
    """What a line says of failures even where the rest of it is wrong; `hold` where that cannot be read."""
    for word in reversed(words):
        if canonical(word.name) == "autoinstall.on_failure":
            try:
                return grammar.on_failure(word.value)
            except ValueError:
                break
    return grammar.HOLD


def redacted(words: Sequence[Word]) -> str:
    """The line for logs and reports: secrets are `***`, also those of a word misspelt by one slip."""
    return " ".join(str(Word(word.name, "***") if _is_secret(word.name, word.value) else word) for word in words)


def _is_secret(name: str, value: str | None) -> bool:
    row = row_of(name) or _one_slip_away(name)
    if row is None or value is None:
        return False
    inner, _, inner_value = value.partition("=")
    return row.secret or (row.name == KERNEL_WORDS and _is_secret(inner, inner_value))


def _after(reader: _Reader) -> grammar.After:
    """What follows the installation; a delay of a reboot that is none becomes a problem."""
    after: grammar.After = reader.values.get("autoinstall.after", grammar.After.REBOOT)
    if "reboot_delay" in reader.values and after is not grammar.After.REBOOT:
        reader.problems.append(f"reboot_delay: there is no reboot to delay with autoinstall.after={after.value}")
    return after


def _admin_password(reader: _Reader) -> str | None:
    """The hash of admin's password; root's, with a warning, where there is that one only."""
    own, roots = reader.values.get("adminpw"), reader.values.get("rootpw")
    if roots and not own:
        reader.warnings.append("rootpw: is admin's password too, for there is no adminpw")
    hashed: str | None = own or roots
    return hashed


NOT_STATELESS = (
    "storage_init",
    "firstboot",
    "uninstall",
    "autoinstall.kargs",
    "autoinstall.after",
    "autoinstall.plan",
)
"""Words of a disk, of a node's kernel, of leaving this system, and of a plan that there is not."""


def _against_uninstall(reinstall: bool, after: grammar.After) -> list[str]:
    """What makes no sense on a line that takes a node away."""
    clauses = (
        (reinstall, "uninstall: the line says reinstall too"),
        (after is grammar.After.KEXEC, "uninstall: there is no node left for autoinstall.after=kexec"),
    )
    return [problem for holds, problem in clauses if holds]


KERNEL_WORDS = "autoinstall.kargs"


def _more_kernel_words(reader: _Reader) -> Sequence[str]:
    """The words of autoinstall.kargs; those that no node may have become problems."""
    words: Sequence[str] = reader.values.get(KERNEL_WORDS, [])
    for word in words:
        name = word.partition("=")[0]
        ours = row_of(name) or _one_slip_away(name) or canonical(name) in (*NOT_YET, *REFUSED)
        if not is_kept(name) and (ours or name == "root" or name.startswith((PREFIX, "rd.autoinstall."))):
            reader.problems.append(f"{KERNEL_WORDS}: {name} is the installer's to say, never the node's kernel's")
    return words


def _network(reader: _Reader, address: Address) -> dict[str, Any]:
    """The fields of a request that are about the network."""
    get = reader.values.get
    return {
        "boot_interface": _boot_interface(reader, address),
        "carrier_timeout_s": get("autoinstall.carrier_timeout", 60),
        "address": address,
        "ipv6": get("ipv6"),
        "vlan": get("vlan"),
        "bond": get("bond"),
        "bridged": get("network_layout", False),
        "host_name": get("hostname") or address.host_name or None,
        "name_servers": (*get("dns", ()), *address.dns),
        "time_servers": get("ntp"),
    }


def _boot_interface(reader: _Reader, address: Address) -> NicSelector | None:
    """The NIC that BOOTIF, or else another word, names; the name of the bond means the first of its NICs."""
    bond, vlan = reader.values.get("bond"), reader.values.get("vlan")
    named = reader.values.get("BOOTIF")
    name = address.nic or (vlan.nic if vlan else "")
    selector: NicSelector | None = named or (NicSelector(NicBy.NAME, name) if name else None)
    if bond and selector == NicSelector(NicBy.NAME, bond.name):
        return NicSelector(NicBy.NAME, bond.nics[0]) if bond.nics else None
    return selector


def _address(reader: _Reader) -> Address:
    """The value of ip, completed by netmask and gateway; what does not fit together becomes a problem."""
    address: Address = reader.values.get("ip", DHCP)
    prefix_bits, gateway = reader.values.get("netmask"), reader.values.get("gateway")
    if address.by is not AddressBy.STATIC:
        if prefix_bits is not None or gateway is not None:
            reader.problems.append("netmask and gateway belong to an address: ip=ADDRESS")
        return address
    address = replace(
        address,
        prefix_bits=address.prefix_bits if address.prefix_bits is not None else prefix_bits,
        gateway=address.gateway or gateway,
    )
    assert address.client is not None
    if address.prefix_bits is None or address.prefix_bits > address.client.max_prefixlen:
        reader.problems.append(f"ip: {address.client} needs a netmask: ip={address.client}::GATEWAY:NETMASK")
    elif address.gateway and address.gateway.version != address.client.version:
        reader.problems.append(f"gateway: {address.gateway} and {address.client} are of different families")
    return address


def _against_ip(reader: _Reader, address: Address) -> list[str]:
    """What else is said of the network, and does not fit what ip= says."""
    ipv6 = reader.values.get("ipv6")
    asks_ipv6 = address.by in (AddressBy.AUTO6, AddressBy.DHCP6) or bool(
        address.client and address.client.version == 6
    )
    found = ["ipv6: is off, and ip= asks for an IPv6 address"] if ipv6 is Ipv6.OFF and asks_ipv6 else []
    if address.by is AddressBy.OFF and ipv6 in (None, Ipv6.OFF):
        carriers = [name for name in ("bond", "vlan", "network_layout") if reader.values.get(name)]
        found += [f"{name}: carries the node's address, and with ip=off there is none" for name in carriers]
    return found


class _Reader:
    """Collects the values of a line, and everything that is wrong with it."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.values: dict[str, Any] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._spelled: dict[str, str] = {}
        self._slips: list[str] = []
        for word in words:
            row = row_of(word.name)
            if row:
                self._take(row, word)
            else:
                self._refuse_unknown(word)
        strict = self.values.get("autoinstall.strict", True)
        (self.problems if strict else self.warnings).extend(self._slips)
        self.problems += _behind_the_end(words)

    def _take(self, row: Parameter, word: Word) -> None:
        try:
            value = row.parse(word.value)
        except ValueError as error:
            self.problems.append(f"{word.name}: {error}")
            return
        if row.twice is Twice.ALL_COUNT:
            self.values.setdefault(row.name, []).append(value)
            return
        if row.name in self.values:
            self._second_time(row, word.name, value)
        elif row.warning:
            self.warnings.append(f"{word.name}: {row.warning}")
        self._spelled[row.name] = word.name
        self.values[row.name] = value

    def _second_time(self, row: Parameter, spelled: str, value: object) -> None:
        before = self._spelled[row.name]
        if row.twice is Twice.LAST_WINS:
            self.warnings.append(f"{row.name} is given more than once; the last one counts")
        elif self.values[row.name] != value and before == spelled:
            self.problems.append(f"{row.name} is given more than once, with different values")
        elif self.values[row.name] != value:
            self.problems.append(f"{before} and {spelled} are one word, given with different values")

    def _refuse_unknown(self, word: Word) -> None:
        name = canonical(word.name)
        near = _one_slip_away(word.name)
        if name in NOT_YET or name.removeprefix(PREFIX) in NOT_YET:
            self.problems.append(f"{word.name}: this version of autoinstall cannot do that yet")
        elif name.removeprefix(PREFIX) in REFUSED:
            self.problems.append(f"{word.name}: {REFUSED[name.removeprefix(PREFIX)]}")
        elif name.startswith(PREFIX):
            self.problems.append(f"{word.name}: there is no such word{_did_you_mean(name)}")
        elif near:
            self._slips.append(f"{word.name}: unknown, and one slip away from {near.name}; did you mean that?")


MAY_FOLLOW_THE_END = ("autoinstall.end", "BOOTIF", "rescue")
"""pxelinux and others add BOOTIF to any line, and an operator may add rescue to any line."""


def _behind_the_end(words: Sequence[Word]) -> list[str]:
    """What is wrong with the words behind autoinstall.end: a line was put together from more than one."""
    ours = [(row.name, word.name) for word in words if (row := row_of(word.name))]
    names = [name for name, _ in ours]
    behind = ours[names.index("autoinstall.end") :] if "autoinstall.end" in names else []
    return [f"{given}: stands behind autoinstall.end" for name, given in behind if name not in MAY_FOLLOW_THE_END]


def _did_you_mean(name: str) -> str:
    spellings = [row.name if row.name.startswith(PREFIX) else PREFIX + row.name for row in PARAMETERS]
    close = difflib.get_close_matches(name, spellings, n=1)
    return f"; did you mean {close[0]}?" if close else ""


SHORTEST_GUARDED = 6
"""Shorter names of ours (ip, BOOTIF is 6) lie within one slip of words that belong to others."""


def _one_slip_away(name: str) -> Parameter | None:
    """The row that `name` misses by one inserted, missing, wrong or swapped character."""
    folded = name.replace("-", "_")
    for row in PARAMETERS:
        for spelling in (row.name, *row.aliases):
            if len(spelling) >= SHORTEST_GUARDED and _is_one_slip(folded, spelling):
                return row
    return None


def _is_one_slip(a: str, b: str) -> bool:
    if a == b or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:]
        return rest_a[1:] == rest_b[1:] or swapped
    return rest_a[1:] == rest_b if len(a) > len(b) else rest_a == rest_b[1:]

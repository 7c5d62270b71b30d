"""Words -> Request: what the command line asks, one typed field per structural parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from autoinstall import grammar
from autoinstall.cmdline import Word
from autoinstall.disk_words import DiskWords
from autoinstall.errors import BadWords
from autoinstall.grammar_disks import DiskBy, DiskSelector, VolumeSize, Wipe
from autoinstall.grammar_network import Address, AddressBy, Bond, Ipv6, NicBy, NicSelector, Vlan
from autoinstall.grammar_sources import KeysAt
from autoinstall.grammar_storage import Storage, SwapCipher
from autoinstall.parameters import (
    PREFIX,
    REFUSED,
    canonical,
    is_kept,
    row_of,
)
from autoinstall.reader import Reader, one_slip_away
from autoinstall.services import (
    FEATURES,
    MANAGEMENT_WORDS,
    SECRET_FEATURES,
    Services,
    contradictions,
    services_from,
)
from autoinstall.slots import MOST_TRIES
from autoinstall.telling import https_words

DHCP = Address(AddressBy.DHCP)
NO_SERVICES = Services()


class Action(Enum):
    """What the line asks for as a whole."""

    NONE = "none"
    INSTALL = "install"
    UPGRADE = "upgrade"
    UNINSTALL = "uninstall"
    STATELESS = "stateless"
    RESCUE = "rescue"


@dataclass(frozen=True)
class Request:
    """What is asked. Optional fields are None where the line does not say; defaults are the plan's.

    `disk` is the boot disk; `host_disks` are those of HostVG where they are others. `reinstall` is whether a finished
    node may be installed over. `key_urls` are read before a plan is made that installs; `https` are the names of the
    words that ask a server which has to be checked.
    """

    action: Action
    disk: DiskSelector | None = None
    host_disks: tuple[DiskSelector, ...] = ()
    app_disks: tuple[DiskSelector, ...] = ()
    reinstall: bool = False
    wipe: Wipe | None = None
    id_text: str | None = None
    sizes: tuple[VolumeSize, ...] = ()
    swap_ciphers: tuple[SwapCipher, ...] = ()
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
    key_urls: tuple[str, ...] = ()
    ssh_passwords: bool = False
    services: Services = NO_SERVICES
    after: grammar.After = grammar.After.REBOOT
    reboot_delay_s: int = 0
    installed: grammar.Installed = grammar.Installed.BOOT
    on_failure: grammar.OnFailure = grammar.HOLD
    tries: int = MOST_TRIES
    force: frozenset[grammar.Force] = frozenset()
    dry_run: bool = False
    plan_digest: str | None = None
    kept_words: tuple[str, ...] = ()
    https: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def request_from(words: Sequence[Word]) -> Request:
    """What `words` ask for. Raises BadWords with every problem of the line; beside rescue they are warnings."""
    reader = Reader(words)
    get = reader.values.get
    reinstall = get("firstboot", False)
    uninstall, upgrade = get("uninstall", False), get("upgrade", False)
    disks = DiskWords.of(reader.values)
    storage = disks.boot or (DiskSelector(DiskBy.NODE) if reinstall or uninstall or upgrade else None)
    reader.problems += disks.problems(of_a_node=uninstall or upgrade)
    address = _address(reader)
    after = _after(reader)
    kept = [*(str(word) for word in words if is_kept(word.name)), *_more_kernel_words(reader)]
    reader.problems += _against_ip(reader, address)
    reader.problems += contradictions(reader.values, tuple(kept))
    reader.problems += _against_others(reader.values, after)
    if get("rescue"):
        return Request(Action.RESCUE, warnings=(*reader.warnings, *reader.problems))
    if reader.problems:
        raise BadWords(*reader.problems, hint="correct the kernel command line and boot again")
    return Request(
        action=_action(reader.values, storage),
        disk=storage,
        host_disks=disks.host,
        app_disks=disks.app,
        reinstall=reinstall,
        wipe=get("autoinstall.wipe"),
        id_text=get("autoinstall.id"),
        sizes=disks.sizes,
        swap_ciphers=disks.ciphers,
        mem_overcommit=get("mem_overcommit"),
        wipe_fakeraid=get("wipe_fakeraid", False),
        disk_timeout_s=get("autoinstall.disk_timeout", 60),
        **_network(reader, address),
        admin_password_hash=_admin_password(reader),
        root_password_hash=get("rootpw"),
        **_keys(get("autoinstall.ssh_key", ())),
        ssh_passwords=get("ssh_pwauth", False),
        services=services_from(reader.values),
        after=after,
        reboot_delay_s=get("reboot_delay", 0),
        installed=get("autoinstall.installed", grammar.Installed.BOOT),
        on_failure=get("autoinstall.on_failure", grammar.HOLD),
        tries=get("autoinstall.tries", MOST_TRIES),
        force=get("autoinstall.force", frozenset()),
        dry_run=get("autoinstall.dry_run", False),
        plan_digest=get("autoinstall.plan"),
        kept_words=tuple(reversed(dict.fromkeys(reversed(kept)))),  # the last console is /dev/console
        https=https_words(words),
        warnings=(*reader.warnings, *(_idle(reader.values) if upgrade else ())),
    )


def _keys(given: Sequence[str | KeysAt]) -> dict[str, Any]:
    """The fields of a request that are about keys."""
    return {
        "ssh_keys": tuple(key for key in given if isinstance(key, str)),
        "key_urls": tuple(key.url for key in given if isinstance(key, KeysAt)),
    }


def rescue_asked(words: Sequence[Word]) -> bool:
    """Whether a line asks for rescue, whatever is wrong with the rest of it."""
    values = [word.value for word in words if canonical(word.name) == "rescue"]
    try:
        return bool(values) and grammar.flag(values[-1])
    except ValueError:
        return False


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
    row = row_of(name) or one_slip_away(name.removeprefix(PREFIX))
    if row is None or value is None:
        return False
    inner, _, inner_value = value.partition("=")
    return row.secret or (row.name == KERNEL_WORDS and _is_secret(inner, inner_value))


def _after(reader: Reader) -> grammar.After:
    """What follows the installation; a delay of a reboot that is none becomes a problem."""
    after: grammar.After = reader.values.get("autoinstall.after", grammar.After.REBOOT)
    if "reboot_delay" in reader.values and after is not grammar.After.REBOOT:
        reader.problems.append(f"reboot_delay: there is no reboot to delay with autoinstall.after={after.value}")
    return after


def _admin_password(reader: Reader) -> str | None:
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
    "upgrade",
    "storage_vol",
    "swap_encrypt",
    "mem_overcommit",
    "wipe_fakeraid",
    "autoinstall.wipe",
    "autoinstall.id",
    "autoinstall.installed",
    "autoinstall.kargs",
    "autoinstall.after",
    "reboot_delay",
    "local_boot_trigger",
    "autoinstall.plan",
)
"""Words of a disk, of a node and its kernel, of leaving this system, and of a plan that there is not."""


ACTIONS = ("storage_init", "firstboot", "uninstall", "upgrade", "stateless")


def _against_others(values: Mapping[str, Any], after: grammar.After) -> list[str]:
    """What makes no sense beside the action that is asked for."""
    get = values.get
    found = _against_upgrade(values) if get("upgrade") else _without_upgrade(values)
    if get("uninstall"):
        found += _against_uninstall(get("firstboot", False), after)
    if get("install") and any(map(get, ACTIONS)):
        found.append("install: installs nothing, and the line asks for something; take it away")
    if get("stateless"):
        found += [f"stateless: the line says {name} too" for name in NOT_STATELESS if get(name)]
    return found


def _against_uninstall(reinstall: bool, after: grammar.After) -> list[str]:
    """What makes no sense on a line that takes a node away."""
    clauses = (
        (reinstall, "uninstall: the line says reinstall too"),
        (after is grammar.After.KEXEC, "uninstall: there is no node left for autoinstall.after=kexec"),
    )
    return [problem for holds, problem in clauses if holds]


def _action(values: Mapping[str, Any], storage: DiskSelector | None) -> Action:
    """The first that is asked for: a disk means an install where nothing else does."""
    asked = (
        (values.get("uninstall"), Action.UNINSTALL),
        (values.get("upgrade"), Action.UPGRADE),
        (storage, Action.INSTALL),
        (values.get("stateless"), Action.STATELESS),
    )
    return next((action for wish, action in asked if wish), Action.NONE)


def _against_upgrade(values: Mapping[str, Any]) -> list[str]:
    """What makes no sense on a line that upgrades. storage_init=DISK names the node's disk; bare it installs."""
    storage: Storage | None = values.get("storage_init")
    clauses = (
        (
            storage is not None and not storage.boot.explicit,
            "upgrade: the line says storage_init too, which installs",
        ),
        (values.get("firstboot", False), "upgrade: the line says reinstall too"),
        (values.get("uninstall", False), "upgrade: the line says uninstall too"),
        ("autoinstall.plan" in values, "upgrade: autoinstall.plan is for installations"),
    )
    return [problem for holds, problem in clauses if holds]


def _without_upgrade(values: Mapping[str, Any]) -> list[str]:
    return [f"{name}: belongs to upgrade" for name in ("autoinstall.tries", "autoinstall.force") if name in values]


IDLE_IN_UPGRADE = (
    "storage_vol", "mem_overcommit", "autoinstall.id", "hostname", "dns", "ntp", "ipv6", "vlan", "bond",
    "network_layout", "adminpw", "rootpw", "autoinstall.ssh_key", "ssh_pwauth", "autoinstall.kargs",
    "autoinstall.wipe", "wipe_fakeraid", "swap_encrypt", "autoinstall.app_disks",
    *MANAGEMENT_WORDS, *FEATURES, *SECRET_FEATURES,
)  # fmt: skip


def _idle(values: Mapping[str, Any]) -> list[str]:
    """An upgrade never edits what is stored: the words that would are told."""
    idle = [name for name in IDLE_IN_UPGRADE if name in values]
    return [f"upgrade: the node keeps its configuration; of no effect on it: {', '.join(idle)}"] if idle else []


KERNEL_WORDS = "autoinstall.kargs"


def _more_kernel_words(reader: Reader) -> Sequence[str]:
    """The words of autoinstall.kargs; those that no node may have become problems."""
    words: Sequence[str] = reader.values.get(KERNEL_WORDS, [])
    for word in words:
        name = word.partition("=")[0]
        ours = row_of(name) or one_slip_away(name) or canonical(name) in REFUSED
        if not is_kept(name) and (ours or name == "root" or name.startswith((PREFIX, "rd.autoinstall."))):
            reader.problems.append(f"{KERNEL_WORDS}: {name} is the installer's to say, never the node's kernel's")
    return words


def _network(reader: Reader, address: Address) -> dict[str, Any]:
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


def _boot_interface(reader: Reader, address: Address) -> NicSelector | None:
    """The NIC that BOOTIF, or else another word, names; the name of the bond means the first of its NICs."""
    bond, vlan = reader.values.get("bond"), reader.values.get("vlan")
    named = reader.values.get("BOOTIF")
    name = address.nic or (vlan.nic if vlan else "")
    selector: NicSelector | None = named or (NicSelector(NicBy.NAME, name) if name else None)
    if bond and selector == NicSelector(NicBy.NAME, bond.name):
        return NicSelector(NicBy.NAME, bond.nics[0]) if bond.nics else None
    return selector


def _address(reader: Reader) -> Address:
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


def _against_ip(reader: Reader, address: Address) -> list[str]:
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

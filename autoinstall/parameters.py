"""THE table: one row per word of the kernel command line that is ours.

Parsing, help, documentation and completion come from this table; adding a parameter is adding a row. The
grammar of each value stands in grammar*.py, what the whole line means in request.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from autoinstall import grammar, grammar_disks, grammar_network, grammar_services, grammar_sources, grammar_storage


class Twice(Enum):
    """What it means when a word is given more than once."""

    LAST_WINS = "the last one wins, with a warning"
    SAME_ONLY = "refused unless all are equal"
    ALL_COUNT = "each one adds to the list"


@dataclass(frozen=True)
class Parameter:
    """One word of ours. `example` parses, `bad_example` does not; both are tested and documented.

    `warning` is told to whoever gives it.
    """

    name: str
    grammar: str
    meaning: str
    parse: Callable[[str | None], object]
    example: str
    bad_example: str
    default: str = ""
    aliases: tuple[str, ...] = ()
    secret: bool = False
    warning: str = ""
    twice: Twice = Twice.LAST_WINS


NO_EFFECT = "it has no effect on this system"

# fmt: off
PARAMETERS = (
    Parameter("storage_init", "[=DISK[,DISK…][;DISK[,DISK…]]]; DISK = /dev/PATH | /dev/GLOB | BUS[:SERIAL | :ALL] |"
              " serial:S | wwn:W | id:NAME | path:NAME | match:CLAUSE[+CLAUSE…]",
              "install this machine onto the first disk; without a value onto the one eligible fixed disk. HostVG is"
              " on the others where there are (A,A,B: on both); behind a semicolon are the disks of AppVG",
              grammar_storage.storage, "storage_init=virtio:TARGET0", "storage_init=floppy:1",
              aliases=("ovirt_init",), twice=Twice.SAME_ONLY),
    Parameter("firstboot", "flag",
              "install over a node of ours: on the disk of storage_init, else on the one disk that carries a node",
              grammar.flag, "reinstall", "firstboot=again", default="no",
              aliases=("ovirt_firstboot", "reinstall"), twice=Twice.SAME_ONLY),
    Parameter("uninstall", "flag",
              "take the node off all its disks: those of storage_init, which must be all, else that which carries"
              " it and those that belong to it; what is left is blank",
              grammar.flag, "uninstall", "uninstall=later", default="no", twice=Twice.SAME_ONLY),
    Parameter("upgrade", "flag",
              "put the image of this medium into the slot that the node does not use; its configuration stays. The"
              " node is the one on this machine, or on the disk that storage_init=DISK names",
              grammar.flag, "upgrade", "upgrade=later", default="no",
              aliases=("local_boot", "ovirt_upgrade", "ovirt_local_boot"), twice=Twice.SAME_ONLY),
    Parameter("autoinstall.tries", "1 | 2 | 3",
              "of upgrade: boot attempts of the new image before the machine falls back to the old one",
              grammar.tries, "autoinstall.tries=1", "autoinstall.tries=0", default="3"),
    Parameter("autoinstall.force", "WORD[,WORD…]; WORD = major | fallen",
              "of upgrade: major: also to an image of another major version; fallen: also to one that was tried on"
              " this node and fell back",
              grammar.force, "autoinstall.force=major", "autoinstall.force=all"),
    Parameter("install", "flag",
              "nothing is installed: reserved, it tells how to install; beside a word that asks for something it is"
              " refused",
              grammar.flag, "install", "install=/dev/sda", default="no", twice=Twice.SAME_ONLY),
    Parameter("stateless", "flag",
              "apply the settings to the system that runs, let admin in by ssh, and touch no disk; nothing lasts",
              grammar.flag, "stateless", "stateless=later", default="no", aliases=("ovirt_stateless",),
              twice=Twice.SAME_ONLY),
    Parameter("autoinstall.wipe", "none | foreign",
              "none: a disk that is neither blank nor ours is refused, also where it is named; foreign: such a disk"
              " may be wiped also where it is not named",
              grammar_disks.wipe, "autoinstall.wipe=none", "autoinstall.wipe=all",
              default="a disk that is named may be wiped", twice=Twice.SAME_ONLY),
    Parameter("autoinstall.id", "TEXT",
              "which installation this is: where a node was installed with another id, or with none, it is installed"
              " over; with the same one it stays",
              grammar.id_text, "autoinstall.id=rack7-2025-03", "autoinstall.id=",
              default="a node stays, whatever its id"),
    Parameter("autoinstall.app_disks", "DISK[,DISK…]",
              "the disks of AppVG, as behind the semicolon of storage_init, and safe in every boot loader; Swap2 or"
              " Data2 needs a size",
              grammar_storage.disks, "autoinstall.app_disks=serial:A,sas:ALL", "autoinstall.app_disks=,",
              twice=Twice.SAME_ONLY),
    Parameter("storage_vol", "SIZE,NAME[:SIZE,NAME…]; NAME = EFI | Root | Config | Logging | Swap | Data | Swap2 |"
              " Data2; or BOOT:SWAP:ROOT:CONFIG:LOGGING:DATA:SWAP2:DATA2",
              "sizes in MiB, or with K M G T; rest or -1 (Data, Data2), none or 0 (Swap, Data, Swap2, Data2)",
              grammar_disks.volumes, "storage_vol=4G,Root:none,Swap:rest,Data", "storage_vol=4G,Rooot",
              aliases=("ovirt_vol",), twice=Twice.SAME_ONLY),
    Parameter("mem_overcommit", "FACTOR",
              "how much of the memory is added to the default size of Swap",
              grammar.factor, "mem_overcommit=1.5", "mem_overcommit=lots", default="0.5",
              aliases=("ovirt_overcommit",)),
    Parameter("swap_encrypt", "Swap[,CIPHER][:Swap2[,CIPHER]]; CIPHER = aes-xts-plain64 | aes-cbc-essiv:sha256",
              "swap is encrypted, with another random key at each boot; a semicolon is read for the colon",
              grammar_storage.swap_ciphers, "swap_encrypt=Swap", "swap_encrypt=Data",
              default="it is not; where it is, with aes-xts-plain64",
              aliases=("ovirt_swap_encrypt",), twice=Twice.SAME_ONLY),
    Parameter("wipe_fakeraid", "flag",
              "the mark of a BIOS RAID on the named disk may be erased",
              grammar.flag, "wipe_fakeraid", "wipe_fakeraid=all", default="no"),
    Parameter("autoinstall.disk_timeout", "SECONDS",
              "how long a named disk is waited for",
              grammar.seconds, "autoinstall.disk_timeout=120", "autoinstall.disk_timeout=long", default="60"),
    Parameter("BOOTIF", "link | NIC | 01-MAC | MAC | the bond's name",
              "the management NIC; `link` is the first one with a carrier",
              grammar_network.boot_interface, "BOOTIF=01-52-54-00-12-34-56", "BOOTIF=52:54:00",
              default="the NIC that ip or vlan names, else the first of the bond, else all wired ones: then a fixed"
              " address, a VLAN or a bridge is refused where there are several"),
    Parameter("autoinstall.carrier_timeout", "SECONDS",
              "how long the management NIC is waited for",
              grammar.seconds, "autoinstall.carrier_timeout=10", "autoinstall.carrier_timeout=-1", default="60"),
    Parameter("ip", "dhcp | off | auto6 | dhcp6 | CLIENT:SERVER:GATEWAY:NETMASK[:HOSTNAME:NIC:…], IPv6 in brackets",
              "how the management NIC gets its address",
              grammar_network.address, "ip=192.0.2.7::192.0.2.1:255.255.255.0", "ip=yes", default="dhcp"),
    Parameter("ipv6", "dhcp | auto | off",
              "IPv6 beside what ip= says",
              grammar_network.ipv6, "ipv6=auto", "ipv6=yes", default="none is asked for"),
    Parameter("vlan", "ID | ID:NIC | NAME:NIC",
              "the VLAN that carries the node's address, on the management NIC or bond; as autoinstall.vlan= it is"
              " not read by dracut too",
              grammar_network.vlan, "vlan=100", "vlan=4095"),
    Parameter("bond", "NAME[:NIC,NIC…[:OPTION=VALUE,…]]",
              "the bond that carries the node's address, of these NICs or of all wired ones; BOOTIF may name it;"
              " as autoinstall.bond= it is not read by dracut too",
              grammar_network.bond, "bond=bond0:eth0,eth1:mode=802.3ad,miimon=100", "bond=bond0:eth0:mode=best",
              default="mode=active-backup,miimon=100", aliases=("bond_setup",)),
    Parameter("network_layout", "direct | bridged",
              "bridged: the node's address is on a bridge, br and the name of the NIC or bond",
              grammar_network.layout, "network_layout=bridged", "network_layout=routed", default="direct"),
    Parameter("netmask", "dotted, or a number of bits",
              "for an ip= that has none",
              grammar_network.netmask, "netmask=255.255.255.0", "netmask=255.0.255.0"),
    Parameter("gateway", "ADDRESS",
              "for an ip= that has none",
              grammar_network.ip, "gateway=192.0.2.1", "gateway=router"),
    Parameter("dns", "ADDRESS[,ADDRESS…]",
              "name servers",
              grammar_network.name_servers, "dns=192.0.2.53,2001:db8::53", "dns=one.example"),
    Parameter("ntp", "SERVER[,SERVER…] | off",
              "time servers",
              grammar_network.time_servers, "ntp=time.example,192.0.2.123", "ntp=a_b"),
    Parameter("hostname", "RFC 1123 name",
              "the node's name",
              grammar_network.host_name, "hostname=node7.rack2.example", "hostname=under_score",
              default="that of ip, else what DHCP says; until it does, node- and the last 6 digits of the management"
              " MAC, or of the node's id where no NIC is named"),
    Parameter("adminpw", "crypt(3) hash: yescrypt, sha512, sha256, bcrypt",
              "admin's password; it must be changed where it is first used",
              grammar.password_hash, "adminpw=$6$salt$" + "h" * 86, "adminpw=secret",
              secret=True, twice=Twice.SAME_ONLY),
    Parameter("autoinstall.ssh_key", "TYPE:BASE64[:COMMENT] | https URL",
              "an authorized key of admin, or a file of them on a server, as authorized_keys has them",
              grammar_sources.ssh_key, f"autoinstall.ssh_key=ssh-ed25519:{grammar.EXAMPLE_KEY}:me@laptop",
              "autoinstall.ssh_key=ssh-ed25519:abc", twice=Twice.ALL_COUNT),
    Parameter("ssh_pwauth", "flag",
              "whether sshd takes passwords",
              grammar.flag, "ssh_pwauth=no", "ssh_pwauth=maybe", default="no"),
    Parameter("rootpw", "crypt(3) hash: yescrypt, sha512, sha256, bcrypt",
              "root's password, and where there is no adminpw, admin's; without it root is locked",
              grammar.password_hash, "rootpw=$6$salt$" + "h" * 86, "rootpw=secret",
              secret=True, twice=Twice.SAME_ONLY),
    Parameter("management_server", "HOST",
              "the server that manages the node, for the programs that talk to it; stored in"
              " /etc/autoinstall/management.json, like the four that follow",
              grammar_services.host, "management_server=engine.example", "management_server=https://engine.example"),
    Parameter("management_port", "PORT",
              "its port",
              grammar_services.port, "management_port=443", "management_port=https"),
    Parameter("management_server_fingerprint", "SHA-1 or SHA-256 in hexadecimal digits, with colons or without",
              "the fingerprint of its certificate",
              grammar_services.fingerprint, "management_server_fingerprint=" + ":".join(["5A"] * 20),
              "management_server_fingerprint=5A:5A"),
    Parameter("standalone", "flag",
              "the node talks to no management server",
              grammar.flag, "standalone", "standalone=never", aliases=("ovirt_standalone",)),
    Parameter("runtime_mode", "none | ovirt | managed",
              "how the node is managed",
              grammar_services.one_of("none", "ovirt", "managed"), "runtime_mode=managed", "runtime_mode=auto"),
    Parameter("syslog", "HOST[:PORT], IPv6 in brackets",
              "where the log goes; image feature syslog",
              grammar_services.syslog, "syslog=log.example:1514", "syslog=log.example:syslog"),
    Parameter("autoinstall.syslog_protocol", "udp | tcp | relp",
              "how it goes there; image feature syslog",
              grammar_services.one_of("udp", "tcp", "relp"), "autoinstall.syslog_protocol=tcp",
              "autoinstall.syslog_protocol=tls", default="udp"),
    Parameter("netconsole", "HOST[:PORT], IPv6 in brackets",
              "where the kernel's messages go; image feature netconsole",
              grammar_services.netconsole, "netconsole=192.0.2.9", "netconsole=192.0.2.9:0"),
    Parameter("collectd", "HOST[:PORT], IPv6 in brackets",
              "where collectd sends what it measures; image feature collectd",
              grammar_services.collectd, "collectd=[2001:db8::9]:25826", "collectd=2001:db8::9"),
    Parameter("logrotate_max_size", "KIB",
              "how large a log becomes; image feature logrotate",
              grammar_services.kibibytes, "logrotate_max_size=1024", "logrotate_max_size=1M"),
    Parameter("logrotate_interval", "daily | weekly | monthly",
              "how often logs are rotated, whatever their size; image feature logrotate",
              grammar_services.one_of("daily", "weekly", "monthly"), "logrotate_interval=weekly",
              "logrotate_interval=yearly"),
    Parameter("kdump_ssh", "USER@HOST[:/PATH]",
              "where a crash dump goes; needs kdump_ssh_key and crashkernel; image feature kdump",
              grammar_services.ssh_target, "kdump_ssh=dump@dump.example:/srv/crash", "kdump_ssh=dump.example"),
    Parameter("kdump_ssh_key", "https URL",
              "the private key for that; image feature kdump",
              grammar_sources.secret_url, "kdump_ssh_key=https://dump.example/key", "kdump_ssh_key=ftp://a/key",
              secret=True),
    Parameter("disable_kdump", "flag",
              "no crash dumps, as on an image without the feature kdump",
              grammar.flag, "disable_kdump", "disable_kdump=never", default="no"),
    Parameter("keyboard", "NAME",
              "the keymap of the console; image feature keymaps",
              grammar_services.plain_name, "keyboard=de-latin1", "keyboard=../de"),
    Parameter("tuned", "PROFILE",
              "the profile of tuned; image feature tuned",
              grammar_services.plain_name, "tuned=virtual-host", "tuned="),
    Parameter("nfsv4_domain", "DOMAIN",
              "the domain of users and groups on NFSv4; image feature nfs",
              grammar_network.host_name, "nfsv4_domain=example.org", "nfsv4_domain=a_b"),
    Parameter("snmp_password", "8 characters or more",
              "the pass phrase of SNMPv3; image feature snmp",
              grammar_services.passphrase, "snmp_password=correct-horse", "snmp_password=horse", secret=True),
    Parameter("ovirt_early", "NAME[,NAME…]",
              "hooks that run early in each boot; image feature early-hooks",
              grammar_services.plain_names, "ovirt_early=one,two", "ovirt_early=one,../two"),
    Parameter("console", "as the kernel reads it",
              "the node's consoles too, in this order",
              grammar.console, "console=ttyS0,115200n8", "console=", twice=Twice.ALL_COUNT),
    Parameter("autoinstall.kargs", "WORD",
              "one more word of the node's kernel",
              grammar.kernel_word, "autoinstall.kargs=isolcpus=1,2", "autoinstall.kargs=", twice=Twice.ALL_COUNT),
    Parameter("rescue", "flag",
              "no installation, whatever else the line says",
              grammar.flag, "rescue", "rescue=perhaps", default="no"),
    Parameter("autoinstall.after", "reboot | poweroff | kexec | hold",
              "what the machine does once it is installed, upgraded or uninstalled",
              grammar.after, "autoinstall.after=poweroff", "autoinstall.after=sleep", default="reboot"),
    Parameter("reboot_delay", "SECONDS",
              "how long after the installation it reboots",
              grammar.seconds, "reboot_delay=30", "reboot_delay=soon", default="0"),
    Parameter("autoinstall.installed", "boot | poweroff | hold",
              "what it does where its node was installed already",
              grammar.installed, "autoinstall.installed=poweroff", "autoinstall.installed=reboot", default="boot"),
    Parameter("autoinstall.on_failure", "hold | reboot[:N] | poweroff | shell",
              "what it does when the run was refused or failed; N seconds later",
              grammar.on_failure, "autoinstall.on_failure=reboot:30", "autoinstall.on_failure=panic",
              default="hold"),
    Parameter("autoinstall.report", "http or https URL",
              "a server that is sent every event and the result, as JSON; one that does not acknowledge that in time"
              " gets it from the node, where there is one in the end; a refusal is kept nowhere",
              grammar_sources.url, "autoinstall.report=http://pxe.example/report", "autoinstall.report=pxe.example",
              twice=Twice.ALL_COUNT),
    Parameter("autoinstall.report_timeout", "SECONDS",
              "how long the machine waits for that, and for local_boot_trigger, before it leaves",
              grammar.seconds, "autoinstall.report_timeout=300", "autoinstall.report_timeout=long", default="60"),
    Parameter("local_boot_trigger", "http or https URL",
              "a URL that is called once the machine is installed, was installed already, or is upgraded, before it"
              " leaves; @HOSTNAME@ in it is the node's name",
              grammar_sources.trigger_url, "local_boot_trigger=http://pxe.example/done/@HOSTNAME@",
              "local_boot_trigger=done"),
    Parameter("autoinstall.log_level", "error | warning | info | debug",
              "how much is said on the consoles; debug: each program that is run too",
              grammar_sources.log_level, "autoinstall.log_level=warning", "autoinstall.log_level=loud",
              default="info", aliases=("node.log_level",)),
    Parameter("autoinstall.break", "pre-installer | post-installer | pre-reboot",
              "a root shell on the console, without a password, before anything is decided, when all is written, or"
              " before the machine leaves; the run goes on when it ends",
              grammar_sources.break_at, "autoinstall.break=pre-reboot", "autoinstall.break=now",
              aliases=("node.break",), twice=Twice.ALL_COUNT),
    Parameter("autoinstall.dry_run", "flag",
              "decide and print the plan, write nothing",
              grammar.flag, "autoinstall.dry_run", "autoinstall.dry_run=2", default="no"),
    Parameter("autoinstall.strict", "flag",
              "whether an unknown word that is one slip away from one of ours is refused; else it is a warning",
              grammar.flag, "autoinstall.strict=no", "autoinstall.strict=very", default="yes"),
    Parameter("use_strong_rng", "[=BYTES]",
              "nothing: the kernel's random numbers are strong",
              grammar.byte_count, "use_strong_rng=20", "use_strong_rng=much", warning=NO_EFFECT),
    Parameter("disable_aes_ni", "flag",
              "nothing: the processor's AES is used where it has one",
              grammar.flag, "disable_aes_ni=yes", "disable_aes_ni=perhaps", warning=NO_EFFECT),
    Parameter("autoinstall.end", "no value",
              "the end of the line; a word of ours behind it is refused, but for BOOTIF, which boot loaders add, and"
              " rescue",
              grammar.bare, "autoinstall.end", "autoinstall.end=1"),
    Parameter("autoinstall.words", "https URL | LABEL=NAME:/PATH",
              "a file of more words, one a line, that stand in the place of this one; secrets too",
              grammar_sources.words, "autoinstall.words=LABEL=WORDS:/node7.words", "autoinstall.words=http://a/b",
              twice=Twice.SAME_ONLY),
    Parameter("autoinstall.plan", "sha256:HEX",
              "install only if the plan made here has this digest, which `autoinstall plan` tells",
              grammar.plan_digest, "autoinstall.plan=sha256:" + "5a" * 32, "autoinstall.plan=5a5a",
              twice=Twice.SAME_ONLY),
)
# fmt: on

REFUSED = {
    "kdump_nfs": "not supported, use kdump_ssh",
    **dict.fromkeys(
        ("iscsi_install", "iscsi_init", "iscsi_name", "iscsi_server", "iscsi_target_name"),
        "refused until implemented: this version installs onto no iSCSI disk",
    ),
}
"""Words of oVirt Node that this system cannot honour, and what is said of each: a machine that was asked for more
than it gets is the wrong machine."""

KEPT_WORDS = frozenset(
    """
    console crashkernel nomodeset mitigations intel_iommu amd_iommu pci net.ifnames biosdevname ifname
    default_hugepagesz isolcpus nohz_full rcu_nocbs rdloaddriver rd.multipath panic quiet systemd.log_level
    """.split()
)
KEPT_PREFIXES = ("iommu", "acpi", "hugepages", "rd.driver.")
"""The words of others that go on into the installed boot entry; nothing else does, secrets never."""

PREFIX = "autoinstall."


def canonical(name: str) -> str:
    """`name` as the table spells it: `-` and `_` are the same, `autoinstall.W` is W for every W of ours."""
    folded = name.replace("-", "_")
    if folded in _ROW_OF:
        return _ROW_OF[folded].name
    short = folded.removeprefix(PREFIX)
    return _ROW_OF[short].name if short in _ROW_OF else folded


def row_of(name: str) -> Parameter | None:
    """The row of a word, in any of its spellings; None where it is not ours."""
    return _ROW_OF.get(canonical(name))


def is_kept(name: str) -> bool:
    """Whether a word survives into the installed boot entry."""
    return name in KEPT_WORDS or name.startswith(KEPT_PREFIXES)


_ROW_OF = {spelling: row for row in PARAMETERS for spelling in (row.name, *row.aliases)}

#!/bin/sh
# shellcheck shell=dash
# What the hooks of autoinstall share. Sourced: functions return, and never exit.

AUTOINSTALL_RUN=/run/autoinstall
AUTOINSTALL_PORT=org.autoinstall.report.0
# A port that nobody listens to blocks its writer.
AUTOINSTALL_PORT_LIMIT_S=5

# Prints live, node, rescue, or nothing where the boot is none of ours.
autoinstall_mode() {
    cat "$AUTOINSTALL_RUN/mode" 2>/dev/null
}

# Says a line on every console, not only on /dev/console, which is the last one given. The kernel's log, and so the
# journal, gets it as debug, which a console does not show: nobody reads it twice.
autoinstall_say() {
    local _tty _rest
    while read -r _tty _rest; do
        printf '\r%s\r\n' "$*" >"/dev/$_tty"
    done </proc/consoles 2>/dev/null
    echo "<31>$*" >/dev/kmsg
}

# Prints a text as the inside of a JSON string, with what would need escaping taken out.
autoinstall_plain() {
    printf '%s' "$*" | tr -d '"\134' | tr -c ' -~' ' '
}

# Sends a JSON line to the report port, where the machine has one.
autoinstall_report() {
    local _port="/dev/virtio-ports/$AUTOINSTALL_PORT"
    [ -c "$_port" ] || return 0
    printf '%s\n' "$1" | timeout "$AUTOINSTALL_PORT_LIMIT_S" dd of="$_port" 2>/dev/null
    return 0
}

# Remembers that the node comes up with less than it should; health reads the file and fails that check.
# $1: what is missing (config, logging), $2: why
autoinstall_degraded() {
    warn "autoinstall: $1: $2"
    autoinstall_say "autoinstall: degraded: $1: $2"
    printf '%s\n' "$2" >"$AUTOINSTALL_RUN/degraded.$1"
}

# Whether $1 is there, and no single path of a disk that has several.
autoinstall_is_whole() {
    [ -e "$1" ] || return 1
    [ -e "$AUTOINSTALL_RUN/multipath" ] || return 0
    case "$(readlink -f "$1")" in /dev/dm-*) return 0 ;; esac
    return 1
}

# Where no configuration says otherwise, every wired NIC asks for an address. The MAC is the identity, in the live system as
# on the node, so that both get the same lease.
autoinstall_dhcp_everywhere() {
    mkdir -p /run/systemd/network
    cat >/run/systemd/network/89-autoinstall-default.network <<'END'
[Match]
Type=ether
Kind=!*

[Link]
RequiredForOnline=no

[Network]
DHCP=yes

[DHCPv4]
ClientIdentifier=mac

[DHCPv6]
DUIDType=link-layer
END
}

#!/bin/sh
# shellcheck shell=dash disable=SC1091,SC2034,SC2154 # root and rootok are dracut's, and so are the sourced files
# Says what this boot is: live, rescue, node, or none of ours. Reads which words are there, not what they ask.

command -v getarg >/dev/null || . /lib/dracut-lib.sh
. /lib/autoinstall-lib.sh
# livenet of dracut 106, which comes next, calls this library before it loads it, and complains on the console.
! [ -e /lib/url-lib.sh ] || . /lib/url-lib.sh

# The machine's own LVM and MD must not come up under an installer that may tear them down, nor partitions of a map that
# it writes to. Rules in /run override those of the same name in /usr, here and, because /run is handed over, in the live
# system.
autoinstall_mask_activation() {
    local _rule
    mkdir -p /run/udev/rules.d
    for _rule in 69-lvm 69-dm-lvm 64-lvm 64-md-raid-assembly 65-md-incremental 56-dm-mpath 60-kpartx; do
        ln -sf /dev/null "/run/udev/rules.d/$_rule.rules"
    done
}

# How livenet's curl behaves: by itself it waits for ever, and leaves half a file that is then taken for a whole one.
autoinstall_limit_fetching() {
    [ -n "$CURL_HOME" ] || return 0
    printf '%s\n' remove-on-error connect-timeout=20 speed-limit=1 speed-time=30 >"$CURL_HOME/.curlrc"
}

# getargbool takes `false` for yes, the installer for no.
autoinstall_is_rescue() {
    local _name
    for _name in rescue autoinstall.rescue; do
        ! getargbool 0 "$_name" || [ "$(getarg "$_name")" = false ] || return 0
    done
    return 1
}

# systemd itself reads the bare `rescue` alone: not rescue=1, and not autoinstall.rescue.
autoinstall_start_rescue() {
    echo rescue >"$AUTOINSTALL_RUN/mode"
    mkdir -p /run/systemd/system
    ln -sf /usr/lib/systemd/system/rescue.target /run/systemd/system/default.target
}

autoinstall_start_live() {
    if autoinstall_is_rescue; then
        autoinstall_start_rescue
    else
        echo live >"$AUTOINSTALL_RUN/mode"
    fi
    autoinstall_mask_activation
    autoinstall_dhcp_everywhere
    autoinstall_limit_fetching
}

# The disks of this node that have several paths, by their WWIDs, $1: whatever is a path is no disk, and gives way to
# its map in the names of partitions; here, and because /run is handed over, on the node.
autoinstall_expect_maps() {
    local _wwid
    printf '%s\n' "$1" | tr , '\n' >"$AUTOINSTALL_RUN/multipath"
    mkdir -p /run/udev/rules.d
    while read -r _wwid; do
        printf '%s, ' 'SUBSYSTEM=="block", KERNEL=="sd*"' "ENV{ID_SERIAL}==\"$_wwid\"" \
            'ENV{DM_MULTIPATH_DEVICE_PATH}="1", ENV{ID_FS_TYPE}="mpath_member", ENV{SYSTEMD_READY}="0"'
        echo 'OPTIONS+="link_priority=-100"'
    done <"$AUTOINSTALL_RUN/multipath" >/run/udev/rules.d/62-autoinstall-paths.rules
}

# Waits for the slot: for the device, and where the disk has several paths, for the one that is on its map.
autoinstall_wait_for_slot() {
    local _dev _maps
    _dev=$(label_uuid_to_dev "${root#autoinstall:}")
    if _maps=$(getarg rd.autoinstall.multipath=); then
        autoinstall_expect_maps "$_maps"
        printf '%s\n' ". /lib/autoinstall-lib.sh" "autoinstall_is_whole $_dev" \
            >"$hookdir/initqueue/finished/autoinstall-slot.sh"
    else
        wait_for_dev -n "$_dev"
    fi
}

autoinstall_start_node() {
    echo node >"$AUTOINSTALL_RUN/mode"
    getarg rd.autoinstall.slot= >"$AUTOINSTALL_RUN/slot-name"
    # The boot loader says so where this slot never came up healthy, and the other one did.
    ! getargbool 0 rd.autoinstall.trial || : >"$AUTOINSTALL_RUN/trial"
    autoinstall_wait_for_slot
    rootok=1
}

mkdir -p "$AUTOINSTALL_RUN"
case "$root" in
live:*) autoinstall_start_live ;;
autoinstall:*) autoinstall_start_node ;;
*) return 0 ;;
esac
: >"$AUTOINSTALL_RUN/$(autoinstall_mode)"

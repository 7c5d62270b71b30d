#!/bin/sh
# shellcheck shell=dash disable=SC1091,SC2034,SC2154 # root, hook and hookdir are dracut's, and so are the sourced files
# A boot that ended in the initramfs: somebody is told, and the machine does what autoinstall.on_failure says.
#
# dracut sources this before it would open a shell (emergency) or switch off (shutdown-emergency). In a live
# boot it comes back only where a shell was asked for by word; a node always starts again: its boot loader
# counts, and takes the other slot in the end.

command -v getarg >/dev/null || . /lib/dracut-lib.sh
. /lib/autoinstall-lib.sh

# For whoever reads the console of a node that starts again.
AUTOINSTALL_READING_TIME_S=10

# Prints why, in one line.
autoinstall_reason() {
    local _line _dev
    cat "$AUTOINSTALL_RUN/hung" 2>/dev/null && return 0
    # die leaves its reason as a command line: warn dracut: FATAL: "reason"
    while read -r _line; do
        case "$_line" in *'FATAL: '*) printf '%s\n' "${_line#*FATAL: }" && return 0 ;; esac
    done 2>/dev/null <"$hookdir/emergency/01-die.sh"
    # livenet's, which puts its own name into root. It leaves that file when it has begun to fetch.
    case "$netroot" in
    livenet:*)
        if [ -e /tmp/livenet.downloaded ]; then
            echo "${netroot#livenet:} could not be fetched"
        else
            echo "no NIC got an address to fetch ${netroot#livenet:} with"
        fi
        return 0
        ;;
    esac
    _dev=$(label_uuid_to_dev "${root#*:}")
    if autoinstall_is_whole "$_dev"; then
        echo "the system on $_dev could not be mounted"
    else
        echo "$_dev was not found"
    fi
}

# Keeps on Logging why this boot of a node fails, for the slot that comes up after it; node/fallback.py reads it.
autoinstall_keep() {
    local _dev _kept="$AUTOINSTALL_RUN/kept"
    [ -e "$AUTOINSTALL_RUN/trial" ] || return 0
    _dev=$(label_uuid_to_dev "$(getarg rd.autoinstall.logging=)")
    autoinstall_is_whole "$_dev" || return 0
    mkdir -p "$_kept"
    mount -t ext4 -o rw,nosuid,nodev,noexec "$_dev" "$_kept" 2>/dev/null || return 0
    mkdir -p "$_kept/autoinstall"
    printf '{"slot":"%s","when":%s,"why":["%s"]}\n' "$(cat "$AUTOINSTALL_RUN/slot-name")" "$(date +%s)" "$1" \
        >>"$_kept/autoinstall/trials.jsonl"
    umount "$_kept"
}

autoinstall_tell_failure() {
    local _reason
    [ -e "$AUTOINSTALL_RUN/failed" ] && return 0
    : >"$AUTOINSTALL_RUN/failed"
    _reason="booting, in the initramfs: $(autoinstall_plain "$(autoinstall_reason)")"
    autoinstall_say "autoinstall: failed: $_reason"
    autoinstall_keep "$_reason"
    autoinstall_report "$(printf '{"event_type":"result","result":"failed","exit_code":4,"stage":"initramfs",')$(
        printf '"mode":"%s","timestamp":%s,"reasons":["%s"]}' "$(autoinstall_mode)" "$(date +%s)" "$_reason"
    )"
    autoinstall_say "autoinstall: result=failed"
}

# Never returns.
autoinstall_hold() {
    while :; do sleep 3600; done
}

# $1: seconds
autoinstall_reboot() {
    case "$1" in '' | *[!0-9]*) ;; *) sleep "$1" ;; esac
    reboot -f
    autoinstall_hold
}

# Lets dracut open its shell, without a password: root has none, and sulogin refuses a locked account.
autoinstall_shell() {
    mkdir -p /etc/cmdline.d
    # For sulogin: the one in root's passwd entry is not in the initramfs.
    export SUSHELL=/bin/sh
    echo SYSTEMD_SULOGIN_FORCE=1 >/etc/cmdline.d/99-autoinstall-shell.conf
    # die itself opens none, but switches off.
    [ "$hook" = emergency ] || systemctl start dracut-emergency.service
}

autoinstall_after_failure() {
    local _action
    [ "$(autoinstall_mode)" != node ] || autoinstall_reboot "$AUTOINSTALL_READING_TIME_S"
    _action=$(getarg autoinstall.on_failure= || getarg autoinstall.on-failure=)
    case "$_action" in
    reboot | reboot:*) autoinstall_reboot "${_action#*:}" ;;
    poweroff) poweroff -f && autoinstall_hold ;;
    shell) autoinstall_shell ;;
    *) autoinstall_hold ;;
    esac
}

# rd.break is somebody who wants to look around.
[ -n "$(autoinstall_mode)" ] && ! getarg rd.break >/dev/null || return 0
autoinstall_tell_failure
autoinstall_after_failure

#!/bin/sh
# shellcheck shell=dash disable=SC1091,SC2154 # hookdir and what is sourced are dracut's, or beside this
# The initramfs of a slot on trial did not get to the system in time. Told and ended as every boot that fails here is.

. /lib/dracut-lib.sh
. /lib/autoinstall-lib.sh

# Prints what systemd waits for, in one line.
autoinstall_waiting() {
    local _id _unit _type _state
    systemctl list-jobs --no-legend --plain | while read -r _id _unit _type _state; do
        case "$_unit $_state" in autoinstall-hung.*) ;; *' running') printf ' %s' "$_unit" ;; esac
    done
}

echo "it did not get to the system in time; waiting:$(autoinstall_waiting)" >"$AUTOINSTALL_RUN/hung"
. "$hookdir/emergency/99-boot-failed.sh"

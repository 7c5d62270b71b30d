#!/bin/sh
# shellcheck shell=dash disable=SC1091 # the sourced file
# Puts the disks of a node together that have several paths: the map of each, named by its WWID, and its partitions, as
# kpartx would call them. One path is enough; those that come later are added by multipathd of the node.

. /lib/autoinstall-lib.sh

# Prints the paths to the disk of WWID $1 that are there. One that the kernel gave up cannot be opened: with it there
# would be no map.
autoinstall_paths() {
    local _disk
    for _disk in /sys/class/block/sd*; do
        [ ! -e "$_disk/partition" ] || continue
        case $(cat "$_disk/device/state" 2>/dev/null) in *offline) continue ;; esac
        [ "$(udevadm info --query=property --property=ID_SERIAL --value --name="${_disk##*/}" 2>/dev/null)" = "$1" ] || continue
        printf '%s\n' "${_disk##*/}"
    done
}

# Makes a mapped device once. $1: name, $2: UUID, $3: table
autoinstall_mapped() {
    [ -e "/dev/mapper/$1" ] || dmsetup create "$1" --uuid "$2" --table "$3"
}

# Makes the map of the disk of WWID $1, once one of its paths shows partitions: a passive or dead one shows none.
autoinstall_map_disk() {
    local _paths _path _first='' _begin _count=0 _groups='' _part _number
    _paths=$(autoinstall_paths "$1")
    for _path in $_paths; do
        _count=$((_count + 1))
        _groups="$_groups service-time 0 1 2 /dev/$_path 1 1"
        if [ -z "$_first" ] && [ -e "/sys/class/block/$_path/${_path}1" ]; then
            _first=$_path
            _begin=$_count
        fi
    done
    [ -n "$_first" ] || return 1
    # Each path in a group of its own: the first that answers is used, the next when that one fails.
    autoinstall_mapped "$1" "mpath-$1" \
        "0 $(cat "/sys/class/block/$_first/size") multipath 0 0 $_count $_begin$_groups" || return 1
    for _part in "/sys/class/block/$_first/$_first"*; do
        _number=$(cat "$_part/partition")
        autoinstall_mapped "$1-part$_number" "part$_number-mpath-$1" \
            "0 $(cat "$_part/size") linear /dev/mapper/$1 $(cat "$_part/start")" || return 1
    done
}

[ -e "$AUTOINSTALL_RUN/multipath" ] || return 0
while read -r _wwid; do
    [ -e "$AUTOINSTALL_RUN/mapped.$_wwid" ] ||
        { autoinstall_map_disk "$_wwid" && : >"$AUTOINSTALL_RUN/mapped.$_wwid"; }
done <"$AUTOINSTALL_RUN/multipath"

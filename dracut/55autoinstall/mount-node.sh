#!/bin/sh
# shellcheck shell=dash disable=SC1091,SC2034,SC2154 # root and NEWROOT are dracut's, and so are the sourced files
# Assembles a node's root on $NEWROOT: slot, squashfs, Config, /etc, /var, Logging, /home.
#
# Without its slot there is no node: the boot fails, and the boot loader counts it. Without Config or Logging
# there is still one, that can be reached and repaired: it comes up with less, and says so.

command -v getarg >/dev/null || . /lib/dracut-lib.sh
. /lib/autoinstall-lib.sh

# How long a partition of the disk that the slot is on may take to show up.
AUTOINSTALL_PARTITION_LIMIT_S=20
# Of the memory: what /var may hold that does not last.
AUTOINSTALL_VAR_SIZE=25%

# overlayfs must not keep anything in the upper directory that refers to this very lower one: the lower one
# is another after an upgrade.
AUTOINSTALL_OVERLAY=nosuid,nodev,index=off,redirect_dir=off,metacopy=off

# Prints the device that the kernel word $1 names. Fails where it does not come within the limit.
autoinstall_device() {
    local _dev
    _dev=$(label_uuid_to_dev "$(getarg "$1")")
    [ -n "$_dev" ] || return 1
    udevadm wait --timeout="$AUTOINSTALL_PARTITION_LIMIT_S" "$_dev" 2>/dev/null || return 1
    autoinstall_is_whole "$_dev" || return 1
    printf '%s\n' "$_dev"
}

# Prints where the ext4 filesystem on $1 has the first backup of its superblock, for e2fsck: by the magic number and the
# block size, which no mount changes. Never guessed: an older filesystem may have left a backup elsewhere.
autoinstall_backup_superblock() {
    [ "$(dd if="$1" bs=1 skip=1080 count=2 2>/dev/null | tr '\357' E)" = SE ] || return 0
    case $(dd if="$1" bs=1 skip=1048 count=1 2>/dev/null | tr '\000\002' 14) in
    1) echo "-b 8193 -B 1024" ;;
    4) echo "-b 32768 -B 4096" ;;
    esac
}

# Repairs the ext4 filesystem on $1 as far as that needs no decision. Prints why it must not be written all the same.
# e2fsck -p does not look for the backup of a superblock that a power cut tore in two (tests/powercut): we do.
autoinstall_why_not_written() {
    local _device _backup _status
    _device=$(readlink -f "$1")
    if [ "$(cat "/sys/class/block/${_device##*/}/ro")" != 0 ]; then
        echo "$1 takes no writes"
        return 0
    fi
    e2fsck -p "$1" >/dev/null 2>&1
    _status=$?
    # 8: it could not even begin.
    if [ "$_status" = 8 ] && _backup=$(autoinstall_backup_superblock "$1") && [ -n "$_backup" ]; then
        # shellcheck disable=SC2086 # words
        e2fsck -p $_backup "$1" >/dev/null 2>&1
        _status=$?
    fi
    # 0: clean, 1 and 2: repaired.
    [ "$_status" -le 2 ] || echo "$1 needs e2fsck by hand"
}

# Maps root.squashfs of the slot by dm-verity. While the node comes up, a block that is not what the build made is a
# panic: the machine starts again, and the boot loader counts it. A node that is up gets a read error instead:
# autoinstall-verity.service puts the table without the panic in this one's place.
autoinstall_map_root() {
    local _loop
    _loop=$(losetup --find --show --read-only "$AUTOINSTALL_RUN/slot/root.squashfs") || return 1
    sed "s,@DEVICE@,$_loop,g" /etc/autoinstall.verity >"$AUTOINSTALL_RUN/verity" || return 1
    dmsetup create autoinstall-root --readonly --table "$(cat "$AUTOINSTALL_RUN/verity") 1 panic_on_corruption"
}

autoinstall_mount_root() {
    local _slot
    _slot=$(label_uuid_to_dev "${root#autoinstall:}")
    mkdir -p "$AUTOINSTALL_RUN/slot"
    mount -t ext4 -o ro,nosuid,nodev,noexec "$_slot" "$AUTOINSTALL_RUN/slot" ||
        die "the slot $_slot cannot be mounted"
    autoinstall_map_root || die "root.squashfs of the slot $_slot cannot be mapped, or is too short"
    mount -t squashfs -o ro /dev/mapper/autoinstall-root "$NEWROOT" ||
        die "root.squashfs of the slot $_slot cannot be mounted"
    [ -x "$NEWROOT/usr/lib/systemd/systemd" ] ||
        die "root.squashfs of the slot $_slot holds no system"
}

# Mounts Config on /config. Leaves in $AUTOINSTALL_RUN/config what became of it: rw, ro, none.
autoinstall_mount_config() {
    local _dev _why _state=rw
    if ! _dev=$(autoinstall_device rd.autoinstall.config=); then
        autoinstall_degraded config "the partition is not there"
        _state=none
    elif _why=$(autoinstall_why_not_written "$_dev") && [ -n "$_why" ]; then
        autoinstall_degraded config "$_why; what is changed now is lost at the next boot"
        _state=ro
    fi
    case "$_state" in
    # Without delayed allocation a new file is never there with nothing but zeros in it: not every tool that writes
    # to /etc waits for the disk (hostnamectl does not, see tests/powercut).
    rw) mount -t ext4 -o rw,nosuid,nodev,noatime,nodelalloc "$_dev" "$NEWROOT/config" ;;
    ro) mount -t ext4 -o ro,noload,nosuid,nodev "$_dev" "$NEWROOT/config" ;;
    esac || {
        autoinstall_degraded config "$_dev cannot be mounted"
        _state=none
    }
    echo "$_state" >"$AUTOINSTALL_RUN/config"
}

# Mounts an overlay on $NEWROOT/$1 whose changes are kept in $2; the layers below are $3, topmost first.
autoinstall_overlay() {
    mkdir -p "$2/upper" "$2/work"
    mount -t overlay autoinstall -o "$AUTOINSTALL_OVERLAY,lowerdir=$3,upperdir=$2/upper,workdir=$2/work" \
        "$NEWROOT/$1"
}

# Whether a file in the node's /etc says how a NIC is configured.
autoinstall_network_is_told() {
    set -- "$NEWROOT"/etc/systemd/network/*.network
    [ -e "$1" ]
}

# Mounts /etc. A node whose Config is not as it should be can be reached all the same.
autoinstall_mount_etc() {
    local _volatile="$AUTOINSTALL_RUN/volatile/etc" _kept="$NEWROOT/config/etc" _laid=""
    case "$(cat "$AUTOINSTALL_RUN/config")" in
    rw) autoinstall_overlay etc "$_kept" "$NEWROOT/etc" ;;
    ro) autoinstall_overlay etc "$_volatile" "$_kept/upper:$NEWROOT/etc" ;;
    none) false ;;
    esac && _laid=1
    # Below a damaged directory no file of the image is found either.
    if [ -z "$_laid" ] || [ ! -e "$NEWROOT/etc/passwd" ]; then
        [ -z "$_laid" ] || umount "$NEWROOT/etc"
        [ -e "$AUTOINSTALL_RUN/degraded.config" ] || autoinstall_degraded config "/etc cannot be laid over it"
        autoinstall_overlay etc "$_volatile" "$NEWROOT/etc"
    fi
    [ ! -e "$AUTOINSTALL_RUN/degraded.config" ] || autoinstall_network_is_told || autoinstall_dhcp_everywhere
}

autoinstall_mount_logging() {
    local _dev _why
    if ! _dev=$(autoinstall_device rd.autoinstall.logging=); then
        autoinstall_degraded logging "the partition is not there"
    elif _why=$(autoinstall_why_not_written "$_dev") && [ -n "$_why" ]; then
        autoinstall_degraded logging "$_why"
    elif ! mount -t ext4 -o rw,nosuid,nodev,noexec,noatime "$_dev" "$NEWROOT/var/log"; then
        autoinstall_degraded logging "$_dev cannot be mounted"
    else
        # What makes the journal last.
        mkdir -p "$NEWROOT/var/log/journal"
    fi
}

# Binds onto the volatile /var what must last, and /home. Config must be writable for it.
autoinstall_bind_lasting() {
    local _config="$NEWROOT/config" _name _path
    mkdir -p "$_config/var/lib/systemd"
    for _name in pstore timesync timers rfkill; do
        _path="var/lib/systemd/$_name"
        mkdir -p "$_config/$_path" "$NEWROOT/$_path"
        mount --bind "$_config/$_path" "$NEWROOT/$_path"
    done
    _path=var/lib/systemd/random-seed
    (umask 077 && : >>"$_config/$_path" && : >>"$NEWROOT/$_path")
    mount --bind "$_config/$_path" "$NEWROOT/$_path"
    [ ! -d "$_config/home" ] || mount --bind "$_config/home" "$NEWROOT/home"
}

# Where the machine has no watchdog, the kernel is one: a system that hangs above it is reset all the same. It panics for
# that, so that the platform may keep its last lines.
autoinstall_watch() {
    [ -e /dev/watchdog0 ] || modprobe -q softdog soft_panic=1
}

autoinstall_mount_node() {
    local _volatile="$AUTOINSTALL_RUN/volatile"
    autoinstall_watch
    modprobe -q -a loop squashfs overlay sha256-ssse3 dm-verity
    autoinstall_mount_root
    mkdir -p "$_volatile"
    mount -t tmpfs -o "mode=0755,nosuid,nodev,size=$AUTOINSTALL_VAR_SIZE" autoinstall "$_volatile"
    autoinstall_mount_config
    autoinstall_mount_etc
    autoinstall_overlay var "$_volatile/var" "$NEWROOT/var"
    autoinstall_mount_logging
    case "$(cat "$AUTOINSTALL_RUN/config")" in
    rw) autoinstall_bind_lasting ;;
    ro) mount --bind "$NEWROOT/config/home" "$NEWROOT/home" ;;
    esac
}

[ "$(autoinstall_mode)" = node ] || return 0
ismounted "$NEWROOT" || autoinstall_mount_node

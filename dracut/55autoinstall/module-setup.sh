#!/bin/bash
# shellcheck disable=SC2154 # initdir, moddir and systemdsystemunitdir are dracut's
# The initramfs half of autoinstall: says what this boot is, assembles a node's root, and tells of a failed boot.

check() {
    return 255
}

depends() {
    echo systemd-initrd dracut-systemd udev-rules dm rootfs-block fs-lib dmsquash-live
}

installkernel() {
    hostonly="" instmods loop squashfs overlay ext4 vfat iso9660 nls_ascii nls_cp437 nls_utf8 virtio_console \
        qemu_fw_cfg dm_verity sha256_ssse3 dm_multipath dm_service_time =drivers/watchdog
    # For arrays with an active and a passive side; the kernel for clouds has none of it.
    hostonly="" instmods scsi_dh_alua scsi_dh_rdac scsi_dh_emc scsi_dh_hp_sw
}

install() {
    local unit
    inst_multiple blkid cat date dd dmsetup e2fsck fsck.ext4 losetup mount mkdir reboot poweroff readlink sed sleep \
        timeout tr udevadm umount
    inst_simple "$moddir/autoinstall-lib.sh" /lib/autoinstall-lib.sh
    inst_simple /usr/lib/systemd/system.conf.d/autoinstall-watchdog.conf
    inst_simple "$moddir/boot-hung.sh" /lib/autoinstall-hung.sh
    for unit in autoinstall-hung.timer autoinstall-hung.service; do
        inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
    done
    $SYSTEMCTL -q --root "$initdir" add-wants sysinit.target autoinstall-hung.timer
    for unit in sysroot.mount systemd-networkd.service systemd-networkd.socket; do
        inst_simple "$moddir/not-on-a-node.conf" "$systemdsystemunitdir/$unit.d/not-on-a-node.conf"
    done
    # It would wait two minutes for a NIC with a link and no DHCP server. The initqueue asks each NIC, again and again.
    ln -sf /dev/null "$initdir/etc/systemd/system/systemd-networkd-wait-online.service"
    inst_hook cmdline 20 "$moddir/parse-autoinstall.sh"
    inst_hook initqueue/settled 20 "$moddir/map-disks.sh"
    inst_hook mount 50 "$moddir/mount-node.sh"
    inst_hook emergency 99 "$moddir/boot-failed.sh"
    inst_hook shutdown-emergency 99 "$moddir/boot-failed.sh"
    dracut_need_initqueue
}

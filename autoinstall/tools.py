"""The outside programs, and the Debian package that brings each: one row a program."""

from __future__ import annotations

PACKAGE_OF = {
    "addpart": "util-linux",
    "apt-get": "apt",
    "blkid": "util-linux",
    "blockdev": "util-linux",
    "delpart": "util-linux",
    "dmsetup": "dmsetup",
    "e2fsck": "e2fsprogs",
    "ip": "iproute2",
    "kexec": "kexec-tools",
    "lsblk": "util-linux",
    "lvcreate": "lvm2",
    "lvm": "lvm2",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mkswap": "util-linux",
    "mksquashfs": "squashfs-tools",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "networkctl": "systemd",
    "pvcreate": "lvm2",
    "ssh-keygen": "openssh-client",
    "systemctl": "systemd",
    "udevadm": "udev",
    "umount": "mount",
    "unshare": "util-linux",
    "vgchange": "lvm2",
    "vgcreate": "lvm2",
    "xorriso": "xorriso",
}

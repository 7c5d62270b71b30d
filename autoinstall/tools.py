"""The outside programs, and the Debian package that brings each: one row a program."""

from __future__ import annotations

PACKAGE_OF = {
    "/usr/lib/apt/apt-helper": "apt",
    "apt-get": "apt",
    "blkid": "util-linux",
    "gpg": "gpg",
    "gpgv": "gpgv",
    "ip": "iproute2",
    "kexec": "kexec-tools",
    "lvm": "lvm2",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mksquashfs": "squashfs-tools",
    "mkswap": "util-linux",
    "mmd": "mtools",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "networkctl": "systemd",
    "newuidmap": "uidmap",
    "ssh-keygen": "openssh-client",
    "systemctl": "systemd",
    "tar": "tar",
    "udevadm": "udev",
    "umount": "mount",
    "unshare": "util-linux",
    "veritysetup": "cryptsetup-bin",
    "vgchange": "lvm2",
    "xorriso": "xorriso",
}

#!/bin/sh
# The layout of a node, made by hand: the least that a person would write for it. Nothing is checked beforehand, read
# back, or safe against a power cut. make bench compares the product with it.
#
# by-hand.sh DISK IMAGE PUBLIC-KEY    prints each part's name and the seconds since boot at its end
set -eu
disk=$1 image=$2 key=$3
mnt=/run/by-hand

done_with() {
    read -r now _ </proc/uptime
    echo "$1 $now"
}

done_with start
sfdisk --quiet --wipe always "$disk" <<END
label: gpt
size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=BIOS-boot
size=272MiB, type=uefi, name=EFI
size=2048MiB, name=Root-A
size=2048MiB, name=Root-B
size=256MiB, name=Config
size=2048MiB, name=Logging
type=lvm, name=HostVG
END
udevadm settle
done_with sfdisk

{
    pvcreate --yes "${disk}7"
    vgcreate HostVG "${disk}7"
    lvcreate --yes --size 820M --name Swap HostVG
    lvcreate --yes --extents 100%FREE --name Data HostVG
} >/dev/null
done_with LVM

mkfs.vfat -F 32 -n EFI "${disk}2" >/dev/null
mkfs.ext4 -q -F -O ^has_journal -L Root "${disk}3"
mkfs.ext4 -q -F -O ^has_journal -L RootBackup "${disk}4"
mkfs.ext4 -q -F -L CONFIG "${disk}5"
mkfs.ext4 -q -F -L LOGGING "${disk}6"
mkswap --quiet --label SWAP /dev/HostVG/Swap
mkfs.ext4 -q -F -L DATA /dev/HostVG/Data
done_with mkfs

for part in 2 3 4 5; do
    mkdir -p "$mnt/$part"
    mount "$disk$part" "$mnt/$part"
done
for slot in 3 4; do
    cp "$image/vmlinuz" "$image/initrd.img" "$image/root.squashfs" "$image/manifest.json" "$mnt/$slot"
    sync --file-system "$mnt/$slot"
done
done_with copy

grub-install --target=i386-pc --boot-directory="$mnt/2" "$disk"
done_with grub-install-bios
grub-install --target=x86_64-efi --efi-directory="$mnt/2" --boot-directory="$mnt/2" --removable --no-nvram
for slot in A:3 B:4; do
    cat <<END
menuentry "Slot ${slot%:*}" {
  search --no-floppy --set=slot --label $([ "$slot" = A:3 ] && echo Root || echo RootBackup)
  linux (\$slot)/vmlinuz root=autoinstall:PARTLABEL=Root-${slot%:*} rd.autoinstall.slot=${slot%:*} console=ttyS0 rd.autoinstall.config=PARTLABEL=Config rd.autoinstall.logging=PARTLABEL=Logging
  initrd (\$slot)/initrd.img
}
END
done >"$mnt/2/grub/grub.cfg"
done_with grub-install-uefi

etc=$mnt/5/etc/upper
mkdir -p "$etc/ssh/sshd_config.d" "$etc/sudoers.d" "$etc/systemd/network" "$mnt/5/etc/work" "$mnt/5/home/admin/.ssh"
tr -d - </proc/sys/kernel/random/uuid >"$etc/machine-id"
echo node-by-hand >"$etc/hostname"
printf 'LABEL=SWAP none swap nofail 0 0\nLABEL=DATA /data ext4 nofail,nodev,nosuid 0 2\n' >"$etc/fstab"
printf 'PasswordAuthentication no\nPermitRootLogin no\n' >"$etc/ssh/sshd_config.d/10-node.conf"
printf '[Match]\nType=ether\n[Network]\nDHCP=ipv4\n[DHCPv4]\nClientIdentifier=mac\n' >"$etc/systemd/network/10-node.network"
(umask 337 && echo 'admin ALL=(ALL:ALL) NOPASSWD: ALL' >"$etc/sudoers.d/admin")
echo "$key" >"$mnt/5/home/admin/.ssh/authorized_keys"
chown -R admin:admin "$mnt/5/home/admin"
chmod -R go= "$mnt/5/home/admin"
ssh-keygen -q -t ed25519 -N '' -f "$etc/ssh/ssh_host_ed25519_key"
ssh-keygen -q -t ecdsa -N '' -f "$etc/ssh/ssh_host_ecdsa_key"
done_with config

umount "$mnt/2" "$mnt/3" "$mnt/4" "$mnt/5"
vgchange --activate n HostVG >/dev/null
sync
done_with close

#!/bin/sh
# Whole systems: Debian's installer from its medium to its list of languages, a Debian on a disk through BIOS and UEFI, one that
# cloud-init sets up at its first boot, Xen with Linux as its first domain, and programs of UEFI. Half an hour or more.
#   systems-long.sh ISOLA [PART...]      parts: installer disk cloud xen uefi
. "$(dirname "$0")/lib.sh"
shift
command -v xorriso >/dev/null || skip "xorriso is missing: install package xorriso"
here=$(dirname "$(realpath "$0")")
files=$guests/files
start() { timeout 60 "$isola" run --vm -d --name "$@" >/dev/null || die "start $*"; }
took() { echo "ok: $* ($(($(date +%s) - begun)) s)"; }

# shows NAME X Y COLOUR WIDTH HEIGHT SECONDS: that point of its picture.
shows() {
    until=$(($(date +%s) + $7))
    until [ "$(timeout 60 "$isola" screenshot "$1" "$work/shot.png" && python3 "$here/png.py" "$work/shot.png" "$2" "$3" 2>/dev/null)" = "$4 $5 $6" ]; do
        [ "$(date +%s)" -lt "$until" ] || die "$1 shows $(python3 "$here/png.py" "$work/shot.png" "$2" "$3") and not $4 $5 $6"
        sleep 2
    done
}

part_installer() {
    "$top/tools/guest" files "$files" debian-installer-12-netboot-amd64 isolinux syslinux-common >&2 || die "packages"
    "$here/installer-medium" "$files" "$work/medium.iso" >"$work/out" 2>&1 || { cat "$work/out"; die "medium"; }
    begun=$(date +%s)
    start bios --memory 1g --cdrom "$work/medium.iso"
    shows bios 450 192 76a1d0 640 480 300 # "Install" is marked
    keys bios down
    shows bios 450 208 76a1d0 640 480 60
    keys bios up
    shows bios 450 192 76a1d0 640 480 60
    keys bios enter
    languages bios
    gone bios
    begun=$(date +%s)
    start uefi --memory 1g --firmware uefi --vga std --cdrom "$work/medium.iso"
    says uefi 'BdsDxe: starting' 600
    sleep 20 # its menu is a picture whose text has smooth edges
    keys uefi enter
    languages uefi
    gone uefi
}
# "English" is marked in the list; a key moves the mark.
languages() {
    shows "$1" 600 377 aa0000 1024 768 3000
    keys "$1" down
    shows "$1" 600 393 aa0000 1024 768 60
    shows "$1" 600 377 aaaaaa 1024 768 60
    took "Debian's installer to its list of languages through $1"
}

part_disk() {
    "$top/tools/guest" system "$guests/system" >&2 || die "no system"
    "$here/system-disk" "$guests/system/system.tar" "$work/system.img" >"$work/out" 2>&1 || { cat "$work/out"; die "system-disk"; }
    for firmware in bios uefi; do
        begun=$(date +%s)
        platform=$firmware options=
        [ $firmware = uefi ] && platform=efi options="--firmware uefi" || platform=pc
        # shellcheck disable=SC2086
        start $firmware --memory 512m $options "$work/system.img"
        says $firmware "GRUB on $platform" 600
        says $firmware 'isola login:' 3000
        took "a whole Debian to its login through $firmware"
        timeout 900 "$isola" stop -t 800 $firmware >/dev/null || die "stop"
        [ "$(timeout 60 "$isola" wait $firmware)" = 0 ] || die "the power button did not shut it down"
        gone $firmware
    done
    ok "the power button shuts it down"
}

part_cloud() {
    "$top/tools/guest" system "$guests/cloud-init" cloud-init,sudo >&2 || die "no system"
    "$here/system-disk" "$guests/cloud-init/system.tar" "$work/cloud.img" >"$work/out" 2>&1 || { cat "$work/out"; die "system-disk"; }
    timeout 600 "$isola" disk convert "$work/cloud.img" "$work/cloud.qcow2" >/dev/null || die "convert"
    rm "$work/cloud.img"
    cat >"$work/user-data" <<'S'
#cloud-config
hostname: lagoon
locale: false
ssh_genkeytypes: []
users:
  - name: ann
    shell: /bin/bash
write_files:
  - path: /etc/from-user-data
    content: as it was asked for
bootcmd:
  - [sh, -c, "echo booting after $(cat /var/lib/runs 2>/dev/null | wc -l) runs >/dev/ttyS0"]
runcmd:
  - [sh, -c, "echo run >>/var/lib/runs; echo first boot: $(hostname), $(id -un ann), $(cat /etc/from-user-data) >/dev/ttyS0"]
S
    begun=$(date +%s)
    start cloud --memory 512m --disk "$work/cloud.qcow2" --user-data "$work/user-data"
    says cloud 'booting after 0 runs' 3000
    says cloud 'first boot: lagoon, ann, as it was asked for' 3000
    says cloud 'lagoon login:' 3000
    took "cloud-init does at the first boot what --user-data says"
    timeout 900 "$isola" stop -t 800 cloud >/dev/null || die "stop"
    begun=$(date +%s)
    timeout 60 "$isola" start cloud >/dev/null || die "start"
    says cloud 'booting after 1 runs' 3000
    until=$(($(date +%s) + 3000))
    until [ "$(grep -ac 'Cloud-init v.* finished at' "$work/said")" = 2 ]; do
        [ "$(date +%s)" -lt "$until" ] || { tail -20 "$work/said"; die "cloud-init does not finish the second time"; }
        sleep 2
        timeout 60 "$isola" logs cloud | tr -d '\r' >"$work/said"
    done
    [ "$(grep -ac 'first boot: lagoon' "$work/said")" = 1 ] || die "user data ran at the second boot again"
    took "and does not do it again at the second"
    gone cloud
}

part_xen() {
    "$top/tools/guest" files "$files" xen-hypervisor-4.17-amd64 >&2 || die "packages"
    guest_kernel generic # the cloud kernel is not built for a first domain
    mkdir -p "$work/cd/boot/grub"
    cp "$files"/xen-hypervisor-4.17-amd64/boot/xen-4.17-amd64.gz "$guests/generic/vmlinuz" "$guests/generic/initrd.img" "$work/cd/boot/"
    run=$(printf 'cat /sys/hypervisor/type /sys/hypervisor/version/major /sys/hypervisor/properties/features; ls /proc/xen /dev/xen' | base64 -w0)
    cat >"$work/cd/boot/grub/grub.cfg" <<S
multiboot2 /boot/xen-4.17-amd64.gz console=com1 com1=115200,8n1 noreboot=1
module2 /boot/vmlinuz console=hvc0 quiet panic=-1 cryptomgr.notests isola.run=$run
module2 /boot/initrd.img
boot
S
    grub-mkimage -O i386-pc-eltorito -o "$work/cd/boot/grub/eltorito.img" -p /boot/grub biosdisk iso9660 normal multiboot2 gzio || die "grub-mkimage"
    xorriso -as mkisofs -quiet -o "$work/xen.iso" -r -b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table \
        "$work/cd" >"$work/out" 2>&1 || { cat "$work/out"; die "xorriso"; }
    begun=$(date +%s)
    start xen --memory 512m --cdrom "$work/xen.iso"
    says xen 'Xen version 4.17' 600
    says xen 'isola-status: ' 3000
    { grep -qx xen "$work/said" && grep -qx 4 "$work/said"; } || { tail -20 "$work/said"; die "Linux does not see Xen"; }
    took "Xen and Linux as its first domain"
    gone xen
}

part_uefi() {
    "$top/tools/guest" files "$files" memtest86+ systemd-boot-efi refind >&2 || die "packages"
    guest_kernel cloud
    esp "$files/memtest86+/boot/memtest86+x64.efi"
    begun=$(date +%s)
    start memtest --memory 256m --firmware uefi "$work/esp.img"
    shows memtest 300 400 0000aa 640 480 900
    took "Memtest86+ by UEFI"
    gone memtest
    esp "$files/refind/usr/share/refind/refind/refind_x64.efi"
    mcopy -s -i "$work/esp.img" "$files/refind/usr/share/refind/refind/icons" ::EFI/BOOT/
    begun=$(date +%s)
    start refind --memory 256m --firmware uefi "$work/esp.img"
    shows refind 10 10 d0d0d0 1024 768 900
    took "rEFInd"
    gone refind
    esp "$files/systemd-boot-efi/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
    printf 'title Debian\nlinux /vmlinuz\ninitrd /initrd.img\noptions console=ttyS0 quiet panic=-1 cryptomgr.notests isola.run=%s\n' \
        "$(printf '[ -e /sys/firmware/efi ]' | base64 -w0)" >"$work/debian.conf"
    mmd -i "$work/esp.img" ::loader ::loader/entries
    mcopy -i "$work/esp.img" "$work/debian.conf" ::loader/entries/debian.conf
    mcopy -i "$work/esp.img" "$guests/cloud/vmlinuz" "$guests/cloud/initrd.img" ::
    begun=$(date +%s)
    start sdboot --memory 256m --firmware uefi "$work/esp.img"
    says sdboot 'isola-status: 0' 3000
    took "systemd-boot and the kernel's own UEFI entry"
    gone sdboot
}
# esp PROGRAM: a disk whose only file UEFI starts.
esp() {
    rm -f "$work/esp.img"
    truncate -s 64M "$work/esp.img"
    PATH=$PATH:/sbin:/usr/sbin mkfs.vfat "$work/esp.img" >/dev/null || die "mkfs.vfat"
    mmd -i "$work/esp.img" ::EFI ::EFI/BOOT
    mcopy -i "$work/esp.img" "$1" ::EFI/BOOT/BOOTX64.EFI || die "mcopy $1"
}

[ $# -gt 0 ] || set -- installer disk cloud xen uefi
for part in "$@"; do "part_$part"; done

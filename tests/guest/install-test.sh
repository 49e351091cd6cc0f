#!/bin/sh
# A system is installed from a medium by keys, with a look at the screen before each: GRUB's menu of the CD, an installer's questions, and
# afterwards the disk, which boots alone.
. "$(dirname "$0")/lib.sh"
command -v xorriso >/dev/null || skip "xorriso is missing: install package xorriso"
here=$(dirname "$(realpath "$0")")
guest_kernel cloud

# What will be on the disk: the kernel, an initrd that goes on to the root file system, busybox and an init.
mkdir -p "$work/system/boot/grub" "$work/system/bin" "$work/system/sbin" "$work/system/etc"
for d in proc sys dev run root tmp; do mkdir "$work/system/$d"; done
cp "$guests/cloud/vmlinuz" "$guests/cloud/initrd.img" "$work/system/boot/"
cp "$(command -v busybox)" "$work/system/bin/busybox"
ln -s busybox "$work/system/bin/sh"
cat >"$work/system/sbin/init" <<'S'
#!/bin/sh
/bin/busybox setsid /bin/sh -c 'exec </dev/tty1 >/dev/tty1 2>&1; /bin/busybox clear
printf "%s on %s, login: " "$(cat /etc/hostname)" "$(/bin/busybox grep -o "/dev/vd[a-z]*[0-9]" /proc/mounts)"
read -r who; echo "Welcome, $who."; read -r end; /bin/busybox mount -o remount,ro /; /bin/busybox poweroff -f'
S
chmod 755 "$work/system/sbin/init"
cat >"$work/system/boot/grub/grub.cfg" <<'S'
linux /boot/vmlinuz quiet panic=-1 cryptomgr.notests isola.root=/dev/vda1 isola.init=/sbin/init
initrd /boot/initrd.img
boot
S

# The medium: its initrd is that of the guests with the installer in place of its /init.
mkdir -p "$work/add/payload" "$work/cd/boot/grub"
tar -C "$work/system" --owner=0 --group=0 -cf "$work/add/payload/system.tar" .
grub-mkimage -O i386-pc -o "$work/add/payload/core" -p '(hd0,msdos1)/boot/grub' biosdisk part_msdos ext2 normal linux || die "grub-mkimage"
cp /usr/lib/grub/i386-pc/boot.img "$work/add/payload/"
cp "$here/installer-init" "$work/add/init"
cp "$here/installer" "$work/add/installer"
chmod 755 "$work/add/init"
(cd "$work/add" && find . | cpio -o -H newc --quiet -R 0:0) >"$work/add.img"
cp "$guests/cloud/vmlinuz" "$work/cd/boot/"
cat "$guests/cloud/initrd.img" "$work/add.img" >"$work/cd/boot/initrd.img"
cat >"$work/cd/boot/grub/grub.cfg" <<'S'
set timeout=-1
menuentry "Boot from disk" { exit }
menuentry "Install" {
    linux /boot/vmlinuz quiet panic=-1 cryptomgr.notests
    initrd /boot/initrd.img
}
S
grub-mkimage -O i386-pc-eltorito -o "$work/cd/boot/grub/eltorito.img" -p /boot/grub biosdisk iso9660 normal linux || die "grub-mkimage"
xorriso -as mkisofs -quiet -o "$work/cd.iso" -r -b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table "$work/cd" >"$work/out" 2>&1 ||
    { cat "$work/out"; die "xorriso"; }

truncate -s 64M "$work/one.img" "$work/two.img"
timeout 60 "$isola" run --vm -d --name medium --memory 256m --disk "$work/one.img" --disk "$work/two.img" --cdrom "$work/cd.iso" >/dev/null || die "start"
sees medium '*Boot from disk'
keys medium down
sees medium '*Install'
ok "a key moves the selection of the medium's menu"
keys medium enter
sees medium ' > vda 64 MiB'
keys medium down
sees medium ' > vdb 64 MiB'
keys medium enter
sees medium 'Name of the system:'
typed medium "harbour
"
sees medium 'Everything on /dev/vdb will be lost.'
keys medium down
sees medium ' > install harbour on /dev/vdb'
timeout 60 "$isola" screenshot medium "$work/shot.png" || die "screenshot"
# The selected line is shown the other way round: its background is light in the picture as well.
[ "$(python3 "$here/png.py" "$work/shot.png" 500 56)" = "000000 720 400" ] && [ "$(python3 "$here/png.py" "$work/shot.png" 28 49)" = "aaaaaa 720 400" ] ||
    die "the picture is not that of the menu: $(python3 "$here/png.py" "$work/shot.png" 28 49)"
keys medium enter
sees medium 'harbour is installed on /dev/vdb.'
ok "an installer is worked by keys"
keys medium enter
[ "$(timeout 120 "$isola" wait medium)" = 0 ] || die "the installer's machine did not power off"
cmp -s -n 67108864 "$work/one.img" /dev/zero || die "the other disk was written to"
ok "the other disk is untouched"

timeout 60 "$isola" run --vm -d --name harbour --memory 256m "$work/two.img" >/dev/null || die "start from the disk"
sees harbour 'harbour on /dev/vda1, login:'
typed harbour "ann
"
sees harbour 'Welcome, ann.'
keys harbour enter
[ "$(timeout 120 "$isola" wait harbour)" = 0 ] || die "the system did not power off"
ok "the installed system boots alone from its disk"

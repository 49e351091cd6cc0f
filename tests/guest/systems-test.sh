#!/bin/sh
# Small systems from Debian's packages, started by firmware and worked by keys: the boot menu of SeaBIOS, GRUB's rescue discs, iPXE,
# Memtest86+ and GNU Mach by GRUB, U-Boot as firmware.
. "$(dirname "$0")/lib.sh"
command -v xorriso >/dev/null || skip "xorriso is missing: install package xorriso"
command -v nasm >/dev/null || skip "nasm is missing"
here=$(dirname "$(realpath "$0")")
files=$guests/files
mach=gnumach-image-1.8-486
"$top/tools/guest" files "$files" ipxe grub-rescue-pc memtest86+ u-boot-qemu $mach >&2 || die "packages"
rescue=$files/grub-rescue-pc/usr/lib/grub-rescue
# The BIOS keeps 15 keys for who has no time for them: no line that is typed here is longer.
start() { timeout 60 "$isola" run --vm -d --name "$@" >/dev/null || die "start $*"; }

# A disk that could boot, and a CD that is chosen instead.
nasm -f bin -o "$work/game" "$here/game.asm" || die "nasm"
truncate -s 1M "$work/game"
start menu --memory 64m --boot-menu --disk "$work/game,format=raw" --cdrom "$rescue/grub-rescue-cdrom.iso"
sees menu 'Press ESC for boot menu'
keys menu esc
sees menu 'Select boot device:'
sees menu '. DVD/CD'
keys menu "$(screen_of menu | sed -n 's/^\([1-9]\)\. DVD.*/\1/p')"
sees menu '*GNU/Linux'
ok "the boot menu of SeaBIOS: the CD is chosen by a key"
keys menu down down
sees menu '*FreeBSD'
keys menu c
sees menu 'grub>'
typed menu "ls
"
sees menu '(cd)'
typed menu "set a=42
"
sees menu 'grub> set a=42'
typed menu "echo it is \$a
"
sees menu "it is 42"
ok "GRUB's rescue CD: menu and command line"
gone menu

cp "$rescue/grub-rescue-floppy.img" "$work/floppy.img"
chmod 644 "$work/floppy.img"
truncate -s 1474560 "$work/floppy.img"
start floppy --memory 64m --floppy "$work/floppy.img"
sees floppy '*GNU/Linux'
gone floppy
ok "GRUB's rescue diskette"

start ipxe --memory 128m --cdrom "$files/ipxe/usr/lib/ipxe/ipxe.iso"
sees ipxe 'Press Ctrl-B for the iPXE command line'
keys ipxe ctrl-b
sees ipxe 'iPXE>'
typed ipxe "dhcp
"
sees ipxe '(net0 52:54:'
sees ipxe '...... ok'
typed ipxe "show net0/ip
"
sees ipxe 'net0.dhcp/ip:ipv4 = 10.0.2.15'
gone ipxe
ok "iPXE has an address by DHCP and takes commands"

# Without a drive the network is what is left to boot from: iPXE in the ROM of each adapter.
for nic in virtio e1000; do
    [ -e /usr/lib/ipxe/qemu/pxe-$nic.rom ] || skip "package ipxe-qemu is missing"
    start rom --memory 128m --nic $nic --firmware bios
    says rom 'Booting from ROM'
    sees rom 'net0: 10.0.2.15'
    gone rom
    ok "network boot by the ROM of $nic"
done

# One CD with what GRUB loads in different ways: boot protocols of Linux, 16 and 32 bits, and Multiboot.
mkdir -p "$work/cd/boot/grub"
cp "$files"/memtest86+/boot/memtest86+*.bin "$files/ipxe/boot/ipxe.lkrn" "$work/cd/boot/" || die "cp"
gzip -dc "$files/$mach"/boot/gnumach*.gz >"$work/cd/boot/mach" || die "gnumach"
cat >"$work/cd/boot/grub/grub.cfg" <<'S'
set timeout=-1
menuentry "memtest" { linux /boot/memtest86+x64.bin
}
menuentry "memtest by 16 bits" { linux16 /boot/memtest86+ia32.bin
}
menuentry "ipxe by 16 bits" { linux16 /boot/ipxe.lkrn
}
menuentry "mach" { multiboot /boot/mach console=com0
}
S
grub-mkimage -O i386-pc-eltorito -o "$work/cd/boot/grub/eltorito.img" -p /boot/grub biosdisk iso9660 normal linux linux16 multiboot || die "grub-mkimage"
xorriso -as mkisofs -quiet -o "$work/cd.iso" -r -b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table "$work/cd" >"$work/out" 2>&1 ||
    { cat "$work/out"; die "xorriso"; }
# entry NAME TITLE KEYS...
entry() {
    name=$1 title=$2
    shift 2
    start "$name" --memory 128m --cdrom "$work/cd.iso"
    sees "$name" '*memtest'
    [ $# = 0 ] || keys "$name" "$@"
    sees "$name" "*$title "
    keys "$name" enter
}
for bits in 64 32; do
    case $bits in
    64) entry memtest memtest ;;
    32) entry memtest 'memtest by 16 bits' down ;;
    esac
    sees memtest 'Memtest86+ v6.10'
    sees memtest 'Testing: '
    i=0
    until screen_of memtest | grep -qE 'Pass +([2-9]|[1-9][0-9])%'; do
        i=$((i + 1))
        [ $i -lt 400 ] || { screen_of memtest | grep .; die "Memtest86+ of $bits bits does not get on"; }
        sleep 0.5
    done
    screen_of memtest | grep -qE 'Errors: +0' || { screen_of memtest; die "Memtest86+ of $bits bits finds errors"; }
    gone memtest
    ok "Memtest86+ of $bits bits finds no errors in its first two percent"
done
entry lkrn 'ipxe by 16 bits' down down
sees lkrn 'net0: 10.0.2.15'
gone lkrn
ok "iPXE as a kernel of 16 bits"
entry mach mach down down down
# It was given no bootstrap module, which is as far as it comes alone.
says mach 'RTC time is'
says mach 'No bootstrap code loaded with the kernel'
gone mach
ok "GNU Mach by Multiboot"

# U-Boot's own driver of the e1000 asks the DHCP server; what it is told comes on the serial line.
mkfifo "$work/in"
timeout -k 5 300 "$isola" run --vm --rm -i --name uboot --memory 128m --nic e1000 --vga none --cdrom none \
    --firmware "$files/u-boot-qemu/usr/lib/u-boot/qemu-x86/u-boot.rom" <"$work/in" >"$work/out" 2>"$work/err" &
exec 3>"$work/in"
answers() {
    until=$(($(date +%s) + 120))
    until grep -qF -e "$1" "$work/out"; do
        [ "$(date +%s)" -lt "$until" ] || { show; die "U-Boot does not say: $1"; }
        sleep 0.5
    done
}
answers 'Hit any key'
printf '\n\n' >&3
answers '=> '
printf 'setenv autoload no; dhcp\n' >&3
answers 'DHCP client bound to address 10.0.2.15'
printf 'ping 10.0.2.2\n' >&3
answers 'host 10.0.2.2 is alive'
gone uboot
exec 3>&-
wait
ok "U-Boot as firmware: DHCP and ping by its driver of the e1000"

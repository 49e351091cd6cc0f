#!/bin/sh
# A screen in text mode on a terminal (--display text): vgacon on a kernel that is loaded directly, typed to through the PS/2
# keyboard, with colours, the speaker's bell, sizes, pictures, detaching and the end of the machine.
. "$(dirname "$0")/lib.sh"
guest_kernel generic
here=$(dirname "$(realpath "$0")")
on_terminal() { timeout -k 5 300 python3 -u "$here/terminal.py" "$@"; }

cat >"$work/script" <<'S'
exec </dev/tty1 >/dev/tty1 2>&1
stty -echo
printf '\033[1;33;44mcolour\033[0m\n'
echo step 1
read -r line; echo "got $line"
for d in /sys/class/input/event*; do [ "$(cat $d/device/name)" = 'PC Speaker' ] && speaker=/dev/input/$(basename $d); done
tone() { printf "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\022\0\002\0\\$1\\$2\0\0" >$speaker; } # EV_SND, SND_TONE, a number of Hz
read -r line; tone 350 003; echo sounding
read -r line; tone 0 0; echo silent
read -r line
for m in $(cat /lib/modules/display.list); do insmod /lib/modules/$m; done 2>/dev/null
read -r line; poweroff -f
S
timeout 60 "$isola" run --vm -d --name text --memory 384m --display text --kernel "$guests/generic/vmlinuz" --initrd \
    "$guests/generic/initrd.img" --append "console=ttyS0 console=tty0 quiet cryptomgr.notests isola.drivers=speaker \
isola.run=$(base64 -w0 "$work/script")" >/dev/null || die "start"

on_terminal 80x30 see 'step 1' colors colour '0;93;44' type 'Hello, Text: \\~1!\r' see 'got Hello, Text: \~1!' resize 40x12 \
    see 'got Hello' type '\x10\x11' end 0 -- "$isola" attach text || die "the terminal"
ok "text, colours, keys and sizes on a terminal; detach keys leave"
speaker() { timeout 20 "$isola" inspect --live text | tr -d ' \n' | grep -oE '"speaker":\{[^}]*\}'; }
[ "$(speaker)" = '"speaker":{"hz":0,"sounds":0}' ] || die "silent at first: $(speaker)"
on_terminal 80x25 type '\r' see sounding bell type '\x1d' end 0 -- "$isola" attach --display text text || die "the bell"
[ "$(speaker)" = '"speaker":{"hz":1000,"sounds":1}' ] || die "a tone of 1000 Hz: $(speaker)"
on_terminal 80x25 type '\r' see silent type '\x1d' end 0 -- "$isola" attach text || die "silence"
[ "$(speaker)" = '"speaker":{"hz":0,"sounds":1}' ] || die "silent again: $(speaker)"
ok "pcspkr's tone shows in inspect and rings the bell"
on_terminal 80x25 type '\r' see 'a picture of 1024 x 768' type '\r' end 0 -- "$isola" attach text || die "picture and end"
ok "a picture is named; the end of the machine gives the terminal back"

timeout 20 "$isola" run --vm --display text --kernel "$guests/generic/vmlinuz" </dev/null >/dev/null 2>"$work/err"
[ $? = 125 ] && grep -q 'needs a terminal' "$work/err" || die "without a terminal: $(cat "$work/err")"
timeout 20 "$isola" run --vm --display text --vga none --kernel "$guests/generic/vmlinuz" -d >/dev/null 2>"$work/err"
[ $? = 125 ] && grep -q 'vga none' "$work/err" || die "without a VGA: $(cat "$work/err")"
ok "no terminal, or no VGA: said at once"

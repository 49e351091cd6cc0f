#!/bin/sh
# Text, planar, 256-colour and linear modes set by Debian's VGA BIOS: a game in a boot sector, played by isola type and sendkey and
# checked by its screenshots.
. "$(dirname "$0")/lib.sh"
[ -e /usr/share/seabios/vgabios-stdvga.bin ] || skip "no VGA BIOS here: install package seabios"
command -v nasm >/dev/null || skip "no nasm here: install package nasm"
here=$(dirname "$(realpath "$0")")
nasm -f bin -o "$work/game" "$here/game.asm" || die "nasm"
truncate -s 1M "$work/game"

shot() { timeout 60 "$isola" screenshot game "$work/shot.png" && python3 "$here/png.py" "$work/shot.png" "$@"; }
# sees X Y COLOUR WIDTH HEIGHT: soon.
sees() {
    i=0
    until [ "$(shot "$1" "$2" 2>/dev/null)" = "$3 $4 $5" ]; do
        i=$((i + 1))
        [ $i -lt 100 ] || die "at $1,$2 is $(shot "$1" "$2") and not $3 $4 $5"
        sleep 0.3
    done
}
reads() { # TEXT
    i=0
    until timeout 60 "$isola" screenshot --text game 2>/dev/null | grep -qF "$1"; do
        i=$((i + 1))
        [ $i -lt 200 ] || { timeout 60 "$isola" screenshot --text game; die "the screen does not show: $1"; }
        sleep 0.3
    done
}
keys() { timeout 60 "$isola" type game "$1" || die "type $1"; }

timeout 60 "$isola" run --vm -d --name game --memory 64m --disk "$work/game,format=raw" >/dev/null || die "start"
reads 'A game in a boot sector: g p v t'
[ "$(shot 719 399)" = "000000 720 400" ] || die "text is not 720x400"
ok "text of the VGA BIOS is read from the screen"
keys g
sees 328 200 aa0000 640 400
sees 312 200 000000 640 400
keys aas
sees 296 216 aa0000 640 400
sees 328 200 000000 640 400
timeout 60 "$isola" sendkey game d d w || die "sendkey"
sees 328 200 aa0000 640 400
ok "the block of mode 13h moves by keys"
keys p
sees 639 100 55ff55 640 480
sees 639 101 000000 640 480
ok "a line of the planar mode"
keys v
sees 512 384 000000 1024 768
keys t
reads 'A game in a boot sector'
ok "a linear mode by VESA, and text again"

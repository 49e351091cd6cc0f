#!/bin/sh
# The screen, keyboard and pointers of a machine with a VGA: Linux's own drivers for them (vesafb on the frame buffer that a direct
# boot hands over, then bochs; atkbd, psmouse, virtio_input), a VNC client, screenshots, and keys by isola type and sendkey.
. "$(dirname "$0")/lib.sh"
[ -x "$(dirname "$isola")/isola-vnc" ] || die "isola-vnc is not built: install package libvncserver-dev"
guest_kernel generic
here=$(dirname "$(realpath "$0")")
vnc() { timeout -k 5 120 python3 -u "$here/vnc.py" "$work/vnc" "$@"; }

# The guest says "step N" on the serial line when it waits for us.
cat >"$work/script" <<'S'
echo early $(cat /proc/fb)
i=0; until grep -q 'Isola tablet' /proc/bus/input/devices || [ $i = 50 ]; do i=$((i + 1)); usleep 200000; done
sed -n 's/^N: Name=/input /p' /proc/bus/input/devices
echo fb $(cat /sys/class/graphics/fb0/name) $(cat /sys/class/graphics/fb0/virtual_size)
echo edid $(cat /sys/class/drm/card*-Virtual-1/edid | wc -c) $(head -1 /sys/class/drm/card*-Virtual-1/modes)
printf '\021\042\063\000' | dd of=/dev/fb0 bs=4 seek=$((700 * 1024 + 1000)) 2>/dev/null
echo step 1
read -r line </dev/tty1; echo "typed $line"
echo step 2
read -r line </dev/tty1; echo "keyed $line"
for d in /sys/class/input/event*; do [ "$(cat $d/device/name)" = 'Isola tablet' ] && tablet=/dev/input/$(basename $d); done
echo step 3
dd if=$tablet bs=24 count=4 2>/dev/null | hexdump -v -e '12/2 "%u " "\n"' | awk '{ print "event", $9, $10, $11 }'
echo step 4
sleep 600
S
wait_for() { # TEXT
    i=0
    until timeout 20 "$isola" logs screen 2>/dev/null | tr -d '\r' >"$work/log" && grep -qF "$1" "$work/log"; do
        i=$((i + 1))
        [ $i -lt 240 ] || { tail -20 "$work/log"; die "the guest did not say: $1"; }
        sleep 1
    done
}
said() { wait_for "$1"; }

timeout 60 "$isola" run --vm -d --name screen --memory 512m --display "vnc=$work/vnc" --no-reboot --kernel "$guests/generic/vmlinuz" \
    --initrd "$guests/generic/initrd.img" --append "console=tty0 console=ttyS0 panic=-1 quiet cryptomgr.notests \
isola.drivers=display isola.run=$(base64 -w0 "$work/script")" >/dev/null || die "start"
[ -S "$work/vnc" ] && [ "$(stat -c %a "$work/vnc")" = 600 ] || die "no socket of VNC, or open to others"
wait_for 'step 1'
grep -qE '^input "AT (Raw|Translated) Set 2 keyboard"' "$work/log" || die "no PS/2 keyboard"
grep -qE '^input "(ImExPS/2|ImPS/2|PS/2|Virtual).*[Mm]ouse' "$work/log" || { grep '^input' "$work/log"; die "no PS/2 mouse"; }
grep -qF 'input "Isola tablet"' "$work/log" || die "no tablet"
grep -qE '^fb bochs-?drmdrmfb 1024,768' "$work/log" || { grep '^fb' "$work/log"; die "bochs does not drive the display"; }
grep -qE '^edid 128 1024x768' "$work/log" || { grep '^edid' "$work/log"; die "no EDID"; }
grep -qE 'BUG:|Call Trace|WARNING:|nobody cared' "$work/log" && die "kernel complaints"
ok "Linux drives display, keyboard, mouse and tablet"

timeout 60 "$isola" screenshot screen "$work/shot.png" || die "screenshot"
[ "$(python3 "$here/png.py" "$work/shot.png" 1000 700)" = "332211 1024 768" ] || die "the screenshot does not show the pixel"
[ "$(vnc pixel 1000 700)" = "332211 1024 768" ] || die "VNC does not show the pixel"
timeout 60 "$isola" screenshot --text screen >"$work/out" 2>"$work/err" && die "a text of a picture"
grep -q 'picture, not text' "$work/err" || die "screenshot --text: $(cat "$work/err")"
ok "screenshot and VNC show what the guest drew"

timeout 60 "$isola" type screen "It's 100% \"Quoted\" <|> {~}
" || die "type"
said 'typed It'"'"'s 100% "Quoted" <|> {~}'
wait_for 'step 2'
vnc type 'Hello from VNC, twice: 2*3=6' || die "typing by VNC"
said 'keyed Hello from VNC, twice: 2*3=6'
wait_for 'step 3'
vnc move 1023 384 1 || die "moving by VNC"
said 'event 3 0 32767'
said 'event 1 272 1'
ok "keys by type and by VNC, and the pointer, arrive"

server=$(pgrep -f "isola-vnc $XDG_DATA_HOME") || die "no VNC server"
grep -qE '^NoNewPrivs:.*1$' "/proc/$server/status" && grep -qE '^Seccomp:.*2$' "/proc/$server/status" || die "the VNC server is not confined"
vnc hostile || die "a hostile client disturbs the others"
rate=$(vnc rate 3) || die "rate"
ok "hostile clients harm nobody; $rate while nothing moves"

timeout 60 "$isola" sendkey screen bogus-key 2>"$work/err" && die "a key that is not there"
grep -q 'no key "bogus"' "$work/err" || die "sendkey: $(cat "$work/err")"
timeout 60 "$isola" sendkey screen ctrl-alt-delete || die "sendkey"
[ "$(timeout 120 "$isola" wait screen)" = 0 ] || die "ctrl-alt-delete did not reboot"
i=0
while pgrep -f "isola-vnc $XDG_DATA_HOME" >/dev/null; do
    i=$((i + 1))
    [ $i -lt 100 ] || die "the VNC server outlives its machine"
    sleep 0.2
done
ok "ctrl-alt-delete reboots; the VNC server went with the machine"
timeout 60 "$isola" run --vm -d --name ended --memory 128m --display "vnc=$work/vnc" --paused --kernel "$guests/generic/vmlinuz" >/dev/null ||
    die "start of another"
server=$(pgrep -f "isola-vnc $XDG_DATA_HOME") || die "no VNC server of another"
kill "$server"
i=0
while kill -0 "$server" 2>/dev/null && ! grep -q '^State:.*Z' "/proc/$server/status" 2>/dev/null; do
    i=$((i + 1))
    [ $i -lt 100 ] || die "the VNC server does not end by SIGTERM"
    sleep 0.2
done
timeout 60 "$isola" rm -f ended >/dev/null || die "rm"
ok "the VNC server can be ended alone"
timeout 60 "$isola" run --vm -d --display vnc=0.0.0.0:5900 --kernel "$guests/generic/vmlinuz" >/dev/null 2>"$work/err"
[ $? = 125 ] && grep -q 'no encryption' "$work/err" || die "an open address: $(cat "$work/err")"
ok "an address that others reach is refused"

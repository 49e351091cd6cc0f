#!/bin/sh
# "stop" presses the power button and waits: a guest that listens to it powers off by itself, one that does not is ended when its
# time is over. Then eight processors in turn, each of which runs something.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud

# start NAME COMMAND: a guest in the background that says "ready" on its console.
start() {
    "$isola" run --vm -d --name "$1" --network none --memory 192m --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" \
        --append "console=ttyS0 panic=-1 quiet cryptomgr.notests isola.run=$(printf '%s' "$2" | base64 -w0)" >/dev/null || die "$1 does not start"
    for i in $(seq 1 400); do
        "$isola" logs "$1" 2>/dev/null | tr -d '\r' | grep -qx ready && return
        sleep 0.5
    done
    "$isola" logs "$1"
    die "$1 does not get ready"
}
# ended NAME: its exit code and what is said about it.
ended() { "$isola" inspect "$1" >"$work/inspect" 2>&1; sed -n 's/^ *"\(exit_code\|reason\|status\)": *\([^,]*\),*$/\1 \2/p' "$work/inspect"; }

start listener 'event=$(sed -n "/Power Button/,/^$/s/^H:.*\(event[0-9]*\).*/\1/p" /proc/bus/input/devices | head -1)
echo "button $event"; (echo ready >/dev/console; exec head -c 24 "/dev/input/$event" >/dev/null) && echo pressed'
timeout 120 "$isola" stop -t 90 listener >/dev/null || die "stop of one that listens"
ended listener >"$work/ended"
"$isola" logs listener | tr -d '\r' | grep -qx pressed || { "$isola" logs listener; die "the button was not seen"; }
grep -qx 'exit_code 0' "$work/ended" || { cat "$work/inspect"; die "one that listens did not power off"; }
ok "a guest that listens powers off"

start deaf 'echo ready >/dev/console; while :; do sleep 1000; done'
timeout 60 "$isola" stop -t 3 deaf >/dev/null || die "stop of one that does not listen"
ended deaf >"$work/ended"
grep -qx 'exit_code 137' "$work/ended" || { cat "$work/inspect"; die "one that does not listen"; }
grep -q 'power button' "$work/ended" || { cat "$work/inspect"; die "its end is not explained"; }
ok "a guest that does not is ended"

append="quiet cryptomgr.notests"
in_guest 400 cloud --memory 256m --network none --cpus 8 -- 'cat /sys/devices/system/cpu/online
for i in 0 1 2 3 4 5 6 7; do taskset $(printf %x $((1 << i))) sh -c "i=0; while [ \$i -lt 3000 ]; do i=\$((i+1)); done; echo on \$(cut -d\" \" -f39 /proc/self/stat)" & done; wait
dmesg | grep -iE "stall|soft lockup"; exit 5'
[ "$status" = 5 ] || { show; die "eight processors: status ${status:-none}"; }
grep -qx 0-7 "$work/out" || { show; die "not eight processors"; }
for i in 0 1 2 3 4 5 6 7; do grep -qx "on $i" "$work/out" || { show; die "nothing ran on processor $i"; }; done
grep -qiE 'stall|lockup|Call Trace' "$work/out" && { show; die "kernel complaints"; }
ok "eight processors in turn"

#!/bin/sh
# The cloud and the generic Debian kernel reach a shell from an initrd, and see a truthful machine.
. "$(dirname "$0")/lib.sh"
for flavour in cloud generic; do
    guest_kernel $flavour
    in_guest 240 $flavour --memory 256m -- 'uname -r; cat /proc/cpuinfo; grep -r . /sys/devices/system/cpu/vulnerabilities;
cat /sys/devices/system/clocksource/clocksource0/current_clocksource; cat /proc/interrupts; date +%s; cat /proc/mounts; exit 7'
    [ "$status" = 7 ] || { show; die "$flavour: status ${status:-none}"; }
    grep -qE "^(tsc|kvm-clock)$" "$work/out" || { show; die "$flavour: wrong clock source"; }
    guest_time=$(grep -xE '1[0-9]{9}|2[0-9]{9}' "$work/out" | tail -1)
    now=$(date +%s)
    [ $((now - guest_time)) -lt 120 ] && [ $((guest_time - now)) -lt 5 ] || { show; die "$flavour: clock is $guest_time, host $now"; }
    if grep -E '/vulnerabilities/' "$work/out" | grep -vq 'Not affected'; then show; die "$flavour: vulnerabilities"; fi
    grep -qE 'BUG:|Call Trace|WARNING:' "$work/out" && { show; die "$flavour: kernel complaints"; }
    ok "$flavour reaches its shell"
done
in_guest 240 cloud --memory 256m --cpus 2 -- 'grep -c ^processor /proc/cpuinfo; for i in 1 2; do (i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done) & done; wait'
[ "$status" = 0 ] && grep -qx 2 "$work/out" || { show; die "two processors"; }
ok "two processors in turn"

#!/bin/sh
# A Debian kernel on the translator: it boots with one and two processors, programs compute what they compute elsewhere, and the
# boot is the interpreter's instruction by instruction (tests/machine/lockstep.c).
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
"$isola" doctor 2>/dev/null | grep -q '^accel jit *ok' || skip "$("$isola" doctor 2>/dev/null | grep '^accel jit')"
# shellcheck disable=SC2016
work_of_guest='cd /tmp; i=0; while [ $i -lt 3000 ]; do echo "line $i of the text to be packed"; i=$((i+1)); done >a; sha256sum <a; gzip -c a | gunzip | sha256sum
i=0; while [ $i -lt 60 ]; do sh -c : || echo bad; i=$((i+1)); done; awk "BEGIN { for (i = 1; i < 20000; i++) s += i / 3 * 1.7; printf \"%.9f\\n\", s }"; dmesg | grep -E "BUG:|Call Trace|WARNING:|segfault|general protection"; exit 7'
want=$(i=0; while [ $i -lt 3000 ]; do echo "line $i of the text to be packed"; i=$((i+1)); done | sha256sum)
sum=$(awk 'BEGIN { for (i = 1; i < 20000; i++) s += i / 3 * 1.7; printf "%.9f\n", s }')
for cpus in 1 2; do
    in_guest 240 cloud --accel jit --memory 256m --cpus $cpus -- "$work_of_guest"
    [ "$status" = 7 ] || { show; die "$cpus processors: status ${status:-none}"; }
    [ "$(grep -cxF "$want" "$work/out")" = 2 ] || { show; die "$cpus processors: not the hash $want"; }
    grep -qxF "$sum" "$work/out" || { show; die "$cpus processors: not the sum $sum"; }
    grep -qE 'bad|BUG:|Call Trace|WARNING:|segfault|general protection' "$work/out" && { show; die "$cpus processors: complaints"; }
    ok "$cpus processors"
done
timeout 250 "$(dirname "$isola")/tests/machine/lockstep" -t 100 "$guests/cloud/vmlinuz" "$guests/cloud/initrd.img" || die "lock-step"
ok "the boot in lock-step"
echo "3 passed, 0 failed"

#!/bin/sh
# Clocks after a pause: guest time stands still, the real-time clock follows the host, and the kernel has nothing to complain about.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
rtc=/sys/class/rtc/rtc0/since_epoch

# The guest shows when it was stopped by a real-time clock that has gone on without its own.
cat >"$work/script" <<S
ahead() { a=\$(cat $rtc); b=\$(date +%s); echo \$((a - b)); }
echo "rtc \$(cat $rtc)"
echo "at first \$(ahead)"
echo ready
i=0; until [ \$(ahead) -ge 8 ] || [ \$i = 600 ]; do i=\$((i + 1)); usleep 200000; done
echo "after \$(ahead)"
hwclock -s -u
echo "set \$(ahead)"
i=0; while [ \$i -lt 20 ]; do i=\$((i + 1)); usleep 100000; done
dmesg | grep -iE 'lockup|stall|clocksource.*(unstable|skew)|Call Trace' | sed 's/^/complaint /'
S
wait_for() { # TEXT
    i=0
    until timeout 20 "$isola" logs clocks 2>/dev/null | tr -d '\r' >"$work/log" && grep -q "^$1" "$work/log"; do
        i=$((i + 1))
        [ $i -lt 400 ] || { tail -20 "$work/log"; die "the guest did not say: $1"; }
        sleep 0.5
    done
}
said() { sed -n "s/^$1 //p" "$work/log"; }

# A zone of this test's own: five hours east.
TZ=XYZ-5 timeout 60 "$isola" run --vm -d --name clocks --memory 256m --network none --rtc localtime --kernel "$guests/cloud/vmlinuz" \
    --initrd "$guests/cloud/initrd.img" --append "console=ttyS0 panic=-1 quiet cryptomgr.notests isola.run=$(base64 -w0 "$work/script")" \
    >/dev/null || die "start"
wait_for ready
difference=$(($(said rtc) - $(date +%s)))
[ $difference -gt 17700 ] && [ $difference -lt 18300 ] || die "--rtc localtime is $difference s from UTC, not 18000"
first=$(said 'at first')
[ "$first" -ge -1 ] && [ "$first" -le 1 ] || die "the clocks differ by $first s at first"
ok "--rtc localtime shows the host's zone"
timeout 60 "$isola" pause clocks >/dev/null || die "pause"
sleep 10
timeout 60 "$isola" unpause clocks >/dev/null || die "unpause"
wait_for after
wait_for set
after=$(said after)
[ "$after" -ge 8 ] && [ "$after" -le 300 ] || die "the real-time clock is $after s ahead after a pause"
set=$(said set)
[ "$set" -ge -1 ] && [ "$set" -le 1 ] || die "hwclock -s leaves $set s"
ok "after a pause the real-time clock is right, and hwclock -s takes it over"
[ "$(timeout 120 "$isola" wait clocks)" = 0 ] || die "the end"
timeout 20 "$isola" logs clocks | tr -d '\r' >"$work/log"
grep '^complaint' "$work/log" && die "kernel complaints"
ok "no lockup, no stall"

#!/bin/sh
# Debian's 32-bit kernel runs on the 32-bit processor model, and sees what docs/cpu-models.md says of it.
. "$(dirname "$0")/lib.sh"
guest_kernel 686
# The kernel's own tests of its ciphers are left out: they are most of the time.
append="quiet cryptomgr.notests"
in_guest 240 686 --cpu pentium3 --memory 256m -- 'uname -m; cat /proc/cpuinfo; grep -r . /sys/devices/system/cpu/vulnerabilities; exit 7'
[ "$status" = 7 ] || { show; die "status ${status:-none}"; }
grep -qx 'i686' "$work/out" || { show; die "not a 32-bit kernel"; }
field() { sed -n "s/^$1[[:space:]]*: //p" "$work/out" | head -1; }
for want in "vendor_id=GenuineIntel" "cpu family=6" "model=8" "stepping=3" \
    "address sizes=36 bits physical, 32 bits virtual"; do
    [ "$(field "${want%%=*}")" = "${want#*=}" ] || { show; die "${want%%=*} is $(field "${want%%=*}"), not ${want#*=}"; }
done
flags=" $(field flags) "
for f in fpu pae sep mtrr pge pse36 mmx fxsr sse vme; do
    case $flags in *" $f "*) ;; *) show; die "flag $f is missing" ;; esac
done
for f in sse2 lm nx syscall; do
    case $flags in *" $f "*) show; die "flag $f of a later processor" ;; esac
done
# An old processor that speculates, as Linux sees it by its family.
grep -q 'vulnerabilities/meltdown:Mitigation: PTI' "$work/out" || { show; die "meltdown"; }
grep -qE 'BUG:|Call Trace|WARNING:' "$work/out" && { show; die "kernel complaints"; }
ok "a 32-bit kernel on pentium3 reaches its shell"

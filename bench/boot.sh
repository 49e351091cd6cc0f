#!/bin/bash
# CPU seconds from start to power-off of a guest that boots Debian's cloud kernel, reaches its init, runs one command and powers off: Isola and
# QEMU TCG in turn, same kernel, initrd and command line. Also what Isola's supervisor needs beside guest memory, and what an idle guest costs.
#   bench/boot.sh ISOLA [ROUNDS]
set -u
isola=$(realpath "${1:?the isola binary}")
rounds=${2:-3}
top=$(cd "$(dirname "$0")/.." && pwd)
guests=${ISOLA_GUESTS:-$top/build-guests}
"$top/tools/guest" kernel "$guests/cloud" cloud && "$top/tools/guest" initrd "$guests/cloud" || exit 1
work=$(mktemp -d)
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
trap '"$isola" rm -f bench idle >/dev/null 2>&1; rm -rf "$work"' EXIT
append="console=ttyS0 panic=-1 isola.run=$(printf true | base64)"
tick=$(getconf CLK_TCK)

# Samples the CPU time of process $1 until it ends; prints seconds.
cpu_of() {
    local last=0 now
    while now=$(awk '{print $14+$15}' "/proc/$1/stat" 2>/dev/null) && [ -n "$now" ]; do last=$now; sleep 0.05; done
    awk -v t="$last" -v h="$tick" 'BEGIN{printf "%.2f", t/h}'
}
run_isola() {
    "$isola" rm -f bench >/dev/null 2>&1
    "$isola" run --vm -d --name bench --memory 512m --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" --append "$append" >/dev/null || exit 1
    cpu_of "$("$isola" inspect bench | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -1)"
}
run_qemu() {
    qemu-system-x86_64 -accel tcg -cpu max -m 512 -nodefaults -display none -serial null -no-reboot \
        -kernel "$guests/cloud/vmlinuz" -initrd "$guests/cloud/initrd.img" -append "$append mitigations=off" </dev/null >/dev/null 2>&1 &
    cpu_of $!
    wait $!
}
median() { sort -n | awk '{a[NR]=$1} END{print (NR%2)?a[(NR+1)/2]:(a[NR/2]+a[NR/2+1])/2}'; }

for i in $(seq "$rounds"); do
    a=$(run_isola) b=$(run_qemu)
    echo "round $i: isola interp $a s, qemu tcg $b s"
    echo "$a" >>"$work/isola"
    echo "$b" >>"$work/qemu"
done
a=$(median <"$work/isola") b=$(median <"$work/qemu")
echo "median: isola $a s, qemu $b s, ratio $(awk -v a="$a" -v b="$b" 'BEGIN{printf "%.2f", a/b}')"

"$isola" run --vm -d --name idle --memory 256m --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" \
    --append "console=ttyS0 quiet isola.run=$(printf 'echo up; sleep 600' | base64 -w0)" >/dev/null || exit 1
for i in $(seq 120); do "$isola" logs idle 2>/dev/null | grep -q '^up' && break; sleep 0.5; done
sleep 5
pid=$("$isola" inspect idle | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -1)
t0=$(awk '{print $14+$15}' "/proc/$pid/stat")
sleep 20
t1=$(awk '{print $14+$15}' "/proc/$pid/stat")
awk -v a="$t0" -v b="$t1" -v h="$tick" 'BEGIN{printf "idle guest: %.2f %% of one core over 20 s\n", (b-a)/h/20*100}'
pss=$(awk '/^Pss:/{print $2}' "/proc/$pid/smaps_rollup")
guest=$(awk '/memfd:isola-guest-memory/{g=1} /^[0-9a-f]+-/{g=/isola-guest-memory/} g&&/^Pss:/{s+=$2} END{print s+0}' "/proc/$pid/smaps")
pt=$(awk '/^VmPTE/{print $2}' "/proc/$pid/status")
echo "memory beyond guest pages: $(( (pss - guest + pt) / 1024 )) MiB (PSS $pss KiB, guest pages $guest KiB, page tables $pt KiB)"

#!/bin/bash
# What recording costs: CPU seconds of a machine that boots Debian's cloud kernel, hashes 64 MiB, writes and reads its drive and powers off, with and
# without --record in turn; the bytes of its recording; and how long its replay takes.
#   bench/record.sh ISOLA [ROUNDS] [CPUS]
set -u
isola=$(realpath "${1:?the isola binary}")
rounds=${2:-3} cpus=${3:-1}
top=$(cd "$(dirname "$0")/.." && pwd)
guests=${ISOLA_GUESTS:-$top/build-guests}
"$top/tools/guest" kernel "$guests/cloud" cloud && "$top/tools/guest" initrd "$guests/cloud" || exit 1
work=$(mktemp -d)
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
trap '"$isola" rm -f bench >/dev/null 2>&1; rm -rf "$work"' EXIT
guest='head -c 64M /dev/zero | sha256sum; dd if=/dev/urandom of=/dev/vda bs=64k count=128 conv=fsync 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; sha256sum /dev/vda'
tick=$(getconf CLK_TCK)

# Samples the CPU time of process $1 until it ends; prints seconds.
cpu_of() {
    local last=0 now
    while now=$(awk '{print $14+$15}' "/proc/$1/stat" 2>/dev/null) && [ -n "$now" ]; do last=$now; sleep 0.05; done
    awk -v t="$last" -v h="$tick" 'BEGIN{printf "%.2f", t/h}'
}
run() { # OPTIONS...
    truncate -s 0 "$work/disk.img"; truncate -s 16M "$work/disk.img"
    "$isola" rm -f bench >/dev/null 2>&1
    "$isola" run --vm -d --name bench --memory 256m --cpus "$cpus" --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" \
        --disk "$work/disk.img,format=raw" --append "console=ttyS0 panic=-1 isola.run=$(printf '%s' "$guest" | base64 -w0)" "$@" >/dev/null || exit 1
    cpu_of "$("$isola" inspect bench | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -1)"
}
median() { sort -n | awk '{a[NR]=$1} END{print (NR%2)?a[(NR+1)/2]:(a[NR/2]+a[NR/2+1])/2}'; }
field() { "$isola" record inspect bench | sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p"; }

for i in $(seq "$rounds"); do
    a=$(run)
    "$isola" record rm -f bench >/dev/null
    b=$(run --record bench)
    echo "round $i: $a s, recorded $b s; $(field instructions) instructions, $(field event_bytes) bytes of events, $(field checkpoint_bytes) of checkpoints in $(field end_seconds) s"
    echo "$a" >>"$work/plain"
    echo "$b" >>"$work/recorded"
done
a=$(median <"$work/plain") b=$(median <"$work/recorded")
echo "median: $a s, recorded $b s: $(awk -v a="$a" -v b="$b" 'BEGIN{printf "%+.1f", (b/a-1)*100}') %"
TIMEFORMAT='replay: %U s user, %S s system'
time "$isola" replay -q bench

#!/bin/sh
# What a person may get wrong: each is refused with exit code 125 and one line that says what and why, and nothing is left behind.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
k=$guests/cloud/vmlinuz
head -c 100000 "$k" >"$work/cut"
head -c 65536 /dev/urandom >"$work/noise"
: >"$work/empty"
truncate -s 1M "$work/disk"

refused() { # WORDS-EXPECTED OPTIONS...
    expected=$1
    shift
    timeout -k 5 60 "$isola" run --vm --rm "$@" </dev/null >"$work/out" 2>"$work/err"
    code=$?
    [ $code = 125 ] || { cat "$work/err"; die "$*: exit code $code"; }
    [ "$(grep -c . "$work/err")" = 1 ] || { cat "$work/err"; die "$*: not one line"; }
    grep -qiE "$expected" "$work/err" || { cat "$work/err"; die "$*: does not say $expected"; }
    [ -z "$("$isola" ps -aq)" ] || die "$*: left an instance behind"
}
refused 'no such file' --kernel "$work/missing"
refused 'empty' --kernel "$work/empty"
refused 'neither a Linux bzImage nor' --kernel "$work/noise"
refused 'cut off' --kernel "$work/cut" --memory 256m
refused 'at least [0-9]+ MiB' --kernel "$k" --memory 32m
refused 'no such file' --kernel "$k" --initrd "$work/missing"
refused 'no such file' --kernel "$k" --disk "$work/missing"
refused 'regular file|directory' --kernel "$k" --disk "$work"
refused 'command line' --kernel "$k" --memory 256m --append "$(printf 'x%.0s' $(seq 5000))"
refused 'model' --kernel "$k" --cpu 8086
refused 'accel' --kernel "$k" --accel warp
refused 'board|machine' --kernel "$k" --machine toaster
refused 'memory' --kernel "$k" --memory lots
refused 'cpus|processors' --kernel "$k" --cpus 99
ok "kernels, drives, memory and names that cannot be"

"$isola" run --vm -d --name holder --kernel "$k" --memory 256m --disk "$work/disk" --append console=ttyS0 >/dev/null || die "holder"
timeout 60 "$isola" run --vm --rm --kernel "$k" --memory 256m --disk "$work/disk" >"$work/out" 2>"$work/err"
[ $? = 125 ] && grep -qiE 'use|lock' "$work/err" || { cat "$work/err"; die "one drive in two guests"; }
timeout 60 "$isola" run --vm --name holder --kernel "$k" >"$work/out" 2>"$work/err"
[ $? = 125 ] && grep -q holder "$work/err" || { cat "$work/err"; die "one name for two"; }
truncate -s 4096 "$work/disk"
sleep 1
"$isola" ps -q | grep -q . || die "a drive that shrinks ended its guest"
ok "a drive is not shared, a name not given twice, a shrunk drive survived"

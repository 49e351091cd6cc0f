#!/bin/sh
# The long run of host_diff: 500 million cases, at least 1,000 of each cell of the coverage matrix.
#
#   tests/oracle/host-long.sh DIRECTORY [BUILD [PROCESSES [CASES]]]
#
# DIRECTORY keeps a copy of the program, the checkpoints, the logs and coverage.tsv: the same command
# goes on where it was interrupted, and only adds up once all is done. Seeds are 1, 2, ... one each process.
# Ends with 0 when no case differed and every cell that can be run had its cases.
set -u
dir=${1:?directory for checkpoints} build=${2:-build} processes=${3:-1} cases=${4:-500000000}
mkdir -p "$dir" || exit 2
[ -x "$dir/host_diff" ] || cp "$build/tests/oracle/host_diff" "$dir/host_diff" || exit 2
files=
pids=
seed=1
# A little more for what is left out.
each=$((cases / processes / 100 * 103))
trap 'kill $pids 2>/dev/null' EXIT
while [ "$seed" -le "$processes" ]; do
    nice -n 10 "$dir/host_diff" --cases "$each" --need 1000 --seed "$seed" --checkpoint "$dir/$seed.state" >>"$dir/$seed.log" 2>&1 &
    pids="$pids $!"
    files="$files${files:+,}$dir/$seed.state"
    seed=$((seed + 1))
done
for pid in $pids; do
    wait "$pid"
    status=$?
    [ "$status" -le 1 ] || { tail -3 "$dir"/*.log; exit "$status"; }
done
pids=
grep -h -A1 '^DIFF' "$dir"/*.log | head -40
"$dir/host_diff" --sum "$files" --cases "$cases" --need 1000 --coverage "$dir/coverage.tsv"

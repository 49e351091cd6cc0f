#!/bin/sh
# The long run of host_diff: 500 million cases without a difference, at least 1,000 of each cell of the
# coverage matrix.
#
#   tests/oracle/host-long.sh DIRECTORY [BUILD [PROCESSES [CASES [NEED]]]]
#
# DIRECTORY keeps a copy of the program, the checkpoints, the logs and coverage.tsv. The same command
# goes on where it was interrupted; another program than BUILD's begins anew. Processes have seeds 1, 2, ...
# Prints what was counted and ends with 0, 1 when a case differed or cases are missing, 77 when this host
# cannot be an oracle.
set -u
dir=${1:?directory for checkpoints} build=${2:-build} processes=${3:-1} cases=${4:-500000000} need=${5:-1000}
mkdir -p "$dir" || exit 2
if ! cmp -s "$build/tests/oracle/host_diff" "$dir/host_diff"; then
    rm -f "$dir"/*.state "$dir"/*.log
    cp "$build/tests/oracle/host_diff" "$dir/host_diff" || exit 2
fi
files= pids= seed=1
each=$((cases / processes / 100 * 103)) # a few are left out
trap 'kill $pids 2>/dev/null' EXIT
trap 'exit 130' INT TERM
while [ "$seed" -le "$processes" ]; do
    nice -n 10 "$dir/host_diff" --cases "$each" --need "$need" --seed "$seed" --checkpoint "$dir/$seed.state" \
        >>"$dir/$seed.log" 2>&1 &
    pids="$pids $!"
    files="$files${files:+,}$dir/$seed.state"
    seed=$((seed + 1))
done
for pid in $pids; do
    wait "$pid"
    status=$?
    [ "$status" -le 1 ] || { tail -n 3 "$dir"/*.log; exit "$status"; }
done
pids=
grep -h -A1 '^DIFF' "$dir"/*.log | head -n 40
"$dir/host_diff" --sum "$files" --cases "$cases" --need "$need" --coverage "$dir/coverage.tsv"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lives of containers of isola-runtime beside crun and runc: the configuration of `runc spec` with /bin/true of a static
# busybox, and the floor that the kernel sets (floor.c). All in turn, in ROUNDS rounds of RUNS lives; medians of the rounds.
# Usage: bench/containers.sh RUNTIME [ROUNDS] [RUNS]; as root; crun, runc, busybox-static.
set -eu
runtime=$(realpath "${1:?the runtime}")
rounds=${2:-5} runs=${3:-40}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
for p in life floor; do
    ${CC:-cc} -O2 -std=gnu2x -D_GNU_SOURCE -static -o "$work/$p" "$here/$p.c"
done
mkdir -p "$work"/bundle/rootfs/{bin,proc,dev,sys,etc,tmp} "$work/pids"
# Where runtimes keep their states is a tmpfs on most hosts.
state=$(mktemp -d /dev/shm/isola-bench.XXXXXX)
trap 'rm -rf "$work" "$state"' EXIT
trap 'exit 1' INT TERM
cp "$(command -v busybox)" "$work/bundle/rootfs/bin/true"
python3 - "$work/bundle" <<'P'
import json, os, subprocess, sys
top = sys.argv[1]
subprocess.run(["runc", "spec"], cwd=top, check=True)
config = json.load(open(top + "/config.json"))
config["process"]["terminal"] = False
config["process"]["args"] = ["/bin/true"]
config["root"] = {"path": top + "/rootfs"}
json.dump(config, open(top + "/config.json", "w"))
# The same with Podman's default profile, as Podman resolves it for its default capabilities.
profile = json.load(open("/usr/share/containers/seccomp.json"))
rules = []
for rule in profile["syscalls"]:
    includes, excludes = rule.pop("includes", {}), rule.pop("excludes", {})
    if "amd64" not in includes.get("arches", ["amd64"]) or includes.get("caps"):
        continue
    for key in ("comment", "errno"):
        rule.pop(key, None)
    rules.append(rule)
config["linux"]["seccomp"] = {"defaultAction": profile["defaultAction"], "defaultErrnoRet": 1, "syscalls": rules,
                              "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]}
os.makedirs(top + "-seccomp", exist_ok=True)
json.dump(config, open(top + "-seccomp/config.json", "w"))
P

# Debian's crun refuses hybrid hosts: it gets a mount namespace without the v2 hierarchy.
crun="unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec \"\$@\"' -"
life() { # ROW PROGRAM OPTIONS -- COMMAND...
    local row=$1 what=$2
    shift 2
    if [ "$what" = crun ]; then
        eval "$crun" '"$work/life" "$@"' >"$work/out" 2>"$work/err" || { echo "$row $what: $(tail -1 "$work/err")" >&2; return 0; }
    else
        "$work/life" "$@" >"$work/out" 2>"$work/err" || { echo "$row $what: $(tail -1 "$work/err")" >&2; return 0; }
    fi
    echo "$row $what $(cat "$work/out")" >>"$work/results"
}
run_rows() { # PROGRAM BINARY
    local p=$1 bin=$2 root="--root $state"
    # shellcheck disable=SC2086
    {
        life bare "$p" -n "$runs" "$bin" $root run -b "$work/bundle" %
        life seccomp "$p" -n "$runs" "$bin" $root run -b "$work/bundle-seccomp" %
        life steps "$p" -n "$runs" -w "$work/pids/%" "$bin" $root create -b "$work/bundle" --pid-file "$work/pids/%" % \
            --then "$bin" $root start % --then "$bin" $root delete %
        life pairs "$p" -n 100 -p 2 "$bin" $root run -b "$work/bundle" %
        life idle "$p" -n 10 -i 150 "$bin" $root run -b "$work/bundle" %
        life version "$p" -n "$runs" "$bin" --version
    }
}
for _ in $(seq "$rounds"); do
    life bare floor -n "$runs" "$work/floor" "$work/bundle/rootfs" /bin/true
    life bare floor+cgroups -n "$runs" "$work/floor" -c % "$work/bundle/rootfs" /bin/true
    life pairs floor+cgroups -n 100 -p 2 "$work/floor" -c % "$work/bundle/rootfs" /bin/true
    life idle floor+cgroups -n 10 -i 150 "$work/floor" -c % "$work/bundle/rootfs" /bin/true
    run_rows isola "$runtime"
    [ -n "${ONLY:-}" ] && continue
    run_rows crun "$(command -v crun)"
    run_rows runc "$(command -v runc)"
done
python3 - "$work/results" <<'P'
import statistics, sys
rows = {}
for line in open(sys.argv[1]):
    row, what, *numbers = line.split()
    rows.setdefault((row, what), []).append([float(n) for n in numbers])
names = {"bare": "run", "seccomp": "run with Podman's seccomp profile", "steps": "create, start, wait, delete",
         "pairs": "100 runs, two at a time", "idle": "run after 150 ms of idle", "version": "--version"}
print("| life | program | median ms | least ms | CPU ms | largest RSS KiB | all runs s |")
print("| --- | --- | --- | --- | --- | --- | --- |")
for row in names:
    for (r, what), values in rows.items():
        if r == row:
            m = [statistics.median(v[i] for v in values) for i in range(5)]
            print(f"| {names[row]} | {what} | {m[0]:.2f} | {min(v[1] for v in values):.2f} | {m[2]:.2f} | {m[3]:.0f} | {m[4]:.2f} |")
# Round by round, as a round's lives are near each other in time; what must hold is the wall time. ONLY measures no crun.
for row, most in (("bare", 0.40), ("seccomp", 0.146)):
    ours, theirs = rows.get((row, "isola"), []), rows.get((row, "crun"), [])
    if ours and len(ours) == len(theirs):
        wall, cpu = (statistics.median(a[i] / b[i] for a, b in zip(ours, theirs)) for i in (0, 2))
        print(f"{names[row]}: {wall:.3f} of crun's wall time (at most {most}), {cpu:.3f} of its CPU")
P

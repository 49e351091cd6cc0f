#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a person waits for: isola run --rm of /bin/true from an image, without network and with one of its own, beside podman run;
# exec; and the start of commands that only look. All in turn, in ROUNDS rounds; wall time and CPU time of every process that
# took part (also those that outlive the command), medians and minima.
# Usage: bench/run.sh ISOLA [ROUNDS]; as root; isola-image beside ISOLA; busybox-static; podman is left out when it is missing.
set -eu
isola=$(realpath "${1:?isola}") rounds=${2:-40}
# In a network namespace of its own: the machine's devices and firewall are not touched.
[ -n "${ISOLA_BENCH_NETNS:-}" ] || ISOLA_BENCH_NETNS=1 exec unshare -n "$0" "$isola" "$rounds"
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-bench.XXXXXX") state=$(mktemp -d /dev/shm/isola-bench.XXXXXX)
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$state
trap '"$isola" rm -f bench >/dev/null 2>&1; podman --root "$work/pod" --runroot "$state/pod" rm -af >/dev/null 2>&1; umount "$work/pod/overlay" 2>/dev/null; rm -rf "$work" "$state"' EXIT
mkdir -p "$work/root/bin" "$work/data" && cp "$(command -v busybox)" "$work/root/bin/busybox"
for a in true sh sleep; do ln -s busybox "$work/root/bin/$a"; done
tar -C "$work/root" -cf "$work/bb.tar" .
"$isola" import "$work/bb.tar" bench >/dev/null
"$isola" run -d --name bench --network none bench sleep 1000 >/dev/null
pod=
if command -v podman >/dev/null; then
    pod="podman --root $work/pod --runroot $state/pod --cgroup-manager=cgroupfs --events-backend=file --runtime runc"
    $pod import -q "$work/bb.tar" bench >/dev/null 2>&1 || pod=
fi
python3 - "$isola" "$rounds" "$pod" <<'P'
import ctypes, os, resource, subprocess, sys, time
isola, rounds, pod = sys.argv[1], int(sys.argv[2]), sys.argv[3].split()
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what is left by a command is collected, and counted, here
rows = [("isola --version", [isola, "--version"]), ("isola ps", [isola, "ps"]), ("isola exec", [isola, "exec", "bench", "true"]),
        ("isola run, no network", [isola, "run", "--rm", "--network", "none", "bench", "true"]),
        ("isola run, NAT", [isola, "run", "--rm", "bench", "true"])]
if pod:
    rows.append(("podman run, no network", pod + ["run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit",
                 "nproc=1000:1000", "bench", "true"]))
result = {name: [] for name, _ in rows}
failed = set()
for n in range(rounds):
    for name, argv in rows:
        if name.startswith("podman") and n >= max(3, rounds // 4):
            continue
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        if subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            failed.add(name)
        wall = time.perf_counter() - start
        end = time.monotonic() + 5
        while time.monotonic() < end:  # helpers that are still on their way out
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.002)
                    if name in ("isola --version", "isola ps", "isola exec"):
                        break
            except ChildProcessError:
                break
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        result[name].append((wall * 1e3, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3))
print(f"load {os.getloadavg()[0]:.1f}, {rounds} rounds")
print("| what | wall ms, median | least | CPU ms, median |\n| --- | --- | --- | --- |")
for name, _ in rows:
    w, c = sorted(x[0] for x in result[name]), sorted(x[1] for x in result[name])
    print(f"| {name}{' (FAILED)' if name in failed else ''} | {w[len(w)//2]:.1f} | {w[0]:.1f} | {c[len(c)//2]:.1f} |")
P

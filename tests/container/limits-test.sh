#!/bin/bash
# What isola-runtime's cgroups and filters do to real processes: limits hold, devices stay closed, filtered calls answer as the
# profile says, nobody escapes the end. As root.
#   tests/container/limits-test.sh PATH-TO-ISOLA-RUNTIME
set -u
runtime=$(realpath "${1:?the isola-runtime binary}")
[ "$(id -u)" = 0 ] || { echo "needs root: cgroups are made"; exit 77; }
[ -x /bin/busybox ] || { echo "needs busybox-static"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-limits.XXXXXX")
root=$work/state bundle=$work/bundle rootfs=$work/bundle/rootfs
name=isola-test-$$
passed=0 failed=0 skipped=0
rt() { timeout -k 5 40 "$runtime" --root "$root" "$@"; }
cleanup() {
    for id in $(rt list -q 2>/dev/null); do rt delete -f "$id" >/dev/null 2>&1; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; }
skip() { skipped=$((skipped + 1)); echo "SKIP $*"; }
is() { [ "$1" = "$2" ] && ok || bad "$3: expected '$1', got '$2'"; }
has() { case $1 in *"$2"*) ok ;; *) bad "$3: '$2' is not in: $1" ;; esac; }

mkdir -p "$rootfs"/{bin,proc,dev,sys,tmp}
cp /bin/busybox "$rootfs/bin/busybox"
for a in sh cat echo sleep head mkdir mknod nproc tail true yes; do ln -s busybox "$rootfs/bin/$a"; done
(cd "$bundle" && "$runtime" spec && mv config.json standard.json) || exit 1

# config PYTHON: a fresh configuration, changed; c: the whole, p: its process, r: its resources
config() {
    python3 - "$bundle/standard.json" "$bundle/config.json" "$1" <<'P'
import json, sys
c = json.load(open(sys.argv[1])); p = c["process"]; p["terminal"] = False
r = c["linux"].setdefault("resources", {})
def caps(*names):
    for k in p["capabilities"]: p["capabilities"][k] += names
exec(sys.argv[3])
json.dump(c, open(sys.argv[2], "w"))
P
}
# run SHELL-TEXT PYTHON [RUNTIME-OPTION...]: $out and $code of a container
run() {
    SHELL_TEXT=$1 config "import os; p['args'] = ['sh', '-c', os.environ['SHELL_TEXT']]; $2"
    shift 2
    out=$(rt "$@" run -b "$bundle" "$name" 2>&1 </dev/null)
    code=$?
}
# start SHELL-TEXT PYTHON: in the background
start() {
    SHELL_TEXT=$1 config "import os; p['args'] = ['sh', '-c', os.environ['SHELL_TEXT']]; $2"
    rt run -d -b "$bundle" "$name" >"$work/out" 2>&1 </dev/null || bad "start: $(cat "$work/out")"
}
soon() {
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}
gone() { rt delete -f "$name" >"$work/out" 2>&1 || bad "delete: $(cat "$work/out")"; }
no_groups() { ! find /sys/fs/cgroup -maxdepth 6 -type d -name "$name" 2>/dev/null | grep -q .; }

# Memory: what takes more is ended by the kernel, and the counters tell.
run 'head -c 100000000 /dev/zero | tail >/dev/null; echo $?' 'r["memory"] = {"limit": 20000000, "swap": 20000000}'
has "$out" 137 "more memory than the limit"
run 'head -c 1000000 /dev/zero | tail >/dev/null; echo $?' 'r["memory"] = {"limit": 20000000}'
is 0 "$out" "less memory than the limit"

# Processes.
run 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done 2>&1; echo end' 'r["pids"] = {"limit": 4}'
has "$out" "can't fork" "more processes than the limit"
no_groups && ok || bad "a group is left"

# A fork bomb ends with its container.
start 'f() { f | f & }; f; sleep 100' 'r["pids"] = {"limit": 60}'
sleep 0.5
gone
no_groups && ok || bad "a group of the fork bomb is left"

# Processors.
if [ "$(nproc)" -gt 1 ]; then
    run nproc 'r["cpu"] = {"cpus": "0"}'
    is 1 "$out" "one processor"
else
    skip "a cpuset: there is one processor"
fi
start 'yes >/dev/null' 'r["cpu"] = {"quota": 5000, "period": 100000}'
sleep 0.7
has "$(rt events --stats "$name")" '"throttledPeriods":' "statistics of the processor"
[ "$(rt events --stats "$name" | python3 -c 'import json,sys; print(json.load(sys.stdin)["data"]["cpu"]["throttling"]["throttledPeriods"])')" -gt 0 ] &&
    ok || bad "no period was throttled"

# Freezing, and changing limits meanwhile.
rt pause "$name" || bad pause
has "$(rt state "$name")" '"paused"' "state of the frozen"
rt update --memory 33554432 "$name" || bad update
limit=$(rt events --stats "$name" | python3 -c 'import json,sys; print(json.load(sys.stdin)["data"]["memory"]["usage"]["limit"])')
is 33554432 "$limit" "updated limit"
rt resume "$name" || bad resume
gone

# Another container does not take a group that is in use.
start 'sleep 100' 'c["linux"]["cgroupsPath"] = "/'"$name"'"'
config 'c["linux"]["cgroupsPath"] = "/'"$name"'"; p["args"] = ["true"]'
out=$(rt run -b "$bundle" "$name-2" 2>&1)
has "$out" "has processes already" "a group in use"
gone
config 'c["linux"]["cgroupsPath"] = "/../../escape"; p["args"] = ["true"]'
out=$(rt run -b "$bundle" "$name" 2>&1)
has "$out" ".." "a path that leaves the hierarchy"

# What the host cannot enforce is an error that says so, or a warning.
run true 'r["rdma"] = {"mlx5_0": {"hcaHandles": 1}}'
if [ $code = 0 ]; then
    skip "a controller that is missing: this host has rdma"
else
    has "$out" rdma "a controller that the host has not"
    has "$out" --best-effort "the remedy"
    run 'echo fine' 'r["rdma"] = {"mlx5_0": {"hcaHandles": 1}}' --best-effort
    has "$out" "rdma limit is not enforced" "a warning"
    has "$out" fine "it runs all the same"
fi

# Devices: a node can be made and does not open. The host's own must, to tell the difference.
device=
for d in "10 200" "10 229" "10 237" "4 64" "1 11"; do
    # shellcheck disable=SC2086
    mknod "$work/node" c $d && (: <"$work/node") 2>/dev/null && device=$d
    rm -f "$work/node"
    [ -z "$device" ] || break
done
if [ -n "$device" ]; then
    run "mknod /dev/d c $device && (: </dev/d) 2>&1 && echo opened; mknod /dev/z c 1 5 && (: </dev/z) && echo zero" 'caps("CAP_MKNOD")'
    has "$out" "Operation not permitted" "a device's node"
    has "$out" "zero" "the node of /dev/zero"
    run "mknod /dev/d c $device && (: </dev/d) && echo opened; (: >/dev/d) 2>&1" \
        "caps('CAP_MKNOD'); d = '$device'.split(); r['devices'] = [{'allow': False, 'access': 'rwm'}, {'allow': True, 'type': 'c',
            'major': int(d[0]), 'minor': int(d[1]), 'access': 'r'}]"
    has "$out" "opened" "a device's node that the list allows to read"
    has "$out" "Operation not permitted" "the same to write"
else
    skip "devices: this host opens none of those tried"
fi

# System calls.
filter() { echo 'c["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": ['"$1"']}; p["noNewPrivileges"] = '"${2:-True}"; }
run 'mkdir /tmp/d' "$(filter '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}')"
has "$out" "not supported" "a refused call"
run 'mkdir /tmp/d' "$(filter '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}' False)"
is 159 "$code" "a call that ends the process (SIGSYS)"
run 'echo no' "$(filter '{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}')"
has "$out" listenerPath "notification without a listener"

# A listener outside answers a call of the container.
python3 - "$work/listener" >"$work/heard" 2>&1 <<'P' &
import array, fcntl, json, os, socket, struct, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1); s.settimeout(30)
c, _ = s.accept()
data, fds, _, _ = socket.recv_fds(c, 65536, 4)
state = json.loads(data)
print("state", state["state"]["id"], state["metadata"], state["fds"], len(fds), flush=True)
RECV, SEND = 0xc0502100, 0xc0182101
while True:
    notification = bytearray(80)
    fcntl.ioctl(fds[0], RECV, notification)
    number, pid, flags, call = struct.unpack_from("<QIIi", notification)
    print("call", call, flush=True)
    fcntl.ioctl(fds[0], SEND, struct.pack("<QqiI", number, 0, -122, 0))
    break
P
listener=$!
soon test -S "$work/listener"
run 'mkdir /tmp/d' "$(filter '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}'); c['linux']['seccomp'].update(
    listenerPath='$work/listener', listenerMetadata='meta')"
has "$out" "uota exceeded" "the listener's answer"
soon grep -q call "$work/heard"
kill "$listener" 2>/dev/null
wait "$listener" 2>/dev/null
has "$(cat "$work/heard")" "state $name meta ['seccompFd'] 1" "what the listener got"

# Huge pages: on a hybrid host their controller may be in v2.
if grep -qs hugetlb /sys/fs/cgroup/unified/cgroup.controllers; then
    was=$(cat /sys/fs/cgroup/unified/cgroup.subtree_control)
    start 'sleep 100' 'r["hugepageLimits"] = [{"pageSize": "2MB", "limit": 4194304}]'
    group=$(sed -n 's/^0:://p' "/proc/$(rt state "$name" | python3 -c 'import json,sys; print(json.load(sys.stdin)["pid"])')/cgroup")
    is 4194304 "$(cat "/sys/fs/cgroup/unified$group/hugetlb.2MB.max")" "huge pages in the v2 half of a hybrid host"
    gone
    [ -n "$was" ] || echo -hugetlb >/sys/fs/cgroup/unified/cgroup.subtree_control
else
    skip "huge pages on a hybrid host: the controller is not in v2"
fi
no_groups && ok || bad "a group is left at the end"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

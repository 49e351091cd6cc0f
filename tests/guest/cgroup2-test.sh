#!/bin/bash
# Containers on a host with cgroup v2 alone and all rights: a Debian kernel in a machine of our own. Limits, the device filter
# (an eBPF program), freezing, ending, statistics, removal.
. "$(dirname "$0")/lib.sh"
runtime=$(dirname "$isola")/src/container/isola-runtime
[ -x "$runtime" ] || skip "no isola-runtime beside $isola"
guest_kernel cloud

# What the guest gets beside its initrd: the runtime, configurations, a script. Its root is a ramfs, which pivot_root refuses.
mkdir -p "$work/add/t/bundle/rootfs/bin" "$work/add/t/bundle/rootfs/tmp"
cp "$runtime" "$work/add/t/isola-runtime"
python3 - "$work/add/t" "$runtime" <<'P' || die "no configurations"
import json, os, subprocess, sys
top, runtime = sys.argv[1:]
subprocess.run([runtime, "spec"], cwd=top + "/bundle", check=True)
base = json.load(open(top + "/bundle/config.json"))
os.remove(top + "/bundle/config.json")
def write(name, text, resources=None, caps=()):
    c = json.loads(json.dumps(base))
    c["root"]["path"] = "/t/bundle/rootfs"
    c["process"].update(terminal=False, args=["/bin/busybox", "sh", "-c", text])
    for k in c["process"]["capabilities"]:
        c["process"]["capabilities"][k] += caps
    c["linux"]["resources"] = resources or {}
    c["linux"]["cgroupsPath"] = "/t/" + name
    os.makedirs(f"{top}/{name}")
    json.dump(c, open(f"{top}/{name}/config.json", "w"))
show = "b=/bin/busybox; cd /sys/fs/cgroup; "
write("plain", "echo hello from $($b hostname 2>/dev/null)")
write("limits", show + "for f in memory.max memory.swap.max memory.low cpu.weight cpu.max cpuset.cpus pids.max; do "
      "echo $f=$($b cat $f 2>/dev/null); done",
      {"memory": {"limit": 33554432, "swap": 50331648, "reservation": 16777216},
       "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0"}, "pids": {"limit": 20},
       "unified": {"memory.high": "30000000"}})
write("oom", "b=/bin/busybox; $b head -c 60000000 /dev/zero | $b tail >/dev/null; echo oom=$?", {"memory": {"limit": 20000000, "swap": 20000000}})
write("fork", "b=/bin/busybox; for i in 1 2 3 4 5 6; do $b sleep 2 & done 2>&1", {"pids": {"limit": 4}})
device = "b=/bin/busybox; $b mknod /dev/k c 1 11; $b mknod /dev/z c 1 5; (: </dev/k) 2>&1 && echo kmsg=open; (: </dev/z) && echo zero=open"
write("devices", device, None, ["CAP_MKNOD", "CAP_SYSLOG"])
write("allowed", device, {"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 11,
      "access": "r"}]}, ["CAP_MKNOD", "CAP_SYSLOG"])
# Of a user whose group was delegated: its own group holds processes, so the container's is made beside it.
subprocess.run([runtime, "spec", "--rootless"], cwd=top, check=True)
base = json.load(open(top + "/config.json"))
for kind in "uidMappings", "gidMappings":
    base["linux"][kind] = [{"containerID": 0, "hostID": 1000, "size": 1}]
base["process"]["capabilities"] = {k: [] for k in ("bounding", "effective", "permitted")}
write("rootless", "b=/bin/busybox; $b id -u; $b grep 0:: /proc/self/cgroup", {"memory": {"limit": 33554432}, "pids": {"limit": 20}})
c = json.load(open(top + "/rootless/config.json"))
c["linux"]["cgroupsPath"] = "mine"
json.dump(c, open(top + "/rootless/config.json", "w"))
base = json.load(open(top + "/plain/config.json"))
write("long", "b=/bin/busybox; while :; do $b sleep 1; done")
P
cp "$(command -v busybox)" "$work/add/t/bundle/rootfs/bin/busybox"
mkdir "$work/add/t/bundle/rootfs/"{proc,dev,sys}
cat >"$work/add/t/go" <<'G'
mount -t cgroup2 none /sys/fs/cgroup
cat /sys/fs/cgroup/cgroup.controllers
rt() { /t/isola-runtime --root /run/isola-runtime "$@"; }
for c in plain limits oom fork devices allowed; do
    echo "== $c"
    rt run --no-pivot -b /t/$c $c 2>&1
    echo "status $c $?"
done
echo "== long"
rt create --no-pivot -b /t/long long >/dev/null 2>&1 </dev/null && rt start long && echo started
rt exec long /bin/busybox echo in the container
rt pause long && rt state long | grep -o '"status": *"[a-z]*"'
cat /sys/fs/cgroup/t/long/cgroup.freeze
rt update --memory 50000000 long && cat /sys/fs/cgroup/t/long/memory.max
rt events --stats long | tr ',' '\n' | grep -E '"total"|"current"' | head -4
rt resume long && rt kill long KILL && sleep 1 && rt state long | grep -o '"status": *"[a-z]*"'
rt delete long && echo deleted
find /sys/fs/cgroup/t -mindepth 1 -type d
echo "== rootless"
cd /sys/fs/cgroup
mkdir -p u/session
echo "+memory +pids" >cgroup.subtree_control
chown 1000 u u/* u/session/*
mkdir -p /etc && echo 'isola:x:1000:1000::/tmp:/bin/sh' >/etc/passwd
mkdir -p /run/user && chown 1000 /run/user
cat >/t/rootless/go <<'R'
/t/isola-runtime --root /run/user/state run --no-pivot -b /t/rootless mine
echo "status rootless $?"
/t/isola-runtime --root /run/user/state create --no-pivot -b /t/rootless mine </dev/null >/dev/null 2>&1
echo "delegated $(cat /sys/fs/cgroup/u/mine/memory.max) $(cat /sys/fs/cgroup/u/mine/pids.max)"
/t/isola-runtime --root /run/user/state delete -f mine && echo "rootless deleted"
R
sh -c 'echo $$ >/sys/fs/cgroup/u/session/cgroup.procs; exec su isola -c "sh /t/rootless/go"' 2>&1
ls -d /sys/fs/cgroup/u/mine 2>/dev/null
cd /
G
(cd "$work/add" && find . | cpio -o -H newc 2>/dev/null) >"$work/add.cpio" || die "cpio"
cat "$guests/cloud/initrd.img" "$work/add.cpio" >"$work/initrd.img"
timeout -k 5 400 "$isola" run --vm --rm --memory 512m --kernel "$guests/cloud/vmlinuz" --initrd "$work/initrd.img" \
    --append "console=ttyS0 panic=-1 quiet isola.run=$(echo 'sh /t/go' | base64 -w0)" </dev/null 2>"$work/err" | tr -d '\r' >"$work/out"
status=$(sed -n 's/^isola-status: //p' "$work/out" | tail -1)
[ "$status" = 0 ] || { show; die "status ${status:-none}"; }
want() { grep -qE -- "$1" "$work/out" || { show; die "$2: nothing matches '$1'"; }; ok "$2"; }
want '^cpuset cpu io memory' "v2 with its controllers"
want '^hello from' "a container"
want '^memory.max=33554432$' "memory limit"
want '^memory.swap.max=16777216$' "memory and swap"
want '^memory.low=16777216$' "memory reservation"
want '^cpu.weight=100$' "shares as weight"
want '^cpu.max=50000 100000$' "quota and period"
want '^cpuset.cpus=0$' "processors"
want '^pids.max=20$' "processes"
want '^oom=137$' "more memory than the limit"
want "can't fork" "more processes than the limit"
sed -n '/^== devices/,/^status devices/p' "$work/out" | grep -q 'zero=open' || { show; die "a standard device does not open"; }
sed -n '/^== devices/,/^status devices/p' "$work/out" | grep -q 'kmsg=open' && { show; die "the device filter lets /dev/kmsg through"; }
sed -n '/^== devices/,/^status devices/p' "$work/out" | grep -q 'Operation not permitted' || { show; die "no device filter"; }
ok "the device filter refuses"
sed -n '/^== allowed/,/^status allowed/p' "$work/out" | grep -q 'kmsg=open' || { show; die "the device filter refuses what is allowed"; }
ok "the device filter allows"
grep -q 'not enforced' "$work/out" && { show; die "something is not enforced"; }
want '^in the container$' "exec"
want '"status": *"paused"' "pause"
want '^50000000$|^49999872$' "update"
want '"status": *"stopped"' "kill"
want '^deleted$' "delete"
want '^delegated 33554432 20$' "limits of a user in a delegated group"
want '^rootless deleted$' "delete by that user"
grep -qE '^/sys/fs/cgroup/(t/|u/mine)' "$work/out" && { show; die "a group is left"; }
ok "nothing is left"

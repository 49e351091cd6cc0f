#!/bin/sh
# isola-runtime end to end: its life cycle, what a container sees, and configurations and images made to break out. As root.
#   tests/container/runtime-test.sh PATH-TO-ISOLA-RUNTIME
set -u
runtime=$(realpath "${1:?the isola-runtime binary}")
[ "$(id -u)" = 0 ] || { echo "needs root: namespaces, cgroups and device nodes are made"; exit 77; }
[ -x /bin/busybox ] || { echo "needs busybox-static"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-runtime-test.XXXXXX")
root=$work/state bundle=$work/bundle rootfs=$work/bundle/rootfs
prefix=isola-test-$$
passed=0 failed=0
mkdir -p "$bundle"
cleanup() {
    for id in $("$runtime" --root "$root" list -q 2>/dev/null); do timeout 20 "$runtime" --root "$root" delete -f "$id" >/dev/null 2>&1; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; }
is() { [ "$1" = "$2" ] && ok || bad "$3: expected '$1', got '$2'"; }
has() { case $1 in *"$2"*) ok ;; *) bad "$3: '$2' is not in: $1" ;; esac; }
hasnot() { case $1 in *"$2"*) bad "$3: '$2' is in: $1" ;; *) ok ;; esac; }
rt() { timeout -k 5 30 "$runtime" --root "$root" "$@"; }

fresh() { # a new root file system and configuration
    rm -rf "$rootfs" "$bundle/config.json"
    mkdir -p "$rootfs/bin" "$rootfs/etc" "$rootfs/tmp" "$rootfs/proc" "$rootfs/dev" "$rootfs/sys"
    cp /bin/busybox "$rootfs/bin/busybox"
    for a in sh true false ls cat echo sleep mount id ps hostname stat touch tty stty kill readlink grep env head mkdir wc umount pwd date cut; do
        ln -s busybox "$rootfs/bin/$a"
    done
    (cd "$bundle" && "$runtime" spec) || exit 1
    edit 'p["terminal"] = False; c["linux"]["cgroupsPath"] = "/'"$prefix"'"'
}
edit() { # python statements; c: the configuration, p: its process
    python3 - "$bundle/config.json" "$1" <<'P'
import json, sys
c = json.load(open(sys.argv[1])); p = c["process"]; l = c["linux"]
def ns(kind, **more):
    l["namespaces"] = [n for n in l["namespaces"] if n["type"] != kind] + [dict(type=kind, **more)]
def without(kind):
    l["namespaces"] = [n for n in l["namespaces"] if n["type"] != kind]
def sh(text):
    p["args"] = ["sh", "-c", text]
def all_caps(*names):
    for k in ("bounding", "effective", "permitted", "inheritable"):
        p["capabilities"][k] = list(names)
exec(sys.argv[2])
json.dump(c, open(sys.argv[1], "w"))
P
}
# in_container SHELL-TEXT [RUN-OPTION...]: $out is what it wrote to both, $code its exit code
in_container() {
    ISOLA_TEXT=$1 edit 'import os; sh(os.environ["ISOLA_TEXT"])'
    shift
    out=$(cd "$bundle" && rt run "$@" t 2>&1 </dev/null)
    code=$?
}
fails() { # fails WORDS WHAT: a run is refused, says why, and leaves nothing
    out=$(cd "$bundle" && rt run t 2>&1 </dev/null)
    is 1 $? "$2: exit code"
    has "$out" "$1" "$2"
    [ ! -e "$root/t" ] || bad "$2: state is left"
    left=$(find /sys/fs/cgroup -maxdepth 3 -name "$prefix" 2>/dev/null)
    is "" "$left" "$2: cgroups left"
}

# --- life ---
fresh
in_container 'echo out; echo err >&2; exit 7'
is 7 $code "exit code"
is "out
err" "$out" "both streams"
in_container 'kill -9 $$; sleep 5'
is 0 $code "the first process of a PID namespace ignores its own SIGKILL"
is "" "$(ls "$root")" "nothing is left after run"

edit 'p["args"] = ["sleep", "100"]'
(cd "$bundle" && rt create --pid-file "$work/pid" t) || bad "create"
has "$(rt state t)" '"status": "created"' "created"
is "$(rt state t | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')" "$(cat "$work/pid")" "pid file"
is isola-init "$(cat "/proc/$(cat "$work/pid")/comm")" "init waits"
has "$(readlink "/proc/$(cat "$work/pid")/exe")" "memfd:" "init is no file of the host"
has "$(cd "$bundle" && rt create t 2>&1)" "in use" "an id twice"
rt start t || bad "start"
has "$(rt state t)" '"status": "running"' "running"
has "$(rt start t 2>&1)" "running" "start twice is refused"
has "$(rt delete t 2>&1)" "not stopped" "a running one is not deleted"
is "hello" "$(rt exec t echo hello)" "exec"
rt exec t sh -c 'exit 5'
is 5 $? "exit code of exec"
is "/tmp 3 4 b" "$(rt exec --cwd /tmp -u 3:4 -e A=b t sh -c 'echo $(pwd) $(id -u) $(id -g) $A')" "options of exec"
has "$(rt exec t nosuch 2>&1)" "executable file not found in \$PATH" "exec of nothing"
has "$(rt exec t /etc 2>&1)" "permission denied" "exec of a directory"
has "$(rt exec t ps)" "sleep 100" "exec sees the container's processes"
hasnot "$(rt exec t ps)" "init" "exec sees no others"
rt pause t && has "$(rt state t)" '"status": "paused"' "paused" || bad "pause"
has "$(timeout 5 "$runtime" --root "$root" exec t true 2>&1)" "paused" "exec in a paused one"
rt resume t && has "$(rt state t)" '"status": "running"' "resumed" || bad "resume"
is "[$(cat "$work/pid")]" "$(rt ps -f json t)" "ps"
has "$(rt ps t)" "sleep 100" "ps as a table"
has "$(rt list)" "running" "list"
is t "$(rt list -q)" "list -q"
has "$(rt list -f json)" '"id": "t"' "list as JSON"
has "$(rt events --stats t)" '"type":"stats"' "events --stats"
rt update --pids-limit 50 t || bad "update"
has "$(rt kill t NOSIGNAL 2>&1)" "no signal" "an unknown signal"
rt kill t KILL || bad "kill"
n=0
until rt state t | grep -q stopped || [ $n = 50 ]; do n=$((n + 1)); sleep 0.1; done
has "$(rt state t)" '"status": "stopped"' "stopped"
cp "$root/t/state.json" "$work/whole"
for damage in 'head -c -1' 'head -n 1' 'head -c 100' "sed 1s/configSize/configSigh/" "sed 1s/configSize\":/&9/" "cat - $0"; do
    $damage <"$work/whole" >"$root/t/state.json"
    has "$(rt state t 2>&1)" "container t: " "a state file after: $damage"
    hasnot "$(rt state t 2>&1)" '"status"' "a state file after: $damage"
done
cp "$work/whole" "$root/t/state.json"
rt delete t || bad "delete"
is "" "$(ls "$root")" "nothing is left after delete"
rt delete -f nothing || bad "delete --force of nothing succeeds"
has "$(rt state nothing 2>&1)" "does not exist" "state of nothing"
has "$(rt state ../x 2>&1)" "no container id" "an id that leaves the directory"
has "$(rt checkpoint t 2>&1)" "not supported" "checkpoint"
"$runtime" --log "$work/log" --log-format json --root "$root" state nothing 2>/dev/null
has "$(cat "$work/log")" '"level":"error","msg":"container' "errors in the log"
python3 -c 'import json,sys; json.loads(sys.argv[1])' "$(rt features)" && ok || bad "features is JSON"
has "$("$runtime" --version)" "spec: 1.2" "version"
edit 'p["args"] = ["sleep", "100"]'
(cd "$bundle" && rt create t) && rt delete t && ok || bad "delete of a created one"
edit 'p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 6, "hard": 6}]; p["args"] = ["sh", "-c", "ulimit -n; sleep 100"]'
(cd "$bundle" && rt create t >"$work/out") && rt start t && ok || bad "few descriptors"
sleep 0.2
is 6 "$(cat "$work/out")" "the limit of few descriptors"
rt delete -f t
edit 'p["args"] = ["true"]; p["rlimits"] = []'
(cd "$bundle" && rt run t <&- >&- 2>&-) && ok || bad "a caller without standard input and output"

# A container outlives whoever made it.
edit 'p["args"] = ["sleep", "100"]'
(cd "$bundle" && rt run -d t) || bad "run --detach"
sleep 0.3
has "$(rt state t)" running "detached"
rt delete -f t || bad "delete --force"

# --- what is inside ---
fresh
in_container 'cat /sys/class/net/lo/operstate; head -c 9 /proc/net/fib_trie; ls /sys/class/net | wc -l'
has "$out" "unknown
Main:" "loopback is up"
in_container 'id -u; hostname; pwd; cat /proc/self/status | grep -E "CapEff|NoNewPrivs" ; readlink /proc/self/ns/pid; umask'
has "$out" "0
isola
/
CapEff:	0000000020000420
NoNewPrivs:	1" "identity"
has "$out" 0022 "umask"
in_container 'ls -l /proc/self/fd | wc -l; ls /dev | tr "\n" " "; touch /x /proc/sys/kernel/hostname; cat /proc/timer_list /proc/keys; ls /sys/firmware; echo $HOME'
hasnot "$out" "denied" "own namespaces"
has "$out" "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero" "devices"
has "$out" "/x: Read-only file system" "a read-only root"
in_container 'echo 1 >/proc/sys/kernel/msgmax'
has "$out" "Read-only" "read-only paths"
edit 'c["root"]["readonly"] = False; p["user"] = {"uid": 7, "gid": 8, "additionalGids": [9], "umask": 63}; p["cwd"] = "/made/here"
p["noNewPrivileges"] = False; p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}]; p["oomScoreAdj"] = 500
l["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmni": "5000"}; c["domainname"] = "dom"; l["personality"] = {"domain": "LINUX32"}
p["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 7}; p["scheduler"] = {"policy": "SCHED_BATCH", "nice": 3}
c["mounts"] += [{"destination": "/a/b", "type": "tmpfs", "source": "t", "options": ["size=1m", "mode=700", "noexec"]},
 {"destination": "/file", "type": "bind", "source": "'"$work/pid"'", "options": ["bind", "ro"]}]
l["devices"] = [{"path": "/dev/x/y", "type": "c", "major": 1, "minor": 5, "fileMode": 384, "uid": 7, "gid": 8}]
l["maskedPaths"] += ["/etc/secret"]; ns("time"); l["timeOffsets"] = {"monotonic": {"secs": 1000000}}'
echo s >"$rootfs/etc/secret"
printf 'root:x:0:0::/root:/bin/sh\nu:x:7:8::/home/u:/bin/sh\n' >"$rootfs/etc/passwd"
in_container 'id -u; id -g; id -G; umask; pwd; ulimit -n; cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni /proc/sys/kernel/domainname; cat /etc/secret; stat -c %a /a/b; cat /file; stat -c "%t %T %a %u" /dev/x/y; echo; uname -m; echo $HOME; cut -d" " -f19 /proc/self/stat; cut -d. -f1 /proc/uptime; grep CapEff /proc/self/status'
is "7
8
8 9
0077
/made/here
77
500
1
5000
dom
700
$(cat "$work/pid")1 5 600 7" "$(printf '%s\n' "$out" | head -12)" "settings"
has "$out" "i686
/home/u
3" "personality, home, nice"
has "$out" "CapEff:	0000000000000000" "another user has no capabilities"
has "$(rt exec t true 2>&1)" "does not exist" "run left nothing"

fresh
edit 'all_caps("CAP_CHOWN", "CAP_NET_RAW"); p["capabilities"]["ambient"] = ["CAP_NET_RAW"]; p["user"]["uid"] = 5'
in_container 'grep Cap /proc/self/status'
has "$out" "CapEff:	0000000000002000
CapBnd:	0000000000002001
CapAmb:	0000000000002000" "ambient capabilities"

# Propagation, recursive read-only, copied content.
fresh
mkdir -p "$work/src/sub" && mount -t tmpfs t "$work/src/sub" && touch "$work/src/sub/f"
edit 'c["mounts"] += [{"destination": "/src", "source": "'"$work/src"'", "options": ["rbind", "rro", "rslave"]}, {"destination": "/etc", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"]}]'
echo content >"$rootfs/etc/kept"
mkdir -p "$rootfs/etc/d"; ln -s kept "$rootfs/etc/d/link"
in_container 'ls /src/sub; touch /src/x /src/sub/y; cat /etc/kept; readlink /etc/d/link; touch /etc/new && echo writable'
umount "$work/src/sub"
has "$out" "f
" "a recursive bind"
has "$out" "/src/sub/y: Read-only" "a recursive read-only bind"
has "$out" "content
kept
writable" "tmpcopyup"

# Limits: of every hierarchy, also the second version's beside the first; small ones.
fresh
edit 'l["resources"]["memory"] = {"limit": 1 << 20}; l["resources"]["pids"] = {"limit": 1}; p["args"] = ["sleep", "100"]
try: open("/sys/fs/cgroup/unified/cgroup.controllers").read().index("hugetlb"); l["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 0}]
except (OSError, ValueError): pass'
(cd "$bundle" && rt run -d t) && ok || bad "a container of 1 MiB and one process"
pid=$(rt state t | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
outside=$(grep -v "$prefix" "/proc/$pid/cgroup" | grep -v '^0::' | grep -vF "$(grep -E 'net_|perf_|rdma|misc' "/proc/$pid/cgroup" || echo none)")
is "" "$outside" "hierarchies that the container is not in"
if grep -q hugepageLimits "$bundle/config.json"; then has "$(grep '^0::' "/proc/$pid/cgroup")" "$prefix" "the second version's hierarchy"; fi
rt delete -f t || bad "delete of a limited one"

# A host with the second version alone, as a mount namespace shows it.
fresh
edit 'sh("ls /sys/fs/cgroup/cgroup.procs; sleep 100")'
cat >"$work/v2" <<P
mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup || exit 1
cd "$bundle"
r() { timeout -k 5 20 "$runtime" --root "$root" "\$@"; }
r run -d t || exit 1
sleep 0.3
grep ^0:: /proc/\$(r state t | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')/cgroup
r exec t grep ^0:: /proc/self/cgroup
r pause t && r state t | grep -o paused && r resume t
r events --stats t | grep -o '"type":"stats"'
r delete -f t
ls -d /sys/fs/cgroup/$prefix 2>/dev/null
true
P
out=$(unshare -m sh "$work/v2" 2>&1)
is "/sys/fs/cgroup/cgroup.procs
0::/$prefix
0::/
paused
"'"type":"stats"' "$out" "a host with cgroup v2 alone"

# Other ways into the root; the propagation of mounts; descriptors of a service manager.
fresh
in_container 'ls /bin/busybox; ls / | wc -l' --no-pivot
is "/bin/busybox
6" "$out" "no pivot_root"
mkdir "$work/shared" && mount -t tmpfs t "$work/shared" && mount --make-shared "$work/shared"
edit 'l["rootfsPropagation"] = "shared"; c["mounts"] += [{"destination": "/shared", "source": "'"$work/shared"'", "options": ["bind", "rshared"]}]
all_caps("CAP_SYS_ADMIN")'
mkdir "$work/shared/d"
in_container 'mount -t tmpfs made /shared/d && echo mounted; grep -c shared: /proc/self/mountinfo >/dev/null && echo shared'
has "$out" "mounted
shared" "shared propagation"
has "$(cat /proc/mounts)" "made $work/shared/d" "a mount goes out to where it is shared"
umount "$work/shared/d" "$work/shared"
edit 'l["rootfsPropagation"] = "private"; c["mounts"].pop()'
in_container 'grep -c shared: /proc/self/mountinfo'
is 0 "$out" "private propagation"
fresh
edit 'sh("cat <&3")'
out=$(cd "$bundle" && LISTEN_FDS=1 rt run t 3<"$work/pid" 2>&1)
is "$(cat "$work/pid")" "$out" "LISTEN_FDS"

# --- joined and user namespaces ---
fresh
edit 'p["args"] = ["sleep", "100"]'
(cd "$bundle" && rt run -d first) || bad "run first"
pid=$(rt state first | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
edit 'c["linux"]["cgroupsPath"] = "/'"$prefix"'-2"; [ns(k, path="/proc/'"$pid"'/ns/" + f) for k, f in (("pid", "pid"), ("network", "net"), ("ipc", "ipc"))]'
in_container 'readlink /proc/self/ns/net; ps'
has "$out" "$(readlink "/proc/$pid/ns/net")" "a joined network namespace"
has "$out" "sleep 100" "a joined PID namespace"
rt delete -f first || bad "delete first"
fresh
edit 'ns("user"); l["uidMappings"] = l["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1000}]; c["root"]["readonly"] = False'
chown 100000:100000 "$rootfs" "$rootfs/tmp"
in_container 'id -u; head -1 /proc/self/uid_map; touch /tmp/mine && stat -c %u /tmp/mine; echo x >/dev/null && echo null; cat /dev/zero | head -c 3 | wc -c; ls /sys/fs/cgroup | head -1'
has "$out" "0
         0     100000       1000
0
null
3" "a user namespace"
is 100000 "$(stat -c %u "$rootfs/tmp/mine")" "ids are mapped"
edit 'p["args"] = ["sleep", "100"]'
(cd "$bundle" && rt run -d t) || bad "run in a user namespace"
is "0 100000" "$(rt exec t sh -c 'read a b c </proc/self/uid_map; echo $(id -u) $b')" "exec in a user namespace"
rt delete -f t || bad "delete in a user namespace"
mkdir "$work/owned"; touch "$work/owned/f"
edit 'c["mounts"] += [{"destination": "/owned", "source": "'"$work/owned"'", "options": ["bind", "idmap"]}]'
in_container 'stat -c %u /owned/f; touch /owned/g'
is 0 "$out" "an idmapped mount"
is 0 "$(stat -c %u "$work/owned/g")" "an idmapped mount keeps the host's ids"

# Without root: one mapped id, no cgroups, state of its own.
if setpriv --reuid 54321 --regid 54321 --clear-groups unshare -U true 2>/dev/null; then
    fresh
    rm "$bundle/config.json"
    chmod 755 "$work"
    mkdir -m 777 "$work/user"
    cp -a "$bundle" "$work/user/b"
    chown -R 54321:54321 "$work/user"
    (cd "$work/user/b" && setpriv --reuid 54321 --regid 54321 --clear-groups "$runtime" spec --rootless)
    sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sh", "-c", "id -u; hostname; ls -d \/sys\/kernel; echo x >\/dev\/null \&\& echo yes"/' "$work/user/b/config.json"
    out=$(cd "$work/user/b" && timeout 20 setpriv --reuid 54321 --regid 54321 --clear-groups "$runtime" --root "$work/user/state" run t 2>&1)
    is "0
isola
/sys/kernel
yes" "$out" "a container of an unprivileged user"
else
    echo "SKIP: unprivileged user namespaces are not allowed on this host"
fi

# --- terminal ---
fresh
edit 'p["terminal"] = True; p["consoleSize"] = {"height": 31, "width": 91}; sh("tty; stty size; ls -l /dev/console; sleep 0.2")'
cat >"$work/console.py" <<'P'
import array, os, socket, subprocess, sys
path, command = sys.argv[1], sys.argv[2:]
s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(1); s.settimeout(20)
r = subprocess.Popen(command, stdin=subprocess.DEVNULL)
c, _ = s.accept()
msg, anc, _, _ = c.recvmsg(100, socket.CMSG_SPACE(4))
fd = array.array("i", anc[0][2])[0]
r.wait()
data = b""
if "create" in command:
    subprocess.check_call([command[0], command[1], command[2], "start", command[-1]])
try:
    while True:
        d = os.read(fd, 4096)
        if not d: break
        data += d
except OSError: pass
sys.stdout.write(data.decode().replace("\r", ""))
P
out=$(cd "$bundle" && timeout 30 python3 "$work/console.py" "$work/console" "$runtime" --root "$root" create --console-socket "$work/console" t 2>&1)
has "$out" "/dev/pts/0
31 91
crw--w----" "a console socket"
rt delete -f t
out=$(cd "$bundle" && timeout 20 script -qec "$runtime --root $root run t" /dev/null </dev/null 2>&1)
has "$out" "/dev/pts/0" "a terminal in the foreground"
has "$(cd "$bundle" && rt create t 2>&1)" "console-socket" "a terminal needs a console socket"

# --- hooks ---
fresh
cat >"$work/hook" <<P
#!/bin/sh
echo "\$1 \$X \$(sed 's/.*"status":"\([a-z]*\)".*/\1/') \$(readlink /proc/self/ns/mnt | grep -q '$(readlink /proc/self/ns/mnt | sed 's/[][]/./g')' && echo host)" >>$work/hooks
P
chmod 755 "$work/hook"
cat >"$rootfs/bin/inside" <<'P'
#!/bin/sh
sed 's/.*"status":"\([a-z]*\)".*/inside \1/' >/tmp/inside
P
chmod 755 "$rootfs/bin/inside"
edit 'c["root"]["readonly"] = False
c["hooks"] = {k: [{"path": "'"$work/hook"'", "args": ["hook", k], "env": ["X=y", "PATH=/bin:/usr/bin"]}] for k in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}
c["hooks"]["startContainer"] = [{"path": "/bin/inside", "env": ["PATH=/bin"]}]'
in_container 'cat /tmp/inside'
is "inside created" "$out" "startContainer hook"
is "prestart y creating host
createRuntime y creating host
createContainer y creating 
poststart y running host
poststop y stopped host" "$(cat "$work/hooks")" "hooks"
edit 'c["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}'
fails "exit code 1" "a hook that fails"
edit 'c["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "20"], "timeout": 1}]}'
fails "still running after 1 seconds" "a hook that hangs"
edit 'c["hooks"] = {"createContainer": [{"path": "/bin/sleep", "args": ["sleep", "20"], "timeout": 1}]}'
fails "timed out" "a hook that hangs inside"

# --- seccomp, descriptors ---
fresh
edit 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}; c["root"]["readonly"] = False'
in_container 'mkdir /tmp/d; grep Seccomp: /proc/self/status'
has "$out" "Seccomp:	2" "a seccomp filter"
hasnot "$(ls "$rootfs/tmp")" d "a seccomp filter refuses"
edit 'p["noNewPrivileges"] = False; p["args"] = ["sleep", "100"]'
(cd "$bundle" && rt run -d t) || bad "run with a filter"
has "$(rt exec t grep Seccomp: /proc/self/status)" "2" "exec gets the filter, too"
rt delete -f t
fresh
sh_text='ls /proc/self/fd | tr "\n" " "; cat <&3'
in_container "$sh_text" --preserve-fds 1 3<"$work/pid"
has "$out" "0 1 2 3" "preserved descriptors"
has "$out" "$(cat "$work/pid")" "a preserved descriptor"
in_container 'ls /proc/self/fd | tr "\n" " "' 7<"$work/pid" 9</
is "0 1 2 3 " "$out" "descriptors of the caller do not leak in"
in_container 'sleep 100 & exec true'
edit 'c["annotations"] = {"io.isola.init": "true"}'
in_container 'ps; exit 9'
is 9 $code "exit code through the reaper"
has "$out" "isola-init" "a reaper as first process"

# --- made to break out ---
fresh # the class of CVE-2026-47766: /dev of the image leads elsewhere
rmdir "$rootfs/dev"; ln -s /etc "$rootfs/dev"
fails "no real directory" "/dev is a symbolic link"
fresh; rmdir "$rootfs/dev"; ln -s "$work" "$rootfs/dev"
fails "no real directory" "/dev is a symbolic link to the host"
is "" "$(ls "$work" | grep -x null)" "no node on the host"
fresh # CVE-2019-19921, CVE-2023-28642: /proc of the image leads elsewhere
rmdir "$rootfs/proc"; ln -s tmp "$rootfs/proc"
fails "no real directory" "/proc is a symbolic link"
n=0 # init ends while the runtime still talks to it: the reason must come through every time
while [ $n -lt 15 ]; do
    n=$((n + 1))
    out=$(cd "$bundle" && rt run t 2>&1 </dev/null)
    case $out in *"no real directory"*) ;; *) bad "the reason of a failure in try $n: $out" ;; esac
done
fresh # CVE-2024-21626: the working directory is a descriptor of the host
for fd in 3 5 7 9 12; do
    edit "p['cwd'] = '/proc/self/fd/$fd'; p['args'] = ['sh', '-c', 'ls /../../etc/hostname; ls ../../../etc/shadow; pwd']"
    out=$(cd "$bundle" && rt run t 2>&1 9</ 12</ </dev/null)
    [ $? = 1 ] && ok || bad "cwd by descriptor $fd: $out"
done
edit 'p["args"] = ["sleep", "100"]; p["cwd"] = "/"'
(cd "$bundle" && rt run -d t)
for fd in 3 5 7 9 12; do
    out=$(rt exec --cwd /proc/self/fd/$fd t ls 2>&1 9</ 12</)
    [ $? = 1 ] && ok || bad "exec: cwd by descriptor $fd: $out"
done
rt delete -f t
fresh # CVE-2025-31133: /dev/null of the image is something else, masks must not use it
edit 'c["mounts"] = [m for m in c["mounts"] if m["destination"] != "/dev"]; l["maskedPaths"] += ["/etc/secret"]'
rm -rf "$rootfs/dev/null"; ln -s /etc/passwd "$rootfs/dev/null"; echo s >"$rootfs/etc/secret"
in_container 'cat /etc/secret; stat -c "%F %t %T" /dev/null'
is "character special file 1 3" "$out" "/dev/null of the image"
fresh # CVE-2025-52565: /dev/console of the image leads elsewhere
edit 'p["terminal"] = True; sh("stat -c %F /dev/console; sleep 0.2")'
ln -s /etc/passwd "$rootfs/dev/console"; echo kept >"$rootfs/etc/passwd"
out=$(cd "$bundle" && timeout 20 script -qec "$runtime --root $root run t" /dev/null </dev/null 2>&1)
has "$out" "character special file" "/dev/console of the image"
is kept "$(cat "$rootfs/etc/passwd")" "/dev/console of the image, target"
fresh # absolute and climbing links in mount destinations stay inside
mkdir "$work/outside"
ln -s "$work/outside" "$rootfs/etc/abs"; ln -s ../../../../../.."$work"/outside "$rootfs/etc/rel"
edit 'c["root"]["readonly"] = False; c["mounts"] += [{"destination": "/etc/abs/new", "type": "tmpfs", "source": "t"}, {"destination": "/etc/rel/new2", "type": "bind", "source": "'"$work/pid"'", "options": ["bind"]}]'
in_container "ls $work/outside"
has "$out" new "links resolve inside"
is "" "$(ls "$work/outside")" "links do not lead out"
fresh; ln -s ../run/resolv "$rootfs/etc/resolv.conf" # a dangling link is followed inside
edit 'c["root"]["readonly"] = False; c["mounts"] += [{"destination": "/etc/resolv.conf", "source": "'"$work/pid"'", "options": ["bind"]}]'
in_container 'cat /run/resolv'
is "$(cat "$work/pid")" "$out" "a dangling link as destination"
fresh; ln -s loop "$rootfs/etc/loop"
edit 'c["mounts"] += [{"destination": "/etc/loop/x", "type": "tmpfs", "source": "t"}]'
fails "symbolic links" "a link to itself"
fresh # CVE-2021-30465: a directory in a mount's destination is swapped with a link during the run
mkdir -p "$rootfs/race/dir"; ln -s ../../../../../.."$work"/outside "$rootfs/race/link"
edit 'c["root"]["readonly"] = False; c["mounts"] += [{"destination": "/race/dir/sub", "type": "tmpfs", "source": "'"$prefix"'-racing"}]'
cat >"$work/swap.py" <<'P'
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
end = time.time() + float(sys.argv[2])
while time.time() < end:
    libc.renameat2(-100, b"dir", -100, b"link", 2)
P
python3 "$work/swap.py" "$rootfs/race" 6 &
swapper=$!
n=0
while [ $n -lt 40 ]; do
    n=$((n + 1))
    (cd "$bundle" && rt run t >/dev/null 2>&1 </dev/null)
done
kill $swapper 2>/dev/null; wait $swapper 2>/dev/null
is "" "$(ls "$work/outside")" "a racing rename led out"
hasnot "$(cat /proc/mounts)" "$prefix-racing" "a racing rename mounted on the host"
fresh # CVE-2019-5736: the program is the runtime itself, by /proc/self/exe
ln -s /proc/self/exe "$rootfs/bin/evil"
edit 'p["args"] = ["/bin/evil"]; c["root"]["readonly"] = False'
before=$(sha256sum <"$runtime")
out=$(cd "$bundle" && rt run t 2>&1 </dev/null)
code=$?
[ $code != 0 ] && ok || bad "/proc/self/exe as program: $out"
is "$before" "$(sha256sum <"$runtime")" "the runtime is unchanged"
fresh
edit 'l["sysctl"] = {"kernel.core_pattern": "|/x"}'
fails "belongs to the whole host" "a kernel parameter of the host"
fresh; edit 'l["sysctl"] = {"net.ipv4.ip_forward": "1"}; without("network")'
fails "network namespace" "a kernel parameter without its namespace"
fresh; edit 'l["sysctl"] = {"net/../kernel/core_uses_pid": "0"}'
fails "no name of a parameter" "a kernel parameter by way of .."
fresh; edit 'l["cgroupsPath"] = "/a/../../b"'
fails '".."' "a cgroup by way of .."
fresh; edit 'p["apparmorProfile"] = "some"'
[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] || fails "AppArmor is not enabled" "a profile where there is no AppArmor"
fresh; edit 'c["mounts"] += [{"destination": "/x", "type": "nosuchfs", "source": "x"}]'
fails "does not know" "an unknown file system"
fresh; edit 'c["mounts"] += [{"destination": "/x", "source": "/nonexistent", "options": ["bind"]}]'
fails "no such file" "a missing source"
fresh; edit 'c["root"]["path"] = "missing"'
fails "root.path" "a missing root"
fresh; echo '{' >"$bundle/config.json"
fails "bad JSON" "a configuration cut off"

is "" "$(find /sys/fs/cgroup -maxdepth 3 -name "$prefix*" 2>/dev/null)" "cgroups left at the end"
hasnot "$(cat /proc/mounts)" "$work" "mounts left at the end"
echo "$passed passed, $failed failed"
[ $failed = 0 ]

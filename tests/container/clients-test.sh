#!/bin/bash
# Podman and containerd, as Debian brings them, with our runtime in place of theirs. Each has its own state directories and
# sockets, is started here and is gone at the end. $1: the runtime (another one, such as runc, serves to test this script).
set -u
runtime=$(realpath "${1:?the runtime}")
[ "$(id -u)" = 0 ] || { echo "root is needed for Podman and containerd as other users of the runtime start them"; exit 77; }
for tool in podman conmon containerd ctr busybox; do
    command -v $tool >/dev/null || { echo "$tool is missing: tools/packages test"; exit 77; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-clients.XXXXXX")
name=isola-test-$$
passed=0 failed=0
daemon=
had=$(ls -d /run/containerd 2>/dev/null) # its shims keep sockets there, whatever the configuration says
ctr() { timeout -k 5 60 ctr -a "$work/containerd.sock" -n "$name" "$@"; }
cleanup() {
    if [ -e "$work/storage.conf" ]; then
        podman rm -af -t 0 >/dev/null 2>&1
    fi
    if [ -n "$daemon" ]; then
        for c in $(ctr task ls -q 2>/dev/null); do ctr task kill -s KILL "$c" >/dev/null 2>&1; done
        sleep 0.3
        for c in $(ctr container ls -q 2>/dev/null); do
            ctr task rm -f "$c" >/dev/null 2>&1
            ctr container rm "$c" >/dev/null 2>&1
        done
        kill "$daemon" 2>/dev/null
        wait "$daemon" 2>/dev/null
    fi
    grep -F " $work/" /proc/self/mountinfo | cut -d' ' -f5 | sort -r | while read -r m; do umount -l "$m" 2>/dev/null; done
    for d in /sys/fs/cgroup/*/"$name" /sys/fs/cgroup/"$name"; do
        [ -d "$d" ] && find "$d" -depth -type d -exec rmdir {} + 2>/dev/null
    done
    rm -rf "$work"
    [ -n "$had" ] || rmdir /run/containerd/fifo /run/containerd/s /run/containerd/runc /run/containerd 2>/dev/null
    true
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# check WHAT COMMAND...: passes when the command does; its output is kept in $out for the next one to look at.
out=
check() {
    local what=$1
    shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what (status $?): $*"
        echo "$out" | tail -8 | sed 's/^/    /'
    fi
}
# want WHAT EXPECTED COMMAND...: the same, for exactly this output.
want() {
    local what=$1 expected=$2
    shift 2
    check "$what" "$@"
    [ "$out" = "$expected" ] && return
    passed=$((passed - 1)) failed=$((failed + 1))
    echo "FAILED: $what: expected '$expected', got:"
    echo "$out" | tail -8 | sed 's/^/    /'
}
# status WHAT CODE COMMAND...: for exactly this exit status.
status() {
    local what=$1 expected=$2 code
    shift 2
    out=$("$@" 2>&1)
    code=$?
    if [ $code = "$expected" ]; then
        passed=$((passed + 1))
        echo "ok: $what"
    else
        failed=$((failed + 1))
        echo "FAILED: $what: status $code, expected $expected"
        echo "$out" | tail -8 | sed 's/^/    /'
    fi
}

# An image of busybox as docker-archive, which both load.
mkdir -p "$work/rootfs/bin" "$work/rootfs/tmp" "$work/rootfs/etc" "$work/image/l"
cp "$(command -v busybox)" "$work/rootfs/bin/busybox"
for a in sh true false sleep cat echo ls id stat hostname mount head tty stty kill ps grep env touch; do
    ln -s busybox "$work/rootfs/bin/$a"
done
echo root:x:0:0:root:/:/bin/sh >"$work/rootfs/etc/passwd"
tar -C "$work/rootfs" --owner=0 --group=0 -cf "$work/image/l/layer.tar" .
digest=$(sha256sum "$work/image/l/layer.tar" | cut -d' ' -f1)
cat >"$work/image/config.json" <<J
{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:$digest"]},"history":[{"created_by":"test"}]}
J
echo '[{"Config":"config.json","RepoTags":["localhost/bb:latest"],"Layers":["l/layer.tar"]}]' >"$work/image/manifest.json"
tar -C "$work/image" -cf "$work/image.tar" manifest.json config.json l/layer.tar

# Podman. Without the right to raise limits its own defaults for open files and processes fail: they are lowered.
cat >"$work/containers.conf" <<C
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
cgroupns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "$work/tmp"
network_config_dir = "$work/net"
C
cat >"$work/storage.conf" <<C
[storage]
driver = "overlay"
graphroot = "$work/graph"
runroot = "$work/run"
C
echo '{"default":[{"type":"insecureAcceptAnything"}]}' >"$work/policy.json"
podman() {
    CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf HOME=$work XDG_RUNTIME_DIR=$work/xdg \
        timeout -k 5 60 podman --root "$work/graph" --runroot "$work/run" --tmpdir "$work/tmp" --runtime "$runtime" "$@"
}
mkdir -p "$work/xdg" "$work/.config/containers"
cp "$work/policy.json" "$work/.config/containers/"
pod="--network=none --cgroup-parent=/$name"

# A command that comes true within ten seconds.
soon() {
    local i
    for i in $(seq 100); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    "$@"
}

echo "== podman"
check "podman load" podman load -q -i "$work/image.tar"
# shellcheck disable=SC2086
{
    want "podman run" hello podman run --rm $pod localhost/bb echo hello
    status "podman run: exit status" 7 podman run --rm $pod localhost/bb sh -c 'exit 7'
    status "podman run: command not found" 127 podman run --rm $pod localhost/bb /no/such
    status "podman run: command not executable" 126 podman run --rm $pod localhost/bb /etc/passwd
    want "podman run: host name, user, directory, environment" "box 5 /tmp v" podman run --rm $pod -h box -u 5 -w /tmp -e K=v localhost/bb \
        sh -c 'echo $(hostname) $(id -u) $PWD $K'
    want "podman run: standard input" abc sh -c "echo abc | CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf HOME=$work \
        podman --root $work/graph --runroot $work/run --tmpdir $work/tmp --runtime $runtime run -i --rm $pod localhost/bb cat"
    want "podman run: terminal" "/dev/pts/0"$'\r' podman run -t --rm $pod localhost/bb tty
    want "podman run: read-only root" "no" podman run --rm --read-only $pod localhost/bb sh -c 'touch /x 2>/dev/null && echo yes || echo no'
    want "podman run: memory and process limits" "67108864 30" podman run --rm -m 64m --memory-swap 64m --pids-limit 30 $pod -v /sys/fs/cgroup:/cg:ro \
        localhost/bb sh -c 'm=$(grep :memory: /proc/self/cgroup | head -1); p=$(grep :pids: /proc/self/cgroup | head -1)
            cat /cg/memory${m##*:}/memory.limit_in_bytes /cg/pids${p##*:}/pids.max 2>/dev/null | { read -r a; read -r b; echo $a $b; }'
    check "podman run -d" podman run -d --name c1 $pod localhost/bb sh -c 'echo line; trap "echo bye; exit 3" TERM; while :; do sleep 0.1; done'
    want "podman inspect: the runtime" "$runtime" podman inspect -f '{{.OCIRuntime}}' c1
    soon sh -c "[ \"\$(cat $work/graph/overlay-containers/*/userdata/ctr.log 2>/dev/null)\" ]"
    want "podman logs" line podman logs c1
    want "podman exec" in podman exec c1 echo in
    status "podman exec: exit status" 9 podman exec c1 sh -c 'exit 9'
    want "podman exec: terminal" "/dev/pts/0"$'\r' podman exec -t c1 tty
    want "podman exec: user and directory" "7 /etc" podman exec -u 7 -w /etc c1 sh -c 'echo $(id -u) $PWD'
    want "podman ps" c1 podman ps --format '{{.Names}}'
    check "podman pause" podman pause c1
    want "podman ps: paused" paused podman inspect -f '{{.State.Status}}' c1
    check "podman unpause" podman unpause c1
    check "podman stats" podman stats --no-stream --format '{{.PIDs}} {{.MemUsage}}' c1
    [ "${out%% *}" -ge 1 ] 2>/dev/null || { failed=$((failed + 1)); echo "FAILED: podman stats says: $out"; }
    check "podman top" podman top c1 pid comm
    check "podman kill" podman kill -s TERM c1
    want "podman wait" 3 podman wait c1
    want "podman logs after the end" "line"$'\n'"bye" podman logs c1
    check "podman start again" podman start c1
    check "podman stop" podman stop -t 5 c1
    check "podman rm" podman rm c1
    want "podman run --cap-drop all" "0000000000000000" podman run --rm --cap-drop all $pod localhost/bb \
        sh -c 'grep CapEff /proc/self/status | { read -r _ v; echo $v; }'
    want "podman run: default capabilities and seccomp" "2" podman run --rm $pod localhost/bb \
        sh -c 'grep Seccomp: /proc/self/status | { read -r _ v; echo $v; }'
    want "podman run --privileged" "0" podman run --rm --privileged $pod localhost/bb \
        sh -c 'grep Seccomp: /proc/self/status | { read -r _ v; echo $v; }'
    check "podman create, start, rm -f" podman create --name c2 $pod localhost/bb sleep 100
    check "podman start" podman start c2
    check "podman rm -f" podman rm -f -t 0 c2
    want "podman ps at the end" "" podman ps -aq
}

echo "== containerd"
mkdir -p "$work/containerd"
cat >"$work/containerd.toml" <<C
version = 2
root = "$work/containerd/root"
state = "$work/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.tracing", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "$work/containerd.sock"
[ttrpc]
  address = "$work/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "$work/containerd/opt"
C
containerd -c "$work/containerd.toml" -l warn >"$work/containerd.log" 2>&1 &
daemon=$!
if soon ctr version; then
    check "ctr image import" ctr image import "$work/image.tar"
    run="timeout --foreground -k 5 60 ctr -a $work/containerd.sock -n $name"
    args="--runtime io.containerd.runc.v2 --runc-binary $runtime --runc-root $work/runc --rlimit-nofile 1024"
    ctr run --help 2>/dev/null | grep -q rlimit-nofile || args="--runtime io.containerd.runc.v2 --runc-binary $runtime --runc-root $work/runc"
    # shellcheck disable=SC2086
    {
        want "ctr run" hello $run run --rm $args localhost/bb:latest t1 echo hello
        status "ctr run: exit status" 7 $run run --rm $args localhost/bb:latest t2 sh -c 'exit 7'
        check "ctr run -d" $run run -d $args --memory-limit 67108864 localhost/bb:latest t3 sleep 1000
        want "ctr exec" in $run task exec --exec-id e1 t3 echo in
        status "ctr exec: exit status" 9 $run task exec --exec-id e2 t3 sh -c 'exit 9'
        check "ctr task ls" $run task ls
        case $out in *t3*RUNNING*) ;; *) failed=$((failed + 1)); echo "FAILED: ctr task ls says: $out" ;; esac
        check "ctr task ps" $run task ps t3
        check "ctr task pause" $run task pause t3
        check "ctr task ls" $run task ls
        case $out in *t3*PAUSED*) ;; *) failed=$((failed + 1)); echo "FAILED: ctr task ls says: $out" ;; esac
        check "ctr task resume" $run task resume t3
        check "ctr task metrics" $run task metrics t3
        case $out in *memory*) ;; *) failed=$((failed + 1)); echo "FAILED: ctr task metrics says: $out" ;; esac
        check "ctr task kill" $run task kill -s KILL t3
        soon sh -c "$run task ls | grep -q STOPPED"
        check "ctr task rm" sh -c "$run task rm t3 || [ \$? = 137 ]"
        check "ctr container rm" $run container rm t3
        want "ctr run --privileged --read-only" "0" $run run --rm --privileged --read-only $args localhost/bb:latest t4 \
            sh -c 'grep Seccomp: /proc/self/status | { read -r _ v; echo $v; }'
        want "ctr run --seccomp" "2" $run run --rm --seccomp $args localhost/bb:latest t5 \
            sh -c 'grep Seccomp: /proc/self/status | { read -r _ v; echo $v; }'
        check "ctr run -t" timeout 20 script -qec "$run run -t --rm $args localhost/bb:latest t6 tty" /dev/null
        case $out in */dev/pts/0*) ;; *) failed=$((failed + 1)); echo "FAILED: tty says: $out" ;; esac
        want "ctr container ls at the end" "" $run container ls -q
    }
else
    failed=$((failed + 1))
    echo "FAILED: containerd does not answer"
    tail -5 "$work/containerd.log"
fi
want "nothing of the runtime is left" "" sh -c "ps -eo args | grep -F '$work/' | grep -Ev 'grep|clients-test|containerd -c|ps -eo' || true"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

#!/bin/bash
# One table: every verb x every kind of instance. A cell passes, or it is an honest "not supported" whose message is checked,
# too. A new kind of instance adds a column here and fills every cell.
# Usage: promises.sh ISOLA GUEST [VERB...]: isola-image lies beside ISOLA; GUEST is the smallest machine (tests/cli/guest.S).
# The column of machines made from images wants ISOLA_GUESTS (as tests/guest does) or the package mirror for its kernel, and
# takes a boot for each cell; ISOLA_TEST_KINDS chooses columns.
set -u
isola=$(realpath "$1") guest=$(realpath "$2") || exit 99
shift 2
only=" $* " kinds=${ISOLA_TEST_KINDS:-image rootfs vm vmimage}
[ "$(id -u)" = 0 ] || { echo "promises: root is needed for containers"; exit 77; }
busybox=$(command -v busybox) || { echo "promises: busybox is missing"; exit 77; }
# In a network namespace of its own: the machine's devices and firewall are not touched.
if [ -z "${ISOLA_TEST_NETNS:-}" ]; then
    exec {outer}</proc/self/ns/net
    ISOLA_TEST_NETNS=/proc/self/fd/$outer exec unshare -n "$0" "$isola" "$guest" "$@"
fi
ip link set lo up
work=$(mktemp -d /tmp/isola-promises.XXXXXX) || exit 99
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -p "$work/run"
trap 'timeout 20 "$isola" rm -f p forked >/dev/null 2>&1; for h in /sys/fs/cgroup /sys/fs/cgroup/*; do rmdir "$h/isola" 2>/dev/null; done; rm -rf "$work"' EXIT
i() { timeout -k 5 60 "$isola" "$@" 2>&1; }
soon() { for _ in $(seq "${patience:-100}"); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; return 1; }

root=$work/root
mkdir -p "$root/bin" "$root/tmp" "$root/etc"
cp "$busybox" "$root/bin/busybox"
for a in sh cat echo sleep touch test id grep wget httpd ps tar; do ln -s busybox "$root/bin/$a"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
tar -C "$root" -cf "$work/image.tar" . && i import "$work/image.tar" promise >/dev/null || exit 99

# The kernel of machines made from images, once.
case $kinds in *vmimage*)
    top=$(cd "$(dirname "$0")/../.." && pwd)
    cloud=${ISOLA_GUESTS:-$top/build-guests}/cloud
    nsenter --net="$ISOLA_TEST_NETNS" "$top/tools/guest" kernel "$cloud" cloud >&2 || { echo "promises: no kernel for images"; exit 77; }
    mkdir -p "$XDG_DATA_HOME/isola/kernels" && cp -a "$cloud" "$XDG_DATA_HOME/isola/kernels/cloud" || exit 99
    ;;
esac

# A program of each kind that greets, echoes what it is told, ends with 43 after q, and with 9 after USR1.
talk='trap "exit 9" USR1; echo hello; while :; do if read -t 1 -r x; then [ "$x" = q ] && exit 43; echo "$x"; else sleep 0.2; fi; done'
begin() { # [OPTION...]: a running p of $kind
    i rm -f p >/dev/null
    case $kind in
    image) i run -di --name p --network none "$@" promise sh -c "$talk" ;;
    rootfs) i run -di --name p --network none "$@" --rootfs "$root" sh -c "$talk" ;;
    vmimage) i run -di --name p --network none "$@" --vm promise sh -c "$talk" ;;
    vm) i run -d --name p --network none -m 16m "$@" --vm --kernel "$guest" --debug-exit -i ;;
    esac
}
patience=100
started() { begin "$@" >/dev/null && soon sh -c "'$isola' logs p 2>/dev/null | grep -qi '[a-z]'"; }
status() { i inspect -f '{{.State.Status}}' p; }
code() { i inspect -f '{{.State.ExitCode}}' p; }
# attach passes signals on and so outlives a kind one.
tell() { (printf '%s' "$1"; sleep 1) | timeout -s KILL 1.5 "$isola" attach p 2>&1; }
end_it() { case $kind in vm) tell q ;; *) tell $'q\n' ;; esac >/dev/null; i wait p; }

# What each verb promises. Prints what went wrong; silent when it holds.
p_run() { started || echo "no greeting: $(i logs p)"; }
p_exit_code() { started; got=$(end_it); [ "$got" = 43 ] || echo "code $got"; }
p_stop() { started; i stop -t 1 p >/dev/null; [ "$(status)" = exited ] || status; }
p_kill() { started; i kill p >/dev/null; [ "$(code)" = 137 ] || code; }
p_signal() { started; got=$(i kill -s USR1 p); [ "$got" = p ] && [ "$(i wait p)" = 9 ] || echo "$got"; }
p_logs() { started; i logs p | grep -qi '[a-z]' || i logs p; }
p_attach() { started; case $kind in vm) got=$(tell xyz) ;; *) got=$(tell $'xyz\n') ;; esac; [[ $got == *xyz* ]] || echo "$got"; }
p_exec() { started; got=$(i exec p echo there); [ "$got" = there ] || echo "$got"; }
p_cp() { started; echo in >"$work/f"; got=$(i cp "$work/f" p:/tmp/f && i cp p:/tmp/f "$work/g" && cat "$work/g"); [ "$got" = in ] || echo "$got"; }
p_diff() { started; got=$(i exec p touch /tmp/new; i diff p); [[ $got == *"A /tmp/new"* ]] || echo "$got"; }
p_top() { started; got=$(i top p); [[ $got == *"sh -c"* ]] || echo "$got"; }
p_stats() { started; got=$(i stats --no-stream --format '{{.Name}} {{.PIDs}}' p); [[ $got == "p "[1-9]* ]] || echo "$got"; }
p_pause() { started; i pause p >/dev/null; a=$(status); i unpause p >/dev/null; b=$(status); [ "$a $b" = "paused running" ] || echo "$a $b"; }
p_restart() { started; i restart -t 0 p >/dev/null; [ "$(status)" = running ] || status; }
p_rename() { started; i rename p q >/dev/null; got=$(i inspect -f '{{.Name}}' q); i rename q p >/dev/null; [ "$got" = q ] || echo "$got"; }
p_wait() { started; (sleep 0.3; i kill p >/dev/null) & got=$(i wait p); wait; [ "$got" = 137 ] || echo "$got"; }
p_inspect() { started; got=$(i inspect --live -f '{{.State.Running}}' p); [ "$got" = true ] || echo "$got"; }
p_update_policy() { started; got=$(i update --restart on-failure:1 p); [ "$got" = p ] || echo "$got"; }
p_update_limits() { started; got=$(i update -m 64m p); [ "$got" = p ] || echo "$got"; }
p_restart_policy() { started --restart always; end_it >/dev/null & soon sh -c "[ \"\$('$isola' inspect -f '{{.Restarts}}' p)\" -ge 1 ]" || i ps -a; i stop -t 0 p >/dev/null; wait; }
p_limits() { got=$(begin -m 128m); [[ $got == [0-9a-f]* ]] && [ "$(i inspect -f '{{.Spec.Memory}}' p)" = 134217728 ] || echo "$got"; }
p_publish() { i rm -f p >/dev/null; kind_net=$(begin --network nat -p 127.0.0.1::80); [[ $kind_net == [0-9a-f]* ]] && [[ $(i port p 80) == 127.0.0.1:* ]] || echo "$kind_net"; }
p_volume() { got=$(begin -v data:/data); [[ $got == [0-9a-f][0-9a-f]* ]] || { echo "$got"; return; }; got=$(i exec p touch /data/x && i exec p test -e /data/x && echo well); [ "$got" = well ] || echo "$got"; }
p_rm() { started; i rm -f p >/dev/null; i inspect p | grep -q 'no such' || i inspect p; }
p_crash() { started; kill -9 "$(i inspect -f '{{.State.Pid}}' p)"; soon sh -c "'$isola' inspect -f '{{.State.Status}}' p | grep -q dead" || status; }
p_snapshot() { started; got=$(i snapshot create p); [[ $got == p-[0-9]* ]] || echo "$got"; }
# The fork runs; it is removed at once, as it would answer to this test's name.
p_fork() { started; got=$(i fork --name forked p); [[ $got == [0-9a-f][0-9a-f]* ]] || { echo "$got"; return; }; got=$(i inspect -f '{{.State.Status}}' forked); i rm -f forked >/dev/null; [ "$got" = running ] || echo "$got"; }
p_trace() { started; got=$(i trace --time 20 --count 3 p interrupts exceptions exits); [ "$(printf '%s\n' "$got" | wc -l)" -ge 3 ] || echo "$got"; }

p_ulimit() { started --ulimit nofile=77; got=$(i exec p sh -c 'ulimit -n'); [ "$got" = 77 ] || echo "$got $(begin --ulimit nofile=77)"; }
p_init() { got=$(begin --init); [[ $got == [0-9a-f][0-9a-f]* ]] || { echo "$got"; return; }; soon sh -c "'$isola' exec p sh -c 'ps | grep -q \"[0-9] .*sh -c\"'"; [ "$(end_it)" = 43 ] || echo "code $(code)"; }
p_health() { got=$(begin --health-cmd true --health-interval 200ms); [[ $got == [0-9a-f][0-9a-f]* ]] || { echo "$got"; return; }; soon sh -c "'$isola' inspect -f '{{.State.Health.Status}}' p | grep -q ^healthy" || i inspect -f '{{.State}}' p; }
p_export() { started; i export p | tar -t | grep -q bin/busybox || i export p; }
p_commit() { started; got=$(i commit p committed); [[ $got == sha256:* ]] || echo "$got"; }

# The table: verb, then image, rootfs, vm, vmimage: "ok", or the pattern of the refusal.
table='
run|ok|ok|ok|ok
exit_code|ok|ok|ok|ok
stop|ok|ok|ok|ok
kill|ok|ok|ok|ok
signal|ok|ok|*takes no signal*|ok
logs|ok|ok|ok|ok
attach|ok|ok|ok|ok
exec|ok|ok|*agent*|ok
cp|ok|ok|*not supported by wall vm*|*exec -i NAME tar*
diff|ok|*no image*|*not supported by wall vm*|*behind its own kernel*
top|ok|ok|*not supported by wall vm*|*exec NAME ps*
stats|ok|ok|ok|ok
pause|ok|ok|ok|ok
restart|ok|ok|ok|ok
rename|ok|ok|ok|ok
wait|ok|ok|ok|ok
inspect|ok|ok|ok|ok
update_policy|ok|ok|ok|ok
update_limits|ok|ok|*was started with 16 MiB*|*runs no driver for a memory balloon*
restart_policy|ok|ok|ok|ok
limits|ok|ok|ok|ok
publish|ok|ok|ok|ok
volume|ok|ok|*--disk*|*--disk*
ulimit|ok|ok|*option --ulimit*|ok
init|ok|ok|*option --init*|ok
health|ok|ok|*option --health-cmd*|*option --health-cmd*
export|ok|ok|*behind its own kernel*|*behind its own kernel*
commit|ok|*not a container made from an image*|*not a container made from an image*|*not a container made from an image*
rm|ok|ok|ok|ok
crash|ok|ok|ok|ok
snapshot|*not supported by wall container*|*not supported by wall container*|ok|*its agent cannot be met again*
fork|*not supported by wall container*|*not supported by wall container*|ok|*not supported for a machine made from an image*
trace|*not supported by wall container*|*not supported by wall container*|ok|ok
'
passed=0 failed=0 refused=0
# shellcheck disable=SC2086
printf '%-16s' verb $kinds
echo
while IFS='|' read -r verb image rootfs vm vmimage; do
    [ -n "$verb" ] || continue
    [[ $only == "  " || $only == *" $verb "* ]] || continue
    line=
    for kind in $kinds; do
        [ $kind = vmimage ] && patience=400 || patience=100
        want=${!kind}
        got=$("p_$verb" 2>&1)
        if [ "$want" = ok ] && [ -z "$got" ]; then
            cell=yes passed=$((passed + 1))
        elif [ "$want" = ok ]; then
            cell=FAILED failed=$((failed + 1))
            echo "FAIL: $verb of $kind: $got"
        # shellcheck disable=SC2053
        elif [[ $got == $want ]]; then
            cell=no refused=$((refused + 1)) passed=$((passed + 1))
        else
            cell=WRONG failed=$((failed + 1))
            echo "FAIL: $verb of $kind should be refused with $want: $got"
        fi
        line="$line$(printf '%-16s' "$cell")"
    done
    printf '%-16s%s\n' "$verb" "$line"
done <<<"$table"
echo "$passed passed ($refused honest refusals), $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

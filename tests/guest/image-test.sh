#!/bin/sh
# An image behind the VM wall: what its user sees is what a container shows.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
passed=0 failed=0
mkdir -p "$XDG_DATA_HOME/isola/kernels" "$work/root/bin" "$work/root/etc" "$work/root/tmp" "$work/root/home/al"
tar -C "$guests" --exclude='*.ext4' --exclude='*.t[am][rp]' -c cloud | tar -C "$XDG_DATA_HOME/isola/kernels" -x
cp "$(command -v busybox)" "$work/root/bin/busybox" || die "busybox is missing: install package busybox-static"
for name in cat df echo env head hostname id ls mount mkdir ps pwd sh sha256sum sleep stty tail touch true wc; do
    ln -s busybox "$work/root/bin/$name"
done
printf 'root:x:0:0::/root:/bin/sh\nal:x:1000:1000::/home/al:/bin/sh\n' >"$work/root/etc/passwd"
printf 'root:x:0:\nal:x:1000:\nextra:x:77:al\n' >"$work/root/etc/group"
tar -C "$work/root" --owner=0 --group=0 -cf "$work/root.tar" .
"$isola" import --change 'CMD ["sh","-c","echo from the image"]' --change 'ENV COLOUR=blue' --change 'WORKDIR /work/dir' "$work/root.tar" box >/dev/null 2>"$work/err" ||
    { cat "$work/err"; die "import"; }

# run NAME WANTED-STATUS ARGS...: runs in a machine; output in $work/out, messages in $work/err.
run() {
    name=$1 want=$2
    shift 2
    timeout -k 5 100 "$isola" run --vm --rm "$@" >"$work/out" 2>"$work/err" <"${input:-/dev/null}"
    got=$?
    [ "$got" = "$want" ] && return 0
    echo "FAILED: $name: status $got, not $want"
    show
    return 1
}
# check NAME COMMAND...: counts.
check() {
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok: $name"
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        show
    fi
}
says() { printf '%s\n' "$@" | cmp -s - "$work/out"; }

run "the image's command" 0 box && check "the image's command" says "from the image"
run "exit code" 7 box sh -c 'echo out; echo err >&2; exit 7' &&
    check "exit code and two streams" sh -c "[ \"\$(cat $work/out)\" = out ] && grep -qx err $work/err"
run "signal" 143 box sh -c 'sh -c "kill -TERM \$\$"; exit $?' && check "death by a signal" true
run "not found" 127 box no-such-program && check "a program that is not there: 127" grep -q 'not found' "$work/err"
run "not executable" 126 box /etc/passwd && check "a program that cannot run: 126" grep -q 'ermission' "$work/err"
run "no user" 125 -u nobody-here box true && check "a user that is not there: 125" grep -q 'nobody-here' "$work/err"
run "identity" 0 -u al -e COLOUR=red -e MORE='a b' -w /tmp -h tester --add-host db:10.9.8.7 box sh -c \
    'id -u; id -G; echo $HOME; pwd; echo $COLOUR; echo "$MORE"; hostname; tail -2 /etc/hosts | head -1; echo $$' &&
    check "user, groups, HOME, directory, environment, name, hosts, process 1" says 1000 '1000 77' /home/al /tmp red 'a b' tester "10.9.8.7	db" 1
run "workdir" 0 --entrypoint pwd box && check "the image's directory is made; --entrypoint" says /work/dir
run "namespaces" 0 box sh -c 'ps | wc -l; kill -TERM 1; echo alive' && check "as process 1 it is alone, and signals without handlers pass" says 4 alive
run "read-only" 0 --read-only --tmpfs /tmp:size=1m box sh -c 'touch /etc/x 2>/dev/null && exit 9; touch /tmp/x && ls /tmp' &&
    check "--read-only and --tmpfs" says x
run "limits" 0 -m 96m --cpus 2 box sh -c 'head -1 /proc/meminfo >&2; ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l' && check "--memory and --cpus" says 2
run "size of the drive" 0 --disk-size 100m box df -k / && check "--disk-size" awk '
    END { exit !($2 > 80000 && $2 < 102400) }' "$work/out"
run "no network" 0 --network none box sh -c 'ls /sys/class/net' && check "--network none" says lo

head -c 10000000 /dev/urandom >"$work/blob"
sum=$(sha256sum <"$work/blob")
input=$work/blob run "input" 0 -i box sha256sum && check "10 MB of input" says "$sum"
run "output" 0 box sh -c 'head -c 10000000 /dev/zero' && check "10 MB of output" sh -c "head -c 10000000 /dev/zero | cmp -s - $work/out"
input=

# A terminal of 100 x 30.
script -qec "stty cols 100 rows 30; timeout --foreground -k 5 100 '$isola' run --vm --rm -it --accel interp box sh -c 'stty size; tty >/dev/null && echo terminal'" /dev/null </dev/null 2>&1 | tr -d '\r\000\004' | sed 's/^^@//' >"$work/out"
check "a terminal knows its size before the first byte" says "30 100" terminal

# What is written stays from start to start, and signals reach handlers.
"$isola" run -d --vm --name keeper box sh -c 'trap "touch /asked; exit 5" TERM; ls / | head -1 >&2; [ -e /asked ] && exit 6; echo up; while :; do sleep 1; done' >/dev/null
for i in $(seq 100); do "$isola" logs keeper 2>/dev/null | grep -q up && break; sleep 0.5; done
check "stop signals the process" timeout 60 "$isola" stop -t 30 keeper
[ "$(timeout 60 "$isola" wait keeper)" = 5 ] && check "the handler's exit code" true || check "the handler's exit code" false
"$isola" start keeper >/dev/null
[ "$(timeout 60 "$isola" wait keeper)" = 6 ] && check "files stay" true || check "files stay" false
"$isola" rm -f keeper >/dev/null

"$isola" run -d --vm --name again --restart on-failure:1 box sh -c 'echo run; exit 3' >/dev/null
[ "$(timeout 90 "$isola" wait again)" = 3 ] && "$isola" logs again >"$work/out" 2>"$work/err"
check "restart policy" says run run
"$isola" rm -f again >/dev/null

"$isola" run -d --vm --name web --rm box sleep 1000 >/dev/null
for i in $(seq 100); do [ "$(timeout 20 "$isola" exec web echo in 2>/dev/null)" = in ] && break; sleep 0.5; done
timeout 60 "$isola" exec -u al -e A=b -w /tmp web sh -c 'id -u; echo $A $COLOUR; pwd; ps | grep -c "[s]leep 1000"; exit 4' >"$work/out" 2>"$work/err"
[ $? = 4 ] && check "exec" says 1000 'b blue' /tmp 1 || check "exec" false
head -c 3000000 "$work/blob" | timeout 60 "$isola" exec -i web sha256sum >"$work/out" 2>"$work/err"
check "input of exec" says "$(head -c 3000000 "$work/blob" | sha256sum)"
timeout 60 "$isola" exec web no-such-program >"$work/out" 2>"$work/err"
[ $? = 127 ] && check "exec of what is not there: 127" true || check "exec of what is not there: 127" false
"$isola" pause web >/dev/null && sleep 8 && "$isola" unpause web >/dev/null
before=$(date +%s)
now=$(timeout 60 "$isola" exec web busybox date +%s | tr -d '\r')
after=$(date +%s)
check "the clock is right after a pause" [ "$now" -ge $((before - 1)) -a "$now" -le $((after + 1)) ]
check "kill" timeout 30 "$isola" kill web
for i in $(seq 100); do "$isola" ps -aq | grep -q . || break; sleep 0.1; done
check "--rm leaves nothing" [ -z "$("$isola" ps -aq)" ]

"$isola" rmi box >/dev/null 2>"$work/err"
check "the drive goes with its image" [ -z "$(ls "$XDG_DATA_HOME/isola/images/drives")" ]
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 20 ]

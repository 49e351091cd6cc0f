#!/bin/bash
# isola run and everything around it with real containers: an image made of busybox, and directories.
# Usage: run-test.sh ISOLA [PART...]; isola-image lies beside it. Needs root, for namespaces and cgroups.
# Prints each failure and ends with "N passed, N failed, N skipped".
set -u
isola=$(realpath "$1") || exit 99
shift
parts=${*:-streams rules signals life walls files volumes network inspect restart health crash limits boot rootless}
[ "$(id -u)" = 0 ] || { echo "containers: root is needed"; exit 77; }
busybox=$(command -v busybox) || { echo "containers: busybox is missing"; exit 77; }
# In a network namespace of its own: the machine's devices and firewall are not touched.
if [ -z "${ISOLA_TEST_NETNS:-}" ]; then
    exec {outer}</proc/self/ns/net
    # shellcheck disable=SC2086
    ISOLA_TEST_NETNS=/proc/self/fd/$outer exec unshare -n "$0" "$isola" $parts
fi
ip link set lo up
work=$(mktemp -d) || exit 99
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -p "$work/data" "$work/run" && chmod 755 "$work"
passed=0 failed=0 skipped=0

cleanup() {
    timeout 60 "$isola" ps -aq 2>/dev/null | while read -r id; do timeout 30 "$isola" rm -f "$id" >/dev/null 2>&1; done
    for h in /sys/fs/cgroup /sys/fs/cgroup/*; do rmdir "$h/isola" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT

i() { timeout -k 5 30 "$isola" "$@"; }
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); printf 'FAIL: %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf 'SKIP: %s\n' "$*"; }
# is WHAT GOT WANTED (a glob pattern)
is() {
    # shellcheck disable=SC2053
    [[ $2 == $3 ]] && ok || bad "$1: got \"$2\", not \"$3\""
}
# gives STATUS PATTERN ARGS...: exit status and both outputs of isola ARGS.
gives() {
    local status=$1 pattern=$2 text got
    shift 2
    text=$(i "$@" 2>&1 </dev/null)
    got=$?
    [ "$got" = "$status" ] || bad "isola $*: status $got, not $status: $text"
    # shellcheck disable=SC2053
    [[ $text == $pattern ]] && ok || bad "isola $*: \"$text\", not \"$pattern\""
}
# until COMMAND...: true within ten seconds.
soon() {
    for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    return 1
}
running() { [ "$(i inspect -f '{{.State.Status}}' "$1" 2>/dev/null)" = running ]; }
state_is() { [ "$(i inspect -f '{{.State.Status}}' "$1" 2>/dev/null)" = "$2" ]; }

root=$work/root
mkdir -p "$root"/{bin,etc,tmp,srv,sbin}
cp "$busybox" "$root/bin/busybox" || exit 99
"$root/bin/busybox" --list 2>/dev/null | while read -r a; do [ "$a" = busybox ] || ln -s busybox "$root/bin/$a"; done
printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nweb:x:33:\naudio:x:29:web\n' >"$root/etc/group"
mkdir "$root/srv/site" && echo index >"$root/srv/site/index.html" && chown 33:33 "$root/srv/site" && chmod 1777 "$root/tmp"
tar -C "$root" -cf "$work/bb.tar" . || exit 99
i import "$work/bb.tar" bb >/dev/null || { bad "import"; exit 1; }
i import --change 'ENTRYPOINT ["/bin/echo","entry"]' --change 'CMD ["cmd"]' --change 'ENV COLOR=red' --change 'WORKDIR /made/here' \
    --change 'USER web' --change 'VOLUME /srv/site' "$work/bb.tar" configured >/dev/null || bad "import --change"

part_streams() {
    is "stdout" "$(i run --rm --network none bb sh -c 'echo out; echo err >&2' 2>/dev/null)" out
    is "stderr" "$(i run --rm --network none bb sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err
    is "-a stdout" "$(i run --rm -a stdout --network none bb sh -c 'echo out; echo err >&2' 2>&1)" out
    is "-a stderr" "$(i run --rm -a stderr --network none bb sh -c 'echo out; echo err >&2' 2>&1)" err
    is "-a without stdin" "$(echo x | i run --rm -i -a stdout -a stderr --network none bb sh -c 'read -t 1 -r x; echo "<$x>"' 2>&1)" '<>'
    is "-a stdin" "$(echo x | i run --rm -i -a stdin -a stdout --network none bb cat)" x
    gives 125 '*stdin alone*' run --rm -i -a stdin bb cat
    gives 125 '*exclude*' run -d -a stdout bb true
    gives 125 '*"stdio"*' run -a stdio bb true
    is "stdin" "$(printf 'a\nb\n' | i run --rm -i --network none bb cat)" $'a\nb'
    is "no stdin without -i" "$(echo x | i run --rm --network none bb cat)" ""
    is "4 MB through" "$(head -c 4000000 /dev/zero | i run --rm -i --network none bb cat | wc -c)" 4000000
    is "4 MB out" "$(i run --rm --network none bb head -c 4000000 /dev/zero | wc -c)" 4000000
    gives 0 $'one\ntwo' run --rm --rootfs "$root" sh -c 'echo one; echo two'
    i run -d --name logs bb sh -c 'echo a; echo b >&2; sleep 0.2; echo c' >/dev/null && i wait logs >/dev/null
    is "logs stdout" "$(i logs logs 2>/dev/null)" $'a\nc'
    is "logs stderr" "$(i logs logs 2>&1 >/dev/null)" b
    is "logs --tail" "$(i logs --tail 1 logs 2>&1)" c
    if command -v script >/dev/null; then
        is "tty" "$(timeout 20 script -qec "stty rows 33 cols 99; '$isola' run --rm -it --network none bb sh -c 'tty; stty size'" /dev/null </dev/null | tr -d '\r\0' | sed 's/^\^@//')" \
            $'/dev/pts/0\n33 99'
        is "exec tty" "$(i run -d --name execs bb sleep 60 >/dev/null; timeout 20 script -qec "stty rows 22 cols 77; '$isola' exec -it execs sh -c 'tty; stty size'" /dev/null </dev/null | tr -d '\r\0' | sed 's/^\^@//')" \
            $'/dev/pts/*\n22 77'
        i rm -f execs >/dev/null
    else
        skip "tty: no script(1)"
    fi
    i run -dit --name att bb sh -c 'read x; echo got $x' >/dev/null
    is "attach" "$(echo hello | i attach att 2>&1 | tr -d '\r' | tail -1)" "got hello"
}

part_rules() {
    gives 3 '' run --rm bb sh -c 'exit 3'
    gives 127 '*nosuch*' run --rm bb nosuch
    gives 126 '*denied*' run --rm bb /etc/passwd
    gives 125 '*' run --rm --pull never nosuchimage
    gives 125 '*' run --rm --user nobody bb true
    gives 125 '*no command*' run --rm --entrypoint '' bb
    gives 0 'entry cmd' run --rm configured
    gives 0 'entry mine' run --rm configured mine
    gives 0 'mine' run --rm --entrypoint /bin/echo configured mine
    gives 0 $'red\nweb\n/made/here' run --rm --entrypoint /bin/sh configured -c 'echo $COLOR; id -un; pwd'
    gives 0 $'blue x\n/tmp' run --rm -e COLOR=blue -e A=x -w /tmp --entrypoint /bin/sh configured -c 'echo $COLOR $A; pwd'
    gives 0 'uid=33(web) gid=33(web) groups=29(audio)' run --rm -u web bb id
    gives 0 'uid=4711 gid=29(audio)' run --rm -u 4711:audio bb id
    gives 0 $'here\n127.0.0.1' run --rm -h here --add-host box:10.1.2.3 bb sh -c 'hostname; grep -q "10.1.2.3.*box" /etc/hosts && grep -m1 -o "^127.0.0.1" /etc/hosts'
    gives 0 'nameserver 9.9.9.9' run --rm --dns 9.9.9.9 bb grep nameserver /etc/resolv.conf
    gives 0 '0022' run --rm bb sh -c umask
    i run -d --name named --cidfile "$work/cid" bb true >/dev/null
    is "cidfile" "$(cat "$work/cid")" "$(i inspect -f '{{.ID}}' named)*"
    gives 125 '*named*taken*' run --name named bb true
    gives 125 '*--accel*' run --accel interp bb true
    gives 0 '0' run --rm --init bb sh -c 'ps | grep -c "[z]ombie"; true'
    i create --name later bb echo hi >/dev/null
    is "create" "$(i inspect -f '{{.State.Status}}' later)" created
    is "start -a" "$(i start -a later)" hi
}

part_signals() {
    i run -d --name sig bb sh -c 'trap "echo usr; exit 9" USR1; trap "echo term; exit 8" TERM; while :; do sleep 0.1; done' >/dev/null
    sleep 0.3
    i kill -s USR1 sig >/dev/null
    is "kill -s" "$(i wait sig)" 9
    i start sig >/dev/null; sleep 0.3
    i stop -t 10 sig >/dev/null
    is "stop asks" "$(i inspect -f '{{.State.ExitCode}}' sig)" 8
    i start sig >/dev/null; sleep 0.3
    i kill sig >/dev/null
    is "kill" "$(i inspect -f '{{.State.ExitCode}}' sig)" 137
    i run -d --name deaf bb sh -c 'trap "" TERM; while :; do sleep 0.1; done' >/dev/null; sleep 0.3
    i stop -t 1 deaf >/dev/null
    is "stop kills" "$(i inspect -f '{{.State.ExitCode}}' deaf)" 137
    i run -d --name own --stop-signal INT bb sh -c 'trap "exit 7" INT; while :; do sleep 0.1; done' >/dev/null; sleep 0.3
    i stop own >/dev/null
    is "stop signal" "$(i inspect -f '{{.State.ExitCode}}' own)" 7
    "$isola" run --rm bb sh -c 'trap "echo hup; exit 5" HUP; echo ready; while :; do sleep 0.1; done' >"$work/out" &
    pid=$!
    soon grep -q ready "$work/out"
    kill -HUP $pid; wait $pid
    is "passed on" "$? $(tail -1 "$work/out")" "5 hup"
}

part_life() {
    i run -d --name life bb sleep 100 >/dev/null
    gives 0 $'in\nsleep' exec life sh -c 'echo in; cat /proc/1/comm'
    gives 7 '' exec life sh -c 'exit 7'
    gives 127 '*nosuch*' exec life nosuch
    gives 0 $'33\n/srv\nb' exec -u web -w /srv -e A=b life sh -c 'id -u; pwd; echo $A'
    is "exec -i" "$(echo x | i exec -i life cat)" x
    i exec -d life sh -c 'echo later >/tmp/later'
    soon i exec life cat /tmp/later && ok || bad "exec -d"
    gives 0 '*sleep 100*' top life
    gives 0 'life' pause life
    is "paused" "$(i inspect -f '{{.State.Status}}' life)" paused
    gives 1 '*unpause*' exec life true
    gives 0 'life' unpause life
    gives 0 '*life*' stats --no-stream
    i rename life other >/dev/null; is "rename" "$(i ps --format '{{.Name}}' -f name=other)" other
    gives 1 '*stop it first*' rm other
    gives 0 'other' rm -f other
    gives 1 '*' inspect other
    i run -d --rm --name fleeting bb sleep 0.3 >/dev/null
    i wait --condition removed fleeting >/dev/null; gives 1 '*' inspect fleeting
}

part_walls() {
    is "capabilities" "$(i run --rm bb grep CapEff /proc/self/status)" $'CapEff:\t00000000a80425fb'
    is "drop all" "$(i run --rm --cap-drop ALL bb grep CapEff /proc/self/status)" $'CapEff:\t0000000000000000'
    is "filter" "$(i run --rm bb grep Seccomp: /proc/self/status)" $'Seccomp:\t2'
    is "no filter" "$(i run --rm --security-opt seccomp=unconfined bb grep Seccomp: /proc/self/status)" $'Seccomp:\t0'
    is "no new privileges" "$(i run --rm --security-opt no-new-privileges bb grep NoNewPrivs /proc/self/status)" $'NoNewPrivs:\t1'
    is "signals as new" "$(i run --rm bb grep -E 'SigIgn|SigBlk' /proc/self/status | tr -d '\n')" $'SigBlk:\t0000000000000000SigIgn:\t0000000000000000'
    is "descriptors" "$(i run --rm bb ls /proc/self/fd | tr '\n' ' ')" "0 1 2 3 "
    gives 1 '*' run --rm --read-only bb touch /x
    gives 0 '' run --rm --read-only --tmpfs /tmp bb touch /tmp/x
    gives 1 '*' run --rm bb mount -t tmpfs none /tmp
    gives 1 '*' run --rm bb sh -c 'echo 1 >/proc/sys/kernel/panic'
    local inherited
    inherited=$(sed -n 's/^Seccomp:\t//p' /proc/self/status)
    i run -d --name plain bb sleep 100 >/dev/null
    i run -d --name policy --restart always bb sleep 100 >/dev/null
    i run -d --name wide --privileged --restart always bb sleep 100 >/dev/null
    if grep -q __asan_init "$isola"; then
        skip "filter of a supervisor: a sanitizer's run-time makes calls of its own"
    else
        is "filter of a supervisor" "$(filter_of plain) $(filter_of policy) $(filter_of wide)" "2 2 $inherited"
    fi
    i rm -f plain policy wide >/dev/null
    is "masked" "$(i run --rm bb sh -c 'head -c 1 /proc/kcore 2>/dev/null | wc -c')" 0
    is "processes" "$(i run --rm bb sh -c 'ls /proc | grep -c "^[0-9]"')" '[234]'
    is "devices" "$(i run --rm bb sh -c 'ls /dev | tr "\n" " "')" '*null*'
    gives 1 '*' run --rm bb sh -c 'mknod /tmp/vda b 254 0 && exec cat /tmp/vda'
    is "hostname" "$(i run --rm bb hostname | wc -c)" 13
    is "shm" "$(i run --rm --shm-size 1m bb sh -c 'df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2')" 1024
    is "ulimit" "$(i run --rm --ulimit nofile=100:200 bb sh -c 'ulimit -Sn; ulimit -Hn' | tr '\n' ' ')" "100 200 "
    is "sysctl" "$(i run --rm --sysctl net.ipv4.ip_forward=1 bb cat /proc/sys/net/ipv4/ip_forward)" 1
    gives 0 '' run --rm --ipc host bb true
    is "init" "$(i run --rm --init bb cat /proc/1/comm)" isola-init
    is "device" "$(i run --rm --device /dev/null:/dev/other bb sh -c 'test -c /dev/other && echo c')" c
    is "privileged" "$(i run --rm --privileged bb sh -c 'mount -t tmpfs x /tmp && echo mounted')" mounted
    is "user namespace" "$(echo root:1000000:65536 >"$work/ids"; timeout 30 unshare -m sh -c "mount --bind $work/ids /etc/subuid; mount --bind $work/ids /etc/subgid; \
        '$isola' run --rm --userns private bb sh -c 'id -u; touch /tmp/x && stat -c %u /srv/site /tmp/x; head -1 /proc/self/uid_map'" 2>&1 | tr -s ' \n' ' ')" '0 33 0 0 1000000 65536 '
    is "pid host" "$(i run --rm --pid host bb sh -c 'test $(ls /proc | grep -c "^[0-9]") -gt 10 && echo many')" many
}

part_files() {
    i run -d --name files bb sleep 100 >/dev/null
    echo host >"$work/h"
    gives 0 '' cp "$work/h" files:/tmp/h
    gives 0 host exec files cat /tmp/h
    gives 0 '' cp files:/etc/passwd "$work/p"
    cmp -s "$work/p" "$root/etc/passwd" && ok || bad "cp out"
    mkdir -p "$work/tree/sub" && echo 1 >"$work/tree/sub/f" && ln -s sub/f "$work/tree/l"
    gives 0 '' cp "$work/tree" files:/tmp/new
    gives 0 $'1\nsub/f' exec files sh -c 'cat /tmp/new/sub/f; readlink /tmp/new/l'
    gives 0 '' cp "$work/tree" files:/tmp/new
    gives 0 1 exec files cat /tmp/new/tree/sub/f
    gives 0 '' cp files:/tmp/new/. "$work/back"
    is "cp contents" "$(cat "$work/back/sub/f")" 1
    gives 1 '*' cp files:/nosuch "$work"
    gives 1 '*' cp "$work/h" files:/nosuch/h
    gives 1 '*one of both*' cp "$work/h" "$work/j"
    # A link out of the container ends inside it, both ways.
    echo secret >"$work/secret"
    i exec files sh -c "mkdir -p $work && ln -s $work/secret /tmp/out && ln -s / /tmp/up && ln -s ../../../../../../$work /tmp/dots"
    gives 1 '*' cp files:/tmp/up/"$work"/secret "$work/stolen"
    gives 0 '' cp "$work/h" files:/tmp/dots/planted
    [ ! -e "$work/planted" ] && ok || bad "cp followed a link out of the container"
    # What the start made to mount on is no change, with or without a command's own next to it.
    i run --name quiet --network none -v "$work/tree:/data/deep" bb true
    gives 0 '' diff quiet
    i commit quiet quiet-image >/dev/null
    i run -d --name q2 --network none quiet-image sleep 60 >/dev/null
    is "no mount points in what is committed" "$(i export q2 | tar -t | grep -cE '^(\./)?(data|proc|etc/hosts|etc/resolv.conf)')" 0
    i exec q2 touch /etc/mine
    gives 0 $'C /etc\nA /etc/mine' diff q2
    i exec q2 chmod 700 /srv
    gives 0 '*C /srv*' diff q2
    i rm -f quiet q2 >/dev/null
    gives 0 '*A /tmp/h*' diff files
    i exec files rm /etc/group
    gives 0 '*D /etc/group*' diff files
    is "export" "$(i export files | tar -t 2>/dev/null | grep -cE '^(\./)?(tmp/h|etc/group|bin/busybox)$')" 2
    i export -o "$work/x.tar" files && i import "$work/x.tar" exported >/dev/null
    is "export and import" "$(i run --rm --network none exported cat /tmp/h)" host
    i stop -t 0 files >/dev/null
    is "export stopped" "$(i export files | tar -tf - 2>/dev/null | grep -cE '^(\./)?tmp/h$')" 1
    gives 0 '' cp files:/tmp/h "$work/h2"
    is "cp stopped" "$(cat "$work/h2")" host
    is "cp of a directory as an archive" "$(i cp files:/tmp/new - | tar -t | tr '\n' ' ')" "new/ new/l new/sub/ new/sub/f new/tree/ new/tree/l new/tree/sub/ new/tree/sub/f "
    is "cp of a file as an archive" "$(i cp files:/tmp/h - | tar -xO)" host
    tar -C "$work/tree" -c . | i cp - files:/srv && ok || bad "cp of an archive into it"
    is "cp there and back" "$(i cp files:/srv/sub - | tar -xO sub/f)" 1
    (cd "$work" && mkdir -p evil && echo x >evil/.wh.h && ln -s / evil/up && tar -c -C evil . | i cp - files:/tmp)
    is "a whiteout is a file there" "$(i cp files:/tmp/.wh.h - | tar -xO 2>/dev/null)$(i cp files:/tmp/h - | tar -xO)" xhost
    ln -s "$work" "$work/evil/dir" && tar -c -C "$work/evil" dir >"$work/e.tar" && rm "$work/evil/dir" && mkdir "$work/evil/dir" && echo planted >"$work/evil/dir/planted" &&
        tar -r -f "$work/e.tar" -C "$work/evil" dir/planted
    i cp - files:/tmp <"$work/e.tar" >/dev/null 2>&1
    [ ! -e "$work/planted" ] && ok || bad "an archive led out of the container"
    i start files >/dev/null
    gives 0 host exec files cat /tmp/h
    i rm -f files >/dev/null
}

part_volumes() {
    gives 0 '' run --rm -v data:/srv/site bb sh -c 'cat index.html 2>/dev/null; echo more >/srv/site/more'
    is "copy-up" "$(i run --rm -v data:/x bb sh -c 'cat /x/index.html /x/more; stat -c %u /x' | tr '\n' ' ')" "index more 33 "
    gives 0 'index.html' run --rm -v fresh:/srv/site:ro bb ls /srv/site
    gives 1 '*' run --rm -v fresh:/srv/site:ro bb touch /srv/site/x
    is "nocopy" "$(i run --rm -v bare:/srv/site:nocopy bb ls /srv/site)" ""
    mkdir "$work/bind" && echo b >"$work/bind/f"
    is "bind" "$(i run --rm -v "$work/bind:/b" bb cat /b/f)" b
    is "bind relative" "$(cd "$work" && i run --rm -v ./bind:/b:ro bb cat /b/f)" b
    gives 125 '*' run --rm --mount type=bind,source="$work/none",target=/b bb true
    is "volumes" "$(i volume ls -q | tr '\n' ' ')" "bare data fresh "
    i create --name holder -v data:/d -v /anon bb true >/dev/null
    gives 1 '*used by holder*' volume rm data
    is "volumes-from" "$(i run --rm --volumes-from holder bb cat /d/more)" more
    is "anonymous" "$(i volume ls -q | wc -l)" 4
    i rm -v holder >/dev/null
    is "rm -v" "$(i volume ls -q | wc -l)" 3
    gives 0 'data' volume rm data
    gives 0 '*fresh*' volume prune -af
    is "declared volume goes with --rm" "$(i run --rm configured >/dev/null; i volume ls -q | wc -l)" 0
    is "tmpfs" "$(i run --rm --tmpfs /t:size=1m bb sh -c 'df -k /t | tail -1 | tr -s " " | cut -d" " -f2')" 1024
}

part_network() {
    is "none" "$(i run --rm --network none bb sh -c 'ip -o link | wc -l; ping -c1 -W1 127.0.0.1 >/dev/null && echo lo' | tr '\n' ' ')" "1 lo "
    is "nat" "$(i run --rm bb ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4)" '10.213.*/32'
    # Not a count of links: those of a network that just ended go when the kernel comes to it.
    is "host" "$(i run --rm --network host bb readlink /proc/self/ns/net)" "$(readlink /proc/self/ns/net | tr "[]" "??")"
    i run -d --name web -p 80 bb httpd -f -p 80 -h /srv/site >/dev/null
    address=$(i port web 80)
    is "port" "$address" '127.0.0.1:*'
    soon curl -s -m 3 "http://$address/" && is "published" "$(curl -s -m 5 "http://$address/")" index || bad "published port does not answer"
    is "shared network" "$(i run --rm --network container:web bb wget -q -O - http://127.0.0.1/)" index
    gives 125 '*' run --rm -p "${address##*:}:80" bb true
    i rm -f web >/dev/null
    curl -s -m 2 "http://$address/" >/dev/null && bad "the port outlived its container" || ok
}

part_restart() {
    i run -d --name re --restart on-failure:2 bb sh -c 'echo run; exit 4' >/dev/null
    soon state_is re exited
    is "on-failure" "$(i logs re | wc -l) $(i inspect -f '{{.State.ExitCode}}' re)" "3 4"
    i run -d --name always --restart always bb sh -c 'echo run; sleep 0.1' >/dev/null
    soon sh -c "[ \$('$isola' logs always | wc -l) -ge 2 ]" && ok || bad "--restart always"
    i stop -t 0 always >/dev/null
    is "stop ends restarts" "$(i inspect -f '{{.State.Status}}' always)" exited
    i update --restart no re >/dev/null && ok || bad "update --restart"
    gives 0 '*ExecStart=*start --attach*' generate systemd re
    # Who gave up the rights to start it again does not try; the new policy holds from the next start on.
    i run -d --name late bb sleep 0.5 >/dev/null
    i update --restart always late >/dev/null
    soon state_is late exited && ok || bad "policy that came late: $(i ps -a)"
    i start late >/dev/null
    soon sh -c "[ \"\$('$isola' inspect -f '{{.Restarts}}' late)\" -ge 1 ]" && ok || bad "policy after a start: $(i ps -a)"
    i rm -f late >/dev/null
    # What --rm throws away is not written to the disk for its own sake, also in the run after a restart from inside.
    is "a branch to throw away" "$(i run --rm bb sh -c 'grep -c "^overlay / .*[,=]volatile" /proc/mounts')" 1
    is "a branch to keep" "$(i run --name kept bb sh -c 'grep -c "^overlay / .*[,=]volatile" /proc/mounts')" 0
    i rm kept >/dev/null
    is "a restart from inside" "$(i run --rm --boot --cap-add SYS_BOOT --network none bb sh -c \
        'if [ -e /again ]; then echo second; exit 0; fi; : >/again; echo first; busybox reboot -f; sleep 9' 2>/dev/null | tr -s '\r\n' ' ')" "first second "
}

# The mode of its supervisor's filter: 2, or 0 where there is none.
filter_of() { sed -n 's/^Seccomp:\t//p' "/proc/$(i inspect -f '{{.State.Pid}}' "$1")/status"; }

# What scripts written for Docker ask for.
part_inspect() {
    i volume create kept >/dev/null
    i run -d --name seen -e A=1 -p 80 -v kept:/k -m 64m --restart on-failure:2 --health-cmd true bb sleep 100 >/dev/null
    is "ports" "$(i inspect -f '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}' seen)" "$(i port seen 80 | cut -d: -f2)"
    is "address" "$(i inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' seen)" "$(i inspect -f '{{.NetworkSettings.IPAddress}}' seen)"
    is "config" "$(i inspect -f '{{.Config.Image}} {{join .Config.Cmd " "}} {{range .Config.Env}}{{if eq . "A=1"}}found{{end}}{{end}}' seen)" 'bb sleep 100 found'
    is "host config" "$(i inspect -f '{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' seen)" '67108864 on-failure 2'
    is "mounts" "$(i inspect -f '{{range .Mounts}}{{.Type}} {{.Name}} {{.Source}} {{.Destination}} {{.RW}}{{end}}' seen)" "volume kept $XDG_DATA_HOME/isola/volumes/kept/data /k true"
    i rm -f seen >/dev/null
    i volume rm kept >/dev/null
}

part_health() {
    i run -d --name sick --health-cmd 'test -e /tmp/well' --health-interval 200ms --health-retries 2 bb sleep 100 >/dev/null
    health() { [ "$(i inspect -f '{{.State.Health.Status}}' sick)" = "$1" ]; }
    soon health unhealthy && ok || bad "unhealthy: $(i inspect -f '{{.State}}' sick)"
    i exec sick touch /tmp/well
    soon health healthy && ok || bad "healthy: $(i inspect -f '{{.State}}' sick)"
    gives 0 '*(healthy)*' ps
    i rm -f sick >/dev/null
}

# A supervisor that is killed: its container dies with it, the next command tells and collects.
part_crash() {
    i run -d --name doomed bb sleep 1000 >/dev/null
    id=$(i inspect -f '{{.ID}}' doomed)
    inner=$(i top --format '{{.PID}}' doomed | head -1)
    kill -9 "$(i inspect -f '{{.State.Pid}}' doomed)"
    soon sh -c "! kill -0 $inner" && ok || bad "the container outlived its supervisor"
    soon state_is doomed dead && ok || bad "state after a crash: $(i inspect -f '{{.State.Status}}' doomed)"
    [ ! -e "$work/run/isola/containers/$id" ] && ok || bad "state directory left"
    ls -d /sys/fs/cgroup/*/isola/"$id" 2>/dev/null | grep -q . && bad "cgroup left" || ok
    i start doomed >/dev/null && running doomed && ok || bad "start after a crash"
    i rm -f doomed >/dev/null
    [ ! -e "$work/data/isola/instances/$id" ] && ok || bad "directory left"
    ps -eo args | grep -q "[s]upervise $id" && bad "a process is left" || ok
}

part_limits() {
    is "memory" "$(i run --rm -m 64m bb sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')" 67108864
    i run --rm -m 16m bb sh -c 'head -c 64m /dev/zero | tail >/dev/null' >/dev/null 2>&1 && bad "memory limit did not hold" || ok
    i run -d --name oom -m 16m bb sh -c 'exec tail </dev/zero' >/dev/null; i wait oom >/dev/null
    is "out of memory" "$(i inspect -f '{{.State.ExitCode}} {{.State.Reason}}' oom)" '137 out of memory*'
    is "pids" "$(i run --rm --pids-limit 5 bb sh -c 'for n in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait' 2>&1 | grep -c fork)" '[1-9]*'
    i run -d --name upd -m 64m bb sleep 60 >/dev/null
    gives 0 upd update -m 128m upd
    is "update" "$(i exec upd sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')" 134217728
    i rm -f upd >/dev/null
    gives 125 '*' run --rm -m 1k bb true
    # Hostile programs: a flood of output stays within the log's limits, processes without end within theirs.
    i run -d --name flood --log-max-size 64k --log-max-files 2 bb sh -c 'yes flood | head -c 3000000' >/dev/null; i wait flood >/dev/null
    kib=$(du -ck "$work"/data/isola/instances/"$(i inspect -f '{{.ID}}' flood)"/console.log* | tail -1 | cut -f1)
    [ "$kib" -le 200 ] && ok || bad "the log of a flood has $kib KiB"
    i run -d --name bomb --pids-limit 50 bb sh -c 'b() { b | b & }; b; sleep 100' >/dev/null; sleep 0.5
    i stop -t 0 bomb >/dev/null
    is "fork bomb" "$(i inspect -f '{{.State.Status}}' bomb)" exited
}

part_boot() {
    # A small Debian with systemd. ISOLA_TEST_SYSTEMD names one that is there already, as a tar file.
    local tar=${ISOLA_TEST_SYSTEMD:-}
    if [ -n "$tar" ]; then
        i import "$tar" systemd >/dev/null || { bad "import $tar"; return; }
    elif [ -n "${ISOLA_TEST_LONG:-}" ] && command -v mmdebstrap >/dev/null; then
        nsenter --net="$ISOLA_TEST_NETNS" timeout 600 "$isola" bootstrap -q --include systemd,systemd-sysv,dbus --suite bookworm systemd >/dev/null || { bad "bootstrap"; return; }
    else
        skip "boot: needs ISOLA_TEST_SYSTEMD=TAR, or ISOLA_TEST_LONG=1 to make a Debian with systemd"
        return
    fi
    up() { [ "$(i exec sys systemctl is-system-running 2>/dev/null)" = running ]; }
    soon_long() { for _ in 1 2 3 4 5 6; do soon "$@" && return 0; done; return 1; }
    i run -d --name sys --boot systemd >/dev/null
    soon_long up && ok || bad "boot: $(i exec sys systemctl is-system-running 2>&1), $(i exec sys systemctl list-units --failed 2>&1)"
    run=$(i inspect -f '{{.Restarts}}' sys)
    i exec sys systemctl reboot >/dev/null 2>&1
    soon_long sh -c "[ \"\$('$isola' inspect -f '{{.Restarts}}' sys)\" -gt $run ]" && soon_long up && ok || bad "reboot: $(i ps -a)"
    i exec sys poweroff >/dev/null 2>&1
    soon_long state_is sys exited && is "poweroff" "$(i inspect -f '{{.State.ExitCode}}' sys)" 0 || bad "poweroff: $(i ps -a)"
    i start sys >/dev/null && soon_long up && i stop -t 60 sys >/dev/null
    is "stop" "$(i inspect -f '{{.State.ExitCode}}' sys)" 0
}

part_rootless() {
    command -v setpriv >/dev/null && command -v newuidmap >/dev/null || { skip "rootless: setpriv or newuidmap is missing"; return; }
    [ -r /dev/net/tun ] || { skip "rootless: no /dev/net/tun"; return; }
    local home=$work/user
    mkdir -p "$home/run" && cp "$isola" "$(dirname "$isola")/isola-image" "$work/bb.tar" "$home" && chown -R 54321:54321 "$home"
    (cat /etc/passwd; echo "isolatest:x:54321:54321::$home:/bin/sh") >"$work/passwd"
    (cat /etc/group; echo "isolatest:x:54321:") >"$work/group"
    cat >"$home/try" <<'T'
PATH=$PWD:$PATH
isola import bb.tar bb >/dev/null
echo "id $(isola run --rm --network none bb id -u) maps $(isola run --rm --network none bb cat /proc/self/uid_map | wc -l)"
echo "nat $(isola run --rm bb ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4)"
echo "volume $(isola run --rm -v v:/srv/site bb cat /srv/site/index.html)"
isola run -d --name w bb sleep 100 >/dev/null
echo "exec $(isola exec w cat /proc/1/comm)"
echo "web $(isola exec -u web w id -u 2>&1)"
isola exec w sh -c 'mkdir -p /tmp/p; echo kept >/tmp/p/f; chown -R web /tmp/p 2>/dev/null; chmod -R go= /tmp/p'
isola stop -t 0 w >/dev/null
echo "stopped $(isola cp w:/tmp/p/f - | tar -xO) $(isola export w | tar -t | grep -c tmp/p/f)"
echo back >in; isola cp in w:/tmp/p/in && isola start w >/dev/null && echo "in $(isola exec w cat /tmp/p/in)"
isola stop -t 0 w >/dev/null; isola rm w >/dev/null
isola run --rm -m 64m bb true 2>&1 | grep -o 'memory limit was asked'
echo "left $(ls "$HOME/.local/share/isola/instances" | wc -l)"
T
    # As a user of this script's making, in a mount namespace where he exists.
    cat >"$work/as-user" <<T
mount --make-rprivate /
echo "\$1" >$work/subuid
mount --bind $work/subuid /etc/subuid; mount --bind $work/subuid /etc/subgid
mount --bind $work/passwd /etc/passwd; mount --bind $work/group /etc/group
mknod $work/tun c 10 200; chmod 666 $work/tun; mount --bind $work/tun /dev/net/tun; rm -f $work/tun
cd $home && rm -rf .local && exec timeout -k 5 100 setpriv --reuid 54321 --regid 54321 --clear-groups env -i PATH=\$PATH HOME=$home \\
    XDG_RUNTIME_DIR=$home/run sh ./try
T
    is "rootless with ranges" "$(timeout 120 unshare -m bash "$work/as-user" isolatest:200000:65536 2>&1)" \
        $'id 0 maps 2\nnat 10.0.2.15/24\nvolume index\nexec sleep\nweb 33\nstopped kept 1\nin back\nmemory limit was asked\nleft 0'
    is "rootless with one id" "$(timeout 120 unshare -m bash "$work/as-user" '' 2>&1)" \
        $'id 0 maps 1\nnat 10.0.2.15/24\nvolume index\nexec sleep\nweb *\nstopped kept 1\nin back\nmemory limit was asked\nleft 0'
}

for part in $parts; do
    started=$(date +%s)
    "part_$part"
    echo "  $part: $(($(date +%s) - started)) s"
    i ps -aq | while read -r id; do i rm -fv "$id" >/dev/null 2>&1; done
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

#!/bin/bash
# Black-box tests of the command over instances on paper (fake_instance.c).
# Usage: commands_test.sh ISOLA_FAKE SOURCE_DIR
set -u
isola=$(realpath "$1") source=$2
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
ln -s "$isola" "$work/isola"
cd "$work" && PATH=$work:$PATH
export XDG_DATA_HOME=$work/data
unset NO_COLOR ISOLA_FAKE ISOLA_FAKE_SAY ISOLA_FAKE_EXIT
failures=0 count=0

fail() {
    failures=$((failures + 1))
    printf 'FAIL: %s\n' "$*"
}

# expect STATUS TEXT COMMAND...: the status and the whole of both outputs, as a glob pattern.
expect() {
    local status=$1 pattern=$2 got text
    shift 2
    text=$("$@" 2>&1 < /dev/null)
    got=$?
    count=$((count + 1))
    [ "$got" = "$status" ] || fail "$*: status $got, not $status: $text"
    # shellcheck disable=SC2053
    [[ $text == $pattern ]] || fail "$*: printed: $text"
}

# on STDOUT|STDERR: only that stream carries text.
only_stdout() { [ -z "$("$@" 2>&1 > /dev/null < /dev/null)" ] || fail "$*: spoke on stderr"; }
only_stderr() { [ -z "$("$@" 2> /dev/null < /dev/null)" ] || fail "$*: spoke on stdout"; }

id_web=a1$(printf %062d 7) id_fresh=b2$(printf %062d 7)

# The list of commands and unknown ones.
expect 0 'Usage: isola *Start:*run *isola COMMAND --help*' isola
expect 0 'Usage: isola *' isola --help
expect 0 'isola 0.*' isola --version
expect 125 'isola: unknown command "pss"; did you mean ps?' isola pss
expect 125 'isola: unknown command "xyzzy"; "isola help" lists the commands' isola xyzzy
expect 125 'isola: checkpoint is not supported yet: use isola snapshot*' isola checkpoint web
expect 125 'isola: unknown option --versoin; did you mean --version?' isola --versoin
expect 125 'isola: unknown command "system dg"; there are: df prune info *' isola system dg
expect 0 'TYPE *Leftovers *0B' isola system df
expect 0 'REPOSITORY *TAG *IMAGE ID *CREATED *SIZE' isola image ls
expect 1 'isola: rmi: no image "nothing"; *' isola rmi nothing
expect 125 'isola: images: option --filter: *' isola images -f x=y
expect 0 '*loop' isola instance ls
expect 125 'isola: help: no command "stpo"; did you mean stop?' isola help stpo
only_stdout isola --help
only_stderr isola pss

# Help fits 80 x 24, and errors never print it.
for verb in run create start restart attach ps inspect logs stats port events stop kill pause unpause screenshot type sendkey \
    wait rename rm prune doctor completion version help; do
    expect 0 "Usage: isola $verb*" isola "$verb" --help
    isola "$verb" --help | awk 'length > 80 || NR > 24 { bad = 1 } END { exit bad }' ||
        fail "$verb --help does not fit a screen"
    isola help --all "$verb" | awk 'length > 80 { bad = 1 } END { exit bad }' ||
        fail "help --all $verb is too wide"
    expect 125 "isola: $verb: unknown option --zz; *" isola "$verb" --zz
done
isola | awk 'length > 80 || NR > 24 { bad = 1 } END { exit bad }' || fail "help does not fit"

# run: what is refused, with reasons.
expect 125 'isola: run: nothing to run; name an image: *' isola run
expect 0 'console input=0 tty=0 *' isola run --vm debian true
expect 125 'isola: run: option --kernel needs --vm' isola run --kernel k
expect 125 'isola: run: nothing to boot; name an image: *' isola run --vm
expect 125 'isola: run: option --env is for what runs an image; *' isola run --vm --kernel k -e A=b
expect 125 'isola: run: volumes and binds are for containers yet; *' isola run --vm -v /tmp:/mnt debian
expect 125 'isola: run: the input device is not a TTY; *' isola run --vm -it --kernel k
expect 125 'isola: run: option --gpus is not supported yet: *' isola run --gpus all x
expect 125 'isola: run: option --volume: *' isola run -v a:b x
expect 125 'isola: run: option --cap-add is for containers; *' isola run --vm --kernel k --cap-add ALL
expect 125 'isola: run: option --accel is for virtual machines*' isola run --accel interp x
expect 125 'isola: run: option --memory: "1q" is not a size*' isola run -m 1q
expect 125 'isola: run: name web: taken' isola run --vm --kernel k --name web
expect 125 'isola: run: detach keys "bad": no' isola run --vm --kernel k --detach-keys bad
expect 125 'isola: run: option --disk: *' isola run --vm --kernel k --disk a,zz

# run: what is done.
expect 0 "$id_fresh" isola run -d --vm --kernel k
expect 0 'console input=0 tty=0 proxy=1 keys=default replay=0' isola run --vm --kernel k
expect 0 'console input=1 tty=0 proxy=0 keys=ctrl-a replay=0' \
    isola run --vm --kernel k -i --sig-proxy=false --detach-keys ctrl-a
ISOLA_FAKE_EXIT=101 expect 101 'console *' isola run --vm --kernel k
expect 0 "$id_fresh" isola run -d --vm --kernel k --cidfile "$work/id"
[ "$(cat "$work/id")" = "$id_fresh" ] || fail "--cidfile"
expect 125 "isola: run: write the id to $work/id: the file exists; remove it first" \
    isola run -d --vm --kernel k --cidfile "$work/id"
expect 0 "$id_fresh" isola create --vm --kernel k
expect 125 'isola: create: unknown option --detach; *' isola create --vm --kernel k --detach

# A terminal: script gives one.
export TERM=xterm
if command -v script > /dev/null; then
    tty() { script -qec "$*" /dev/null < /dev/null | tr -d '\r'; }
    expect 0 'isola: run: interpreting *console input=1 tty=1 proxy=0 keys=default replay=0' \
        tty isola run --vm --kernel k -it
    expect 0 'console input=1 *' tty isola run --vm --kernel k -it --accel interp
    expect 0 $'*\e[32mUp About an hour\e[0m*' tty isola ps
    NO_COLOR=1 expect 0 '*  Up About an hour *' tty isola ps
    TERM=dumb expect 0 '*  Up About an hour *' tty isola ps
fi

# snapshots.
expect 0 'before' isola snapshot create web before
expect 0 'web-20260131-120000' isola snapshot create web
expect 1 'isola: snapshot create: *start it first*' isola snapshot create db
expect 0 $'NAME *INSTANCE *CREATED *MEMORY *SIZE\nbefore *web *2 hours ago *512MiB *56MiB' isola snapshot ls
expect 0 'before' isola snapshot ls -q
expect 0 'web' isola snapshot inspect -f '{{.Instance}}' before
expect 1 'isola: snapshot rm: there is no snapshot none' isola snapshot rm none
expect 0 '' isola snapshot rm -f none
expect 0 'b2*' isola restore before
expect 1 'isola: restore: there is no snapshot none' isola restore none
expect 125 'isola: run: *there is no snapshot none' isola run -d --from-snapshot none
expect 125 'isola: run: option --memory: this is part of the snapshot*' isola run -d --from-snapshot before --memory 1g
expect 125 'isola: run: "vi": what runs is part of the snapshot*' isola run -d --from-snapshot before vi
expect 0 'f0f0' isola fork web
expect 0 $'f0f0\nf0f0\nnamed w-%' isola fork -n 2 --name w-% web
expect 1 'isola: fork: *start it first*' isola fork db

# recordings.
expect 0 $'NAME *CHANGED *SIZE\nboot *2 hours ago *5MiB' isola record ls
expect 0 'boot' isola record ls -q
expect 0 '2000000000' isola record inspect -f '{{.Instructions}}' boot
expect 0 'boot' isola record rm boot
expect 1 'isola: record rm: there is no recording none' isola record rm none
expect 0 '' isola record rm -f none
expect 1 'isola: replay: there is no recording none' isola replay none
expect 1 '*isola: replay: the replay differs*' isola replay boot
expect 0 'equal: 1000 instructions*the recording goes on' isola replay -q --to 1000 boot
expect 125 'isola: replay: give --to or --at, not both' isola replay --to 1 --at 1 boot
expect 125 'isola: replay: --at takes seconds*' isola replay --at x boot

# ps.
expect 0 'INSTANCE ID*NAME
a10000000000   vmlinuz-6.1   vm *2 hours ago*Up About an hour*8080->80/tcp*5353->53/udp   web
a20000000000 *Up About a minute (Paused)*ice
c20000000000 *Restarting (1)*loop' isola ps
expect 0 '*Exited (3)*Created*Dead*' isola ps -a
expect 0 $'a10000000000\na20000000000\nc20000000000' isola ps -q
expect 0 "$id_web*" isola ps -q --no-trunc
expect 0 'b10000000000' isola ps -q -f status=exited
expect 0 $'b10000000000\nb20000000000' isola ps -q -f status=exited -f status=created
expect 0 'b10000000000' isola ps -q -f exited=3
expect 0 'a10000000000' isola ps -q -f label=tier=front
expect 0 '' isola ps -q -f label=tier=back
expect 0 '' isola ps -q -f label=tier -f name=ice
expect 0 $'a10000000000\na20000000000' isola ps -aqn 2
expect 0 'a10000000000' isola ps -ql
expect 0 'web a10000000000 front 3' isola ps -f name=web \
    --format '{{.Names}} {{.ID}} {{.Label "tier"}} {{len .Name}}'
expect 0 $'NAME    STATUS\nghost   Dead*' isola ps -f status=dead --format 'table {{.Name}}\t{{.Status}}'
expect 0 $'NAME    CREATED AT\nghost   20*' isola ps -f status=dead --format 'table {{.Name}}\t{{.CreatedAt}}'
expect 125 'isola: ps: option --filter: no key "stauts"; did you mean status?' isola ps -f stauts=x
expect 125 'isola: ps: option --filter: "status" has no value; write status=VALUE' isola ps -f status
expect 125 'isola: ps: option --filter: "up" is no status; there are created*' isola ps -f status=up
expect 1 'isola: ps: option --format: "yaml" is none of table, json*' isola ps --format yaml
expect 1 'isola: ps: template: no field "Nmae"; did you mean "name"?' isola ps --format '{{.Nmae}}'
expect 125 'isola: ps: unexpected argument "x"; usage: isola ps \[OPTIONS]' isola ps x
ISOLA_FAKE=empty expect 0 'INSTANCE ID   IMAGE   WALL   CREATED   STATUS   PORTS   NAME' isola ps
ISOLA_FAKE=empty expect 0 '\[]' isola ps --json
ISOLA_FAKE=broken expect 1 'isola: ps: open the store: it is broken?beyond repair' isola ps
if command -v python3 > /dev/null; then
    isola ps -a --json | python3 -c '
import json, sys
rows = json.load(sys.stdin)
assert len(rows) == 6
assert all(len(r["id"]) == 64 for r in rows)
assert rows[0]["ports"] == "127.0.0.1:8080->80/tcp, 127.0.0.1:5353->53/udp"
assert rows[0]["labels"] == {"tier": "front"}
assert rows[2]["exit_code"] == 3 and rows[2]["state"] == "exited"
assert rows[3]["started_at"] == ""
' || fail "ps --json"
    isola port web --json | python3 -c '
import json, sys
assert json.load(sys.stdin)[1] == {"port": 53, "protocol": "udp", "address": "127.0.0.1", "host_port": 5353}
' || fail "port --json"
fi

# inspect and port.
expect 0 '\[*"id": "a1"*"live": false*]' isola inspect web
expect 0 '*"live": true*' isola inspect --live web
expect 0 $'running\nexited' isola inspect -f '{{.State.Status}}' web db
expect 0 'true false 0' isola inspect -f '{{.State.Running}} {{.State.Paused}} {{.State.ExitCode}}' web
expect 0 'true true' isola inspect -f '{{.State.Running}} {{.State.Paused}}' ice
expect 1 'isola: inspect: no instance nil*"a1"*' isola inspect nil web
expect 0 $'80/tcp -> 127.0.0.1:8080\n53/udp -> 127.0.0.1:5353' isola port web
expect 0 '127.0.0.1:5353' isola port web 53/udp
expect 1 'isola: port: port 53 of web is not published; *' isola port web 53
expect 125 'isola: port: "0" is not a port; *' isola port web 0

# One thing to each instance: all are tried, the status tells of any failure.
export ISOLA_FAKE_SAY=1
expect 0 $'fake: stop -1 web\nweb' isola stop web
expect 0 $'fake: stop 5 web\nweb\nfake: stop 5 ice\nice' isola stop -t 5 web ice
expect 0 $'fake: stop 0 web\nweb' isola stop --time=0 web
expect 1 $'isola: stop: no instance nil\nfake: stop -1 web\nweb' isola stop nil web
expect 0 $'fake: kill KILL web\nweb' isola kill web
expect 0 $'fake: kill TERM web\nweb' isola kill -s TERM web
expect 0 $'fake: pause web\nweb' isola pause web
expect 0 $'fake: screen web\nlogin:' isola screenshot --text web
expect 0 $'fake: screen web' isola screenshot web picture.png
[ "$(python3 -c 'import zlib,struct; d = open("picture.png", "rb").read(); n = struct.unpack(">I", d[33:37])[0]
print(d[:8], struct.unpack(">II", d[16:24]), zlib.decompress(d[41:41 + n]))')" = \
    "b'\x89PNG\r\n\x1a\n' (2, 1) b'\x02\xff\x00\x00\x00\x00\xff'" ] || fail 'screenshot: not the picture'
expect 1 $'fake: screen web\nisola: screenshot: create */none/x.png: *' isola screenshot web "$work/none/x.png"
expect 1 '*db*start*' isola screenshot db x.png
expect 0 $'fake: screen web\ntype "a b"\npress enter' isola type --enter web 'a b'
expect 0 $'fake: screen web\npress down\npress ctrl-alt-delete' isola sendkey web down ctrl-alt-delete
expect 1 $'fake: screen web\nisola: sendkey: there is no key "hyper"' isola sendkey web hyper
expect 0 $'fake: unpause ice\nice' isola unpause ice
expect 0 $'fake: unpause ice\nice' isola resume ice
expect 1 $'fake: unpause web\nisola: unpause: *' isola unpause web
expect 0 $'fake: rm db\ndb' isola rm db
expect 1 $'fake: rm web\nisola: rm: *' isola rm web
expect 0 $'fake: rm force web\nweb' isola rm -f web
expect 0 '' isola rm -f nil
expect 1 'isola: rm: no instance nil' isola rm nil
expect 0 $'fake: rm db\ndb' isola delete db
expect 0 'fake: new web' isola rename web new
expect 0 $'fake: start db\ndb' isola start db
expect 0 $'fake: start db\nconsole input=0 tty=0 *' isola start -a db
expect 0 $'fake: start db\nconsole input=1 tty=0 *' isola start -i db
expect 125 'isola: start: --attach and --interactive take one instance, not 2' isola start -a db ghost
expect 0 $'fake: attach web\nconsole input=1 tty=0 proxy=1 *' isola attach web
expect 0 $'fake: attach web\nconsole input=0 *' isola attach --no-stdin web
unset ISOLA_FAKE_SAY
expect 0 $'3\n0' isola wait db web
expect 0 '5' isola wait --condition removed db
expect 125 'isola: wait: option --condition: "up" is none of *' isola wait --condition up db

# prune never removes without being told to.
expect 1 'isola: prune: there is no terminal to ask on; add --force' isola prune
expect 0 $'b1*\nb2*\nc1*' isola prune --yes
expect 0 'b1*7' isola system prune -f --filter status=exited
expect 125 'isola: prune: option --filter: *' isola prune -f --filter foo=1

# logs and events.
expect 0 $'one\nfirmware\ntwo' isola logs web
expect 0 'two' isola logs -n 1 web
expect 0 $'2023-11-14T22:13:20.000000000Z one\n*two' isola logs -t web
[ "$(isola logs web 2> /dev/null)" = $'one\ntwo' ] || fail "the debug stream goes to stderr"
expect 125 'isola: logs: option --tail: "x" is not a number of lines or all' isola logs -n x web
expect 125 'isola: logs: option --since: "x" is not a time*' isola logs --since x web
expect 0 $'2023-*Z start a1xxxxxxxxxx (name=web)\n2023-*Z die b1xxxxxxxxxx (name=db, exit_code=3, reason=power-off)' \
    isola events --until 0s
expect 0 '{"time":*"event":"die"*"exit_code":3*}' isola events --until 0s --json -f event=die
expect 0 $'start web' isola events --until 0s --format '{{.Event}} {{.Name}}' -f instance=web
expect 125 'isola: events: option --filter: *' isola events -f x

# stats.
expect 0 $'INSTANCE ID *CPU %*\na10000000000   web *0.00% *64MiB / 512MiB *12.50%   1.5kB / 0B   1MB / 0B    3\n*' \
    isola stats --no-stream
expect 0 'web 12.50%' isola stats --no-stream --format '{{.Name}} {{.MemPerc}}' web
expect 1 'isola: stats: no instance nil' isola stats --no-stream nil

# doctor and version.
expect 0 'CHECK *accel interp *ok *accel jit*' isola doctor
expect 0 '{*"version": "0.*}' isola version --format json
expect 0 '0.*' isola version -f '{{.Version}}'

# Standard output that is full is not success.
if [ -w /dev/full ]; then
    isola ps > /dev/full 2> "$work/err"
    [ $? = 1 ] || fail "ps > /dev/full succeeded"
    grep -q 'write to standard output: No space left' "$work/err" || fail "ps > /dev/full said nothing"
fi
isola ps >&- 2> /dev/null
[ $? = 0 ] || fail "ps without standard output"

# Manual pages: one per command, without a warning.
mkdir "$work/man"
expect 0 '' isola __man "$work/man"
[ "$(ls "$work/man" | wc -l)" = $(($(isola __markdown | grep -c '^### ') + 1)) ] || fail "number of manual pages: $(ls "$work/man" | wc -l)"
if command -v man > /dev/null && man --version > /dev/null 2>&1; then
    for page in "$work"/man/*.1; do
        warnings=$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 > /dev/null)
        [ -z "$warnings" ] || fail "${page##*/}: $warnings"
    done
fi
expect 1 'isola: write /dev/null/x/isola.1: Not a directory' isola __man /dev/null/x

# The generated document is current.
# Traces and counters as they are printed.
expect 0 '    1.500000 cpu1 0x1000 *exception vector=14 name=#PF code=0x2 address=0x2000*3 events are missing*request device=drive0*' \
    isola trace web exceptions drives
expect 0 '{"ns":1500000000,*"lost":3}*' isola trace --json web exceptions
expect 0 '*exception vector=14*' isola trace -n 1 web exceptions
expect 125 'isola: trace: *' isola trace --count x web all
expect 0 'shown: counters json*' isola stats --counters --json web
expect 125 'isola: stats: --counters is of virtual machines: name some' isola stats --counters
expect 0 'shown: all' isola inspect --report web
expect 0 'shown: walk 0x10' isola inspect --walk 0x10 web

isola __markdown | diff -u "$source/docs/commands.md" - ||
    fail "docs/commands.md is old: isola __markdown > docs/commands.md"

# Completion.
expect 0 $'run\t*\nrestart\t*\nrename\t*\nrm\t*' isola __complete -- r
expect 0 $'pause\t*' isola __complete -- pau
expect 0 $'--accel\t*' isola __complete -- run --acc
expect 0 $'jit\t*' isola __complete -- run --accel j
expect 0 $'--accel=jit\t*' isola __complete -- run --accel=j
expect 0 ':files' isola __complete -- run --kernel ''
expect 0 ':files' isola __complete -- run --kernel=
expect 0 $'web\tUp About an hour' isola __complete -- stop w
expect 0 $'web\t*\nice\t*\nloop\t*' isola __complete -- stop ''
expect 0 $'ice\t*' isola __complete -- unpause ''
expect 0 $'db\t*\nfresh\t*\nghost\t*' isola __complete -- start ''
expect 0 $'a10000000000\t*' isola __complete -- inspect a1
expect 0 '' isola __complete -- rename web ''
expect 0 $'--name\t*\n--network\t*\n--no-healthcheck\t*\n--no-reboot\t*' isola __complete -- run -it --n
expect 0 '' isola __complete -- run -p ''
expect 0 '' isola __complete -- nothing x
expect 0 '' isola __complete
ISOLA_FAKE=broken expect 0 '' isola __complete -- stop ''
expect 125 'isola: completion: no completion for "tcsh"; there are bash, zsh and fish' \
    isola completion tcsh

# complete_bash WORDS...: what bash would offer.
complete_bash() {
    bash -c 'source <(isola completion bash) && COMP_WORDS=("$@") && COMP_CWORD=$(($# - 1)) &&
        _isola && printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}
touch "$work/kernel.img"
expect 0 'pause' complete_bash isola pau
expect 0 'web' complete_bash isola stop w
expect 0 'jit' complete_bash isola run --accel = j
expect 0 'kernel.img' complete_bash isola run --kernel ker
expect 0 'kernel.img' complete_bash isola run --kernel = ker
expect 0 $'running\nrestarting' complete_bash isola ps -f status = r
if command -v zsh > /dev/null; then
    zsh -fc 'autoload -U compinit && compinit -u -D && source <(isola completion zsh) && (( $+functions[_isola] ))' ||
        fail "zsh completion"
fi
if command -v fish > /dev/null; then
    expect 0 $'pause\t*' fish -c 'isola completion fish | source; complete -C "isola pau"'
    expect 0 $'web\t*' fish -c 'isola completion fish | source; complete -C "isola stop w"'
fi

echo "$count commands, $failures failures"
[ "$failures" = 0 ]

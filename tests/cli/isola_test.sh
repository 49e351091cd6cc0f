#!/bin/bash
# The command with real instances: the smallest guest, from its creation to its removal.
# Usage: isola_test.sh ISOLA GUEST
set -u
isola=$(realpath "$1") guest=$(realpath "$2")
# Sockets need short paths.
work=$(mktemp -d /tmp/isola.XXXXXX) || exit 99
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run HOME=$work
mkdir -m 700 "$XDG_RUNTIME_DIR"
finish() {
    ids=$("$isola" ps -aq)
    # shellcheck disable=SC2086
    [ -z "$ids" ] || "$isola" rm -f $ids > /dev/null
    rm -rf "$work"
}
trap finish EXIT
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
# say TEXT COMMAND...: the command gets the text as its input.
say() {
    local text=$1
    shift
    printf %s "$text" | "$@"
}
# until_true COMMAND...: the command succeeds at last.
until_true() {
    for _ in $(seq 600); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.1
    done
    fail "never: $*"
}
is_dead() { [ "$("$isola" ps -a -f "name=$1" --format '{{.State}}')" = dead ]; }
shows() { "$isola" logs "$1" 2> /dev/null | grep -q "$2"; }

machine=(--vm --kernel "$guest" --memory 16m --network none --debug-exit)

# A life without running.
expect 0 'INSTANCE ID *NAME' "$isola" ps
expect 0 '????????????????????????????????????????????????????????????????' \
    "$isola" create "${machine[@]}" --name one --label a=b --stop-timeout 1
expect 0 '*Created*one' "$isola" ps -a
expect 0 'INSTANCE ID *NAME' "$isola" ps
expect 0 'created false b' "$isola" inspect -f '{{.State.Status}} {{.State.Running}} {{index .Spec.Labels "a"}}' one
expect 125 'isola: create: *one*' "$isola" create "${machine[@]}" --name one
expect 1 'isola: stop: *' "$isola" stop two
expect 0 '' "$isola" rename one two
expect 0 'two' "$isola" ps -a --format '{{.Name}}'

# It runs, is paused, looked at and killed.
expect 0 'two' "$isola" start two
expect 0 '*Up *two' "$isola" ps
until_true shows two 'guest ready'
expect 0 'two' "$isola" pause two
expect 0 '*(Paused)*two' "$isola" ps
expect 1 'isola: rm: *' "$isola" rm two
expect 0 'two' "$isola" unpause two
expect 0 '*two *MiB*' "$isola" stats --no-stream
expect 0 '*"engine"*' "$isola" inspect --live two
expect 0 'two' "$isola" kill two
expect 0 '137' "$isola" wait two
expect 0 '*Exited (137)*two' "$isola" ps -a
expect 0 'two' "$isola" start two
expect 0 'two' "$isola" stop -t 0 two
expect 0 'two' "$isola" rm two
expect 0 'INSTANCE ID *NAME' "$isola" ps -a

# In the foreground: input, output, and exit statuses.
expect 43 'guest ready*hi' say hiq "$isola" run -i --rm "${machine[@]}"
expect 102 'guest ready*isola: run: *: triple fault*' say t "$isola" run -i --rm --no-reboot "${machine[@]}"
expect 0 'INSTANCE ID *NAME' "$isola" ps -a
expect 125 'isola: run: *' "$isola" run --rm --vm --kernel "$work/none" --network none --name lost
expect 125 'isola: run: *' "$isola" run --vm --kernel /dev/null --network none --name lost
expect 0 'INSTANCE ID *NAME' "$isola" ps -a

# In the background, then connected to.
id=$("$isola" run -d "${machine[@]}" --name three --cidfile "$work/id")
[ "$id" = "$(cat "$work/id")" ] || fail "--cidfile: $id"
expect 0 "${id:0:12}" "$isola" ps -q
until_true shows three 'guest ready'
expect 43 '*xyz' say xyzq "$isola" attach three
expect 0 '43' "$isola" wait "${id:0:5}"
expect 0 '*guest ready*xyz*' "$isola" logs three
expect 43 'guest ready*' say q "$isola" start -ai three
expect 0 'three' "$isola" rm three
expect 0 '*create*start*die*destroy*' "$isola" events --until 0s -f instance=three

# On a terminal: raw input, detaching, and the terminal as it was.
if command -v script > /dev/null; then
    # Waits for the guest's greeting before it types, and stays until the command has ended.
    type_into() {
        local keys=$1
        shift
        rm -f "$work/done"
        # -ixon: ctrl-q must not be eaten by a terminal that is not raw yet.
        # shellcheck disable=SC2016
        script -qec 'stty -ixon; before=$(stty -g); '"$*"'; echo "status $?"; [ "$before" = "$(stty -g)" ] || echo CHANGED
            touch "$HOME/done"' \
            /dev/null < <(for _ in $(seq 100); do
            sleep 0.1
            "$isola" logs four 2> /dev/null | grep -q ready && break
        done
        sleep 0.2
        printf "$keys"
        for _ in $(seq 300); do
            sleep 0.1
            [ -e "$work/done" ] && break
        done)
    }
    expect 0 '*guest ready*abstatus 43*' type_into 'abq' "$isola" run -it --name four "${machine[@]}"
    [[ $(type_into 'q' "$isola" start -ai four) == *CHANGED* ]] && fail "the terminal was not restored"
    expect 0 four "$isola" rm four
    expect 0 '*guest ready*detached; *status 0*' type_into '\020\021' "$isola" run -it --name four "${machine[@]}"
    expect 0 '*Up *four' "$isola" ps
    expect 0 '*detached; *status 0*' type_into 'hello\035' "$isola" attach four
    until_true shows four hello
    expect 0 '*Up *four' "$isola" ps
    expect 0 four "$isola" rm -f four
fi

# A lost supervisor is told truthfully, and what it left is removed.
expect 0 '*' "$isola" run -d "${machine[@]}" --name five
kill -9 "$("$isola" inspect -f '{{.State.Pid}}' five)"
until_true is_dead five
expect 1 'isola: attach: *' "$isola" attach five
expect 0 '*' "$isola" prune -f
expect 0 'INSTANCE ID *NAME' "$isola" ps -a

echo "$count commands, $failures failures"
[ "$failures" = 0 ]

# Shared by the guest tests: a state directory of its own, guests made once, helpers. Source it; $1 is the isola binary.
set -u
isola=$(realpath "${1:?the isola binary}")
top=$(cd "$(dirname "$0")/../.." && pwd)
guests=${ISOLA_GUESTS:-$top/build-guests}
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-test.XXXXXX")
export XDG_DATA_HOME=$work/data XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config XDG_CACHE_HOME=$work/cache
export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
children=
cleanup() {
    timeout 60 "$isola" ps -aq 2>/dev/null | while read -r id; do timeout 60 "$isola" rm -f "$id" >/dev/null 2>&1; done
    for p in $children; do kill "$p" 2>/dev/null; done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

die() { echo "FAILED: $*"; exit 1; }
skip() { echo "$*"; exit 77; }
ok() { echo "ok: $*"; }

guest_kernel() { "$top/tools/guest" kernel "$guests/$1" "$1" >&2 && "$top/tools/guest" initrd "$guests/$1" >&2 || die "no $1 guest"; }
guest_disk() { "$top/tools/guest" disk "$guests/cloud" >&2 || die "no disk"; }

# in_guest SECONDS FLAVOUR ISOLA-OPTIONS... -- COMMAND: runs one shell command in a guest; its output is in $work/out, its
# status in $status, isola's own exit code in $code.
in_guest() {
    limit=$1 flavour=$2
    shift 2
    options=
    while [ "$1" != -- ]; do options="$options $1"; shift; done
    shift
    # shellcheck disable=SC2086
    timeout -k 5 "$limit" "$isola" run --vm --rm --kernel "$guests/$flavour/vmlinuz" --initrd "$guests/$flavour/initrd.img" \
        $options --append "console=ttyS0 panic=-1 ${append:-quiet} isola.run=$(printf '%s' "$*" | base64 -w0)" </dev/null 2>"$work/err" |
        tr -d '\r' >"$work/out"
    code=$(cat "$work/code" 2>/dev/null || echo 0)
    status=$(sed -n 's/^isola-status: //p' "$work/out" | tail -1)
}
show() { echo "--- output"; tail -25 "$work/out"; echo "--- messages"; cat "$work/err"; }

# check WHAT COMMAND...: counts what holds; for tests that end with "$passed passed, $failed failed".
passed=0 failed=0
check() {
    name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok: $name"
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        cat "$work/err"
    fi
}
# said NAME TEXT: waits until the console of NAME has said it.
said() {
    for _ in $(seq 300); do
        timeout 20 "$isola" logs "$1" 2>/dev/null | grep -q "$2" && return 0
        sleep 0.2
    done
    echo "$1 never said $2:"
    timeout 20 "$isola" logs "$1" 2>&1 | tail -5
    return 1
}

# Machines with a screen: its text, waiting for a text on it or in the log, and keys.
screen_of() { timeout 60 "$isola" screenshot --text "$1" 2>/dev/null; }
# sees NAME TEXT [SECONDS]
sees() {
    until=$(($(date +%s) + ${3:-180}))
    until screen_of "$1" | grep -qF -e "$2"; do
        [ "$(date +%s)" -lt "$until" ] || { screen_of "$1" | grep .; "$isola" logs "$1" | tail -5; die "the screen of $1 does not show: $2"; }
        sleep 0.5
    done
}
# says NAME TEXT [SECONDS]: on its serial line. What it said is in $work/said.
says() {
    until=$(($(date +%s) + ${3:-180}))
    until timeout 60 "$isola" logs "$1" 2>/dev/null | tr -d '\r' >"$work/said" && grep -qaF -e "$2" "$work/said"; do
        [ "$(date +%s)" -lt "$until" ] || { tail -20 "$work/said"; die "$1 does not say: $2"; }
        sleep 1
    done
}
keys() { timeout 60 "$isola" sendkey "$@" || die "sendkey $*"; }
typed() { timeout 60 "$isola" type "$@" || die "type $*"; }
gone() { timeout 60 "$isola" rm -f "$1" >/dev/null || die "rm $1"; }

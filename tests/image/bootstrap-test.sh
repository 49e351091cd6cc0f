#!/bin/bash
# An image of a Debian suite from this host's package mirror, and a container from it. Usage: bootstrap-test.sh ISOLA
set -u
isola=$(realpath "${1:?the isola binary}")
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-bootstrap.XXXXXX")
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
passed=0 failed=0 skipped=0
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
check() { # NAME COMMAND...
    name=$1
    shift
    if "$@" >"$work/out" 2>&1; then passed=$((passed + 1)) && echo "ok: $name"; else failed=$((failed + 1)) && echo "FAILED: $name" && tail -20 "$work/out"; fi
}
if ! command -v mmdebstrap >/dev/null; then
    echo "skipped: bootstrap: package mmdebstrap is missing"
    skipped=1
else
    check "bootstrap debian:bookworm" timeout 600 "$isola" image bootstrap debian:bookworm
    check "it is bookworm" grep -q '^VERSION_CODENAME=bookworm' "$("$isola" image inspect -f '{{index .Layers 0}}' debian:bookworm)/etc/os-release"
    check "its owners are Debian's" test "$(stat -c %g "$("$isola" image inspect -f '{{index .Layers 0}}' debian:bookworm)/etc/shadow")" = 42
    if timeout 60 "$isola" run --rm --network none debian:bookworm true 2>"$work/err"; then
        check "a container of it" test "$(timeout 60 "$isola" run --rm --network none debian:bookworm sh -c '. /etc/os-release; echo "$ID $(id -u)"')" = "debian 0"
    else
        echo "skipped: a container of it: $(tail -1 "$work/err")"
        skipped=1
    fi
    check "no such suite: a clear error" sh -c "! '$isola' image bootstrap debian:nonsense >'$work/log' 2>&1 && tail -1 '$work/log' | grep -q 'mmdebstrap failed'"
    check "nothing is left of it" sh -c "! find '$XDG_DATA_HOME/isola/images/tmp' '$XDG_DATA_HOME/isola/images/trash' -mindepth 1 | grep ."
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]

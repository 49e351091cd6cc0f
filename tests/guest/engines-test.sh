#!/bin/sh
# A Debian kernel's first instructions with and without the interpreter's cache of decoded instructions, compared every few
# instructions (tests/machine/engines.c).
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
engines=$(dirname "$isola")/tests/machine/engines
[ -x "$engines" ] || die "$engines is not built"
passed=0
failed=0
# step NAME OPTIONS...
step() {
    name=$1
    shift
    if timeout 240 "$engines" "$@" "$guests/cloud/vmlinuz" "$guests/cloud/initrd.img" >"$work/out" 2>&1; then
        ok "$name: $(tail -1 "$work/out")"
        passed=$((passed + 1))
    else
        tail -20 "$work/out"
        echo "FAILED: $name"
        failed=$((failed + 1))
    fi
}
step "from the start" -t 20
step "short turns" -t 24 -f 20 -k 150
step "two processors" -t 60 -f 50 -k 500 -c 2
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

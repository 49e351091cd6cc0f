#!/bin/sh
# A Debian kernel's boot by way of 25 machines, each made from the state of the one before, ends as without (tests/machine/walk.c).
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
walk=$(dirname "$isola")/tests/machine/walk
[ -x "$walk" ] || die "$walk is not built"
timeout 250 "$walk" -n 25 -t 500 -s "${ISOLA_SEED:-1}" -c 2 "$guests/cloud/vmlinuz" "$guests/cloud/initrd.img" && echo "1 passed, 0 failed" || { echo "0 passed, 1 failed"; exit 1; }

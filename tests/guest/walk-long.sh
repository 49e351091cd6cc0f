#!/bin/sh
# The same with 1,000 machines, up to user space and through a second of it.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
timeout 7000 "$(dirname "$isola")/tests/machine/walk" -n 1000 -t 4000 -s 5 -c 2 "$guests/cloud/vmlinuz" "$guests/cloud/initrd.img"

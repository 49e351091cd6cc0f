#!/bin/sh
# A virtio disk that is plugged into a running Debian, used, and taken out again by ACPI PCI hot-plug; and a clock that was set.
. "$(dirname "$0")/lib.sh"
passed=0 failed=0
check() { # TEXT COMMAND...
    text=$1
    shift
    if "$@" >/dev/null 2>&1; then passed=$((passed + 1)); ok "$text"; else failed=$((failed + 1)); echo "FAILED: $text"; fi
}
said() { grep -qxF -- "$1" "$work/out"; }
guest_kernel cloud
dd if=/dev/urandom of="$work/disk" bs=64k count=8 status=none
cp "$work/disk" "$work/disk.old"
cp "$work/disk" "$work/first"

asked() { # TEXT: waits for a line of the guest
    i=0
    while [ $i -lt 600 ]; do
        "$isola" logs plug 2>/dev/null | grep -q "^$1" && return 0
        i=$((i + 1))
        sleep 0.3
    done
    return 1
}
(
    asked "a disk please" && "$isola" device add plug disk "$work/disk,serial=hot" &&
        "$isola" device add plug disk "$work/missing"
    asked "take it out" && "$isola" device rm plug disk "$work/disk" && echo "asked for it"
    "$isola" device rm plug disk "$work/disk"
    asked "it is out" && cp "$work/disk" "$work/copy" && "$isola" device add plug disk "$work/disk,ro" && echo "plugged in again"
) >"$work/user" 2>&1 &
user=$!
children="$children $user"

in_guest 200 cloud --name plug --rtc 2031-05-06T07:08:09 --network none --memory 256m --disk "$work/first" -- '
until_disk() { for i in $(seq 1 200); do [ -e /sys/block/vdb ] && break; sleep 0.2; done; }
echo "rtc $(cat /sys/class/rtc/rtc0/date)"
echo "disks $(ls -d /sys/block/vd* | wc -l)"
echo "a disk please"
until_disk
echo "serial $(cat /sys/block/vdb/serial)"
echo "sum $(sha256sum /dev/vdb | cut -c1-64)"
dd if=/dev/zero of=/dev/vdb bs=64k count=1 conv=fsync 2>/dev/null
echo "take it out"
for i in $(seq 1 200); do [ -e /sys/block/vdb ] || break; sleep 0.2; done
[ -e /sys/block/vdb ] || echo "gone"
sleep 0.5
echo "it is out"
until_disk
echo "read-only $(cat /sys/block/vdb/ro)"
echo "slots $(ls /sys/bus/pci/slots | wc -l)"'
wait $user

[ "$status" = 0 ] || { show; cat "$work/user"; die "status ${status:-none}"; }
check "the machine begins with one disk" said "disks 1"
check "the clock shows what it was set to" said "rtc 2031-05-06"
check "a disk is plugged in" said "serial hot"
check "and read" said "sum $(sha256sum "$work/disk.old" | cut -c1-64)"
check "it is taken out" said "gone"
check "what was written is in the file" sh -c "head -c 65536 /dev/zero | cmp - '$work/copy' -n 65536"
check "it is plugged in again, to be read alone" said "read-only 1"
check "a file that is not there is refused" grep -q "missing" "$work/user"
check "a disk that has left can not be taken out again" grep -q "there is no disk" "$work/user"
[ $failed = 0 ] || { show; echo "--- user"; cat "$work/user"; }
echo "$passed passed, $failed failed"
[ $failed = 0 ]

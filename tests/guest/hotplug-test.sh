#!/bin/sh
# A virtio disk and a network adapter that are plugged into a running Debian, used, and taken out again by ACPI PCI hot-plug; and a
# clock that was set.
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
    asked "a nic please" && "$isola" device add plug nic 52:54:00:00:00:99 && "$isola" device add plug nic 52:54:00:00:00:99
    asked "take the nic" && timeout 60 "$isola" device rm plug nic 52:54:00:00:00:99 && echo "asked for the nic"
    "$isola" device rm plug nic 52:54:00:00:00:99
    asked "nic is out" && { timeout 60 "$isola" snapshot create plug; second=$("$isola" device add plug nic); echo "second $second"; }
    asked "two" && "$isola" inspect plug | tr -d ' \n' | grep -o '"more_nics":[^]]*'
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
nic() { cat /sys/class/net/eth$1/address 2>/dev/null; }
lease() { ip link set eth0 up; udhcpc -q -n -t 8 -T 1 -i eth0 -s /bin/dhcp >/dev/null 2>&1; ip -4 addr show eth0 | sed -n "s,.*inet \([0-9.]*\).*,\1,p"; }
echo "a nic please"
for i in $(seq 1 200); do [ -n "$(nic 0)" ] && break; sleep 0.2; done
echo "nic $(nic 0)"
echo "lease $(lease)"
ping -c 2 -W 5 10.0.3.2 >/dev/null && echo "the gateway answers"
echo "take the nic"
for i in $(seq 1 200); do [ -n "$(nic 0)" ] || break; sleep 0.2; done
[ -n "$(nic 0)" ] || echo "nic gone"
echo "nic is out"
for i in $(seq 1 200); do [ -n "$(nic 0)" ] && break; sleep 0.2; done
echo "second $(nic 0)"
echo "lease again $(lease)"
echo two
sleep 2'
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
check "a network adapter is plugged in" said "nic 52:54:00:00:00:99"
check "it gets its lease in a network of its own" said "lease 10.0.3.15"
check "and is connected" said "the gateway answers"
check "it is taken out" said "nic gone"
check "another one is plugged in, with an address that Isola chose" said "$(grep -E '^second 52:54:00(:[0-9a-f]{2}){3}$' "$work/user")"
check "and gets its lease" said "lease again 10.0.3.15"
check "an address is given once" grep -q "is a network adapter 52:54:00:00:00:99 already" "$work/user"
check "an adapter that has left can not be taken out again" grep -q "no network adapter" "$work/user"
check "a snapshot is refused" grep -q "network adapters were plugged in" "$work/user"
check "the record has it" grep -qE '^"more_nics":\["52:54:00' "$work/user"
[ $failed = 0 ] || { show; echo "--- user"; cat "$work/user"; }
echo "$passed passed, $failed failed"
[ $failed = 0 ]

#!/bin/sh
# Disks of bus scsi under Linux's virtio_scsi and sd: found with their sizes and serials, written, read back, discarded, one of
# them read-only.
. "$(dirname "$0")/lib.sh"
guest_kernel generic
dd if=/dev/urandom of="$work/a" bs=1M count=8 2>/dev/null
dd if=/dev/urandom of="$work/b" bs=1M count=2 2>/dev/null
before=$(sha256sum <"$work/a" | cut -d' ' -f1) other=$(sha256sum <"$work/b" | cut -d' ' -f1)
append="quiet cryptomgr.notests isola.drivers=scsi"
in_guest 240 generic --memory 256m --network none --disk "$work/a,bus=scsi,serial=first" --disk "$work/b,bus=scsi,ro" -- '
# Which is sda is a matter of luck: they are told by their targets.
i=0; until [ -b /dev/sdb ] && [ -b /dev/sda ] || [ $i = 100 ]; do usleep 100000; i=$((i + 1)); done
a=$(ls /sys/bus/scsi/devices/*:0:0:0/block) b=$(ls /sys/bus/scsi/devices/*:0:1:0/block)
echo sizes $(cat /sys/block/$a/size /sys/block/$b/size) ro $(cat /sys/block/$a/ro /sys/block/$b/ro)
echo serial $(tail -c +5 /sys/block/$a/device/vpd_pg80) cache $(cat /sys/block/$a/queue/write_cache)
echo before $(sha256sum </dev/$a) other $(sha256sum </dev/$b)
dd if=/dev/urandom of=/dev/$a bs=64k seek=20 count=40 conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches; echo after $(sha256sum </dev/$a)
blkdiscard -o 4194304 -l 1048576 /dev/$a && echo discarded $(dd if=/dev/$a bs=1M skip=4 count=1 2>/dev/null | tr -d "\0" | wc -c)
echo last $(sha256sum </dev/$a)
dd if=/dev/zero of=/dev/$b bs=512 count=1 2>/dev/null || echo protected
dmesg | grep -iE "I/O error|Sense Key|abort|timed out"
exit 4'
[ "$status" = 4 ] || { show; die "status ${status:-none}"; }
after=$(sed -n 's/^after \([0-9a-f]*\).*/\1/p' "$work/out")
for line in "sizes 16384 4096 ro 0 1" "serial first cache write back" "before $before - other $other -" "discarded 0" protected; do
    grep -qxF "$line" "$work/out" || { show; die "not seen: $line"; }
done
grep -qiE 'I/O error|Sense Key|abort|timed out|Call Trace' "$work/out" && { show; die "kernel complaints"; }
[ -n "$after" ] && [ "$after" != "$before" ] || { show; die "nothing was written"; }
grep -qxF "last $(sha256sum <"$work/a" | cut -d' ' -f1) -" "$work/out" || { show; die "what the guest read last is not what is in the file"; }
ok "two disks"

# SeaBIOS finds its boot sector there, whatever network adapter stands beside it: the sector writes 0x15 to the exit port.
if [ -e /usr/share/seabios/bios-256k.bin ]; then
    printf '\272\364\000\260\025\356\364' >"$work/boot"
    truncate -s 510 "$work/boot"
    printf '\125\252' >>"$work/boot"
    truncate -s 1M "$work/boot"
    for nic in virtio e1000 rtl8139; do
        timeout -k 5 120 "$isola" run --vm --rm --nic $nic --debug-exit --firmware bios --disk "$work/boot,bus=scsi,format=raw" </dev/null >"$work/out" 2>"$work/err"
        [ $? = 43 ] || { show; die "SeaBIOS does not boot from bus scsi beside $nic"; }
    done
    ok "SeaBIOS boots from it"
else
    echo "skipped: seabios is not installed"
fi

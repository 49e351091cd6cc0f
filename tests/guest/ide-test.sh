#!/bin/sh
# The old drives under Debian's drivers: disks on IDE (ata_piix) and AHCI written and read back, a CD read, changed while
# the guest runs, and taken out, a diskette read and written.
. "$(dirname "$0")/lib.sh"
passed=0 failed=0
check() { # TEXT COMMAND...
    text=$1
    shift
    if "$@" >/dev/null 2>&1; then passed=$((passed + 1)); ok "$text"; else failed=$((failed + 1)); echo "FAILED: $text"; fi
}
said() { grep -qxF -- "$1" "$work/out"; }
sum() { sha256sum "$1" | cut -c1-64; }
guest_kernel generic
for f in ide ahci first second; do dd if=/dev/urandom of="$work/$f" bs=256k count=2 status=none; done
cp "$work/ide" "$work/ide.old"
cp "$work/ahci" "$work/ahci.old"
dd if=/dev/urandom of="$work/floppy" bs=1k count=1440 status=none
cp "$work/floppy" "$work/floppy.old"

# The user at the drive: when the guest asks for it.
asked() { # TEXT: waits for a line of the guest
    i=0
    while [ $i -lt 600 ]; do
        "$isola" logs old-drives 2>/dev/null | grep -q "^$1" && return 0
        i=$((i + 1))
        sleep 0.3
    done
    return 1
}
(
    asked "another disc please" && "$isola" media old-drives cdrom "$work/second" &&
        asked "no disc please" && "$isola" media old-drives cdrom --eject &&
        asked "the first" && "$isola" media old-drives cdrom "$work/first" &&
        asked "ejected" && "$isola" update -m 256m old-drives && echo "updated" && asked "still out" &&
        "$isola" media old-drives cdrom "$work/first"
) >"$work/media" 2>&1 &
user=$!
children="$children $user"

# In the guest, whose command line has no room for comments: each disk is found by the controller that it is on; each gets the
# second half of the other as its first; a disc that goes while it is read is an error, of sr0 alone.
append="quiet isola.drivers=ide,ahci,floppy"
in_guest 200 generic --name old-drives --network none --memory 256m --disk "$work/ide,bus=ide" --disk "$work/ahci,bus=ahci" \
    --cdrom "$work/first" --floppy "$work/floppy" -- '
for d in /sys/block/sd?; do
    case $(readlink $d) in *0000:00:01.1*) ide=/dev/${d##*/} ;; *0000:00:1f.0*) ahci=/dev/${d##*/} ;; esac
done
sum() { dd if=$1 bs=64k iflag=direct 2>/dev/null | sha256sum | cut -c1-64; }
echo "ide $(sum $ide)"; echo "ahci $(sum $ahci)"
dd if=$ide of=/tmp.ide bs=64k skip=4 2>/dev/null; dd if=$ahci of=/tmp.ahci bs=64k skip=4 2>/dev/null
dd if=/tmp.ahci of=$ide bs=64k conv=notrunc,fsync 2>/dev/null; dd if=/tmp.ide of=$ahci bs=64k conv=notrunc,fsync 2>/dev/null
echo "ide now $(sum $ide)"; echo "ahci now $(sum $ahci)"
echo "floppy $(dd if=/dev/fd0 bs=18k skip=3 count=4 2>/dev/null | sha256sum | cut -c1-64)"
dd if=/dev/zero of=/dev/fd0 bs=512 seek=1000 count=30 conv=fsync 2>/dev/null
echo "cd $(sha256sum /dev/sr0 | cut -c1-64)"
echo "another disc please"
before=$(sha256sum /dev/sr0)
until now=$(sha256sum /dev/sr0 2>/dev/null) && [ "$now" != "$before" ]; do usleep 99999; done
echo "cd now ${now%% *}"
echo "no disc please"
e() { dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null; }
while e; do usleep 99999; done
dd if=/dev/sr0 of=/dev/null count=1 2>&1 | grep -o "No medium found"
w() { until e; do usleep 99999; done; }
echo "the first"
w
p=/proc/sys/dev/cdrom/auto
echo 0 >${p}close; echo 1 >${p}eject; e; echo 0 >${p}eject
e || echo "ejected"
sleep 3
e || echo "still out"
w
echo "cd again $(sum /dev/sr0)"
dmesg | grep -E "exception Emask|failed command|I/O error" | grep -v sr0 | sed "s/^/complaint: /"'
wait $user

[ "$status" ] || { show; cat "$work/media"; die "the guest did not end by itself"; }
check "the disk on IDE is read" said "ide $(sum "$work/ide.old")"
check "the disk on AHCI is read" said "ahci $(sum "$work/ahci.old")"
dd if="$work/ahci.old" of="$work/ide.old" bs=256k skip=1 conv=notrunc status=none
check "the disk on IDE is written" cmp "$work/ide" "$work/ide.old"
check "and reads what was written" said "ide now $(sum "$work/ide")"
check "the disk on AHCI is written, and reads that" said "ahci now $(sum "$work/ahci")"
check "a diskette is read" said "floppy $(dd if="$work/floppy.old" bs=18k skip=3 count=4 status=none | sha256sum | cut -c1-64)"
dd if=/dev/zero of="$work/floppy.old" bs=512 seek=1000 count=30 conv=notrunc status=none
check "and written" cmp "$work/floppy" "$work/floppy.old"
check "the CD is read" said "cd $(sum "$work/first")"
check "another disc is put in while the guest runs" said "cd now $(sum "$work/second")"
check "a disc is taken out" said "No medium found"
check "the guest ejects one by itself" said "ejected"
check "which another change does not put in again" sh -c "grep -qx 'still out' '$work/out' && grep -qx updated '$work/media'"
check "but who asks for it" said "cd again $(sum "$work/first")"
check "no driver complains" sh -c "! grep '^complaint' '$work/out'"
[ $failed = 0 ] || { show; cat "$work/media"; }
echo "$passed passed, $failed failed"
[ $failed = 0 ]

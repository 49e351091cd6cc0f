#!/bin/sh
# Drives in qcow2 images: data that stays, overlays, discards, death of the supervisor, seeds of cloud-init, guessed formats.
. "$(dirname "$0")/lib.sh"
command -v qemu-img >/dev/null || skip "no qemu-img (package qemu-utils)"
guest_kernel cloud
clean() { qemu-img check "$1" >"$work/check" 2>&1 || { cat "$work/check"; die "$2: qemu-img check"; }; }
export append="quiet"
small="--memory 192m"

"$isola" disk create "$work/base.qcow2" 256m || die "disk create"
in_guest 200 cloud $small --disk "$work/base.qcow2" -- 'set -e; dd if=/dev/urandom of=/run/a bs=1M count=12 2>/dev/null
dd if=/run/a of=/dev/vda bs=64k seek=7 conv=fsync 2>/dev/null; dd if=/run/a of=/dev/vda bs=4k seek=40000 count=900 conv=fsync 2>/dev/null
dd if=/dev/vda bs=64k skip=7 count=192 2>/dev/null | sha256sum; dd if=/dev/vda bs=4k skip=40000 count=900 2>/dev/null | sha256sum'
[ "$status" = 0 ] || { show; die "writing: ${status:-no status}"; }
sums=$(grep -E '^[0-9a-f]{64}' "$work/out")
clean "$work/base.qcow2" "after writing"
qemu-img convert -O raw "$work/base.qcow2" "$work/raw" || die "convert"
[ "$(dd if="$work/raw" bs=64k skip=7 count=192 2>/dev/null | sha256sum)" = "$(echo "$sums" | head -1)" ] || die "QEMU reads other data than the guest wrote"
ok "what a guest writes, QEMU reads"

# An overlay, a temporary overlay, and a drive that is filled and discarded.
"$isola" disk create -b base.qcow2 "$work/over.qcow2" && "$isola" disk create "$work/empty.qcow2" 64m || die "overlay"
before=$(sha256sum <"$work/base.qcow2")
in_guest 200 cloud $small --disk "$work/over.qcow2" --disk "$work/base.qcow2,temporary" --disk "$work/empty.qcow2" -- 'for d in a b; do
dd if=/dev/vd$d bs=64k skip=7 count=192 2>/dev/null | sha256sum; dd if=/dev/vd$d bs=4k skip=40000 count=900 2>/dev/null | sha256sum
yes over | dd of=/dev/vd$d bs=1000 seek=300 count=2000 conv=fsync 2>/dev/null && echo wrote; done
yes full | dd of=/dev/vdc bs=64k count=200 conv=fsync iflag=fullblock 2>/dev/null; dd if=/dev/vdc bs=5 count=1 2>/dev/null; blkdiscard /dev/vdc && dd if=/dev/vdc bs=1M count=20 2>/dev/null | tr -d "\000" | wc -c'
[ "$(grep -E '^[0-9a-f]{64}' "$work/out")" = "$sums
$sums" ] || { show; die "an overlay shows other data"; }
[ "$(grep -c wrote "$work/out")" = 2 ] || { show; die "writing to overlays"; }
[ "$(sha256sum <"$work/base.qcow2")" = "$before" ] || die "the base image was changed"
clean "$work/over.qcow2" "overlay"
ok "overlays, temporary ones too, show their base and leave it alone"
grep -qx full "$work/out" && grep -qx 0 "$work/out" || { show; die "discard"; }
clean "$work/empty.qcow2" "discard"
[ "$(du -k "$work/empty.qcow2" | cut -f1)" -lt 1024 ] || die "discarded space was not given back"
ok "discarded space is given back"

# The supervisor dies while the guest writes: what was flushed stays, and the image is right.
timeout 200 "$isola" run --vm -d --name storm --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" $small \
    --disk "$work/base.qcow2" --append "console=ttyS0 panic=-1 quiet isola.run=$(echo 'i=0
while :; do i=$((i + 1)); yes "round $i" | dd of=/dev/vda bs=4k seek=$((i * 37 % 30000)) count=20 conv=fsync 2>/dev/null && echo "flushed $i"; done' | base64 -w0)" >/dev/null ||
    die "start"
for wait in $(seq 240); do "$isola" logs storm 2>/dev/null | grep -q 'flushed 25' && break; sleep 0.5; done
pid=$("$isola" inspect -f '{{.State.Pid}}' storm)
kill -9 "$pid" || die "no supervisor"
for wait in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
last=$("$isola" logs storm 2>/dev/null | tr -d '\r' | sed -n 's/^flushed \([0-9]*\)$/\1/p' | tail -1)
[ "${last:-0}" -ge 25 ] || die "the guest did not write: ${last:-nothing}"
"$isola" disk check -r leaks "$work/base.qcow2" >"$work/check" || { cat "$work/check"; die "after a kill"; }
clean "$work/base.qcow2" "after a kill"
rm -f "$work/raw"
qemu-img convert -O raw "$work/base.qcow2" "$work/raw"
i=$((last > 20 ? last - 20 : 1))
while [ "$i" -le "$last" ]; do
    yes "round $i" | head -c 81920 | cmp -s - "$(dd if="$work/raw" bs=4k skip=$((i * 37 % 30000)) count=20 of="$work/part" 2>/dev/null; echo "$work/part")" ||
        die "flushed round $i is not there"
    i=$((i + 1))
done
ok "kill -9 loses nothing that was flushed ($last rounds)"

# A guest must not choose what its drive is taken for; and what cloud-init looks for is there.
truncate -s 8M "$work/guessed.img" "$work/said.img"
printf '#cloud-config\nhostname: seeded\n' >"$work/user.yaml"
append="quiet isola.drivers=ide" # for isofs
in_guest 200 cloud $small --name seeded --disk "$work/guessed.img" --disk "$work/said.img,format=raw" --user-data "$work/user.yaml" -- 'for d in a b; do
printf "QFI\373" | dd of=/dev/vd$d conv=fsync 2>&1; done; mkdir /mnt; mount -t iso9660 /dev/vdc /mnt && cat /mnt/user-data /mnt/meta-data'
[ "$(head -c 4 "$work/guessed.img" | od -An -tx1)" = " 00 00 00 00" ] || { show; die "a guessed raw drive took the header of another format"; }
[ "$(head -c 3 "$work/said.img")" = QFI ] || { show; die "format=raw refused a write"; }
ok "a drive guessed to be raw refuses another format's header"
grep -qx 'hostname: seeded' "$work/out" && grep -qx 'local-hostname: seeded' "$work/out" || { show; die "user data"; }
ok "a seed for cloud-init"

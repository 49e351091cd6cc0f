#!/bin/sh
# An installed systemd boots to its login prompt on the serial console, and the power button shuts it down.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
mkdir -p "$guests/systemd"
"$top/tools/guest" disk "$guests/systemd" systemd-sysv udev dbus >&2 || die "no disk"
cp --reflink=auto --sparse=always "$guests/systemd/debian.ext4" "$work/disk.ext4"
start=$(date +%s)
id=$("$isola" run --vm -d --name systemd --memory 512m --net nat --disk "$work/disk.ext4" --kernel "$guests/cloud/vmlinuz" \
    --initrd "$guests/cloud/initrd.img" --append "console=ttyS0 isola.root=/dev/vda isola.init=/sbin/init") || die "run"
for i in $(seq 300); do
    "$isola" logs systemd 2>/dev/null | tr -d '\r' | grep -q 'login:' && break
    sleep 1
done
"$isola" logs systemd | tr -d '\r' >"$work/out"
grep -q 'login:' "$work/out" || { tail -30 "$work/out"; die "no login prompt after $(($(date +%s) - start)) s"; }
ok "login prompt after $(($(date +%s) - start)) s"
"$isola" stop -t 180 systemd >/dev/null || die "stop"
code=$("$isola" wait systemd)
"$isola" logs systemd | tr -d '\r' >"$work/out"
grep -qE 'reboot: Power down' "$work/out" && [ "$code" = 0 ] || { tail -20 "$work/out"; die "the power button did not shut it down (code $code)"; }
ok "the power button shuts it down"
e2fsck -fn "$work/disk.ext4" >/dev/null 2>&1 || die "file system damaged"
ok "clean file system"

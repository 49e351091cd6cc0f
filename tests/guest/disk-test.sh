#!/bin/sh
# A Debian root file system on virtio-blk, network through NAT, files that stay, reboot and power off.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
guest_disk
cp --reflink=auto --sparse=always "$guests/cloud/debian.ext4" "$work/disk.ext4"

# A package repository on the host's loopback.
mkdir -p "$work/repo/pkg/DEBIAN" "$work/repo/pkg/usr/share/isola-hello"
printf 'Package: isola-hello\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: test\n' >"$work/repo/pkg/DEBIAN/control"
echo hello >"$work/repo/pkg/usr/share/isola-hello/text"
dpkg-deb --root-owner-group --build "$work/repo/pkg" "$work/repo/isola-hello_1.0_all.deb" >/dev/null || die "dpkg-deb"
(cd "$work/repo" && {
    dpkg-deb -f isola-hello_1.0_all.deb
    echo "Filename: ./isola-hello_1.0_all.deb"
    echo "Size: $(stat -c %s isola-hello_1.0_all.deb)"
    echo "SHA256: $(sha256sum isola-hello_1.0_all.deb | cut -d' ' -f1)"
} >Packages)
(cd "$work/repo" && exec python3 -u -m http.server --bind 127.0.0.1 0 >"$work/http" 2>&1) &
children="$children $!"
for i in 1 2 3 4 5 6 7 8 9 10; do port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$work/http"); [ -n "$port" ] && break; sleep 0.3; done
[ -n "$port" ] || die "no web server"

root="--memory 384m --net nat --disk $work/disk.ext4"
append="quiet isola.root=/dev/vda"
in_guest 300 cloud $root -- "set -e
echo \"deb [trusted=yes] http://10.0.2.2:$port/ ./\" >/etc/apt/sources.list; rm -f /etc/apt/sources.list.d/*
apt-get update 2>&1; apt-get -y install isola-hello 2>&1; cat /usr/share/isola-hello/text
echo kept >/root/kept; sync; dd if=/dev/urandom of=/root/blob bs=1M count=8 2>/dev/null; sha256sum /root/blob >/root/blob.sum"
[ "$status" = 0 ] && grep -qx hello "$work/out" || { show; die "apt through NAT: ${status:-no status}"; }
ok "apt-get update and install through NAT"

in_guest 300 cloud $root -- 'set -e; cat /root/kept; sha256sum -c /root/blob.sum; cat /usr/share/isola-hello/text; cat /etc/debian_version'
[ "$status" = 0 ] && grep -qx kept "$work/out" || { show; die "files after a new start"; }
e2fsck -fn "$work/disk.ext4" >"$work/fsck" 2>&1 || { cat "$work/fsck"; die "file system damaged"; }
ok "files stay, the file system is clean"

# reboot: the second boot finds the mark of the first.
in_guest 400 cloud $root -- 'if [ -e /root/second ]; then echo second boot; exit 5; fi; touch /root/second; sync; /run/isola/busybox reboot -f'
[ "$status" = 5 ] && grep -q 'second boot' "$work/out" || { show; die "reboot"; }
ok "reboot inside the guest"

append="quiet"
in_guest 200 cloud --memory 384m --disk "$work/disk.ext4,ro" -- 'cat /sys/block/vda/ro; /bin/busybox dd if=/dev/zero of=/dev/vda bs=512 count=1 2>&1 && exit 9; exit 3'
[ "$status" = 3 ] || { show; die "read-only drive: ${status:-no status}"; }
ok "a read-only drive refuses writes"

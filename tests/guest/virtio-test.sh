#!/bin/sh
# Linux's own virtio drivers, in the three ways they can drive our devices: modern with MSI-X, modern with the interrupt
# pin, legacy. Data that went through drive and network arrives unchanged.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
mkdir "$work/www"
dd if=/dev/urandom of="$work/www/blob" bs=1M count=3 2>/dev/null
blob=$(sha256sum <"$work/www/blob" | cut -d' ' -f1)
(cd "$work/www" && exec python3 -u -m http.server --bind 127.0.0.1 0 >"$work/http" 2>&1) &
children="$children $!"
for i in 1 2 3 4 5 6 7 8 9 10; do port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$work/http"); [ -n "$port" ] && break; sleep 0.3; done
[ -n "$port" ] || die "no web server"
published=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# Asks the published port until somebody in the guest answers. It waits long on one connection: what it gives up, the guest would
# still accept, and answer nobody.
cat >"$work/ask.py" <<'PY'
import socket, sys, time
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 120) as s:
            got = s.recv(100)
        if got:
            print(got.decode().strip(), flush=True)
            break
    except OSError:
        pass
    time.sleep(0.5)
PY

check() {
    mode=$1 append="quiet $2"
    dd if=/dev/urandom of="$work/drive" bs=1M count=16 2>/dev/null
    before=$(sha256sum <"$work/drive" | cut -d' ' -f1)
    timeout 240 python3 "$work/ask.py" "$published" >"$work/answer" 2>&1 &
    asker=$!
    in_guest 240 cloud --memory 256m --net nat -p "$published:2000" --disk "$work/drive,serial=drive-7,discard=on" -- "
cat /sys/block/vda/serial; echo; echo before \$(sha256sum </dev/vda)
dd if=/dev/urandom of=/dev/vda bs=64k seek=100 count=64 conv=fsync 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches; echo after \$(sha256sum </dev/vda)
wget -q -O /blob http://10.0.2.2:$port/blob; echo blob \$(sha256sum </blob)
echo answer from $mode | nc -l -p 2000
ping -c 1 10.0.2.2 >/dev/null && echo ping
i=0; until ping -6 -c 1 fec0::2 >/dev/null 2>&1 && echo ping6 || [ \$i = 30 ]; do i=\$((i + 1)); sleep 1; done
echo rng \$(cat /sys/class/misc/hw_random/rng_current) \$(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c)
echo features \$(cut -c33 /sys/bus/virtio/devices/virtio0/features); grep -c PCI-MSI /proc/interrupts
exit 6"
    kill "$asker" 2>/dev/null
    [ "$status" = 6 ] || { show; die "$mode: ${status:-no status}"; }
    after=$(sha256sum <"$work/drive" | cut -d' ' -f1)
    for line in "drive-7" "before $before -" "after $after -" "blob $blob -" ping ping6 "rng virtio_rng.0 64"; do
        grep -qxF "$line" "$work/out" || { show; die "$mode: not seen: $line"; }
    done
    [ "$before" != "$after" ] || die "$mode: nothing was written"
    [ "$(cat "$work/answer")" = "answer from $mode" ] || { show; die "$mode: published port: $(cat "$work/answer")"; }
    grep -qxF "features $3" "$work/out" || { show; die "$mode: VERSION_1 is not $3"; }
    grep -qxE "$4" "$work/out" || { show; die "$mode: message interrupts"; }
    ok "$mode drivers"
}
check modern "" 1 "[1-9][0-9]*"
check pin "pci=nomsi" 1 0
check legacy "virtio_pci.force_legacy=1" 0 "[1-9][0-9]*"

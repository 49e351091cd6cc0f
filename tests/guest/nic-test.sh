#!/bin/sh
# Linux's own drivers for the network adapters other than virtio: an address by DHCP, and data both ways through the user-mode
# network, unchanged.
. "$(dirname "$0")/lib.sh"
guest_kernel generic
mkdir "$work/www"
dd if=/dev/urandom of="$work/www/blob" bs=1M count=2 2>/dev/null
blob=$(sha256sum <"$work/www/blob" | cut -d' ' -f1)
cat >"$work/server.py" <<'PY'
# Serves files by GET; keeps what is PUT as "up".
import http.server, sys
class H(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        open("up", "wb").write(data)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print("port", s.server_port, flush=True)
s.serve_forever()
PY
(cd "$work/www" && exec python3 -u "$work/server.py" >"$work/http" 2>"$work/http.err") &
children="$children $!"
for i in 1 2 3 4 5 6 7 8 9 10; do port=$(sed -n 's/^port //p' "$work/http"); [ -n "$port" ] && break; sleep 0.3; done
[ -n "$port" ] || die "no web server"

# check MODEL DRIVER [KERNEL-ARGUMENTS]
check() {
    model=$1 driver=$2 append="quiet cryptomgr.notests ${3:-}"
    rm -f "$work/www/up"
    in_guest 240 generic --memory 256m --net nat --nic "$model" --mac 52:54:00:01:02:03 -- "
echo driver \$(basename \$(readlink /sys/class/net/eth0/device/driver)) \$(cat /sys/class/net/eth0/address)
ip -4 addr show eth0 | sed -n 's/^ *inet \([^ ]*\).*/address \1/p'
wget -q -O /blob http://10.0.2.2:$port/blob; echo down \$(sha256sum </blob)
size=\$(wc -c </blob)
{ printf 'POST /up HTTP/1.0\r\nContent-Length: %d\r\n\r\n' \$size; cat /blob; } | nc 10.0.2.2 $port | head -1
ping -c 2 -s 1400 10.0.2.2 >/dev/null && echo ping
ip link set eth0 down; ip link set eth0 up
i=0; until ping -c 1 10.0.2.2 >/dev/null 2>&1 && echo again || [ \$i = 20 ]; do i=\$((i + 1)); sleep 1; done
exit 6"
    [ "$status" = 6 ] || { show; die "$model: status ${status:-none}"; }
    for line in "driver $driver 52:54:00:01:02:03" "address 10.0.2.15/24" "down $blob -" ping again; do
        grep -qxF "$line" "$work/out" || { show; die "$model: not seen: $line"; }
    done
    grep -qE 'BUG:|Call Trace|WARNING:|nobody cared|transmit queue 0 timed out' "$work/out" && { show; die "$model: kernel complaints"; }
    [ "$(sha256sum <"$work/www/up" 2>/dev/null | cut -d' ' -f1)" = "$blob" ] || { show; die "$model: what was sent did not arrive whole"; }
    ok "$model${3:+ ($3)}"
}
check e1000 e1000
check rtl8139 8139too

#!/bin/bash
# TCP between a guest and this host through user-mode NAT (libslirp): Isola and QEMU TCG with the same kernel, initrd and command line, by each
# network adapter. Rate and CPU time of the whole VMM process are taken on the host's side of the connection, from its first byte to its last.
#   bench/net.sh ISOLA [MIB] [ADAPTER...]
set -u
isola=$(realpath "${1:?the isola binary}")
mib=${2:-32}
shift $(($# < 2 ? $# : 2))
adapters=${*:-virtio e1000 rtl8139}
top=$(cd "$(dirname "$0")/.." && pwd)
guests=${ISOLA_GUESTS:-$top/build-guests}
"$top/tools/guest" kernel "$guests/generic" generic && "$top/tools/guest" initrd "$guests/generic" || exit 1
work=$(mktemp -d)
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
trap '"$isola" rm -f bench >/dev/null 2>&1; kill $server 2>/dev/null; rm -rf "$work"' EXIT

cat >"$work/server.py" <<'PY'
# Port 1 sends MIB MiB to who connects, port 2 takes what comes. Prints direction, MiB, seconds and the CPU seconds of the process in the file "pid".
import os, socket, sys, threading, time
mib = int(sys.argv[1])

def cpu():
    with open("pid") as f, open(f"/proc/{int(f.read())}/stat") as s:
        fields = s.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

def serve(listener, name):
    block = bytes(1 << 18)
    while True:
        c, _ = listener.accept()
        start, used, n = time.monotonic(), cpu(), 0
        if name == "down":
            for _ in range(mib * 4):
                c.sendall(block)
            n = mib << 20
            c.shutdown(socket.SHUT_WR)
            c.recv(1)  # the guest has got all of it
        else:
            while got := c.recv(1 << 18):
                n += len(got)
        print(name, n / (1 << 20), time.monotonic() - start, cpu() - used, flush=True)
        c.close()

listeners = []
for name in ("down", "up"):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    listeners.append(s)
    threading.Thread(target=serve, args=(s, name), daemon=True).start()
print("ports", *[s.getsockname()[1] for s in listeners], flush=True)
threading.Event().wait()
PY
cd "$work" || exit 1
python3 -u server.py "$mib" >results 2>errors &
server=$!
for i in $(seq 50); do read -r _ down up < <(grep ^ports results) && [ -n "$up" ] && break; sleep 0.1; done
append="console=ttyS0 panic=-1 quiet cryptomgr.notests isola.run=$(printf 'nc 10.0.2.2 %d </dev/null >/dev/null; dd if=/dev/zero bs=64k count=%d 2>/dev/null | nc 10.0.2.2 %d' \
    "$down" $((mib * 16)) "$up" | base64 -w0)"

run_isola() {
    "$isola" run --vm -d --name bench --memory 256m --nic "$1" --kernel "$guests/generic/vmlinuz" --initrd "$guests/generic/initrd.img" --append "$append" >/dev/null || exit 1
    "$isola" inspect bench | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -1 >pid
    timeout 900 "$isola" wait bench >/dev/null
    "$isola" rm -f bench >/dev/null
}
run_qemu() {
    local device=$1
    [ "$device" = virtio ] && device=virtio-net-pci
    timeout 900 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nodefaults -display none -serial null -no-reboot -netdev user,id=n -device "$device,netdev=n" \
        -kernel "$guests/generic/vmlinuz" -initrd "$guests/generic/initrd.img" -append "$append mitigations=off" </dev/null >/dev/null 2>&1 &
    # timeout(1) runs it as its child
    for i in $(seq 50); do pgrep -P $! >pid && break; sleep 0.1; done
    wait $!
}
for adapter in $adapters; do
    for vmm in isola qemu; do
        lines=$(wc -l <results)
        "run_$vmm" "$adapter"
        tail -n +$((lines + 1)) results | awk -v vmm="$vmm" -v adapter="$adapter" '
            {printf "%s %s %s: %.1f MiB/s, %.3f CPU seconds for each MiB\n", vmm, adapter, $1, $2 / $3, $4 / $2} END {if (NR < 2) print vmm, adapter, "did not finish"}'
    done
done

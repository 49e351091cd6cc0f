#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Snapshots beside QEMU's savevm and loadvm, and forks: Debian's cloud kernel in 512 MiB with a shell on its console, idle, and busy
# with 128 MiB of random data in memory and a loop that computes. A load ends when the guest has answered. QEMU 7.2 TCG.
#   bench/snapshot.sh ISOLA [ROUNDS]
set -u
isola=$(realpath "${1:?the isola binary}") rounds=${2:-3}
top=$(cd "$(dirname "$0")/.." && pwd)
guests=${ISOLA_GUESTS:-$top/build-guests}
"$top/tools/guest" kernel "$guests/cloud" cloud && "$top/tools/guest" initrd "$guests/cloud" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-bench.XXXXXX")
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
trap 'timeout 60 "$isola" ps -aq | xargs -r timeout 60 "$isola" rm -f >/dev/null; [ ! -s "$work/pid" ] || kill "$(cat "$work/pid")" 2>/dev/null; rm -rf "$work"' EXIT
guest='exec </dev/ttyS0; stty -echo; echo ready; while read -r l; do eval "$l"; echo "<done>"; done'
append="console=ttyS0 quiet panic=-1 isola.run=$(printf '%s' "$guest" | base64 -w0)"
command -v qemu-img >/dev/null && qemu-img create -q -f qcow2 "$work/state.qcow2" 1M
PYTHONPATH=$top/tests/guest timeout 1800 python3 -uB - "$isola" "$rounds" "$work" "$guests/cloud" "$append" <<'P'
import os, re, shutil, socket, statistics, subprocess, sys, time
from ask import Console, run
isola, rounds, work, guest, append = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
limit = time.monotonic() + 1700
now, results = time.monotonic, {}
BUSY = "dd if=/dev/urandom of=/run/a bs=1M count=1 2>/dev/null; for i in $(seq 128); do cat /run/a; done >/run/b; (while :; do :; done) &"

def note(what, unit, value):
    results.setdefault((what, unit), []).append(value)

class Raw:
    """A socket of QEMU's: the console or the monitor."""
    def __init__(self, path):
        while not os.path.exists(path):
            time.sleep(0.05)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.settimeout(300)
        self.said = b""
    def until(self, text):
        while text not in self.said:
            got = self.sock.recv(65536)
            if not got:
                sys.exit("qemu ended")
            self.said += got
        self.kept, self.said = self.said.split(text, 1)
    def ask(self, command, end=b"<done>"):
        self.sock.sendall(command.encode() + b"\n")
        self.until(end)

def usage(path):
    return sum(os.stat(os.path.join(path, f)).st_blocks * 512 for f in os.listdir(path)) / 1048576

def memory(ident):
    pid = run(isola, limit, "inspect", "-f", "{{.State.Pid}}", ident)[0]
    pss = sum(int(l.split()[1]) for l in open("/proc/%s/smaps_rollup" % pid) if l.startswith("Pss:"))
    return (pss + sum(int(l.split()[1]) for l in open("/proc/%s/status" % pid) if l.startswith("VmPTE"))) / 1024

def ours(kind):
    ident = run(isola, limit, "run", "-d", "--vm", "--name", kind, "--memory", "512m", "--kernel", guest + "/vmlinuz", "--initrd",
                guest + "/initrd.img", "--append", append)[0]
    while "ready\n" not in subprocess.run([isola, "logs", ident], stdout=subprocess.PIPE).stdout.decode().replace("\r", ""):
        time.sleep(0.3)
    if kind == "busy":
        Console(ident, limit).ask(BUSY)
    time.sleep(10)
    for n in range(rounds):
        start = now()
        run(isola, limit, "snapshot", "create", kind, "kept")
        note("isola snapshot create, " + kind, "s", now() - start)
        note("size of it, " + kind, "MiB", usage(os.path.join(os.environ["XDG_DATA_HOME"], "isola/snapshots/kept")))
        start = now()
        other = run(isola, limit, "restore", "--new-ports", "kept")[0]
        Console(other, limit).ask(":")
        note("isola restore until it answers, " + kind, "s", now() - start)
        run(isola, limit, "rm", "-f", other)
        run(isola, limit, "snapshot", "rm", "kept")
        start = now()
        other = run(isola, limit, "fork", kind)[0]
        Console(other, limit).ask(":")
        note("isola fork until it answers, " + kind, "s", now() - start)
        run(isola, limit, "rm", "-f", other)
    if kind == "idle":
        for count in (1, 20):
            forks = run(isola, limit, "fork", "-n", str(count), kind)
            time.sleep(15)
            note("memory of an idle fork, one of %d" % count, "MiB", statistics.mean(memory(f) for f in forks))
            run(isola, limit, "rm", "-f", *forks)
    run(isola, limit, "rm", "-f", ident)

def theirs(kind):
    def start():
        for f in ("console", "monitor"):
            if os.path.exists(work + "/" + f):
                os.remove(work + "/" + f)
        q = subprocess.Popen(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-display", "none", "-kernel",
                              guest + "/vmlinuz", "-initrd", guest + "/initrd.img", "-append", append, "-serial",
                              "unix:%s/console,server=on,wait=on" % work, "-monitor", "unix:%s/monitor,server=on,wait=off" % work, "-drive",
                              "file=%s/state.qcow2,if=none" % work], stdin=subprocess.DEVNULL)
        open(work + "/pid", "w").write(str(q.pid))
        console = Raw(work + "/console")
        monitor = Raw(work + "/monitor")
        monitor.until(b"(qemu) ")
        return q, console, monitor
    q, console, monitor = start()
    console.until(b"ready")
    if kind == "busy":
        console.ask(BUSY)
    time.sleep(5)
    for n in range(rounds):
        begin = now()
        monitor.ask("savevm kept", b"(qemu) ")
        note("qemu savevm, " + kind, "s", now() - begin)
        if n == 0:
            monitor.sock.sendall(b"info snapshots\n")
            monitor.until(b"VM CLOCK")
            monitor.until(b"(qemu) ")
            size, mib = re.search(rb"kept +([0-9.]+) (\w)iB", monitor.kept).groups()
            note("size of it (qemu), " + kind, "MiB", float(size) * (1024 if mib == b"G" else 1))
        begin = now()
        monitor.ask("loadvm kept", b"(qemu) ")
        console.ask(":")
        note("qemu loadvm until it answers, " + kind, "s", now() - begin)
    monitor.sock.sendall(b"delvm kept\n")
    q.terminate()
    q.wait()
    open(work + "/pid", "w").close()

for kind in ("idle", "busy"):
    ours(kind)
    if shutil.which("qemu-system-x86_64"):
        theirs(kind)
for (what, unit), values in results.items():
    print("%-48s %8.3f %s (%s)" % (what, statistics.median(values), unit, " ".join("%.3f" % v for v in values)))
P

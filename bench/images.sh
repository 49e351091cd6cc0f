#!/bin/bash
# Pull and unpack: Isola and podman in turn from docker-registry on loopback, each into fresh directories on the same file system.
# The image: Debian bookworm with python3 and curl, a layer of 115 MB in 5,500 files, and a small one (three gzip layers).
#   bench/images.sh ISOLA [ROUNDS]        as root; packages docker-registry skopeo podman
set -u
isola=$(realpath "${1:?the isola binary}")
rounds=${2:-3}
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${ISOLA_BENCH_DIR:-/var/tmp}/isola-bench.XXXXXX")
server=
cleanup() {
    [ -z "$server" ] || { kill "$server"; wait "$server" 2>/dev/null; }
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 1
export HOME=$work

base=${ISOLA_BENCH_BASE:-}
[ -n "$base" ] || { base=base.tar && SOURCE_DATE_EPOCH=1700000000 mmdebstrap --quiet --variant=minbase --include=python3,curl bookworm base.tar || exit 1; }
python3 - <<'P'
import io, random, tarfile
random.seed(1)
words = [bytes(random.choice(b"etaoin shrdlu") for _ in range(random.randint(2, 9))) for _ in range(300)]
with tarfile.open("app.tar", "w", format=tarfile.PAX_FORMAT) as t:
    for i in range(5500):
        text = random.randbytes(3000) + b"".join(random.choices(words, k=3000))
        info = tarfile.TarInfo("srv/app/%02d/file%04d" % (i % 40, i))
        info.size, info.mtime = len(text), 1700000000
        t.addfile(info, io.BytesIO(text))
with tarfile.open("small.tar", "w") as t:
    info = tarfile.TarInfo("etc/app.conf")
    info.size = 5
    t.addfile(info, io.BytesIO(b"a = b"))
P
python3 "$top/tests/image/make-image.py" image.tar "$base" app.tar small.tar || exit 1
rm -f app.tar small.tar base.tar
port=5$((RANDOM % 900 + 100))
cat >registry.yml <<Y
version: 0.1
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: 127.0.0.1:$port}
log: {level: error}
Y
docker-registry serve registry.yml >registry.log 2>&1 &
server=$!
for _ in $(seq 50); do curl -s "127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done
skopeo copy -q --insecure-policy --dest-tls-verify=false docker-archive:image.tar "docker://127.0.0.1:$port/bench:1" || exit 1
rm -f image.tar
du -sm registry | awk '{print "image: " $1 " MB compressed"}'

# Nothing is deleted between rounds: ext4 is several times slower at making files where others were just deleted.
# measure NAME COMMAND...: prints "wall cpu" of the command and its children.
measure() {
    shift
    python3 - "$@" <<'P'
import os, resource, subprocess, sys, time
subprocess.run(["sync", "-f", "."])
t = time.monotonic()
r = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
t = time.monotonic() - t
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print("%.2f %.2f %d %d" % (t, u.ru_utime + u.ru_stime, u.ru_maxrss // 1024, r.returncode))
P
}
median() { sort -n | awk '{a[NR] = $1} END {print (NR % 2) ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2}'; }
for i in $(seq "$rounds"); do
    read -r wall cpu rss code < <(XDG_DATA_HOME=$work/isola$i measure isola "$isola" pull -q --insecure "127.0.0.1:$port/bench:1")
    echo "round $i: isola $wall s, $cpu CPU s, $rss MiB, status $code"
    echo "$wall" >>isola.wall; echo "$cpu" >>isola.cpu
    [ "$i" = 1 ] && find "$work/isola$i/isola/images/layers" -type f | wc -l | awk '{print "files: " $1}'
    if command -v podman >/dev/null; then
        read -r wall cpu rss code < <(measure podman podman --root "$work/podman$i" --runroot "$work/podrun$i" --storage-driver overlay \
            pull -q --tls-verify=false "127.0.0.1:$port/bench:1")
        echo "round $i: podman $wall s, $cpu CPU s, $rss MiB, status $code"
        echo "$wall" >>podman.wall; echo "$cpu" >>podman.cpu
        umount "$work/podman$i/overlay" 2>/dev/null
    fi

done
for p in isola podman; do
    [ -e $p.wall ] && echo "$p: median $(median <$p.wall) s wall, $(median <$p.cpu) CPU s"
done

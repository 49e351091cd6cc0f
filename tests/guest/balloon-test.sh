#!/bin/sh
# Memory that a guest has freed goes back to the host by itself (virtio-balloon with free page reporting), and "stats" shows it.
. "$(dirname "$0")/lib.sh"
guest_kernel generic
used() { "$isola" stats --no-stream --json reported | sed -n 's/.*"memory_used": *\([0-9]*\).*/\1/p' | head -1; }

run='cat /sys/bus/virtio/drivers/virtio_balloon/virtio*/features
mount -t tmpfs -o size=200m tmpfs /newroot; dd if=/dev/zero of=/newroot/x bs=1M count=100 2>/dev/null
echo filled; read -r go; rm /newroot/x; echo freed; read -r end; exit 3'
mkfifo "$work/in"
timeout -k 5 300 "$isola" run --vm --rm -i --name reported --network none --memory 256m --kernel "$guests/generic/vmlinuz" \
    --initrd "$guests/generic/initrd.img" --append "console=ttyS0 panic=-1 quiet cryptomgr.notests isola.run=$(printf 'exec </dev/ttyS0\n%s' "$run" | base64 -w0)" \
    <"$work/in" >"$work/out" 2>"$work/err" &
guest=$!
children="$children $guest"
exec 3>"$work/in"
# until SECONDS COMMAND
until_ok() {
    limit=$1
    shift
    for i in $(seq 1 $((limit * 2))); do "$@" && return 0; kill -0 $guest 2>/dev/null || return 1; sleep 0.5; done
    return 1
}
seen() { tr -d '\r' <"$work/out" | grep -qx "$1"; }
until_ok 200 seen filled || { show; die "the guest did not get so far"; }
full=$(used)
[ "${full:-0}" -ge $((100 << 20)) ] || { show; die "with 100 MiB filled, stats says ${full:-nothing}"; }
echo >&3
until_ok 60 seen freed || { show; die "the guest freed nothing"; }
smaller() { now=$(used); [ -n "$now" ] && [ "$now" -le $((full - (64 << 20))) ]; }
until_ok 120 smaller || { show; die "stats said $full bytes before and still says $(used)"; }
ok "free pages: $((full >> 20)) MiB, then $((now >> 20)) MiB"
"$isola" update -m 512m reported 2>"$work/update" && die "more memory than it was started with"
grep -q '256 MiB' "$work/update" || { cat "$work/update"; die "why not more memory?"; }
"$isola" update -m 176m reported >/dev/null || die "update"
inflated() { "$isola" inspect --live reported | grep -A4000 virtio-balloon | tr -d ' \n' | grep -q '"wanted":20480,"actual":20480'; }
until_ok 60 inflated || { "$isola" inspect --live reported | grep -A12 virtio-balloon; die "80 MiB less were asked for"; }
ok "update --memory takes memory from a guest that runs"
echo >&3
wait $guest
grep -q 'isola-status: 3' "$work/out" || { show; die "the guest did not live on"; }
ok "the guest lives on"

#!/bin/sh
# The portable core, built for wasm32, boots Debian's cloud kernel to its first 50 lines under Node.js.
#   wasm-boot.sh BUILD-DIRECTORY
set -u
build=$(realpath "${1:?build directory}")
top=$(cd "$(dirname "$0")/../.." && pwd)
guests=${ISOLA_GUESTS:-$top/build-guests}
"$top/tools/guest" kernel "$guests/cloud" cloud && "$top/tools/guest" initrd "$guests/cloud" || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$top/tools/unpack-kernel" "$guests/cloud/vmlinuz" >"$guests/cloud/vmlinux" || exit 1
timeout -k 5 600 node --no-warnings "$top/tools/wasm-run.mjs" "$build/src/machine/isola-step.wasm" "$guests/cloud" \
    /guest/vmlinuz -u /guest/vmlinux -i /guest/initrd.img -m 128 -a "console=ttyS0 panic=-1" -l 50 >"$work/out" 2>"$work/err"
lines=$(grep -c '' "$work/out")
tail -2 "$work/err"
if [ "$lines" -lt 50 ] || ! grep -q 'Linux version 6' "$work/out"; then
    cat "$work/out" "$work/err"
    echo "only $lines lines"
    exit 1
fi

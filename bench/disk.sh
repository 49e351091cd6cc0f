#!/bin/bash
# Drives: 4 KiB at random and 1 MiB in sequence through virtio-blk on raw and qcow2 images, Isola and QEMU TCG in turn; same kernel,
# initrd, command line and program in the guest (diskload.c), 256 MiB images full of data, cache=writeback, threads.
#   bench/disk.sh ISOLA DISKLOAD [ROUNDS [SECONDS]]
set -u
isola=$(realpath "${1:?the isola binary}") load=$(realpath "${2:?bench/diskload, static}")
rounds=${3:-3} seconds=${4:-3}
top=$(cd "$(dirname "$0")/.." && pwd)
guests=${ISOLA_GUESTS:-$top/build-guests}
"$top/tools/guest" kernel "$guests/cloud" cloud && "$top/tools/guest" initrd "$guests/cloud" || exit 1
work=$(mktemp -d)
export XDG_DATA_HOME=$work/data XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
head -c 256M /dev/urandom >disk.raw
qemu-img convert -O qcow2 disk.raw disk.qcow2
cp "$load" tool.raw && truncate -s %4096 tool.raw
run="isola.run=$(printf 'cp /dev/vdb /run/load; chmod 755 /run/load; /run/load /dev/vda %s' "$seconds" | base64 -w0)"
append="console=ttyS0 panic=-1 quiet mitigations=off $run"

by_isola() {
    timeout 300 "$isola" run --vm --rm --memory 256m --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" --append "$append" \
        --disk "$work/disk.$1,format=$1" --disk "$work/tool.raw,ro,format=raw" </dev/null
}
by_qemu() {
    timeout 300 qemu-system-x86_64 -accel tcg -cpu max -m 256 -nodefaults -display none -serial stdio -no-reboot -kernel "$guests/cloud/vmlinuz" \
        -initrd "$guests/cloud/initrd.img" -append "$append" -drive file="$work/disk.$1",format="$1",if=virtio,cache=writeback,aio=threads,discard=unmap \
        -drive file="$work/tool.raw",format=raw,if=virtio,readonly=on </dev/null
}
for i in $(seq "$rounds"); do
    for format in raw qcow2; do
        for by in isola qemu; do
            "by_$by" "$format" 2>/dev/null | tr -d '\r' | sed -n "s|^\([a-z0-9M-]* [0-9]* M*i*B*/s\)$|$by $format \1|p" >>results
        done
    done
done
echo "medians of $rounds rounds:"
sort results | awk '{k=$1" "$2" "$3; u[k]=$5; v[k]=v[k]" "$4} END{for (k in v) {n=split(v[k],a," "); for(i=1;i<=n;i++)for(j=i+1;j<=n;j++)if(a[j]+0<a[i]+0){t=a[i];a[i]=a[j];a[j]=t}; print k, a[int((n+1)/2)], u[k]}}' | sort -k3,3 -k2,2 -k1,1

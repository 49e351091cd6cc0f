#!/bin/bash
# Disk images beside QEMU's tools. Usage: qcow2-test.sh QCOW2_RIG ISOLA
set -u
rig=$(realpath "$1") isola=$(realpath "$2")
for tool in qemu-img qemu-io; do
    command -v $tool >/dev/null || { echo "skipped: no $tool (package qemu-utils)"; exit 77; }
done
# In memory: what is tested is the order of writes as other processes see it, not the host's disk.
[ -w /dev/shm ] && TMPDIR=/dev/shm
work=$(mktemp -d "${TMPDIR:-/tmp}/isola-qcow2.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
export XDG_DATA_HOME=$work/data
passed=0 failed=0
quietly() { timeout 60 "$@" >out 2>&1 </dev/null || { status=$?; echo "$* (status $status):"; tail -5 out; return 1; }; }
check() { # NAME COMMAND...: each argument after the name is one shell command
    local name=$1 command
    shift
    for command in "$@"; do
        quietly bash -c "$command" || { failed=$((failed + 1)); echo "FAILED $name"; return; }
    done
    passed=$((passed + 1))
}
# Random writes of QEMU's to an image and the same to a raw file.
by_qemu() { # IMAGE RAW SEED
    local script="" i
    RANDOM=$3
    for i in {1..60}; do
        script+="write -P $((RANDOM % 255 + 1)) $((RANDOM % 12000 * 512)) $((RANDOM % 200 * 512 + 512))"$'\n'
        case $((RANDOM % 8)) in
        0) script+="write -z -u $((RANDOM % 96 * 65536)) $((RANDOM % 5 * 65536 + 65536))"$'\n' ;;
        1) script+="write -z $((RANDOM % 12000 * 512)) 70144"$'\n' ;;
        esac
    done
    qemu-io -f "$(qemu-img info --output=json "$1" | sed -n 's/^ *"format": "\(.*\)",*/\1/p' | tail -1)" "$1" <<<"$script" >/dev/null
    qemu-io -f raw "$2" <<<"$script" >/dev/null
}
export -f by_qemu
export rig isola

seed=1
for options in "" "-o cluster_size=512" "-o cluster_size=4k" "-o cluster_size=2M" "-o compat=0.10" "-o lazy_refcounts=on" \
    "-o preallocation=metadata"; do
    rm -f q.qcow2 m.raw
    check "both write, qemu-img create $options" "qemu-img create -f qcow2 $options q.qcow2 8M" "truncate -s 8M m.raw" \
        "\$rig write q.qcow2 $seed 300 m.raw" "qemu-img check q.qcow2" "qemu-img compare -f qcow2 -F raw q.qcow2 m.raw" \
        "by_qemu q.qcow2 m.raw $seed" "\$rig write q.qcow2 $((seed + 50)) 300 m.raw" "qemu-img check q.qcow2" \
        "qemu-img compare -f qcow2 -F raw q.qcow2 m.raw" "\$isola disk check q.qcow2"
    seed=$((seed + 1))
done
for size in 512 4k 64k 1m; do
    rm -f q.qcow2 m.raw
    check "both write, isola disk create --cluster-size $size" "\$isola disk create --cluster-size $size q.qcow2 8m" \
        "truncate -s 8M m.raw" "qemu-img check q.qcow2" "by_qemu q.qcow2 m.raw $seed" "\$rig write q.qcow2 $seed 300 m.raw" \
        "qemu-img check q.qcow2" "qemu-img compare -f qcow2 -F raw q.qcow2 m.raw"
    seed=$((seed + 1))
done

# A chain: raw, a compressed image over it, an overlay of ours over that.
head -c 3000000 /dev/urandom >base.raw
truncate -s 8M base.raw
cp base.raw m.raw
check "overlays of compressed and raw images" "qemu-img convert -c -O qcow2 base.raw packed.qcow2" \
    "qemu-img create -f qcow2 -b packed.qcow2 -F qcow2 mid.qcow2" "by_qemu mid.qcow2 m.raw 77" \
    "\$isola disk create -b mid.qcow2 top.qcow2" "\$rig write top.qcow2 78 400 m.raw" "qemu-img check top.qcow2" \
    "qemu-img compare -f qcow2 -F raw top.qcow2 m.raw" "\$rig write packed.qcow2 79 0 m.raw"
cp base.raw m.raw
check "writes over compressed clusters" "\$rig write packed.qcow2 80 400 m.raw" "qemu-img check packed.qcow2" \
    "qemu-img compare -f qcow2 -F raw packed.qcow2 m.raw"
rm -f q.qcow2
check "snapshots inside the image stay" "qemu-img convert -O qcow2 base.raw q.qcow2" "qemu-img snapshot -c one q.qcow2" \
    "cp base.raw m.raw" "\$rig write q.qcow2 81 400 m.raw" "qemu-img check q.qcow2" "\$isola disk check q.qcow2" \
    "qemu-img compare -f qcow2 -F raw q.qcow2 m.raw" "qemu-img snapshot -a one q.qcow2" \
    "qemu-img compare -f qcow2 -F raw q.qcow2 base.raw" "qemu-img snapshot -d one q.qcow2" "qemu-img check q.qcow2"
check "a loop of backing files ends" "qemu-img create -f qcow2 l1.qcow2 1M" "qemu-img create -f qcow2 -b l1.qcow2 -F qcow2 l2.qcow2" \
    "qemu-img rebase -u -b l2.qcow2 -F qcow2 l1.qcow2" "\$rig write l1.qcow2 1 1 m.raw | grep -q 'its own backing file'"
check "what is not understood is refused" "qemu-img create -f qcow2 -o data_file=d.raw x1.qcow2 1M" \
    "qemu-img create -f qcow2 -o extended_l2=on x2.qcow2 1M" "qemu-img create -f qcow2 -o compression_type=zstd x3.qcow2 1M" \
    "\$rig write x1.qcow2 1 1 m.raw | grep -q 'external data file'" "\$rig write x2.qcow2 1 1 m.raw | grep -q 'extended L2'" \
    "\$rig write x3.qcow2 1 1 m.raw | grep -q zstd"

# Death at any moment: what was flushed is there, the image is right, and qemu-img agrees.
for round in {1..14}; do
    rm -f k.qcow2 p
    case $((round % 3)) in
    0) quietly "$isola" disk create --cluster-size 4k k.qcow2 32m ;;
    1) quietly "$isola" disk create k.qcow2 32m ;;
    2) truncate -s 32M zero.raw && quietly "$isola" disk create -b zero.raw -F raw k.qcow2 ;;
    esac
    "$rig" storm k.qcow2 $round p >storm.out 2>&1 &
    pid=$!
    sleep "0.$((RANDOM % 25 + 5))"
    kill -9 $pid 2>/dev/null || { cat storm.out; failed=$((failed + 1)); echo "FAILED storm $round ended by itself"; }
    wait $pid 2>/dev/null
    check "kill -9 in a storm, round $round" "\$rig verify k.qcow2 $round p" \
        "qemu-img check k.qcow2 || [ \$? = 3 ]" "\$isola disk check -r leaks k.qcow2" "qemu-img check k.qcow2" \
        "\$rig verify k.qcow2 $round p"
done

# Conversion, with foreign formats behind walls.
dd if=/dev/urandom of=base.raw bs=64k seek=90 count=3 conv=notrunc 2>/dev/null
for f in qcow2 vmdk vdi vhdx; do
    rm -f in.$f o.qcow2
    check "disk convert from $f" "qemu-img convert -f raw -O $f base.raw in.$f" "\$isola disk convert in.$f o.qcow2" \
        "qemu-img compare -f qcow2 -F raw o.qcow2 base.raw" "qemu-img check o.qcow2"
done
rm -f o.*
check "disk convert from vhd and to raw" "qemu-img convert -f raw -O vpc -o force_size=on base.raw in.vhd" \
    "\$isola disk convert -O raw in.vhd o.raw" "cmp o.raw base.raw" "\$isola disk convert o.raw o.qcow2" \
    "qemu-img compare -f qcow2 -F raw o.qcow2 base.raw"
rm -f o.*
mkdir given
check "disk convert from ova" "qemu-img convert -O vmdk -o subformat=streamOptimized base.raw d.vmdk" "echo '<x/>' >x.ovf" \
    "tar cf in.ova x.ovf d.vmdk" "\$isola disk convert in.ova o.qcow2" "qemu-img compare -f qcow2 -F raw o.qcow2 base.raw"
rm -f o.*
check "import of a disk" "cd given && \$isola import ../in.ova | grep -qx in.qcow2" \
    "qemu-img compare -f qcow2 -F raw given/in.qcow2 base.raw" "! \$isola import in.vdi given/in.qcow2"
mkdir secret && head -c 65536 /dev/urandom >secret/file
check "a vmdk that names other files gets none" "qemu-img convert -O vmdk -o subformat=monolithicFlat base.raw given/f.vmdk" \
    "sed 's|RW [0-9]* FLAT .*|RW 128 FLAT \"$work/secret/file\" 0|' given/f.vmdk >given/in.vmdk" \
    "qemu-img convert -f vmdk -O raw given/in.vmdk bait.raw" "cmp -n 65536 bait.raw secret/file" \
    "! \$isola disk convert given/in.vmdk o.qcow2" "[ ! -e o.qcow2 ]" "\$isola disk convert given/f.vmdk o.qcow2" \
    "qemu-img compare -f qcow2 -F raw o.qcow2 base.raw"
printf 'QFI\373' | cat - /dev/zero | head -c 65536 >bad.qcow2
check "the sizes and the format of an image" "\$isola disk info -f '{{.Format}} {{.VirtualSize}}' mid.qcow2 | grep -qx 'qcow2 8388608'" \
    "\$isola disk info base.raw | grep -q 'Format: *raw'" "! \$isola disk info bad.qcow2" "! \$isola disk create mid.qcow2 1m"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

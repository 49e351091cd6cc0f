#!/bin/sh
# Forks of a running Debian kernel with a drive: each goes on from the same instant with memory and drive of its own, and
# needs the first no more. COUNT forks at once: $ISOLA_FORKS, else 8.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
ask="$(dirname "$0")/ask.py $isola"
# tells NAME COMMAND ANSWER
tells() {
    got=$($ask ask 60 "$1" "$2" 2>"$work/err")
    [ "$got" = "$3" ] && return 0
    echo "$1: $2: \"$got\" and not \"$3\""
    return 1
}
truncate -s 8M "$work/disk.img" "$work/temporary.img"
printf original >"$work/temporary.img.head"
dd if="$work/temporary.img.head" of="$work/temporary.img" conv=notrunc 2>/dev/null
guest='put() { printf "%-512s" "$2" | dd of="$1" bs=512 oflag=direct conv=notrunc 2>/dev/null; }
get() { dd if="$1" bs=512 count=1 iflag=direct 2>/dev/null | tr -d " \\000"; echo; }
exec </dev/ttyS0; stty -echo; before=$(cat /proc/sys/kernel/random/uuid); echo ready; while read -r l; do eval "$l"; echo "<done>"; done'
timeout 60 "$isola" run -d --vm --name one --memory 512m --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" -p 8080 \
    --disk "$work/disk.img,format=raw" --disk "$work/temporary.img,format=raw,temporary" \
    --append "console=ttyS0 quiet panic=-1 isola.run=$(printf '%s' "$guest" | base64 -w0)" >/dev/null
check "a guest with a shell on its console" said one '^ready'
check "it writes to its drive" tells one 'put /dev/vda first; get /dev/vda' first
check "and to a temporary one" tells one 'put /dev/vdb temp; get /dev/vdb' temp

count=${ISOLA_FORKS:-8}
check "$count forks, each with memory of its own" $ask fork $((60 + count * 3)) one "$count" 'f-%'
before=$($ask ask 60 one 'echo $before')
check "they share what was before" tells f-3 'echo $before' "$before"
check "names" [ "$(timeout 20 "$isola" ps --format '{{.Name}}' | grep -c '^f-')" = "$count" ]
ports=$(timeout 20 "$isola" ps --format '{{.Ports}}' | sort -u | wc -l)
check "each has a port of the host" [ "$ports" = $((count + 1)) ]
check "the name of the next is the first that is free" sh -c "timeout 60 '$isola' rm -f f-2 >/dev/null && timeout 60 '$isola' fork --name f-% one >/dev/null && timeout 20 '$isola' ps --format '{{.Name}}' | grep -qx f-2"

check "the drive of then" tells f-1 'get /dev/vda' first
check "a fork writes to its own" tells f-1 'put /dev/vda mine; get /dev/vda' mine
check "not to another's" tells f-3 'get /dev/vda' first
check "not to the first's" tells one 'get /dev/vda' first
check "the first writes to its own" tells one 'put /dev/vda later; get /dev/vda' later
check "not to a fork's" tells f-3 'get /dev/vda' first
check "the temporary drive of then" tells f-1 'get /dev/vdb' temp
check "the image of the host is the first's" sh -c "head -c 5 '$work/disk.img' | grep -qx later"
check "and that below a temporary drive is as it was" sh -c "head -c 8 '$work/temporary.img' | grep -qx original"

check "a fork of a fork" sh -c "timeout 60 '$isola' fork --name deep f-1 >/dev/null 2>'$work/err'"
check "with its drive" tells deep 'get /dev/vda' mine
timeout 60 "$isola" pause f-3 >/dev/null
check "a fork of a paused machine runs" sh -c "timeout 60 '$isola' fork --name awake f-3 >/dev/null 2>'$work/err'"
check "and answers" tells awake 'echo $mine' 2
check "a snapshot of a fork" sh -c "timeout 120 '$isola' snapshot create f-1 kept >/dev/null 2>'$work/err'"
check "that is restored" sh -c "timeout 120 '$isola' restore --new-ports --name back kept >/dev/null 2>'$work/err'"
check "and goes on" tells back 'get /dev/vda' mine

# They need the first no more.
timeout 60 "$isola" rm -f one >/dev/null
rm "$work/disk.img"
check "a fork outlives the first" tells f-1 'get /dev/vda' mine
check "and writes" tells f-1 'put /dev/vda alone; get /dev/vda' alone
timeout 60 "$isola" rm -f f-1 >/dev/null
check "a fork's fork outlives it" tells deep 'get /dev/vda' mine
timeout 60 "$isola" kill deep >/dev/null
timeout 60 "$isola" start deep >/dev/null
check "a later start boots" sh -c "for i in \$(seq 300); do [ \"\$(timeout 20 '$isola' logs deep | tr -d '\r' | grep -c '^ready')\" = 1 ] && exit 0; sleep 0.2; done; exit 1"
check "with its drive" tells deep 'get /dev/vda' mine

# What can not be.
check "one name for two" sh -c "! timeout 60 '$isola' fork -n 2 --name x deep >/dev/null 2>'$work/err' && grep -q 'put a % where' '$work/err'"
check "a name that is taken" sh -c "! timeout 60 '$isola' fork --name awake deep >/dev/null 2>'$work/err' && grep -q 'is taken' '$work/err'"
check "none" sh -c "! timeout 60 '$isola' fork -n 0 deep >/dev/null 2>'$work/err' && grep -q '1 to 1000' '$work/err'"
timeout 60 "$isola" kill deep >/dev/null
check "one that is stopped" sh -c "! timeout 60 '$isola' fork deep >/dev/null 2>'$work/err' && grep -q 'start it first' '$work/err'"
check "nothing is left over" sh -c "[ -z \"\$(find '$XDG_DATA_HOME' -name fork)\" ]"
cp "$(command -v busybox)" "$work/busybox" && tar -C "$work" -cf "$work/bb.tar" busybox
timeout 60 "$isola" import "$work/bb.tar" bb >/dev/null 2>&1
timeout 60 "$isola" run -d --name box --network none bb /busybox sleep 100 >/dev/null 2>"$work/err"
check "a container" sh -c "! timeout 60 '$isola' fork box >/dev/null 2>'$work/err' && grep -q 'not supported by wall container' '$work/err'"
timeout 60 "$isola" rm -f box >/dev/null
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

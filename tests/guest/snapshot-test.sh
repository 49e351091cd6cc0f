#!/bin/sh
# Snapshots of a running Debian kernel with a drive: it goes on, and so do two machines from the same instant.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud
# The number it last counted, and that it goes on counting.
count() { timeout 20 "$isola" logs "$1" 2>/dev/null | tr -d '\r' | sed -n 's/^count //p' | tail -1; }
counts() { now=$(count "$1") && said "$1" "count $((${now:-0} + 3))"; }

truncate -s 8M "$work/disk.img"
guest='n=0; while :; do n=$((n + 1)); printf "%08d" $n | dd of=/dev/vda bs=8 count=1 conv=fsync 2>/dev/null; echo count $n; sleep 0.2; done'
start() {
    timeout 60 "$isola" run -d --vm --name "$1" --memory 192m --kernel "$guests/cloud/vmlinuz" --initrd "$guests/cloud/initrd.img" --disk "$work/disk.img,format=raw" \
        --append "console=ttyS0 quiet panic=-1 isola.run=$(printf '%s' "$guest" | base64 -w0)" >/dev/null
}
start one
check "a guest that counts, on a drive" said one 'count 3'
check "snapshot create" sh -c "timeout 120 '$isola' snapshot create one first >'$work/out' 2>'$work/err' && grep -qx first '$work/out'"
at=$(count one)
check "the machine goes on" counts one
check "its drive goes on" sh -c "[ \"\$(head -c 8 '$work/disk.img' | sed 's/^0*//')\" -gt $at ]"
check "restore" sh -c "timeout 120 '$isola' restore --name two first >'$work/out' 2>'$work/err'"
check "restore once more" sh -c "timeout 120 '$isola' restore --name three first >'$work/out' 2>'$work/err'"
check "the second machine goes on" counts two
check "the third machine goes on" counts three
first=$(timeout 20 "$isola" logs two | tr -d '\r' | sed -n 's/^count //p' | head -1)
check "from the instant of the snapshot" [ "${first:-0}" -ge $((at - 5)) -a "${first:-99999}" -le $((at + 5)) ]
check "both from the same" [ "$(timeout 20 "$isola" logs three | tr -d '\r' | sed -n 's/^count //p' | head -1)" = "$first" ]
check "a name that is taken" sh -c "! timeout 60 '$isola' snapshot create one first >/dev/null 2>'$work/err' && grep -q 'already' '$work/err'"
check "rm while it is used" sh -c "! timeout 60 '$isola' snapshot rm first >/dev/null 2>'$work/err' && grep -q 'came from snapshot first' '$work/err'"

# A machine that went on may be kept itself; a paused one, too, and stays paused.
timeout 60 "$isola" pause two >/dev/null
check "a snapshot of a snapshot, paused" timeout 120 "$isola" snapshot create two second
check "it is paused still" sh -c "timeout 20 '$isola' ps -f name=two | grep -q Paused"
timeout 60 "$isola" unpause two >/dev/null
check "unpause" counts two
check "restore of the second" timeout 120 "$isola" restore --name four second
check "the fourth machine goes on" counts four
check "ls" sh -c "[ \"\$(timeout 20 '$isola' snapshot ls -q | tr '\n' ' ')\" = 'second first ' ]"

# After its end it boots, with its own drive.
timeout 60 "$isola" kill four >/dev/null
timeout 60 "$isola" start four >/dev/null
check "a later start boots" sh -c "for i in \$(seq 300); do timeout 20 '$isola' logs four | tr -d '\r' | grep -c '^count 1\$' | grep -q '^[1-9]' && exit 0; sleep 0.2; done; exit 1"
for n in two three four; do timeout 60 "$isola" rm -f "$n" >/dev/null; done

# Damage is named.
store=$XDG_DATA_HOME/isola/snapshots
damaged() { # FILE OFFSET
    cp --sparse=always -r "$store/first" "$store/bad"
    printf x | dd of="$store/bad/$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
    ! timeout 60 "$isola" restore bad >/dev/null 2>"$work/err" && grep -q "$1 of a snapshot is damaged" "$work/err"
    r=$?
    rm -rf "$store/bad"
    return $r
}
check "damaged state" damaged state 5000
check "damaged pages" damaged pages 4000
check "damaged memory" damaged memory "$(($(od -An -v -tu4 -w4 "$store/first/pages" | grep -nv '^ *0$' | head -40 | tail -1 | cut -d: -f1) * 4096 - 100))"
cp --sparse=always -r "$store/first" "$store/bad" && truncate -s 100M "$store/bad/memory"
check "a memory that is cut off" sh -c "! timeout 60 '$isola' restore bad >/dev/null 2>'$work/err' && grep -q 'memory of a snapshot has' '$work/err'"
rm -rf "$store/bad"

# kill -9 in the middle leaves what was there, and the next works.
timeout 60 "$isola" snapshot create one third >/dev/null 2>&1 &
pid=$!
sleep 0.15
kill -9 "$(timeout 20 "$isola" inspect -f '{{.State.Pid}}' one)" 2>/dev/null
wait $pid
check "kill -9 while it is written" sh -c "timeout 20 '$isola' snapshot ls -q | grep -v third | tr '\n' ' ' | grep -qx 'second first '"
check "the old one is whole" timeout 120 "$isola" restore --name five first
check "and goes on" counts five
timeout 60 "$isola" rm -f five one >/dev/null
mkdir -p "$store/.new-another/x"
check "rm" sh -c "timeout 60 '$isola' snapshot rm first second >/dev/null && [ -z \"\$(timeout 20 '$isola' snapshot ls -q | grep -v third)\" ]"
check "nothing is left" sh -c "timeout 60 '$isola' snapshot rm -f third >/dev/null; [ \"\$(ls -A '$store')\" = .lock ]"

# What cannot be kept says so.
cp "$(command -v busybox)" "$work/busybox" && tar -C "$work" -cf "$work/bb.tar" busybox
timeout 60 "$isola" import "$work/bb.tar" bb >/dev/null 2>&1
timeout 60 "$isola" run -d --name box --network none bb /busybox sleep 100 >/dev/null 2>"$work/err"
check "a container" sh -c "! timeout 60 '$isola' snapshot create box x >/dev/null 2>'$work/err' && grep -q 'not supported by wall container' '$work/err'"
timeout 60 "$isola" rm -f box >/dev/null
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

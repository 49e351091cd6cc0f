#!/bin/sh
# A kernel that knows the generation id (CONFIG_VMGENID: Debian's generic one) takes new random numbers when its machine is
# forked or restored: no two copies of a state give the same.
. "$(dirname "$0")/lib.sh"
guest_kernel generic
ask="$(dirname "$0")/ask.py $isola"
reseeded='dmesg | grep -c "crng reseeded due to virtual machine fork"'
random='head -c 16 /dev/urandom | od -An -tx1 | tr -d " \n"'

guest='exec </dev/ttyS0; stty -echo; echo ready; while read -r l; do eval "$l"; echo "<done>"; done'
timeout 60 "$isola" run -d --vm --name one --memory 256m --kernel "$guests/generic/vmlinuz" --initrd "$guests/generic/initrd.img" \
    --append "console=ttyS0 quiet panic=-1 isola.run=$(printf '%s' "$guest" | base64 -w0)" >/dev/null
for _ in $(seq 600); do timeout 20 "$isola" logs one | grep -q '^ready' && break; sleep 0.2; done
check "a guest that was never copied" sh -c "[ \"\$($ask ask 60 one '$reseeded')\" = 0 ]"
check "two forks" sh -c "timeout 60 '$isola' fork -n 2 one >/dev/null 2>'$work/err'"
check "a snapshot" sh -c "timeout 120 '$isola' snapshot create one kept >/dev/null 2>'$work/err'"
check "two machines from it" sh -c "for n in one-3 one-4; do timeout 120 '$isola' restore --name \$n kept >/dev/null 2>'$work/err' || exit 1; done"
: >"$work/numbers"
for n in one-1 one-2 one-3 one-4; do
    # The interrupt that tells may come after the question.
    for _ in $(seq 100); do [ "$($ask ask 60 $n "$reseeded")" = 0 ] || break; sleep 0.1; done
    check "$n was told" [ "$($ask ask 60 $n "$reseeded")" = 1 ]
    $ask ask 60 $n "$random" >>"$work/numbers"
done
check "no two have the same random numbers" [ "$(sort -u "$work/numbers" | grep -c '^................................$')" = 4 ]
check "the first was told nothing" sh -c "[ \"\$($ask ask 60 one '$reseeded')\" = 0 ]"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

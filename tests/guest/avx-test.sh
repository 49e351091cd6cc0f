#!/bin/bash
# x86-64-v3 in a Debian guest: the kernel's and glibc's choices by processor model, code that uses AVX2, FMA and BMI, and vector
# registers across task switches.
. "$(dirname "$0")/lib.sh"
passed=0
failed=0
pass() { ok "$1"; passed=$((passed + 1)); }
fail() { echo "FAILED: $1"; failed=$((failed + 1)); }
command -v cc >/dev/null || skip "no C compiler for the program that runs inside"
guest_kernel cloud

mkdir -p "$work/add/t" "$work/add/lib64" "$work/add/lib/x86_64-linux-gnu"
cc -O2 -static -o "$work/add/t/avx" "$top/tests/guest/avx.c" || die "avx.c does not compile"
cp -L /lib64/ld-linux-x86-64.so.2 "$work/add/lib64/" || die "no ld.so"
cat >"$work/add/t/go" <<'G'
echo "flags $(grep -m1 ^flags /proc/cpuinfo)"
/lib64/ld-linux-x86-64.so.2 --help | grep 'x86-64-v[0-9] '
dmesg 2>/dev/null | grep -i 'xstate' | sed 's/^/xstate /'
/t/avx
echo "avx ends $?"
G
(cd "$work/add" && find . | cpio -o -H newc 2>/dev/null) >"$work/add.cpio" || die "cpio"
cat "$guests/cloud/initrd.img" "$work/add.cpio" >"$work/initrd.img"
# machine MODEL: runs it; the output is in $work/out.
machine() {
    timeout -k 5 200 "$isola" run --vm --rm --cpu "$1" --kernel "$guests/cloud/vmlinuz" --initrd "$work/initrd.img" \
        --append "console=ttyS0 panic=-1 quiet isola.run=$(echo 'sh /t/go' | base64 -w0)" </dev/null 2>"$work/err" | tr -d '\r' >"$work/out"
    status=$(sed -n 's/^isola-status: //p' "$work/out" | tail -1)
    [ "$status" = 0 ] || { show; die "$1: status ${status:-none}"; }
}
want() { if grep -qE -- "$1" "$work/out"; then pass "$2"; else show; fail "$2: nothing matches '$1'"; fi; }
lack() { if grep -qE -- "$1" "$work/out"; then show; fail "$2: something matches '$1'"; else pass "$2"; fi; }

machine isola-v3
for flag in avx avx2 fma f16c bmi1 bmi2 abm movbe adx sha_ni rdpid xsaveopt xsavec xgetbv1; do
    grep -qE "^flags .* $flag( |\$)" "$work/out" || { fail "isola-v3 lacks $flag"; continue; }
    passed=$((passed + 1))
done
want 'x86-64-v3 \(supported' "glibc takes the processor for x86-64-v3"
lack 'x86-64-v4 \(supported' "and for no more"
want '^integers agree 000009b744fb2bfe$' "integer code for AVX2 and BMI"
want '^fused c22b4a7b6b8c16de$' "fused multiply-add"
want '^strings agree$' "string functions of glibc"
want '^registers kept$' "vector registers across task switches"
want '^avx ends 0$' "the program ends"

machine isola-v1
lack '^flags.* (avx|fma|bmi1)( |$)' "isola-v1 has no AVX"
want 'x86-64-v2 \(supported' "glibc takes the processor for x86-64-v2"
lack 'x86-64-v3 \(supported' "and for no more"
want '^avx ends 132$' "AVX2 code is an invalid instruction there"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

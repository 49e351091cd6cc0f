#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Small workloads (wl.c) natively and in one guest after another: the interpreter, the translator, QEMU's TCG.
# Usage: bench/workloads.sh KERNEL [BUILD-DIRECTORY [ENGINES [TESTS]]]
#   ENGINES  of native interp jit tcg (default: all); TESTS: names of wl.c, by commas
# Prints CPU seconds of the whole engine for one repetition of each workload, less what the engine used before it: host load
# counts little. REPS (1) and SCALE (10, percent) are taken from the environment. Needs gcc, cpio, busybox; qemu-system-x86 for tcg.
set -eu
kernel=${1:?kernel}
build=${2:-build}
engines=${3:-native interp jit tcg}
tests=${4:-sha256,qsort,fib,vm,strops,nbody,mandel,matmulf,x87,memcpy,triad,chase16k,getppid,pipe,fault,fork,file,signal}
reps=${REPS:-1} scale=${SCALE:-10}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/dev" "$work/root/tmp"
gcc -O2 -static -pthread -w -o "$work/root/bin/wl" "$here/wl.c" -lm
cp "$(command -v busybox)" "$work/root/bin/busybox"
cat > "$work/root/init" << 'END'
#!/bin/busybox sh
/bin/busybox mount -t proc p /proc
/bin/busybox mount -t devtmpfs d /dev
/bin/busybox mount -t tmpfs t /tmp
for a in $(/bin/busybox cat /proc/cmdline); do
    case $a in wl.tests=*) tests=${a#*=} ;; wl.reps=*) reps=${a#*=} ;; wl.scale=*) scale=${a#*=} ;; esac
done
export WL_TRUE=/bin/true
echo BOOTED
for t in $(echo "$tests" | /bin/busybox tr , ' '); do /bin/wl "$t" "$reps" "$scale"; done
/bin/busybox poweroff -f
END
ln -s busybox "$work/root/bin/true"
chmod +x "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initrd"
append="console=ttyS0 quiet panic=-1 mitigations=off wl.tests=$tests wl.reps=$reps wl.scale=$scale"

# Runs "$@" and puts its CPU seconds so far before each of its lines.
timed() {
    "$@" < /dev/null 2> /dev/null > "$work/pipe" &
    pid=$!
    (sleep 900 && kill "$pid") > /dev/null 2>&1 &
    guard=$!
    while IFS= read -r line; do
        read -ra stat < "/proc/$pid/stat" 2> /dev/null || stat=()
        printf '%s %s\n' "$(((${stat[13]:-0} + ${stat[14]:-0}) * 1000 / $(getconf CLK_TCK)))" "${line//$'\r'/}"
    done < "$work/pipe"
    wait "$pid" || true
    kill "$guard" 2> /dev/null || true
}

mkfifo "$work/pipe"
for engine in $engines; do
    case $engine in
    native) for t in ${tests//,/ }; do WL_TRUE=/bin/true "$work/root/bin/wl" "$t" "$reps" "$scale"; done |
        sed -n 's/^WL \([^ ]*\) .* cpu=\([0-9.]*\).*/\1 \2/p' ;;
    interp | jit) timed "$build/src/machine/isola-step" "$kernel" -i "$work/initrd" -m 512 -A "$engine" -a "$append" ;;
    tcg) timed qemu-system-x86_64 -accel tcg -cpu max -m 512 -nodefaults -no-user-config -display none -serial stdio \
        -no-reboot -kernel "$kernel" -initrd "$work/initrd" -append "$append" ;;
    esac | awk -v engine="$engine" -v reps="$reps" '
        engine == "native" { printf "native %s %.3f\n", $1, $2; next }
        $2 == "BOOTED" { printf "%s boot %.2f\n", engine, $1 / 1000 }
        $2 == "WL" { printf "%s %s %.3f\n", engine, $3, ($1 - last) / 1000 / reps }
        $2 == "BOOTED" || $2 == "WL" { last = $1 }'
done

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Instructions per second of the interpreter beside Bochs, on the same boot sectors (loops.asm).
# Usage: bench/mips.sh [BUILD-DIRECTORY]; needs nasm, and bochs (skipped without it).
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
ninja -C "$build" bench/mips > /dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
counts=(0 100000 100000 80000 16000 60000)
names=(- registers memory calls sieve mixed64)

# CPU seconds of Bochs (Debian's has its debugger built in, which wants a command) for boot sector $1.
bochs_seconds() {
    nasm "-DSECTOR=\"$1\"" -o "$work/rom" bench/rom.asm
    cat > "$work/rc" << END
megs: 32
romimage: file=$work/rom, address=0xffff0000
vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin
display_library: rfb, options="timeout=0"
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1, gameport=0
sound: driver=dummy
cpu: model=corei7_sandy_bridge_2600k, ips=200000000
log: $work/log
END
    echo c > "$work/debug"
    TIMEFORMAT=%U
    { time timeout 300 bochs -q -f "$work/rc" -rc "$work/debug" > "$work/out" 2>&1 < /dev/null || true; } 2>&1
}

printf '%-10s %14s %12s %12s %8s\n' loop instructions 'isola MIPS' 'bochs MIPS' ratio
for loop in 1 2 3 4 5; do
    nasm -DLOOP=$loop -DCOUNT="${counts[loop]}" -o "$work/full" bench/loops.asm
    nasm -DLOOP=$loop -DCOUNT=1 -o "$work/one" bench/loops.asm
    read -r instructions seconds < <("$build/bench/mips" "$work/full")
    mips=$(awk "BEGIN { printf \"%.1f\", $instructions / $seconds / 1e6 }")
    other=- ratio=-
    if command -v bochs > /dev/null; then
        full=$(bochs_seconds "$work/full")
        one=$(bochs_seconds "$work/one") # what starting up takes
        other=$(awk "BEGIN { printf \"%.1f\", $instructions / ($full - $one) / 1e6 }")
        ratio=$(awk "BEGIN { printf \"%.2f\", $mips / $other }")
    fi
    printf '%-10s %14s %12s %12s %8s\n' "${names[loop]}" "$instructions" "$mips" "$other" "$ratio"
done

#!/bin/sh
# Debian's gdb, traces and counters on machines: a small program (break, watch, step, registers, memory), and a Debian kernel with two processors that
# has moved itself (KASLR).
. "$(dirname "$0")/lib.sh"
command -v gdb >/dev/null || skip "no gdb here: install package gdb"
command -v nasm >/dev/null || skip "no nasm here: install package nasm"
here=$(dirname "$(realpath "$0")")
passed=0 failed=0
good() { passed=$((passed + 1)); echo "ok: $*"; }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; }
# says TEXT WHAT: the output of the last gdb has a line with it.
says() { if grep -qF -- "$1" "$work/gdb"; then good "$2"; else bad "$2: no \"$1\""; sed 's/^/  | /' "$work/gdb"; fi; }
debug() { # GDB-ARGUMENTS...
    timeout -k 5 120 gdb -nx -q -batch -iex 'set confirm off' -iex 'set pagination off' "$@" >"$work/gdb" 2>&1 </dev/null ||
        { bad "gdb ended with $?"; sed 's/^/  | /' "$work/gdb"; }
}
nasm -f elf32 -o "$work/debug.o" "$here/debug.asm" && ld -m elf_i386 -Ttext 0x100000 -z noexecstack -o "$work/debug" "$work/debug.o" || die "the program"

# It waits for gdb, which may come by a socket of its own.
timeout 60 "$isola" run --vm -d --name small --memory 16m --network none --debug-exit --kernel "$work/debug" \
    --gdb "unix:$work/gdb.sock,wait,i386" >/dev/null || die "start"
debug "$work/debug" -ex "target remote $work/gdb.sock" -ex 'p $pc == (void*)&_start' -ex 'break *tick' -ex 'continue' \
    -ex 'p/x $eax' -ex 'p/x $ebx' -ex 'p *(int*)&counter' -ex 'x/1xb &tick' -ex 'stepi' -ex 'p $pc - (void*)&tick' \
    -ex 'delete' -ex 'watch *(int*)&counter' -ex 'continue' -ex 'p *(int*)&counter' -ex 'delete' \
    -ex 'rwatch *(int*)&go' -ex 'continue' -ex 'p $pc > (void*)&after' -ex 'delete' \
    -ex 'hbreak tick' -ex 'continue' -ex 'bt' -ex 'set $ebx = 7' -ex 'p $ebx' -ex 'p/x $cr0 & 1' -ex 'info registers eflags' \
    -ex 'info threads' -ex 'maintenance packet qqemu.PhyMemMode' -ex 'monitor info irq' -ex 'monitor walk 0x100000' -ex 'detach'
says '$1 = 1' "stops at the first instruction"
says 'Breakpoint 1, 0x' "stops at a breakpoint"
says '$2 = 0x12345678' "eax"
says '$3 = 0x42' "ebx"
says '$4 = 1' "memory"
says '#1  0x' "a backtrace through frames"
says '<tick>:	0x55' "the breakpoint is not in guest memory"
says '$5 = 1' "one step"
says 'Hardware watchpoint 2: *(int*)&counter' "a watchpoint"
says '$6 = 2' "the watched value"
says 'Hardware read watchpoint 3: *(int*)&go' "a read watchpoint"
says 'Breakpoint 4, 0x' "a hardware breakpoint"
says '$8 = 7' "a register is set"
says '$9 = 0x1' "a control register"
says 'CPU#0 [running, protected mode, ring 0]' "threads are processors"
says 'received: "0"' "the physical memory mode of QEMU's stub"
says 'local APIC 0' "monitor shows interrupts"
says 'guest-physical 0x100000' "monitor walks page tables"
# On the running machine, which gdb leaves to end by itself.
timeout 30 "$isola" wait small >"$work/wait" 2>&1 &
waiter=$! children="$children $waiter"
timeout -k 5 120 "$isola" gdb --arch i386 small -nx -q -batch "$work/debug" -ex 'set var *(int*)&go = 1' -ex 'detach' >"$work/gdb" 2>&1 </dev/null
says 'detached' "isola gdb connects to a running machine"
wait "$waiter"
if [ "$(cat "$work/wait")" = 43 ]; then good "what gdb has written ends the program"; else bad "wait said $(cat "$work/wait")"; sed 's/^/  | /' "$work/gdb"; fi

guest_kernel cloud
script='grep -E " (T|t) (_text|__x64_sys_getpid|__x64_sys_sethostname)$" /proc/kallsyms; echo READY; while :; do hostname debugged; sleep 0.2; done'
timeout 60 "$isola" run --vm -d --name linux --cpus 2 --memory 256m --network none --kernel "$guests/cloud/vmlinuz" \
    --initrd "$guests/cloud/initrd.img" --append "console=ttyS0 quiet isola.run=$(printf '%s' "$script" | base64 -w0)" >/dev/null || die "start"
i=0
until timeout 30 "$isola" logs linux 2>/dev/null | grep -q READY; do
    i=$((i + 1))
    [ $i -lt 600 ] || { timeout 30 "$isola" logs linux | tail -20; die "the kernel did not come up"; }
    sleep 0.3
done
timeout 30 "$isola" logs linux | tr -d '\r' >"$work/log"
symbol() { sed -n "s/^\([0-9a-f]\{16\}\) . $1\$/0x\1/p" "$work/log" | tail -1; }
text=$(symbol _text) call=$(symbol __x64_sys_sethostname)
[ -n "$text" ] && [ -n "$call" ] || { tail -5 "$work/log"; die "no symbols in the log"; }
# Registers and memory of the system call that the shell makes: (struct pt_regs *), whose rdi is the name.
debug -ex "target remote | '$isola' gdb --stdio linux" -ex 'info threads' -ex 'monitor kaslr' -ex "break *$call" -ex 'continue' -ex 'printf "at %d\n", $pc == '"$call" \
    -ex 'printf "name %s\n", *(char **)($rdi + 112)' -ex 'printf "ring %d lma %d\n", $cs & 3, ($efer >> 10) & 1' \
    -ex 'stepi' -ex 'stepi' -ex 'stepi' -ex 'printf "stepped %d\n", $pc > '"$call && \$pc < $call + 64" -ex 'finish' \
    -ex 'info registers cr3 gs_base fs_base xmm0 st0 mxcsr' -ex 'delete' -ex 'detach'
says 'Thread 2 (CPU#1' "two processors"
says "kernel text at $text" "the slide of the kernel is found"
says 'at 1' "a breakpoint in the kernel"
says 'name debugged' "linear memory of a user program"
says 'ring 0 lma 1' "control registers"
says 'stepped 1' "steps in the kernel"
says 'gs_base' "segment bases"
printf '.globl _text, sethostname_at\n.text\n_text: .skip %d\nsethostname_at: ret\n' "$(python3 -c "print($call - $text)")" >"$work/k.S"
gcc -nostdlib -static -no-pie -Wl,-Ttext=0xffffffff81000000 -Wl,-e,_text -o "$work/vmlinux" "$work/k.S" 2>"$work/err" || die "$(cat "$work/err")"
timeout -k 5 120 "$isola" gdb --kernel "$work/vmlinux" linux -nx -q -batch -iex 'set confirm off' -ex 'break sethostname_at' -ex continue -ex 'detach' >"$work/gdb" 2>&1 </dev/null
says 'Breakpoint 1, 0x' "symbols of a kernel that has moved"
timeout 60 "$isola" inspect --report linux >"$work/gdb" || bad "inspect --report"
says 'processor 1: ' "the report shows processors"
says 'I/O APIC' "and interrupt routing"
says 'RAM' "and the memory map"
timeout 60 "$isola" inspect --walk "$text" linux >"$work/gdb" || bad "inspect --walk"
says 'page of 2 MiB' "page tables of the kernel's text"
# What it does is followed, and counted.
timeout 60 "$isola" trace --count 400 linux interrupts exceptions rings >"$work/gdb" || bad "trace"
says ' ring from=3 to=0' "changes of ring are traced"
[ "$(wc -l <"$work/gdb")" = 400 ] && good "as many events as wanted" || bad "$(wc -l <"$work/gdb") events"
timeout 60 "$isola" trace --json --vector 14 --count 20 linux exceptions >"$work/gdb" || bad "trace --json"
if python3 -c 'import json,sys
for line in open(sys.argv[1]):
    e = json.loads(line)
    assert "lost" in e or (e["vector"] == 14 and e["area"] == "exceptions" and int(e["address"], 16) >= 0), e' "$work/gdb"; then
    good "page faults as JSON"
else
    bad "trace --json"
fi
timeout 60 "$isola" trace --time 2 --device lapic linux devices >"$work/gdb" || bad "trace --time"
timeout 60 "$isola" stats --counters linux >"$work/gdb" || bad "stats --counters"
says 'interrupts by vector: 0x' "interrupts are counted"
says '#PF ' "page faults are counted"
timeout 60 "$isola" stats --counters --json linux | python3 -c 'import json,sys
c = json.load(sys.stdin)
assert len(c["processors"]) == 2 and c["processors"][1]["tlb_misses"] > 0' && good "counters as JSON" || bad "counters as JSON"
timeout 60 "$isola" trace linux nonsense >"$work/gdb" 2>&1
says 'neither an area' "an area that does not exist is refused"
timeout 60 "$isola" ps --format '{{.Name}} {{.State}}' | grep -q 'linux running' && good "the machine goes on" || bad "it does not run"
echo "$passed passed, $failed failed"
[ $failed = 0 ]

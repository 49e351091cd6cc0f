#!/bin/sh
# A Debian kernel made to use each interrupt controller, timer and clock of the board in turn.
. "$(dirname "$0")/lib.sh"
guest_kernel cloud

# variant NAME OPTIONS KERNEL-ARGUMENTS CHECK: boots so and runs the shell command CHECK, which must succeed.
variant() {
    append="quiet cryptomgr.notests $3"
    # shellcheck disable=SC2086
    in_guest 240 cloud --memory 256m $2 -- "$4"
    if [ "$status" != 0 ]; then
        show
        "$isola" ps -q | while read -r id; do "$isola" inspect --live "$id"; done # one that hangs still runs
        die "$1: status ${status:-none}"
    fi
    grep -qE 'BUG:|Call Trace|WARNING:|nobody cared' "$work/out" && { show; die "$1: kernel complaints"; }
    ok "$1"
}
# Ticks of /proc/interrupts line $1 during a second, as a shell function of the guest.
ticks='ticks() { a=$(grep "$1" /proc/interrupts); sleep 1; b=$(grep "$1" /proc/interrupts); [ "$a" != "$b" ] || { echo "no $1 tick: $a"; exit 1; }; }'
clock='cd /sys/devices/system/clocksource/clocksource0; use() { echo $1 >current_clocksource; [ $(cat current_clocksource) = $1 ] || exit 1;
a=$(cut -d. -f1 /proc/uptime); sleep 2; b=$(cut -d. -f1 /proc/uptime); [ $((b - a)) -ge 2 ] && [ $((b - a)) -le 20 ] || { echo "$1: $a $b"; exit 1; }; }'

variant "RTC alarm, HPET and PM timer as clocks" "" "" "$clock
use hpet; use acpi_pm
cd /sys/class/rtc/rtc0; echo +2 >wakealarm; sleep 4; [ -z \"\$(cat wakealarm)\" ] && grep -q ' 1 ' /sys/firmware/acpi/interrupts/ff_rt_clk"
variant "xAPIC, four processors, calibrated APIC timer" "--cpus 4" "nox2apic lapic=notscdeadline" \
    '[ $(grep -c ^processor /proc/cpuinfo) = 4 ] && ! dmesg | grep -q "x2apic enabled"'
variant "8259 beside the local APIC" "" "noapic" '! grep -q IO-APIC /proc/interrupts && grep -q XT-PIC /proc/interrupts'
# Without ACPI there is no way to power off.
variant "8259 and 8254 alone, without ACPI" "--no-reboot" "acpi=off nolapic no-kvmclock" \
    "$ticks; ticks XT-PIC.*timer; echo isola-status: 0; /bin/busybox reboot -f"
# With a TSC deadline timer Linux would not start the 8254 even when it may not use the APIC's.
variant "8254 through the I/O APIC" "" "noapictimer lapic=notscdeadline hpet=disable" "$ticks; ticks IO-APIC.*timer"
variant "HPET as the tick" "" "noapictimer" "$ticks; ticks IO-APIC.*timer"
truncate -s 8M "$work/disk"
printf 'interrupts by wire' | dd of="$work/disk" bs=1 seek=4096 conv=notrunc status=none
for pic in "" noapic; do
    variant "virtio by INTx ${pic:-through the I/O APIC}" "--disk $work/disk" "pci=nomsi $pic" \
        '[ "$(dd if=/dev/vda bs=4096 skip=1 count=1 2>/dev/null | head -c 18)" = "interrupts by wire" ] && ! grep -q MSI /proc/interrupts'
done

/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pvclock.h"

#include <errno.h>

#include "base/mem.h"

enum {
    MSR_WALL_CLOCK_OLD = 0x11,
    MSR_SYSTEM_TIME_OLD = 0x12,
    MSR_WALL_CLOCK = 0x4b564d00,
    MSR_SYSTEM_TIME = 0x4b564d01,
};
enum {
    FEATURE_CLOCKSOURCE = 1 << 0,
    FEATURE_NOP_IO_DELAY = 1 << 1,
    FEATURE_CLOCKSOURCE2 = 1 << 3,
    FEATURE_CLOCKSOURCE_STABLE = 1 << 24,
    PVCLOCK_TSC_STABLE = 1 << 0,
};

/* struct pvclock_vcpu_time_info and pvclock_wall_clock of the interface. */
struct time_info {
    uint32_t version, pad0;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags, pad[2];
};
struct wall_clock {
    uint32_t version, sec, nsec;
};
_Static_assert(sizeof(struct time_info) == 32, "layout of the interface");
_Static_assert(sizeof(struct wall_clock) == 12, "layout of the interface");

const struct x86_cpuid_leaf pvclock_cpuid[PVCLOCK_CPUID_LEAVES] = {
    {0x40000000, {0x40000001, 0x4b4d564b, 0x564b4d56, 0x0000004d}}, /* "KVMKVMKVM" */
    {0x40000001,
     {FEATURE_CLOCKSOURCE | FEATURE_NOP_IO_DELAY | FEATURE_CLOCKSOURCE2 |
          FEATURE_CLOCKSOURCE_STABLE,
      0, 0, 0}},
};

void pvclock_init(struct pvclock *pv, struct x86_vm *vm, struct gclock *clock, int64_t wall_base_ns)
{
    *pv = (struct pvclock){.vm = vm, .clock = clock, .wall_base = wall_base_ns};
}

void pvclock_reset(struct pvclock *pv)
{
    memset(pv->system_time, 0, sizeof(pv->system_time));
    pv->wall_clock = 0;
}

/* mul and shift with ns = (ticks << shift) * mul >> 32 (a negative shift is to the right). */
static void scale(uint64_t khz, uint32_t *ret_mul, int8_t *ret_shift)
{
    uint64_t hz = khz * 1000, target = 1000000000;
    int shift = 0;

    while (hz > 2 * target || hz >> 32) {
        hz >>= 1;
        shift--;
    }
    while (hz <= target) {
        hz <<= 1;
        shift++;
    }
    *ret_mul = (uint32_t)((target << 32) / hz);
    *ret_shift = (int8_t)shift;
}

void pvclock_update(struct pvclock *pv, unsigned cpu)
{
    struct x86_cpu *c = pv->vm->cpus[cpu];
    uint64_t gpa = pv->system_time[cpu] & ~1ull, now;
    struct time_info info = {0};

    if (!(pv->system_time[cpu] & 1))
        return;
    if (space_read(pv->vm->space, gpa, &info.version, sizeof(info.version)) < 0)
        return; /* the guest gave an address without memory: nothing to update */
    /* Odd while it is being written; the guest's processor does not run meanwhile. */
    info.version = (info.version | 1) + 1;
    now = gclock_now(pv->clock);
    info.tsc_timestamp = gclock_muldiv(now, pv->vm->tsc_khz, 1000000) + c->tsc_offset;
    info.system_time = now;
    info.flags = PVCLOCK_TSC_STABLE;
    scale(pv->vm->tsc_khz, &info.tsc_to_system_mul, &info.tsc_shift);
    space_write(pv->vm->space, gpa, &info, sizeof(info));
}

static void write_wall_clock(struct pvclock *pv, uint64_t gpa)
{
    struct wall_clock wall = {0};

    if (space_read(pv->vm->space, gpa, &wall.version, sizeof(wall.version)) < 0)
        return;
    wall.version = (wall.version | 1) + 1;
    /* The wall time at which the system time was 0. */
    wall.sec = (uint32_t)(pv->wall_base / 1000000000);
    wall.nsec = (uint32_t)(pv->wall_base % 1000000000);
    space_write(pv->vm->space, gpa, &wall, sizeof(wall));
}

int pvclock_rdmsr(struct pvclock *pv, unsigned cpu, uint32_t msr, uint64_t *ret)
{
    switch (msr) {
    case MSR_WALL_CLOCK_OLD:
    case MSR_WALL_CLOCK:
        *ret = pv->wall_clock;
        return 0;
    case MSR_SYSTEM_TIME_OLD:
    case MSR_SYSTEM_TIME:
        *ret = pv->system_time[cpu];
        return 0;
    default:
        return -EINVAL;
    }
}

int pvclock_wrmsr(struct pvclock *pv, unsigned cpu, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_WALL_CLOCK_OLD:
    case MSR_WALL_CLOCK:
        pv->wall_clock = value;
        write_wall_clock(pv, value);
        return 0;
    case MSR_SYSTEM_TIME_OLD:
    case MSR_SYSTEM_TIME:
        pv->system_time[cpu] = value;
        pvclock_update(pv, cpu);
        return 0;
    default:
        return -EINVAL;
    }
}

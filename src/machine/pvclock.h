/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's paravirtual clock (Documentation/virt/kvm/x86/msr.rst and cpuid.rst of Linux 6.1): the
 * guest reads time from a page that maps its TSC to nanoseconds, so that it needs no calibration
 * and never drifts from the host.
 */
#ifndef MACHINE_PVCLOCK_H
#define MACHINE_PVCLOCK_H

#include "bus/clock.h"
#include "cpu/x86/cpu.h"

enum { PVCLOCK_CPUS = 8, PVCLOCK_CPUID_LEAVES = 2 };

struct pvclock {
    struct x86_vm *vm;
    struct gclock *clock;
    int64_t wall_base;                              /* UTC nanoseconds at guest time 0 */
    uint64_t system_time[PVCLOCK_CPUS], wall_clock; /* MSRs */
};

/* The CPUID leaves that announce it; for x86_vm.pv_cpuid. */
extern const struct x86_cpuid_leaf pvclock_cpuid[PVCLOCK_CPUID_LEAVES];

void pvclock_init(struct pvclock *pv, struct x86_vm *vm, struct gclock *clock,
                  int64_t wall_base_ns);
void pvclock_reset(struct pvclock *pv);
/* MSRs 0x11, 0x12, 0x4b564d00, 0x4b564d01. 0, or -EINVAL when @msr is not one of them. */
int pvclock_rdmsr(struct pvclock *pv, unsigned cpu, uint32_t msr, uint64_t *ret);
int pvclock_wrmsr(struct pvclock *pv, unsigned cpu, uint32_t msr, uint64_t value);
/* The TSC of @cpu jumped: its page is written anew. */
void pvclock_update(struct pvclock *pv, unsigned cpu);

#endif

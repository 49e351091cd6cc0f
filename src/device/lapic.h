/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APICs of a machine's processors and the messages between them (Intel SDM vol. 3,
 * chapter 11): xAPIC registers at 0xFEE00000, x2APIC by MSR, timer (one-shot, periodic,
 * TSC-deadline; the bus clock is 1 GHz), local vectors, inter-processor interrupts, and the
 * receiving end of MSIs. Processors are driven through struct lapic_ops only.
 */
#ifndef DEVICE_LAPIC_H
#define DEVICE_LAPIC_H

#include "bus/clock.h"
#include "bus/irq.h"
#include "bus/space.h"
#include "device/device.h"

enum { LAPIC_MAX = 255, LAPIC_BUS_HZ = 1000000000 };

/* What the APICs do to the processors and the board. Nothing may be NULL but smi. */
struct lapic_ops {
    /* A level: the processor has an interrupt that it may take (lapic_ack gives the vector). */
    void (*intr)(void *opaque, unsigned cpu, int level);
    void (*nmi)(void *opaque, unsigned cpu);
    void (*smi)(void *opaque, unsigned cpu);
    void (*init)(void *opaque, unsigned cpu);
    void (*sipi)(void *opaque, unsigned cpu, uint8_t vector); /* start at vector << 12 */
    /* An EOI of a level-triggered vector, for the I/O APICs. */
    void (*eoi)(void *opaque, uint8_t vector);
    /* An interrupt acknowledge cycle to the 8259 pair (LINT0 as ExtINT). */
    uint8_t (*extint_ack)(void *opaque);
    /* IA32_TSC as processor @cpu reads it, for the TSC-deadline timer. */
    uint64_t (*tsc)(void *opaque, unsigned cpu);
    void *opaque;
};

struct lapics; /* all of a machine */

/* @count APICs with ids 0..count-1, the first one being the boot processor's. NULL with @err set.
 */
struct lapics *lapics_new(struct space *space, struct gclock *clock, unsigned count,
                          uint32_t tsc_khz, const struct lapic_ops *ops, struct error *err);
/* Frees all; the devices of lapic_device then are gone too. */
void lapics_free(struct lapics *apics);
/* The APIC of one processor, for reset, save and load. Its free does nothing. */
struct device *lapic_device(struct lapics *apics, unsigned cpu);

/*
 * Says which processor makes the accesses to 0xFEE00000 that follow: the memory space does not
 * carry it. Called with the machine lock held, before a processor's MMIO access.
 */
void lapics_select(struct lapics *apics, unsigned cpu);

/* IA32_APIC_BASE (0x1B), IA32_TSC_DEADLINE (0x6E0), x2APIC registers (0x800-0x8FF): 0, or -EINVAL
 * for #GP(0). */
int lapic_rdmsr(struct lapics *apics, unsigned cpu, uint32_t msr, uint64_t *ret);
int lapic_wrmsr(struct lapics *apics, unsigned cpu, uint32_t msr, uint64_t value);
/* CR8 = TPR bits 7:4. */
uint8_t lapic_get_cr8(struct lapics *apics, unsigned cpu);
void lapic_set_cr8(struct lapics *apics, unsigned cpu, uint8_t value);
/* Acknowledges: the vector the processor takes, -1 when there is none any more. */
int lapic_ack(struct lapics *apics, unsigned cpu);
/* The processor was reset by INIT other than through an IPI: APIC registers as after INIT. */
void lapic_init(struct lapics *apics, unsigned cpu);
/* IA32_TSC of @cpu jumped (WRMSR): re-arms a TSC deadline. */
void lapic_tsc_changed(struct lapics *apics, unsigned cpu);

/* Where MSIs and the I/O APIC's messages go. */
struct msi_sink lapics_msi_sink(struct lapics *apics);
/* LINT0 (the 8259's INTR) and LINT1 (NMI) of all processors. */
struct irq_line lapics_lint0(struct lapics *apics);
struct irq_line lapics_lint1(struct lapics *apics);

/*
 * What firmware leaves behind for the boot processor (MP specification 3.6.2.2, virtual wire mode):
 * the APIC enabled, LINT0 as ExtINT, LINT1 as NMI.
 */
void lapics_virtual_wire(struct lapics *apics);

/* The APIC of one processor as text: what waits, what is served, local vectors. */
void lapic_show(const struct lapics *apics, unsigned cpu, struct str *out);
/* Sends a fixed interrupt to one processor (paravirtual or test use). */
void lapic_inject(struct lapics *apics, unsigned cpu, uint8_t vector);

#endif

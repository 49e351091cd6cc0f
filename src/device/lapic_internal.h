/* SPDX-License-Identifier: Apache-2.0 */
/* What lapic.c (state, registers), lapic_bus.c (messages) and lapic_timer.c share. */
#ifndef DEVICE_LAPIC_INTERNAL_H
#define DEVICE_LAPIC_INTERNAL_H

#include "base/mem.h"
#include "device/lapic.h"

/* Local vector table entries in order of their registers 0x320-0x370 (SDM vol. 3, 11.5.1). */
enum {
    LAPIC_LVT_TIMER,
    LAPIC_LVT_THERMAL,
    LAPIC_LVT_PERF,
    LAPIC_LVT_LINT0,
    LAPIC_LVT_LINT1,
    LAPIC_LVT_ERROR,
    LAPIC_LVTS
};
enum {
    LAPIC_LVT_REMOTE_IRR = 1 << 14,
    LAPIC_LVT_LEVEL = 1 << 15,
    LAPIC_LVT_MASKED = 1 << 16,
    LAPIC_TIMER_PERIODIC = 1 << 17,
    LAPIC_TIMER_DEADLINE = 1 << 18,
    LAPIC_TIMER_MODE = LAPIC_TIMER_PERIODIC | LAPIC_TIMER_DEADLINE,
};
enum {
    LAPIC_BASE_BSP = 1 << 8,
    LAPIC_BASE_X2APIC = 1 << 10,
    LAPIC_BASE_ENABLE = 1 << 11,
};
#define LAPIC_BASE_ADDRESS 0xfee00000u

/* Delivery modes, bits 10:8 of LVT, ICR and MSI data. */
enum {
    LAPIC_FIXED,
    LAPIC_LOWEST,
    LAPIC_SMI,
    LAPIC_NMI = 4,
    LAPIC_INIT,
    LAPIC_STARTUP,
    LAPIC_EXTINT
};
enum { LAPIC_ESR_SENT_VECTOR = 1 << 5, LAPIC_ESR_GOT_VECTOR = 1 << 6, LAPIC_ESR_REGISTER = 1 << 7 };
enum { LAPIC_SVR_ENABLE = 1 << 8, LAPIC_SVR_NO_EOI_BROADCAST = 1 << 12 };

struct lapic {
    struct device dev;
    struct lapics *apics;
    unsigned cpu;  /* also the APIC id, which is read-only */
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t tpr, ldr, dfr, svr;
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t esr, esr_new; /* as read; gathered since the last write */
    uint64_t icr;
    uint32_t lvt[LAPIC_LVTS];
    uint8_t lint[2]; /* levels of the LINT pins */
    uint8_t extint;  /* an ExtINT message came and was not acknowledged */
    uint8_t intr;    /* derived: as last told to the processor */
    uint32_t initial, divide;
    uint64_t start;    /* guest ns at which initial stood in the counter */
    uint64_t deadline; /* IA32_TSC_DEADLINE, 0 = disarmed */
    struct gtimer timer;
};

struct lapics {
    struct space *space;
    struct space_range *range;
    struct gclock *clock;
    struct lapic_ops ops;
    uint32_t tsc_khz;
    unsigned count, current;
    unsigned arbiter; /* the last winner of a lowest-priority delivery */
    struct lapic apic[];
};

static inline bool lapic_is_x2(const struct lapic *l)
{
    return l->base & LAPIC_BASE_X2APIC;
}

static inline bool lapic_is_on(const struct lapic *l)
{
    return l->base & LAPIC_BASE_ENABLE && l->svr & LAPIC_SVR_ENABLE;
}

/* Accepts a fixed interrupt (11.8.4). */
void lapic_accept(struct lapic *l, uint8_t vector, bool level);
/* The processor priority register. */
unsigned lapic_priority(const struct lapic *l);
/* Recomputes the interrupt output. */
void lapic_update(struct lapic *l);
/* Power-up state (@init: as after INIT, which keeps IA32_APIC_BASE). */
void lapic_reset(struct lapic *l, bool init);
/* The LINT pins or what they are programmed to changed. */
void lapic_lint_changed(struct lapic *l, unsigned pin, int before);
/* Notes an error (ESR bit) and raises the error interrupt. */
void lapic_error(struct lapic *l, uint32_t bit);

/* A message on the bus between the APICs. */
struct lapic_message {
    uint32_t dest;
    bool wide;    /* dest has 32 bits (x2APIC sender) */
    bool logical; /* destination mode */
    uint8_t vector, mode;
    bool level; /* trigger mode */
};
void lapics_send(struct lapics *apics, const struct lapic_message *m);
/* The interrupt command register was written (11.6.1). */
void lapic_send_ipi(struct lapic *l);

/* The timer (11.5.4). */
void lapic_timer_set_up(struct lapic *l);
uint32_t lapic_timer_count(const struct lapic *l);
void lapic_timer_set_initial(struct lapic *l, uint32_t initial);
void lapic_timer_set_divide(struct lapic *l, uint32_t divide);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
/* The LVT entry was written; @before is its old value. */
void lapic_timer_lvt_changed(struct lapic *l, uint32_t before);
/* Arms the timer for what the registers say. */
void lapic_timer_rearm(struct lapic *l);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to local APICs: inter-processor interrupts, MSIs, and the LINT pins. */
#include "device/lapic_internal.h"

enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };
enum { ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15 };

static bool matches_logical(const struct lapic *l, const struct lapic_message *m)
{
    if (lapic_is_x2(l)) /* 11.12.10.2: cluster in 31:16, one bit per APIC below */
        return m->dest >> 16 == l->ldr >> 16 && (m->dest & l->ldr & 0xffff);
    if (m->dest > 0xff)
        return false;
    if (l->dfr >> 28 == 0xf) /* flat */
        return (l->ldr >> 24 & m->dest) != 0;
    return l->dfr >> 28 == 0 && l->ldr >> 28 == m->dest >> 4 && (l->ldr >> 24 & m->dest & 0xf);
}

static bool matches(const struct lapic *l, const struct lapic_message *m)
{
    if (!(l->base & LAPIC_BASE_ENABLE))
        return false;
    if (m->dest == (m->wide ? UINT32_MAX : 0xff))
        return true;
    if (m->logical)
        return matches_logical(l, m);
    return m->dest == l->cpu;
}

static void deliver(struct lapic *l, const struct lapic_message *m)
{
    const struct lapic_ops *ops = &l->apics->ops;

    switch (m->mode) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST:
        lapic_accept(l, m->vector, m->level);
        break;
    case LAPIC_SMI:
        if (ops->smi)
            ops->smi(ops->opaque, l->cpu);
        break;
    case LAPIC_NMI:
        ops->nmi(ops->opaque, l->cpu);
        break;
    case LAPIC_INIT:
        lapic_reset(l, true);
        ops->init(ops->opaque, l->cpu);
        break;
    case LAPIC_STARTUP:
        ops->sipi(ops->opaque, l->cpu, m->vector);
        break;
    case LAPIC_EXTINT:
        l->extint = 1;
        lapic_update(l);
        break;
    default:
        break;
    }
}

/* Lowest-priority delivery (11.6.2.4): the least busy of the addressed, in turn when equal. */
static void deliver_lowest(struct lapics *apics, const struct lapic_message *m)
{
    struct lapic *best = NULL;

    for (unsigned i = 1; i <= apics->count; i++) {
        struct lapic *l = &apics->apic[(apics->arbiter + i) % apics->count];
        if (matches(l, m) && lapic_is_on(l) && (!best || lapic_priority(l) < lapic_priority(best)))
            best = l;
    }
    if (best) {
        apics->arbiter = best->cpu;
        deliver(best, m);
    }
}

void lapics_send(struct lapics *apics, const struct lapic_message *m)
{
    if (m->mode == LAPIC_LOWEST) {
        deliver_lowest(apics, m);
        return;
    }
    for (unsigned i = 0; i < apics->count; i++)
        if (matches(&apics->apic[i], m))
            deliver(&apics->apic[i], m);
}

void lapic_send_ipi(struct lapic *l)
{
    struct lapics *apics = l->apics;
    uint32_t low = (uint32_t)l->icr;
    unsigned shorthand = low >> 18 & 3;
    struct lapic_message m = {.dest = (uint32_t)(l->icr >> 32),
                              .wide = lapic_is_x2(l),
                              .logical = low & ICR_LOGICAL,
                              .vector = (uint8_t)low,
                              .mode = low >> 8 & 7};

    if (!m.wide)
        m.dest >>= 24;
    if ((m.mode == LAPIC_FIXED || m.mode == LAPIC_LOWEST) && m.vector < 16) {
        lapic_error(l, LAPIC_ESR_SENT_VECTOR);
        return;
    }
    /* INIT level de-assert only synchronises arbitration ids of processors that are long gone. */
    if (m.mode == LAPIC_INIT && low & ICR_LEVEL && !(low & ICR_ASSERT))
        return;
    if (m.mode == LAPIC_EXTINT)
        return; /* reserved for IPIs */
    switch (shorthand) {
    case SHORTHAND_NONE:
        lapics_send(apics, &m);
        break;
    case SHORTHAND_SELF:
        deliver(l, &m);
        break;
    default:
        for (unsigned i = 0; i < apics->count; i++)
            if ((shorthand == SHORTHAND_ALL || &apics->apic[i] != l) &&
                apics->apic[i].base & LAPIC_BASE_ENABLE)
                deliver(&apics->apic[i], &m);
        break;
    }
}

/* ---- MSIs (11.11) ---- */

static void msi_arrived(void *opaque, uint64_t address, uint32_t data)
{
    struct lapic_message m = {.dest = address >> 12 & 0xff,
                              .logical = address >> 2 & 1,
                              .vector = (uint8_t)data,
                              .mode = data >> 8 & 7,
                              .level = data >> 15 & 1};

    if (address >> 20 != LAPIC_BASE_ADDRESS >> 20)
        return; /* a write elsewhere: no interrupt */
    lapics_send(opaque, &m);
}

struct msi_sink lapics_msi_sink(struct lapics *apics)
{
    return (struct msi_sink){.send = msi_arrived, .opaque = apics};
}

void lapic_inject(struct lapics *apics, unsigned cpu, uint8_t vector)
{
    if (cpu < apics->count)
        lapic_accept(&apics->apic[cpu], vector, false);
}

/* ---- LINT pins (11.5.1) ---- */

void lapic_lint_changed(struct lapic *l, unsigned pin, int before)
{
    uint32_t *lvt = &l->lvt[LAPIC_LVT_LINT0 + pin];
    unsigned mode = *lvt >> 8 & 7;

    if (!(l->base & LAPIC_BASE_ENABLE)) {
        /* Without APIC the pins are the processor's INTR and NMI. */
        if (pin == 1 && l->lint[1] && !before)
            l->apics->ops.nmi(l->apics->ops.opaque, l->cpu);
    } else if (*lvt & LAPIC_LVT_MASKED || !l->lint[pin] || mode == LAPIC_EXTINT) {
        ; /* ExtINT is a level that lapic_update looks at */
    } else if (mode == LAPIC_FIXED && *lvt & LAPIC_LVT_LEVEL) {
        if (!(*lvt & LAPIC_LVT_REMOTE_IRR)) {
            *lvt |= LAPIC_LVT_REMOTE_IRR;
            lapic_accept(l, (uint8_t)*lvt, true);
        }
    } else if (!before) {
        deliver(l, &(struct lapic_message){.vector = (uint8_t)*lvt, .mode = (uint8_t)mode});
    }
    lapic_update(l);
}

static void set_lint(struct lapics *apics, unsigned pin, int level)
{
    for (unsigned i = 0; i < apics->count; i++) {
        struct lapic *l = &apics->apic[i];
        int before = l->lint[pin];
        l->lint[pin] = level != 0;
        if (before != l->lint[pin])
            lapic_lint_changed(l, pin, before);
    }
}

static void lint_set(void *opaque, unsigned input, int level)
{
    set_lint(opaque, input, level);
}

struct irq_line lapics_lint0(struct lapics *apics)
{
    return (struct irq_line){.set = lint_set, .opaque = apics, .input = 0};
}

struct irq_line lapics_lint1(struct lapics *apics)
{
    return (struct irq_line){.set = lint_set, .opaque = apics, .input = 1};
}

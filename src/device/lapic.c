/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers are numbered by their MMIO offset / 16, which is also their x2APIC MSR - 0x800; one
 * pair of functions serves both, and refuses what the mode does not have. Section numbers are those
 * of the Intel SDM, vol. 3.
 */
#include "device/lapic.h"

#include <errno.h>
#include <stdio.h>

#include "device/lapic_internal.h"

enum {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_INITIAL = 0x38,
    REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f, /* x2APIC only */
};
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };

/* Version 0x14 with six LVT entries and EOI-broadcast suppression (11.4.8). */
#define VERSION (0x14u | (LAPIC_LVTS - 1) << 16 | 1u << 24)

/* Writable bits of each LVT entry. */
static const uint32_t lvt_mask[LAPIC_LVTS] = {
    [LAPIC_LVT_TIMER] = 0x700ff, [LAPIC_LVT_THERMAL] = 0x107ff, [LAPIC_LVT_PERF] = 0x107ff,
    [LAPIC_LVT_LINT0] = 0x1a7ff, [LAPIC_LVT_LINT1] = 0x1a7ff,   [LAPIC_LVT_ERROR] = 0x100ff};

/* ---- priorities (11.8.3) ---- */

static int highest(const uint32_t bits[8])
{
    for (int i = 7; i >= 0; i--)
        if (bits[i])
            return i * 32 + 31 - __builtin_clz(bits[i]);
    return -1;
}

static void set_bit(uint32_t bits[8], unsigned n, bool value)
{
    uint32_t bit = 1u << (n & 31);
    bits[n >> 5] = value ? bits[n >> 5] | bit : bits[n >> 5] & ~bit;
}

unsigned lapic_priority(const struct lapic *l)
{
    int serving = highest(l->isr);
    unsigned in_service = serving < 0 ? 0 : (unsigned)serving & 0xf0;
    return (l->tpr & 0xf0) >= in_service ? l->tpr & 0xff : in_service;
}

/* The vector that may be delivered now, -1 when there is none. */
static int deliverable(const struct lapic *l)
{
    int vector = highest(l->irr);
    return vector >= 0 && lapic_is_on(l) && ((unsigned)vector & 0xf0) > (lapic_priority(l) & 0xf0)
               ? vector
               : -1;
}

static bool extint_asks(const struct lapic *l)
{
    uint32_t lvt = l->lvt[LAPIC_LVT_LINT0];

    if (!(l->base & LAPIC_BASE_ENABLE))
        return l->lint[0];
    return l->extint || (l->lint[0] && !(lvt & LAPIC_LVT_MASKED) && (lvt >> 8 & 7) == LAPIC_EXTINT);
}

void lapic_update(struct lapic *l)
{
    uint8_t intr = extint_asks(l) || deliverable(l) >= 0;

    if (intr == l->intr)
        return;
    l->intr = intr;
    l->apics->ops.intr(l->apics->ops.opaque, l->cpu, intr);
}

void lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
    if (!lapic_is_on(l))
        return;
    if (vector < 16) {
        lapic_error(l, LAPIC_ESR_GOT_VECTOR);
        return;
    }
    set_bit(l->irr, vector, true);
    set_bit(l->tmr, vector, level);
    lapic_update(l);
}

void lapic_error(struct lapic *l, uint32_t bit)
{
    uint32_t lvt = l->lvt[LAPIC_LVT_ERROR];

    l->esr_new |= bit;
    /* An error vector that is itself illegal must not come back here. */
    if (!(lvt & LAPIC_LVT_MASKED) && (lvt & 0xff) >= 16)
        lapic_accept(l, (uint8_t)lvt, false);
}

int lapic_ack(struct lapics *apics, unsigned cpu)
{
    struct lapic *l = cpu < apics->count ? &apics->apic[cpu] : NULL;
    int vector;

    if (!l)
        return -1;
    if (extint_asks(l)) {
        l->extint = 0;
        vector = apics->ops.extint_ack(apics->ops.opaque);
    } else {
        vector = deliverable(l);
        if (vector >= 0) {
            set_bit(l->irr, (unsigned)vector, false);
            set_bit(l->isr, (unsigned)vector, true);
        }
    }
    lapic_update(l);
    return vector;
}

static void end_of_interrupt(struct lapic *l)
{
    int vector = highest(l->isr);
    bool level;

    if (vector < 0)
        return;
    set_bit(l->isr, (unsigned)vector, false);
    level = l->tmr[vector >> 5] >> (vector & 31) & 1;
    if (level) {
        for (unsigned pin = 0; pin < 2; pin++) {
            uint32_t *lvt = &l->lvt[LAPIC_LVT_LINT0 + pin];
            if (!(*lvt & LAPIC_LVT_REMOTE_IRR) || (*lvt & 0xff) != (uint32_t)vector)
                continue;
            *lvt &= ~(uint32_t)LAPIC_LVT_REMOTE_IRR;
            lapic_lint_changed(l, pin, l->lint[pin]);
        }
        if (!(l->svr & LAPIC_SVR_NO_EOI_BROADCAST))
            l->apics->ops.eoi(l->apics->ops.opaque, (uint8_t)vector);
    }
    lapic_update(l);
}

/* ---- registers ---- */

static int read_register(const struct lapic *l, unsigned reg, uint32_t *ret)
{
    bool x2 = lapic_is_x2(l);

    switch (reg) {
    case REG_ID:
        *ret = x2 ? l->cpu : l->cpu << 24;
        return 0;
    case REG_VERSION:
        *ret = VERSION;
        return 0;
    case REG_TPR:
        *ret = l->tpr;
        return 0;
    case REG_PPR:
        *ret = lapic_priority(l);
        return 0;
    case REG_LDR:
        *ret = l->ldr;
        return 0;
    case REG_SVR:
        *ret = l->svr;
        return 0;
    case REG_ISR ... REG_ISR + 7:
        *ret = l->isr[reg - REG_ISR];
        return 0;
    case REG_TMR ... REG_TMR + 7:
        *ret = l->tmr[reg - REG_TMR];
        return 0;
    case REG_IRR ... REG_IRR + 7:
        *ret = l->irr[reg - REG_IRR];
        return 0;
    case REG_ESR:
        *ret = l->esr;
        return 0;
    case REG_ICR:
        *ret = (uint32_t)l->icr;
        return 0;
    case REG_LVT ... REG_LVT + LAPIC_LVTS - 1:
        *ret = l->lvt[reg - REG_LVT];
        return 0;
    case REG_INITIAL:
        *ret = l->initial;
        return 0;
    case REG_CURRENT:
        *ret = lapic_timer_count(l);
        return 0;
    case REG_DIVIDE:
        *ret = l->divide;
        return 0;
    case REG_APR:
    case REG_RRD:
    case REG_EOI:
        *ret = 0;
        return x2 ? -EINVAL : 0;
    case REG_DFR:
        *ret = l->dfr;
        return x2 ? -EINVAL : 0;
    case REG_ICR_HIGH:
        *ret = (uint32_t)(l->icr >> 32);
        return x2 ? -EINVAL : 0;
    default:
        *ret = 0;
        return -EINVAL;
    }
}

static void write_lvt(struct lapic *l, unsigned index, uint32_t value)
{
    uint32_t before = l->lvt[index];

    value = (value & lvt_mask[index]) | (before & LAPIC_LVT_REMOTE_IRR);
    if (index < LAPIC_LVT_LINT0 || index > LAPIC_LVT_LINT1 || !(value & LAPIC_LVT_LEVEL))
        value &= ~(uint32_t)LAPIC_LVT_REMOTE_IRR;
    if (!(l->svr & LAPIC_SVR_ENABLE))
        value |= LAPIC_LVT_MASKED; /* 11.4.7.2 */
    l->lvt[index] = value;
    if (index == LAPIC_LVT_TIMER)
        lapic_timer_lvt_changed(l, before);
    else if (index == LAPIC_LVT_LINT0 || index == LAPIC_LVT_LINT1)
        lapic_lint_changed(l, index - LAPIC_LVT_LINT0, l->lint[index - LAPIC_LVT_LINT0]);
}

static void write_svr(struct lapic *l, uint32_t value)
{
    l->svr = value & 0x11ff;
    for (unsigned i = 0; i < LAPIC_LVTS && !(l->svr & LAPIC_SVR_ENABLE); i++)
        l->lvt[i] |= LAPIC_LVT_MASKED;
}

/* Bits that are reserved in x2APIC mode, where writing them is #GP (11.12.1.3). */
static uint32_t reserved_bits(unsigned reg)
{
    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        return ~0xffu;
    case REG_SVR:
        return ~0x11ffu;
    case REG_LVT ... REG_LVT + LAPIC_LVTS - 1:
        /* Bits 12 and 14 are status that may be written back. */
        return ~(lvt_mask[reg - REG_LVT] | 0x5000u);
    case REG_DIVIDE:
        return ~0xbu;
    case REG_EOI:
    case REG_ESR:
        return UINT32_MAX;
    default:
        return 0;
    }
}

static int write_register(struct lapic *l, unsigned reg, uint32_t value)
{
    bool x2 = lapic_is_x2(l);

    if (x2 && value & reserved_bits(reg))
        return -EINVAL;
    switch (reg) {
    case REG_TPR:
        l->tpr = value & 0xff;
        break;
    case REG_EOI:
        end_of_interrupt(l);
        break;
    case REG_SVR:
        write_svr(l, value);
        break;
    case REG_ESR:
        l->esr = l->esr_new;
        l->esr_new = 0;
        break;
    case REG_ICR:
        l->icr = (l->icr & ~0xffffffffull) | (value & 0xccfffu);
        lapic_send_ipi(l);
        break;
    case REG_LVT ... REG_LVT + LAPIC_LVTS - 1:
        write_lvt(l, reg - REG_LVT, value);
        break;
    case REG_INITIAL:
        lapic_timer_set_initial(l, value);
        break;
    case REG_DIVIDE:
        lapic_timer_set_divide(l, value);
        break;
    case REG_SELF_IPI:
        if (!x2)
            return -EINVAL;
        lapic_accept(l, (uint8_t)value, false);
        break;
    case REG_LDR:
        if (x2)
            return -EINVAL;
        l->ldr = value & 0xff000000u;
        break;
    case REG_DFR:
        if (x2)
            return -EINVAL;
        l->dfr = value | 0x0fffffffu;
        break;
    case REG_ICR_HIGH:
        if (x2)
            return -EINVAL;
        l->icr = (l->icr & 0xffffffffull) | (uint64_t)(value & 0xff000000u) << 32;
        break;
    default:
        return -EINVAL;
    }
    lapic_update(l);
    return 0;
}

/* ---- xAPIC: memory-mapped (11.4.1) ---- */

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
    struct lapics *apics = dev;
    struct lapic *l = &apics->apic[apics->current];
    unsigned in_register = offset & 15;
    uint32_t value;

    if (!(l->base & LAPIC_BASE_ENABLE) || lapic_is_x2(l))
        return UINT64_MAX;
    if (in_register + size > 4)
        return 0; /* undefined (11.4.1); registers have four bytes each */
    if (read_register(l, (unsigned)(offset >> 4), &value) < 0)
        lapic_error(l, LAPIC_ESR_REGISTER);
    return value >> 8 * in_register;
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct lapics *apics = dev;
    struct lapic *l = &apics->apic[apics->current];
    uint32_t ignored;

    if (!(l->base & LAPIC_BASE_ENABLE) || lapic_is_x2(l) || size != 4 || offset & 15)
        return;
    if (write_register(l, (unsigned)(offset >> 4), (uint32_t)value) < 0 &&
        read_register(l, (unsigned)(offset >> 4), &ignored) < 0)
        lapic_error(l, LAPIC_ESR_REGISTER);
}

static const struct mmio_ops lapic_mmio = {.read = mmio_read, .write = mmio_write};

void lapics_select(struct lapics *apics, unsigned cpu)
{
    if (cpu < apics->count)
        apics->current = cpu;
}

/* ---- MSRs ---- */

/* IA32_APIC_BASE (11.4.4) and the transitions of figure 11-27. The page cannot be moved. */
static int write_base(struct lapic *l, uint64_t value)
{
    uint64_t mode = value & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
    uint64_t before = l->base & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);

    if ((value & ~(uint64_t)(LAPIC_BASE_BSP | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)) !=
            LAPIC_BASE_ADDRESS ||
        mode == LAPIC_BASE_X2APIC || (!before && mode & LAPIC_BASE_X2APIC) ||
        (before & LAPIC_BASE_X2APIC && mode == LAPIC_BASE_ENABLE))
        return -EINVAL;
    if (mode == before)
        return 0;
    if (!mode)
        lapic_reset(l, true);
    l->base = (l->base & LAPIC_BASE_BSP) | LAPIC_BASE_ADDRESS | mode;
    if (mode & LAPIC_BASE_X2APIC) {
        l->ldr = l->cpu >> 4 << 16 | 1u << (l->cpu & 15);
        l->icr = 0;
    }
    lapic_update(l);
    return 0;
}

int lapic_rdmsr(struct lapics *apics, unsigned cpu, uint32_t msr, uint64_t *ret)
{
    const struct lapic *l = cpu < apics->count ? &apics->apic[cpu] : NULL;
    uint32_t value;
    int r;

    if (!l)
        return -EINVAL;
    if (msr == MSR_APIC_BASE) {
        *ret = l->base;
        return 0;
    }
    if (msr == MSR_TSC_DEADLINE) {
        *ret = l->deadline;
        return 0;
    }
    if (msr - MSR_X2APIC > REG_SELF_IPI || !lapic_is_x2(l))
        return -EINVAL;
    if (msr - MSR_X2APIC == REG_ICR) {
        *ret = l->icr;
        return 0;
    }
    r = read_register(l, msr - MSR_X2APIC, &value);
    if (!r)
        *ret = value;
    return r;
}

int lapic_wrmsr(struct lapics *apics, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct lapic *l = cpu < apics->count ? &apics->apic[cpu] : NULL;

    if (!l)
        return -EINVAL;
    if (msr == MSR_APIC_BASE)
        return write_base(l, value);
    if (msr == MSR_TSC_DEADLINE) {
        lapic_timer_set_deadline(l, value);
        return 0;
    }
    if (msr - MSR_X2APIC > REG_SELF_IPI || !lapic_is_x2(l))
        return -EINVAL;
    if (msr - MSR_X2APIC == REG_ICR) {
        if (value & 0xfff32000u) /* reserved bits of the low half (figure 11-28) */
            return -EINVAL;
        l->icr = value & ~0x1000ull;
        lapic_send_ipi(l);
        return 0;
    }
    return value >> 32 ? -EINVAL : write_register(l, msr - MSR_X2APIC, (uint32_t)value);
}

uint8_t lapic_get_cr8(struct lapics *apics, unsigned cpu)
{
    return cpu < apics->count ? (uint8_t)(apics->apic[cpu].tpr >> 4 & 15) : 0;
}

void lapic_set_cr8(struct lapics *apics, unsigned cpu, uint8_t value)
{
    if (cpu >= apics->count)
        return;
    apics->apic[cpu].tpr = (value & 15u) << 4;
    lapic_update(&apics->apic[cpu]);
}

void lapic_tsc_changed(struct lapics *apics, unsigned cpu)
{
    if (cpu < apics->count)
        lapic_timer_rearm(&apics->apic[cpu]);
}

/* ---- state ---- */

static const struct state_field lapic_fields[] = {
    STATE_FIELD(struct lapic, base, LAPIC_BASE_ADDRESS | LAPIC_BASE_ENABLE),
    STATE_FIELD(struct lapic, tpr, 0),
    STATE_FIELD(struct lapic, ldr, 0),
    STATE_FIELD(struct lapic, dfr, UINT32_MAX),
    STATE_FIELD(struct lapic, svr, 0xff),
    STATE_ARRAY(struct lapic, isr, 0),
    STATE_ARRAY(struct lapic, tmr, 0),
    STATE_ARRAY(struct lapic, irr, 0),
    STATE_FIELD(struct lapic, esr, 0),
    STATE_FIELD(struct lapic, esr_new, 0),
    STATE_FIELD(struct lapic, icr, 0),
    STATE_ARRAY(struct lapic, lvt, LAPIC_LVT_MASKED),
    STATE_ARRAY(struct lapic, lint, 0),
    STATE_FIELD(struct lapic, extint, 0),
    STATE_FIELD(struct lapic, initial, 0),
    STATE_FIELD(struct lapic, divide, 0),
    STATE_FIELD(struct lapic, start, 0),
    STATE_FIELD(struct lapic, deadline, 0),
    STATE_GTIMER(struct lapic, timer),
};

static void after(void *dev)
{
    struct lapic *l = dev;

    l->start = min_of(l->start, (uint64_t)1 << 62);
    lapic_update(l);
}

static const struct state_table lapic_state = {.name = "lapic",
                                               .version = 1,
                                               .fields = lapic_fields,
                                               .field_count = array_size(lapic_fields),
                                               .after = after};

void lapic_reset(struct lapic *l, bool init)
{
    uint64_t base = l->base;
    uint32_t ldr = l->ldr;
    uint8_t lint[2] = {l->lint[0], l->lint[1]}; /* wires */

    state_reset(&lapic_state, l);
    if (init)
        l->base = base;
    else if (l->cpu == 0)
        l->base |= LAPIC_BASE_BSP;
    if (lapic_is_x2(l))
        l->ldr = ldr;
    memcpy(l->lint, lint, sizeof(lint));
    lapic_update(l);
}

static void device_reset_lapic(struct device *dev)
{
    lapic_reset(container_of(dev, struct lapic, dev), false);
}

static void device_free_lapic(struct device *dev)
{
    (void)dev; /* lapics_free */
}

void lapic_init(struct lapics *apics, unsigned cpu)
{
    if (cpu < apics->count)
        lapic_reset(&apics->apic[cpu], true);
}

void lapics_virtual_wire(struct lapics *apics)
{
    struct lapic *l = &apics->apic[0];

    write_svr(l, LAPIC_SVR_ENABLE | 0xff);
    write_lvt(l, LAPIC_LVT_LINT0, LAPIC_EXTINT << 8);
    write_lvt(l, LAPIC_LVT_LINT1, LAPIC_NMI << 8);
}

struct lapics *lapics_new(struct space *space, struct gclock *clock, unsigned count,
                          uint32_t tsc_khz, const struct lapic_ops *ops, struct error *err)
{
    struct lapics *apics = NULL;

    if (count && count <= LAPIC_MAX && tsc_khz)
        apics = mem_alloc(1, sizeof(*apics) + count * sizeof(apics->apic[0]));
    if (!apics) {
        error_set(err, -ENOMEM, "create %u local APICs: out of memory, or a bad count or rate",
                  count);
        return NULL;
    }
    apics->space = space;
    apics->clock = clock;
    apics->ops = *ops;
    apics->tsc_khz = tsc_khz;
    apics->count = count;
    for (unsigned i = 0; i < count; i++) {
        struct lapic *l = &apics->apic[i];
        l->dev = (struct device){
            .state = &lapic_state, .reset = device_reset_lapic, .free = device_free_lapic};
        snprintf(l->dev.name, sizeof(l->dev.name), "lapic%u", i);
        l->apics = apics;
        l->cpu = i;
        lapic_timer_set_up(l);
        lapic_reset(l, false);
    }
    apics->range =
        space_map_mmio(space, "lapic", LAPIC_BASE_ADDRESS, 0x1000, &lapic_mmio, apics, 0, err);
    if (!apics->range) {
        lapics_free(apics);
        return NULL;
    }
    return apics;
}

void lapics_free(struct lapics *apics)
{
    if (!apics)
        return;
    for (unsigned i = 0; i < apics->count; i++)
        gtimer_clear(&apics->apic[i].timer);
    space_unmap(apics->space, apics->range);
    free(apics);
}

struct device *lapic_device(struct lapics *apics, unsigned cpu)
{
    return cpu < apics->count ? &apics->apic[cpu].dev : NULL;
}

/* The vectors whose bits are set. */
static void show_vectors(struct str *out, const char *what, const uint32_t bits[8])
{
    bool any = false;

    for (unsigned v = 0; v < 256; v++)
        if (bits[v / 32] >> v % 32 & 1) {
            str_addf(out, "%s%02x", any ? " " : what, v);
            any = true;
        }
}

void lapic_show(const struct lapics *apics, unsigned cpu, struct str *out)
{
    static const char *const names[LAPIC_LVTS] = {"timer", "thermal", "perf",
                                                  "LINT0", "LINT1",   "error"};
    static const char *const modes[] = {"fixed", "lowest", "SMI", "-",
                                        "NMI",   "INIT",   "-",   "ExtINT"};
    const struct lapic *l = &apics->apic[cpu];

    str_addf(out, "local APIC %u: %s%s, priority 0x%02x", cpu, lapic_is_on(l) ? "on" : "off",
             lapic_is_x2(l) ? " (x2APIC)" : "", lapic_priority(l));
    show_vectors(out, ", waiting ", l->irr);
    show_vectors(out, ", in service ", l->isr);
    str_add_char(out, '\n');
    for (unsigned i = 0; i < LAPIC_LVTS; i++)
        if (!(l->lvt[i] & LAPIC_LVT_MASKED))
            str_addf(out, "  %s vector 0x%02x %s%s%s\n", names[i], l->lvt[i] & 0xff,
                     modes[l->lvt[i] >> 8 & 7],
                     i == LAPIC_LVT_TIMER && l->lvt[i] & LAPIC_TIMER_PERIODIC ? ", periodic" : "",
                     i == LAPIC_LVT_TIMER && l->lvt[i] & LAPIC_TIMER_DEADLINE ? ", TSC deadline"
                                                                              : "");
}

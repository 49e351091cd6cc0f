/* SPDX-License-Identifier: Apache-2.0 */
/* Local APICs and the I/O APIC, wired together as on a board. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "device/ioapic.h"
#include "device/lapic.h"
#include "rig.h"

enum { CPUS = 4, LAPIC = 0xfee00000u, IOAPIC = 0xfec00000u };
#define TSC_KHZ 2000000u

struct processor {
    int intr;
    unsigned nmi, init, sipi;
    uint8_t sipi_vector;
};

struct fixture {
    struct rig rig;
    struct lapics *apics;
    struct ioapic *io;
    struct processor cpu[CPUS];
    uint8_t pic_vector;
    int64_t tsc_offset;
};

static void cpu_intr(void *opaque, unsigned cpu, int level)
{
    ((struct fixture *)opaque)->cpu[cpu].intr = level;
}

static void cpu_nmi(void *opaque, unsigned cpu)
{
    ((struct fixture *)opaque)->cpu[cpu].nmi++;
}

static void cpu_init(void *opaque, unsigned cpu)
{
    ((struct fixture *)opaque)->cpu[cpu].init++;
}

static void cpu_sipi(void *opaque, unsigned cpu, uint8_t vector)
{
    ((struct fixture *)opaque)->cpu[cpu].sipi++;
    ((struct fixture *)opaque)->cpu[cpu].sipi_vector = vector;
}

static void eoi(void *opaque, uint8_t vector)
{
    ioapic_eoi(((struct fixture *)opaque)->io, vector);
}

static uint8_t extint_ack(void *opaque)
{
    return ((struct fixture *)opaque)->pic_vector;
}

static uint64_t tsc(void *opaque, unsigned cpu)
{
    struct fixture *f = opaque;
    return gclock_now(f->rig.clock) * 2 + (uint64_t)f->tsc_offset;
}

static void write_reg(struct fixture *f, unsigned cpu, unsigned offset, uint32_t value)
{
    lapics_select(f->apics, cpu);
    space_store(f->rig.space, LAPIC + offset, 4, value);
}

static uint32_t read_reg(struct fixture *f, unsigned cpu, unsigned offset)
{
    lapics_select(f->apics, cpu);
    return (uint32_t)space_load(f->rig.space, LAPIC + offset, 4);
}

static int ack(struct fixture *f, unsigned cpu)
{
    return lapic_ack(f->apics, cpu);
}

static void end(struct fixture *f, unsigned cpu)
{
    write_reg(f, cpu, 0xb0, 0);
}

static void redirect(struct fixture *f, unsigned pin, uint64_t entry)
{
    space_store(f->rig.space, IOAPIC, 4, 0x11 + 2 * pin);
    space_store(f->rig.space, IOAPIC + 0x10, 4, entry >> 32);
    space_store(f->rig.space, IOAPIC, 4, 0x10 + 2 * pin);
    space_store(f->rig.space, IOAPIC + 0x10, 4, (uint32_t)entry);
}

static uint32_t redirection(struct fixture *f, unsigned pin)
{
    space_store(f->rig.space, IOAPIC, 4, 0x10 + 2 * pin);
    return (uint32_t)space_load(f->rig.space, IOAPIC + 0x10, 4);
}

static void pin(struct fixture *f, unsigned n, int level)
{
    struct irq_line line = ioapic_input(f->io, n);
    irq_set(&line, level);
}

static int set_up(void **state)
{
    static struct fixture f;
    const struct lapic_ops ops = {.intr = cpu_intr,
                                  .nmi = cpu_nmi,
                                  .init = cpu_init,
                                  .sipi = cpu_sipi,
                                  .eoi = eoi,
                                  .extint_ack = extint_ack,
                                  .tsc = tsc,
                                  .opaque = &f};
    struct msi_sink msi;

    memset(&f, 0, sizeof(f));
    rig_set_up(&f.rig);
    f.apics = lapics_new(f.rig.space, f.rig.clock, CPUS, TSC_KHZ, &ops, NULL);
    assert_non_null(f.apics);
    msi = lapics_msi_sink(f.apics);
    f.io = ioapic_new(f.rig.space, IOAPIC, &msi, NULL);
    assert_non_null(f.io);
    for (unsigned i = 0; i < CPUS; i++)
        write_reg(&f, i, 0xf0, 0x1ff);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    ioapic_device(f->io)->free(ioapic_device(f->io));
    lapics_free(f->apics);
    rig_tear_down(&f->rig);
    return 0;
}

static void identifies_itself(void **state)
{
    struct fixture *f = *state;
    uint64_t base;

    assert_int_equal(read_reg(f, 0, 0x20), 0);
    assert_int_equal(read_reg(f, 3, 0x20), 3u << 24);
    assert_int_equal(read_reg(f, 0, 0x30) & 0xff00ff, 0x050014);
    assert_int_equal(lapic_rdmsr(f->apics, 0, 0x1b, &base), 0);
    assert_int_equal(base, 0xfee00900);
    assert_int_equal(lapic_rdmsr(f->apics, 1, 0x1b, &base), 0);
    assert_int_equal(base, 0xfee00800);
    assert_true(lapic_wrmsr(f->apics, 0, 0x1b, 0xfee00500) < 0); /* x2APIC without enable */
    assert_true(lapic_wrmsr(f->apics, 0, 0x1b, 0xfed00900) < 0); /* the page stays */
    assert_true(lapic_rdmsr(f->apics, 0, 0x802, &base) < 0);     /* not in x2APIC mode */
}

static void software_disabled_keeps_quiet(void **state)
{
    struct fixture *f = *state;

    write_reg(f, 1, 0xf0, 0xff);
    lapic_inject(f->apics, 1, 0x50);
    assert_int_equal(f->cpu[1].intr, 0);
    write_reg(f, 1, 0x320, 0x20); /* LVT entries are forced masked */
    assert_int_equal(read_reg(f, 1, 0x320), 0x10020);
}

static void priorities(void **state)
{
    struct fixture *f = *state;

    lapic_inject(f->apics, 0, 0x51);
    lapic_inject(f->apics, 0, 0x62);
    assert_int_equal(f->cpu[0].intr, 1);
    assert_int_equal(ack(f, 0), 0x62);
    assert_int_equal(read_reg(f, 0, 0xa0), 0x60);
    assert_int_equal(f->cpu[0].intr, 0); /* 0x51 waits */
    lapic_inject(f->apics, 0, 0x6f);     /* same class waits too */
    assert_int_equal(f->cpu[0].intr, 0);
    lapic_inject(f->apics, 0, 0x70);
    assert_int_equal(ack(f, 0), 0x70);
    end(f, 0);
    end(f, 0);
    assert_int_equal(ack(f, 0), 0x6f);
    end(f, 0);
    lapic_set_cr8(f->apics, 0, 5);
    assert_int_equal(read_reg(f, 0, 0x80), 0x50);
    assert_int_equal(f->cpu[0].intr, 0);
    assert_int_equal(ack(f, 0), -1);
    write_reg(f, 0, 0x80, 0x4f);
    assert_int_equal(lapic_get_cr8(f->apics, 0), 4);
    assert_int_equal(ack(f, 0), 0x51);
    assert_int_equal(read_reg(f, 0, 0x100 + 0x20), 1u << (0x51 - 0x40));
    end(f, 0);
    assert_int_equal(read_reg(f, 0, 0xa0), 0x4f);
}

static void one_shot_timer(void **state)
{
    struct fixture *f = *state;

    write_reg(f, 0, 0x320, 0x40);
    write_reg(f, 0, 0x3e0, 3); /* divide by 16 */
    write_reg(f, 0, 0x380, 1000);
    rig_pass(&f->rig, 8000);
    assert_int_equal(read_reg(f, 0, 0x390), 500);
    write_reg(f, 0, 0x3e0, 0xb); /* divide by 1: goes on from 500 */
    rig_pass(&f->rig, 499);
    assert_int_equal(f->cpu[0].intr, 0);
    assert_int_equal(read_reg(f, 0, 0x390), 1);
    rig_pass(&f->rig, 1);
    assert_int_equal(ack(f, 0), 0x40);
    assert_int_equal(read_reg(f, 0, 0x390), 0);
    end(f, 0);
    rig_pass(&f->rig, 100000);
    assert_int_equal(f->cpu[0].intr, 0);
    write_reg(f, 0, 0x320, 0x10040); /* masked */
    write_reg(f, 0, 0x380, 10);
    rig_pass(&f->rig, 100);
    assert_int_equal(f->cpu[0].intr, 0);
}

static void periodic_timer(void **state)
{
    struct fixture *f = *state;
    unsigned ticks = 0;

    write_reg(f, 0, 0x3e0, 0xb);
    write_reg(f, 0, 0x320, 0x20040);
    write_reg(f, 0, 0x380, 1000000);
    for (unsigned i = 0; i < 100; i++) {
        rig_pass(&f->rig, 100000);
        if (ack(f, 0) == 0x40) {
            ticks++;
            end(f, 0);
        }
    }
    assert_int_equal(ticks, 10);
    write_reg(f, 0, 0x380, 0);
    rig_pass(&f->rig, 10000000);
    assert_int_equal(f->cpu[0].intr, 0);
    assert_int_equal(gclock_next(f->rig.clock), UINT64_MAX);
}

static void tsc_deadline_timer(void **state)
{
    struct fixture *f = *state;
    uint64_t value, now = tsc(f, 2);

    assert_int_equal(lapic_wrmsr(f->apics, 2, 0x6e0, now + 100), 0); /* ignored in this mode */
    assert_int_equal(gclock_next(f->rig.clock), UINT64_MAX);
    write_reg(f, 2, 0x320, 0x40041);
    write_reg(f, 2, 0x380, 5); /* ignored in this one */
    assert_int_equal(lapic_wrmsr(f->apics, 2, 0x6e0, now + 20001), 0);
    rig_pass(&f->rig, 10000);
    assert_int_equal(f->cpu[2].intr, 0);
    assert_int_equal(lapic_rdmsr(f->apics, 2, 0x6e0, &value), 0);
    assert_int_equal(value, now + 20001);
    rig_pass(&f->rig, 2);
    assert_int_equal(ack(f, 2), 0x41);
    lapic_rdmsr(f->apics, 2, 0x6e0, &value);
    assert_int_equal(value, 0);
    end(f, 2);
    assert_int_equal(lapic_wrmsr(f->apics, 2, 0x6e0, 1), 0); /* long past: at once */
    assert_int_equal(ack(f, 2), 0x41);
    end(f, 2);
    now = tsc(f, 2);
    lapic_wrmsr(f->apics, 2, 0x6e0, now + 2000000);
    f->tsc_offset = 1999000; /* the guest moves its TSC forward */
    lapic_tsc_changed(f->apics, 2);
    rig_pass(&f->rig, 502);
    assert_int_equal(ack(f, 2), 0x41);
    end(f, 2);
    lapic_wrmsr(f->apics, 2, 0x6e0, UINT64_MAX); /* never */
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(f->cpu[2].intr, 0);
}

static void icr(struct fixture *f, unsigned cpu, uint8_t dest, uint32_t low)
{
    write_reg(f, cpu, 0x310, (uint32_t)dest << 24);
    write_reg(f, cpu, 0x300, low);
}

static void ipis(void **state)
{
    struct fixture *f = *state;

    icr(f, 0, 2, 0x4050);
    assert_int_equal(ack(f, 2), 0x50);
    assert_int_equal(f->cpu[1].intr, 0);
    end(f, 2);
    icr(f, 0, 0, 0xc4051); /* all but self */
    assert_int_equal(f->cpu[0].intr, 0);
    for (unsigned i = 1; i < CPUS; i++) {
        assert_int_equal(ack(f, i), 0x51);
        end(f, i);
    }
    icr(f, 1, 0, 0x44052); /* self */
    assert_int_equal(ack(f, 1), 0x52);
    end(f, 1);
    icr(f, 1, 0xff, 0x4053); /* broadcast */
    for (unsigned i = 0; i < CPUS; i++) {
        assert_int_equal(ack(f, i), 0x53);
        end(f, i);
    }
    icr(f, 0, 3, 0x4400);
    assert_int_equal(f->cpu[3].nmi, 1);
    icr(f, 0, 9, 0x4054); /* nobody */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(f->cpu[i].intr, 0);
}

static void init_and_startup(void **state)
{
    struct fixture *f = *state;
    uint64_t base;

    write_reg(f, 1, 0x80, 0x20);
    icr(f, 0, 1, 0xc500);
    assert_int_equal(f->cpu[1].init, 1);
    assert_int_equal(read_reg(f, 1, 0x80), 0);
    assert_int_equal(read_reg(f, 1, 0xf0), 0xff);
    icr(f, 0, 1, 0x8500); /* level de-assert: nothing */
    assert_int_equal(f->cpu[1].init, 1);
    icr(f, 0, 1, 0x4699);
    assert_int_equal(f->cpu[1].sipi, 1);
    assert_int_equal(f->cpu[1].sipi_vector, 0x99);
    lapic_rdmsr(f->apics, 0, 0x1b, &base);
    assert_int_equal(base & 0x100, 0x100);
}

static void logical_flat_and_cluster(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < CPUS; i++)
        write_reg(f, i, 0xd0, 0x01000000u << i);
    icr(f, 0, 0x0a, 0x4860);
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(f->cpu[i].intr, i & 1);
    ack(f, 1), end(f, 1), ack(f, 3), end(f, 3);
    for (unsigned i = 0; i < CPUS; i++) {
        write_reg(f, i, 0xe0, 0x0fffffff);
        write_reg(f, i, 0xd0, (i >> 1) << 28 | (1u << (i & 1)) << 24);
    }
    icr(f, 0, 0x12, 0x4861); /* cluster 1, second member */
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(f->cpu[i].intr, i == 3);
}

static void lowest_priority_goes_to_one(void **state)
{
    struct fixture *f = *state;
    unsigned got[CPUS] = {0};

    for (unsigned i = 0; i < CPUS; i++)
        write_reg(f, i, 0xd0, 0x01000000u << i);
    write_reg(f, 2, 0x80, 0x10); /* busier than the others */
    for (unsigned n = 0; n < 30; n++) {
        icr(f, 0, 0x0f, 0x4970);
        for (unsigned i = 0; i < CPUS; i++) {
            if (ack(f, i) == 0x70) {
                got[i]++;
                end(f, i);
            }
        }
    }
    assert_int_equal(got[0], 10);
    assert_int_equal(got[1], 10);
    assert_int_equal(got[2], 0);
    assert_int_equal(got[3], 10);
}

static void errors(void **state)
{
    struct fixture *f = *state;

    write_reg(f, 0, 0x370, 0x44);
    icr(f, 0, 1, 0x4005); /* vector 5 cannot be sent */
    assert_int_equal(ack(f, 0), 0x44);
    end(f, 0);
    assert_int_equal(read_reg(f, 0, 0x280), 0);
    write_reg(f, 0, 0x280, 0);
    assert_int_equal(read_reg(f, 0, 0x280), 0x20);
    lapic_inject(f->apics, 0, 3);
    read_reg(f, 0, 0x3f0); /* no such register */
    write_reg(f, 0, 0x280, 0);
    assert_int_equal(read_reg(f, 0, 0x280), 0xc0);
}

static void x2apic(void **state)
{
    struct fixture *f = *state;
    uint64_t value;

    assert_int_equal(lapic_wrmsr(f->apics, 3, 0x1b, 0xfee00c00), 0);
    assert_int_equal(read_reg(f, 3, 0x20), UINT32_MAX); /* no MMIO any more */
    assert_int_equal(lapic_rdmsr(f->apics, 3, 0x802, &value), 0);
    assert_int_equal(value, 3);
    assert_int_equal(lapic_rdmsr(f->apics, 3, 0x80d, &value), 0);
    assert_int_equal(value, 8);
    assert_true(lapic_wrmsr(f->apics, 3, 0x80d, 1) < 0);
    assert_true(lapic_wrmsr(f->apics, 3, 0x80b, 1) < 0); /* EOI takes zero only */
    assert_true(lapic_wrmsr(f->apics, 3, 0x808, 0x100) < 0);
    assert_true(lapic_rdmsr(f->apics, 3, 0x80e, &value) < 0); /* no DFR */
    assert_true(lapic_rdmsr(f->apics, 3, 0x831, &value) < 0);
    assert_true(lapic_rdmsr(f->apics, 3, 0x8ff, &value) < 0);
    assert_int_equal(lapic_wrmsr(f->apics, 3, 0x830, 0x100000050), 0); /* to 1, by 32-bit id */
    assert_int_equal(ack(f, 1), 0x50);
    assert_int_equal(lapic_wrmsr(f->apics, 3, 0x83f, 0x61), 0); /* self IPI */
    assert_int_equal(ack(f, 3), 0x61);
    assert_int_equal(lapic_wrmsr(f->apics, 3, 0x80b, 0), 0);
    icr(f, 0, 3, 0x4062); /* an xAPIC sender reaches it */
    assert_int_equal(ack(f, 3), 0x62);
    lapic_wrmsr(f->apics, 3, 0x80b, 0);
    assert_int_equal(lapic_wrmsr(f->apics, 3, 0x830, 0x800000863),
                     0); /* logical cluster 0, bit 3 */
    assert_int_equal(ack(f, 3), 0x63);
    assert_true(lapic_wrmsr(f->apics, 3, 0x1b, 0xfee00800) < 0); /* only by way of disabled */
    assert_int_equal(lapic_wrmsr(f->apics, 3, 0x1b, 0xfee00000), 0);
    assert_int_equal(lapic_wrmsr(f->apics, 3, 0x1b, 0xfee00800), 0);
    assert_int_equal(read_reg(f, 3, 0xf0), 0xff);
}

static void pic_through_lint0(void **state)
{
    struct fixture *f = *state;
    struct irq_line lint0 = lapics_lint0(f->apics), lint1 = lapics_lint1(f->apics);

    f->pic_vector = 0x08;
    irq_set(&lint0, 1);
    assert_int_equal(f->cpu[0].intr, 0); /* masked */
    lapics_virtual_wire(f->apics);
    assert_int_equal(f->cpu[0].intr, 1);
    assert_int_equal(f->cpu[1].intr, 0);
    write_reg(f, 0, 0x80, 0xf0); /* ExtINT does not look at priorities */
    assert_int_equal(ack(f, 0), 0x08);
    irq_set(&lint0, 0);
    assert_int_equal(f->cpu[0].intr, 0);
    irq_set(&lint1, 1);
    irq_set(&lint1, 1);
    assert_int_equal(f->cpu[0].nmi, 1);
    assert_int_equal(f->cpu[1].nmi, 0);
    lapic_wrmsr(f->apics, 0, 0x1b, 0xfee00100); /* APIC off: the pin is INTR */
    irq_set(&lint0, 1);
    assert_int_equal(f->cpu[0].intr, 1);
    assert_int_equal(ack(f, 0), 0x08);
}

static void level_lint(void **state)
{
    struct fixture *f = *state;
    struct irq_line lint0 = lapics_lint0(f->apics);

    write_reg(f, 0, 0x350, 0x8045); /* fixed, level */
    irq_set(&lint0, 1);
    assert_int_equal(read_reg(f, 0, 0x350), 0xc045);
    assert_int_equal(ack(f, 0), 0x45);
    end(f, 0);
    assert_int_equal(ack(f, 0), 0x45); /* still asks */
    irq_set(&lint0, 0);
    end(f, 0);
    assert_int_equal(f->cpu[0].intr, 0);
    assert_int_equal(read_reg(f, 0, 0x350), 0x8045);
}

static void ioapic_edge(void **state)
{
    struct fixture *f = *state;

    space_store(f->rig.space, IOAPIC, 4, 1);
    assert_int_equal(space_load(f->rig.space, IOAPIC + 0x10, 4), 0x00170020);
    pin(f, 4, 1); /* masked: lost */
    redirect(f, 4, 2ull << 56 | 0x34);
    assert_int_equal(f->cpu[2].intr, 0);
    pin(f, 4, 0);
    pin(f, 4, 1);
    assert_int_equal(ack(f, 2), 0x34);
    end(f, 2);
    assert_int_equal(f->cpu[2].intr, 0);
    pin(f, 4, 0);
    pin(f, 4, 1);
    assert_int_equal(ack(f, 2), 0x34);
}

static void ioapic_level(void **state)
{
    struct fixture *f = *state;

    redirect(f, 11, 1ull << 56 | 0x8045);
    pin(f, 11, 1);
    assert_int_equal(redirection(f, 11), 0xc045); /* remote IRR */
    assert_int_equal(ack(f, 1), 0x45);
    pin(f, 11, 0);
    pin(f, 11, 1); /* nothing new before the EOI */
    end(f, 1);
    assert_int_equal(ack(f, 1), 0x45); /* still asserted: again */
    pin(f, 11, 0);
    end(f, 1);
    assert_int_equal(f->cpu[1].intr, 0);
    assert_int_equal(redirection(f, 11), 0x8045);
    redirect(f, 11, 1ull << 56 | 0x18045);
    pin(f, 11, 1);
    assert_int_equal(f->cpu[1].intr, 0);
    redirect(f, 11, 1ull << 56 | 0x8045); /* unmasked while asking */
    assert_int_equal(ack(f, 1), 0x45);
    redirect(f, 11, 1ull << 56 | 0x0045); /* a change to edge clears remote IRR */
    assert_int_equal(redirection(f, 11), 0x0045);
}

static void ioapic_eoi_register(void **state)
{
    struct fixture *f = *state;

    write_reg(f, 1, 0xf0, 0x11ff); /* no EOI broadcast */
    redirect(f, 11, 1ull << 56 | 0x8045);
    pin(f, 11, 1);
    assert_int_equal(ack(f, 1), 0x45);
    end(f, 1);
    assert_int_equal(f->cpu[1].intr, 0);
    space_store(f->rig.space, IOAPIC + 0x40, 4, 0x45);
    assert_int_equal(ack(f, 1), 0x45);
}

static void ioapic_extint_and_nmi(void **state)
{
    struct fixture *f = *state;

    f->pic_vector = 0x30;
    redirect(f, 0, 0x700);
    pin(f, 0, 1);
    assert_int_equal(ack(f, 0), 0x30);
    assert_int_equal(f->cpu[0].intr, 0);
    redirect(f, 1, 3ull << 56 | 0x400);
    pin(f, 1, 1);
    assert_int_equal(f->cpu[3].nmi, 1);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(identifies_itself),
                                       test(software_disabled_keeps_quiet),
                                       test(priorities),
                                       test(one_shot_timer),
                                       test(periodic_timer),
                                       test(tsc_deadline_timer),
                                       test(ipis),
                                       test(init_and_startup),
                                       test(logical_flat_and_cluster),
                                       test(lowest_priority_goes_to_one),
                                       test(errors),
                                       test(x2apic),
                                       test(pic_through_lint0),
                                       test(level_lint),
                                       test(ioapic_edge),
                                       test(ioapic_level),
                                       test(ioapic_eoi_register),
                                       test(ioapic_extint_and_nmi)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

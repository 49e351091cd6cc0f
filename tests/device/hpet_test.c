/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "device/hpet.h"
#include "rig.h"

enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0 };
#define BASE 0xfed00000u
/* Wires of the test: 0..31 the I/O APIC's pins, 40 and 48 where IRQ 0 and 8 go on to. */

struct fixture {
    struct rig rig;
    struct hpet *hpet;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct irq_line gsi, irq0, irq8;
    struct msi_sink msi;

    rig_set_up(&f.rig);
    gsi = rig_line(&f.rig, 0);
    irq0 = rig_line(&f.rig, 40);
    irq8 = rig_line(&f.rig, 48);
    msi = rig_msi(&f.rig);
    f.hpet = hpet_new(f.rig.space, BASE, f.rig.clock, &gsi, &irq0, &irq8, &msi, NULL);
    assert_non_null(f.hpet);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    hpet_device(f->hpet)->free(hpet_device(f->hpet));
    rig_tear_down(&f->rig);
    return 0;
}

static uint64_t get(struct fixture *f, unsigned reg)
{
    return space_load(f->rig.space, BASE + reg, 8);
}

static void put(struct fixture *f, unsigned reg, uint64_t value)
{
    space_store(f->rig.space, BASE + reg, 8, value);
}

static void counter_runs_when_enabled(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0) >> 32, 10000000); /* 10 ns in femtoseconds */
    assert_int_equal(get(f, 0) & 0xffff, 0xa201);
    rig_pass(&f->rig, 1000);
    assert_int_equal(get(f, COUNTER), 0);
    put(f, COUNTER, 0xfffffffffffffff0);
    put(f, CONFIG, 1);
    rig_pass(&f->rig, 1000);
    assert_int_equal(get(f, COUNTER), 84);
    assert_int_equal(space_load(f->rig.space, BASE + COUNTER, 4), 84);
    put(f, CONFIG, 0);
    rig_pass(&f->rig, 1000);
    assert_int_equal(get(f, COUNTER), 84);
    space_store(f->rig.space, BASE + COUNTER + 4, 4, 7);
    assert_int_equal(get(f, COUNTER), 7ull << 32 | 84);
    put(f, CONFIG, 1);
    rig_pass(&f->rig, 10);
    assert_int_equal(get(f, COUNTER), 7ull << 32 | 85);
}

static void one_shot_edge_and_level(void **state)
{
    struct fixture *f = *state;

    put(f, 0x100, 1ull << 2 | 2 << 9); /* timer 0, edge, to pin 2 */
    put(f, 0x108, 100);
    put(f, CONFIG, 1);
    rig_pass(&f->rig, 999);
    assert_int_equal(f->rig.wire[2].rises, 0);
    rig_pass(&f->rig, 1);
    assert_int_equal(f->rig.wire[2].rises, 1);
    assert_int_equal(get(f, STATUS), 0);
    put(f, 0x100, 1ull << 2 | 3 << 9); /* the old route is let go */
    assert_int_equal(f->rig.wire[2].level, 0);
    put(f, 0x120, 1ull << 1 | 1 << 2 | 16 << 9); /* timer 1, level, to pin 16 */
    put(f, 0x128, 200);
    rig_pass(&f->rig, 1000);
    assert_int_equal(f->rig.wire[16].level, 1);
    assert_int_equal(get(f, STATUS), 2);
    put(f, STATUS, 1);
    assert_int_equal(f->rig.wire[16].level, 1);
    put(f, STATUS, 2);
    assert_int_equal(f->rig.wire[16].level, 0);
    assert_int_equal(get(f, STATUS), 0);
    assert_int_equal(f->rig.wire[2].rises, 1);
}

static void narrow_one_shot_matches_each_round(void **state)
{
    struct fixture *f = *state;

    put(f, 0x100, 1 << 2 | 1 << 8 | 2 << 9);
    put(f, 0x108, 100);
    put(f, CONFIG, 1);
    rig_pass(&f->rig, 42000000000);
    assert_int_equal(f->rig.wire[2].rises, 1);
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(f->rig.wire[2].rises, 2);
}

static void periodic(void **state)
{
    struct fixture *f = *state;

    put(f, CONFIG, 1);
    put(f, 0x100, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 8 | 16 << 9); /* 32 bits, set value */
    put(f, 0x108, 50000);
    put(f, 0x108, 10000);
    assert_int_equal(get(f, 0x108), 50000);
    rig_pass(&f->rig, 500000);
    assert_int_equal(f->rig.wire[16].rises, 1);
    rig_pass(&f->rig, 1000000);
    assert_int_equal(f->rig.wire[16].rises, 11);
    put(f, 0x100, 0);
    rig_pass(&f->rig, 1000000);
    assert_int_equal(f->rig.wire[16].rises, 11);
}

static void fsb_delivery(void **state)
{
    struct fixture *f = *state;

    put(f, 0x150, 0xfee0200000004031);
    put(f, 0x140, 1 << 2 | 1 << 14);
    put(f, 0x148, 10);
    put(f, CONFIG, 1);
    rig_pass(&f->rig, 100);
    assert_int_equal(f->rig.messages, 1);
    assert_int_equal(f->rig.msi_address, 0xfee02000);
    assert_int_equal(f->rig.msi_data, 0x4031);
}

static void legacy_replacement(void **state)
{
    struct fixture *f = *state;
    struct irq_line pit = hpet_irq0_input(f->hpet), rtc = hpet_irq8_input(f->hpet);

    irq_set(&pit, 1);
    assert_int_equal(f->rig.wire[40].level, 1);
    irq_set(&pit, 0);
    put(f, CONFIG, 2);
    irq_set(&pit, 1);
    irq_set(&rtc, 1);
    assert_int_equal(f->rig.wire[40].level, 0);
    assert_int_equal(f->rig.wire[48].level, 0);
    put(f, 0x100, 1 << 2 | 20 << 9); /* the route does not matter */
    put(f, 0x108, 100);
    put(f, CONFIG, 3);
    rig_pass(&f->rig, 1000);
    assert_int_equal(f->rig.wire[40].rises, 2);
    assert_int_equal(f->rig.wire[20].rises, 0);
    put(f, CONFIG, 0);
    assert_int_equal(f->rig.wire[40].level, 1); /* the 8254 is back */
    assert_int_equal(f->rig.wire[48].level, 1);
}

static void odd_accesses(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(space_load(f->rig.space, BASE, 2), 0);
    space_store(f->rig.space, BASE + CONFIG, 1, 1);
    assert_int_equal(get(f, CONFIG), 0);
    assert_int_equal(get(f, 0x3f8), 0);
    put(f, 0x160, UINT64_MAX); /* no timer 3 */
    assert_int_equal(get(f, 0x160), 0);
    put(f, 0x100, UINT64_MAX);
    put(f, 0x108, 0);
    put(f, 0x108, 1); /* 100 MHz of interrupts are slowed down */
    put(f, CONFIG, UINT64_MAX);
    rig_pass(&f->rig, 10000000);
    assert_in_range(f->rig.messages, 400, 501);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(counter_runs_when_enabled),
                                       test(one_shot_edge_and_level),
                                       test(narrow_one_shot_matches_each_round),
                                       test(periodic),
                                       test(fsb_delivery),
                                       test(legacy_replacement),
                                       test(odd_accesses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

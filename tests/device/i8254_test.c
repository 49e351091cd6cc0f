/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "device/i8254.h"
#include "rig.h"

struct fixture {
    struct rig rig;
    struct i8254 *pit;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct irq_line line;

    rig_set_up(&f.rig);
    line = rig_line(&f.rig, 0);
    f.pit = i8254_new(f.rig.ports, f.rig.clock, &line, NULL);
    assert_non_null(f.pit);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    i8254_device(f->pit)->free(i8254_device(f->pit));
    rig_tear_down(&f->rig);
    return 0;
}

/* Moves time to the middle of clock @n from now on, so that rounding does not matter. */
static void clocks(struct fixture *f, uint64_t n)
{
    rig_pass(&f->rig, (n * 1000000000 + 1193181) / 1193182);
}

static void program(struct fixture *f, unsigned counter, unsigned mode, uint16_t count)
{
    rig_out(&f->rig, 0x43, (uint8_t)(counter << 6 | 3 << 4 | mode << 1));
    rig_out(&f->rig, (uint16_t)(0x40 + counter), (uint8_t)count);
    rig_out(&f->rig, (uint16_t)(0x40 + counter), (uint8_t)(count >> 8));
}

static uint16_t latched(struct fixture *f, unsigned counter)
{
    uint16_t low;

    rig_out(&f->rig, 0x43, (uint8_t)(counter << 6));
    low = rig_in(&f->rig, (uint16_t)(0x40 + counter));
    return (uint16_t)(low | rig_in(&f->rig, (uint16_t)(0x40 + counter)) << 8);
}

static bool out2(struct fixture *f)
{
    return rig_in(&f->rig, 0x61) & 0x20;
}

static void gate2(struct fixture *f, bool on)
{
    rig_out(&f->rig, 0x61, on);
}

static void mode0_interrupts_once(void **state)
{
    struct fixture *f = *state;

    program(f, 0, 0, 100);
    assert_int_equal(f->rig.wire[0].level, 0);
    clocks(f, 100); /* one more clock loads the counter */
    assert_int_equal(f->rig.wire[0].level, 0);
    clocks(f, 1);
    assert_int_equal(f->rig.wire[0].level, 1);
    assert_int_equal(latched(f, 0), 0);
    clocks(f, 70000);
    assert_int_equal(f->rig.wire[0].rises, 2); /* the first is OUT high at power-up */
    assert_int_equal(latched(f, 0), (uint16_t)-70000);
}

static void mode0_gate_and_half_written_count(void **state)
{
    struct fixture *f = *state;

    gate2(f, true);
    program(f, 2, 0, 1000);
    clocks(f, 101);
    assert_int_equal(latched(f, 2), 900);
    gate2(f, false);
    clocks(f, 500);
    assert_int_equal(latched(f, 2), 900);
    gate2(f, true);
    clocks(f, 900);
    assert_true(out2(f));
    rig_out(&f->rig, 0x42, 5); /* the first byte makes OUT fall */
    assert_false(out2(f));
    clocks(f, 100);
    assert_false(out2(f));
    rig_out(&f->rig, 0x42, 0);
    clocks(f, 6);
    assert_true(out2(f));
}

static void mode1_is_triggered_by_the_gate(void **state)
{
    struct fixture *f = *state;

    program(f, 2, 1, 10);
    clocks(f, 50);
    assert_true(out2(f));
    gate2(f, true);
    clocks(f, 1);
    assert_false(out2(f));
    gate2(f, false); /* the gate's level does not matter */
    clocks(f, 9);
    assert_false(out2(f));
    clocks(f, 1);
    assert_true(out2(f));
    gate2(f, true);
    clocks(f, 5);
    gate2(f, false);
    gate2(f, true); /* retriggered */
    clocks(f, 10);
    assert_false(out2(f));
    clocks(f, 1);
    assert_true(out2(f));
}

static void mode2_ticks_at_its_period(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    program(f, 0, 2, 11932);
    before = f->rig.wire[0].rises;
    rig_pass(&f->rig, 1000000000);
    assert_in_range(f->rig.wire[0].rises - before, 99, 100);
}

static void mode2_takes_new_count_at_cycle_end(void **state)
{
    struct fixture *f = *state;

    gate2(f, true);
    program(f, 2, 2, 100);
    clocks(f, 41);
    assert_int_equal(latched(f, 2), 60);
    rig_out(&f->rig, 0x42, 50);
    rig_out(&f->rig, 0x42, 0);
    assert_int_equal(latched(f, 2), 60);
    clocks(f, 60);
    assert_int_equal(latched(f, 2), 50);
    clocks(f, 49);
    assert_false(out2(f)); /* low for the last clock */
    clocks(f, 1);
    assert_true(out2(f));
    assert_int_equal(latched(f, 2), 50);
    clocks(f, 20);
    gate2(f, false); /* OUT high at once, and a rising gate starts over */
    assert_true(out2(f));
    gate2(f, true);
    clocks(f, 1);
    assert_int_equal(latched(f, 2), 50);
}

static void mode3_is_a_square(void **state)
{
    struct fixture *f = *state;

    gate2(f, true);
    program(f, 2, 3, 11); /* 6 clocks high, 5 low; counts by two from 10 */
    clocks(f, 1);
    for (unsigned cycle = 0; cycle < 3; cycle++) {
        for (unsigned i = 0; i < 11; i++) {
            assert_int_equal(out2(f), i < 6);
            assert_int_equal(latched(f, 2), 10 - 2 * (i < 6 ? i : i - 6));
            clocks(f, 1);
        }
    }
}

static void mode3_takes_new_count_at_half_cycle(void **state)
{
    struct fixture *f = *state;

    gate2(f, true);
    program(f, 2, 3, 20);
    clocks(f, 5);
    rig_out(&f->rig, 0x42, 8);
    rig_out(&f->rig, 0x42, 0);
    clocks(f, 6); /* the high half of 10 ends */
    assert_false(out2(f));
    clocks(f, 3);
    assert_false(out2(f));
    clocks(f, 1); /* the low half had the 4 clocks of the new count */
    assert_true(out2(f));
    clocks(f, 4);
    assert_false(out2(f));
}

static void mode4_strobes_once(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    gate2(f, true);
    program(f, 2, 4, 10);
    clocks(f, 10);
    assert_true(out2(f));
    clocks(f, 1);
    assert_false(out2(f));
    clocks(f, 1);
    assert_true(out2(f));
    clocks(f, 65536);
    assert_true(out2(f));
    before = f->rig.wire[0].rises;
    program(f, 0, 4, 500);
    rig_pass(&f->rig, 10000000);
    assert_int_equal(f->rig.wire[0].rises, before + 1);
}

static void late_edge_is_not_lost(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    for (unsigned mode = 2; mode <= 4; mode += 2) {
        program(f, 0, mode, 500);
        before = f->rig.wire[0].rises;
        f->rig.ns += 600000;          /* past its time, and nobody ran the timers */
        rig_out(&f->rig, 0x43, 0x80); /* latch another counter */
        assert_int_equal(f->rig.wire[0].rises, before + 1);
        rig_out(&f->rig, 0x43, 0x30);
        rig_pass(&f->rig, 1000000);
    }
}

static void mode5_strobes_after_trigger(void **state)
{
    struct fixture *f = *state;

    program(f, 2, 5, 10);
    clocks(f, 30);
    assert_true(out2(f));
    gate2(f, true);
    clocks(f, 11);
    assert_false(out2(f));
    clocks(f, 1);
    assert_true(out2(f));
}

static void bcd_counts_to_ten_thousand(void **state)
{
    struct fixture *f = *state;

    gate2(f, true);
    rig_out(&f->rig, 0x43, 0xb1); /* counter 2, both bytes, mode 0, BCD */
    rig_out(&f->rig, 0x42, 0x00);
    rig_out(&f->rig, 0x42, 0x10);
    clocks(f, 2);
    assert_int_equal(latched(f, 2), 0x0999);
    rig_out(&f->rig, 0x43, 0xb1);
    rig_out(&f->rig, 0x42, 0);
    rig_out(&f->rig, 0x42, 0);
    clocks(f, 2);
    assert_int_equal(latched(f, 2), 0x9999);
}

static void latches_and_read_back(void **state)
{
    struct fixture *f = *state;
    uint8_t low;

    program(f, 0, 2, 0x1234);
    rig_out(&f->rig, 0x43, 0xe2); /* status of counter 0 before it is loaded */
    assert_int_equal(rig_in(&f->rig, 0x40), 0x80 | 0x40 | 0x34);
    clocks(f, 0x11);
    rig_out(&f->rig, 0x43, 0xc2); /* latch both */
    clocks(f, 100);
    rig_out(&f->rig, 0x43, 0x00); /* a second latch changes nothing */
    assert_int_equal(rig_in(&f->rig, 0x40), 0x80 | 0x34);
    assert_int_equal(rig_in(&f->rig, 0x40), 0x24);
    assert_int_equal(rig_in(&f->rig, 0x40), 0x12);
    rig_out(&f->rig, 0x43, 0x14); /* low byte only */
    rig_out(&f->rig, 0x40, 50);
    clocks(f, 1);
    assert_int_equal(rig_in(&f->rig, 0x40), 50);
    assert_int_equal(rig_in(&f->rig, 0x40), 50);
    rig_out(&f->rig, 0x43, 0x24); /* high byte only */
    rig_out(&f->rig, 0x40, 2);
    clocks(f, 1);
    low = rig_in(&f->rig, 0x40);
    assert_int_equal(low, 2);
}

static void port61_toggles_refresh(void **state)
{
    struct fixture *f = *state;
    unsigned changes = 0;
    uint8_t last = rig_in(&f->rig, 0x61) & 0x10;

    for (unsigned i = 0; i < 1000; i++) {
        uint8_t now;
        rig_pass(&f->rig, 1000);
        now = rig_in(&f->rig, 0x61) & 0x10;
        changes += now != last;
        last = now;
    }
    assert_in_range(changes, 64, 68); /* each 15.09 us */
}

static void speaker_tells_its_tone(void **state)
{
    struct fixture *f = *state;
    uint32_t sounds;

    assert_int_equal(i8254_speaker(f->pit, &sounds), 0);
    assert_int_equal(sounds, 0);
    program(f, 2, 3, 1193); /* as pcspkr does: the counter, then the gate and the speaker */
    assert_int_equal(i8254_speaker(f->pit, &sounds), 0);
    rig_out(&f->rig, 0x61, 3);
    assert_int_equal(i8254_speaker(f->pit, &sounds), 1000);
    assert_int_equal(sounds, 1);
    rig_out(&f->rig, 0x61, 3);
    assert_int_equal(i8254_speaker(f->pit, &sounds), 1000);
    assert_int_equal(sounds, 1); /* it went on */
    assert_int_equal(rig_in(&f->rig, 0x61) & 3, 3);
    rig_out(&f->rig, 0x61, 1);
    assert_int_equal(i8254_speaker(f->pit, &sounds), 0);
    rig_out(&f->rig, 0x61, 3);
    program(f, 2, 3, 20); /* 60 kHz */
    assert_int_equal(i8254_speaker(f->pit, &sounds), 0);
    program(f, 2, 0, 1193); /* one pulse: no tone */
    assert_int_equal(i8254_speaker(f->pit, &sounds), 0);
    assert_int_equal(sounds, 2);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(mode0_interrupts_once),
                                       test(mode0_gate_and_half_written_count),
                                       test(mode1_is_triggered_by_the_gate),
                                       test(mode2_ticks_at_its_period),
                                       test(mode2_takes_new_count_at_cycle_end),
                                       test(mode3_is_a_square),
                                       test(mode3_takes_new_count_at_half_cycle),
                                       test(mode4_strobes_once),
                                       test(late_edge_is_not_lost),
                                       test(mode5_strobes_after_trigger),
                                       test(bcd_counts_to_ten_thousand),
                                       test(latches_and_read_back),
                                       test(port61_toggles_refresh),
                                       test(speaker_tells_its_tone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

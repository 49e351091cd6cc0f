/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "device/mc146818.h"
#include "rig.h"

struct fixture {
    struct rig rig;
    struct mc146818 *rtc;
    int64_t epoch; /* host time at guest time 0, ns */
};

static int64_t host_time(void *opaque)
{
    const struct fixture *f = opaque;
    return f->epoch + (int64_t)gclock_now(f->rig.clock);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct irq_line line;

    rig_set_up(&f.rig);
    f.epoch = 951782399500000000; /* 2000-02-28 23:59:59.5, a Monday of a leap year */
    line = rig_line(&f.rig, 8);
    f.rtc = mc146818_new(f.rig.ports, f.rig.clock, &line, host_time, &f, NULL);
    assert_non_null(f.rtc);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    mc146818_device(f->rtc)->free(mc146818_device(f->rtc));
    rig_tear_down(&f->rig);
    return 0;
}

static uint8_t get(struct fixture *f, uint8_t index)
{
    rig_out(&f->rig, 0x70, index);
    return rig_in(&f->rig, 0x71);
}

static void put(struct fixture *f, uint8_t index, uint8_t value)
{
    rig_out(&f->rig, 0x70, index);
    rig_out(&f->rig, 0x71, value);
}

static void check(struct fixture *f, unsigned year, unsigned month, unsigned day, unsigned hour,
                  unsigned minute, unsigned second)
{
    assert_int_equal(get(f, 0x32) << 8 | get(f, 9), year);
    assert_int_equal(get(f, 8), month);
    assert_int_equal(get(f, 7), day);
    assert_int_equal(get(f, 4), hour);
    assert_int_equal(get(f, 2), minute);
    assert_int_equal(get(f, 0), second);
}

static void set(struct fixture *f, unsigned year, unsigned month, unsigned day, unsigned hour,
                unsigned minute, unsigned second)
{
    put(f, 0x0b, 0x82);
    put(f, 0x32, (uint8_t)(year >> 8));
    put(f, 9, (uint8_t)year);
    put(f, 8, (uint8_t)month);
    put(f, 7, (uint8_t)day);
    put(f, 4, (uint8_t)hour);
    put(f, 2, (uint8_t)minute);
    put(f, 0, (uint8_t)second);
    put(f, 0x0b, 0x02);
}

static void rolls_over(void **state)
{
    struct fixture *f = *state;

    check(f, 0x2000, 0x02, 0x28, 0x23, 0x59, 0x59);
    assert_int_equal(get(f, 6), 2); /* Sunday = 1 */
    rig_pass(&f->rig, 500000000);
    check(f, 0x2000, 0x02, 0x29, 0x00, 0x00, 0x00);
    set(f, 0x1999, 0x12, 0x31, 0x23, 0x59, 0x59);
    rig_pass(&f->rig, 1000000000);
    check(f, 0x2000, 0x01, 0x01, 0x00, 0x00, 0x00);
    set(f, 0x2100, 0x02, 0x28, 0x23, 0x59, 0x59); /* no leap year */
    rig_pass(&f->rig, 1000000000);
    check(f, 0x2100, 0x03, 0x01, 0x00, 0x00, 0x00);
    set(f, 0x9999, 0x12, 0x31, 0x12, 0x00, 0x00);
    check(f, 0x9999, 0x12, 0x31, 0x12, 0x00, 0x00);
    set(f, 0x0000, 0x01, 0x01, 0x00, 0x00, 0x00);
    check(f, 0x0000, 0x01, 0x01, 0x00, 0x00, 0x00);
}

static void formats(void **state)
{
    struct fixture *f = *state;

    put(f, 0x0b, 0x06); /* binary, 24 hours */
    check(f, 20 << 8, 2, 28, 23, 59, 59);
    put(f, 0x0b, 0x04); /* binary, 12 hours */
    assert_int_equal(get(f, 4), 0x80 | 11);
    put(f, 0x0b, 0x00);
    assert_int_equal(get(f, 4), 0x91);
    rig_pass(&f->rig, 500000000);
    assert_int_equal(get(f, 4), 0x12); /* midnight is 12 am */
    put(f, 4, 0x92);                   /* noon */
    put(f, 0x0b, 0x02);
    assert_int_equal(get(f, 4), 0x12);
    assert_int_equal(get(f, 7), 0x29);
}

static void set_stops_the_clock(void **state)
{
    struct fixture *f = *state;

    put(f, 0x0b, 0x92); /* SET clears UIE */
    assert_int_equal(get(f, 0x0b), 0x82);
    rig_pass(&f->rig, 5000000000);
    assert_int_equal(get(f, 0), 0x59);
    assert_int_equal(get(f, 0x0a) & 0x80, 0);
    put(f, 0, 0x30);
    assert_int_equal(get(f, 0), 0x30);
    put(f, 0x0b, 0x02);
    assert_int_equal(get(f, 0), 0x30);
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(get(f, 0), 0x31);
}

static void divider_reset_starts_half_a_second_off(void **state)
{
    struct fixture *f = *state;

    put(f, 0x0a, 0x76);
    put(f, 0, 0x10);
    rig_pass(&f->rig, 3141592653);
    put(f, 0x0a, 0x26);
    rig_pass(&f->rig, 499000000);
    assert_int_equal(get(f, 0), 0x10);
    rig_pass(&f->rig, 1100000);
    assert_int_equal(get(f, 0), 0x11);
}

static void update_in_progress(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0x0a), 0x26);
    rig_pass(&f->rig, 500000000 - 2000000);
    assert_int_equal(get(f, 0x0a), 0xa6);
    rig_pass(&f->rig, 2000000);
    assert_int_equal(get(f, 0x0a), 0x26);
    assert_int_equal(get(f, 0x0d), 0x80);
}

static void update_interrupt(void **state)
{
    struct fixture *f = *state;

    put(f, 5, 0x01); /* the alarm is not at midnight */
    put(f, 0x0b, 0x12);
    rig_pass(&f->rig, 499999999);
    assert_int_equal(f->rig.wire[8].level, 0);
    rig_pass(&f->rig, 1);
    assert_int_equal(f->rig.wire[8].level, 1);
    assert_int_equal(get(f, 0x0c), 0xd0); /* PF too, without its enable */
    assert_int_equal(f->rig.wire[8].level, 0);
    assert_int_equal(get(f, 0x0c), 0);
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(f->rig.wire[8].level, 1);
}

static void flags_without_interrupt(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0x0c), 0);
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(get(f, 0x0c), 0x70); /* update, periodic, and the alarm of midnight */
    assert_int_equal(gclock_next(f->rig.clock), UINT64_MAX);
}

static void alarm_goes_off(void **state)
{
    struct fixture *f = *state;

    put(f, 1, 0x10);
    put(f, 3, 0x02);
    put(f, 5, 0x00);
    put(f, 0x0b, 0x22);
    rig_pass(&f->rig, 500000000 + 129000000000);
    assert_int_equal(f->rig.wire[8].level, 0);
    rig_pass(&f->rig, 1000000000); /* 00:02:10 */
    assert_int_equal(f->rig.wire[8].level, 1);
    assert_int_equal(get(f, 0x0c) & 0xb0, 0xb0);
    put(f, 3, 0xc0); /* each minute */
    rig_pass(&f->rig, 60000000000);
    assert_int_equal(get(f, 0x0c) & 0xa0, 0xa0);
    put(f, 5, 0xff);
    put(f, 1, 0xff); /* each second */
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(get(f, 0x0c) & 0xa0, 0xa0);
    put(f, 0x0b, 0x02);
    put(f, 5, 0x12); /* found later, among the seconds of more than a day */
    put(f, 3, 0x00);
    put(f, 1, 0x00);
    get(f, 0x0c);
    rig_pass(&f->rig, 3600000000000);
    assert_int_equal(get(f, 0x0c) & 0x20, 0);
    rig_pass(&f->rig, 200000000000000);
    assert_int_equal(get(f, 0x0c) & 0x20, 0x20);
}

static void periodic_interrupt(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;

    put(f, 0x0b, 0x42);
    for (unsigned i = 0; i < 20000; i++) {
        rig_pass(&f->rig, 50000);
        n += (get(f, 0x0c) & 0xc0) == 0xc0;
    }
    assert_in_range(n, 1023, 1024);
    put(f, 0x0a, 0x20); /* rate 0: none */
    get(f, 0x0c);
    rig_pass(&f->rig, 1000000000);
    assert_int_equal(get(f, 0x0c) & 0x40, 0);
}

static void memory_and_reset(void **state)
{
    struct fixture *f = *state;

    mc146818_set_memory(f->rtc, 0xc0000000, 0x140000000);
    assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
    assert_int_equal(get(f, 0x30) | get(f, 0x31) << 8, 65535);
    assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, (0xc0000000 - 0x1000000) >> 16);
    assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, 0x140000000 >> 16);
    put(f, 0x0f, 0x0a);
    put(f, 0x0b, 0x72);
    device_reset(mc146818_device(f->rtc));
    assert_int_equal(get(f, 0x0f), 0x0a);
    assert_int_equal(get(f, 0x0b), 0x02);
    check(f, 0x2000, 0x02, 0x28, 0x23, 0x59, 0x59);
    assert_int_equal(rig_in(&f->rig, 0x70), 0xff);
}

static void nonsense_is_survived(void **state)
{
    struct fixture *f = *state;

    for (unsigned mode = 0; mode < 4; mode++) {
        put(f, 0x0b, (uint8_t)(0x80 | mode << 1));
        for (uint8_t i = 0; i < 10; i++)
            put(f, i, 0xff);
        put(f, 0x32, 0xff);
        put(f, 0x0b, (uint8_t)(mode << 1 | 0x70));
        rig_pass(&f->rig, 3000000000);
        assert_int_equal(get(f, 0x0c) & 0x10, 0x10);
    }
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(rolls_over),
                                       test(formats),
                                       test(set_stops_the_clock),
                                       test(divider_reset_starts_half_a_second_off),
                                       test(update_in_progress),
                                       test(update_interrupt),
                                       test(flags_without_interrupt),
                                       test(alarm_goes_off),
                                       test(periodic_interrupt),
                                       test(memory_and_reset),
                                       test(nonsense_is_survived)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

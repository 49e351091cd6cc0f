/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "bus/clock.h"
#include "bus/state.h"
#include "tests/test.h"

static uint64_t fake_now;

static uint64_t fake_source(void *opaque)
{
    (void)opaque;
    return fake_now;
}

static void count_up(void *opaque)
{
    ++*(int *)opaque;
}

static void timers_run_in_order_and_stop_with_the_clock(void **state)
{
    struct gclock *clock;
    struct gtimer a, b;
    int as = 0, bs = 0, rearms = 0;

    (void)state;
    fake_now = 5000;
    clock = gclock_new(fake_source, NULL);
    gclock_on_rearm(clock, count_up, &rearms);
    assert_int_equal(gclock_now(clock), 0);
    gtimer_init(&a, clock, count_up, &as);
    gtimer_init(&b, clock, count_up, &bs);
    gtimer_set(&a, 100);
    gtimer_set(&b, 50);
    assert_int_equal(rearms, 2);
    assert_int_equal(gclock_next(clock), 50);
    fake_now += 60;
    gclock_run(clock);
    assert_int_equal(as, 0);
    assert_int_equal(bs, 1);
    gclock_pause(clock);
    fake_now += 1000;
    gclock_run(clock);
    assert_int_equal(as, 0);
    assert_int_equal(gclock_now(clock), 60);
    gclock_resume(clock);
    assert_int_equal(gclock_now(clock), 60);
    fake_now += 40;
    gclock_run(clock);
    assert_int_equal(as, 1);
    gtimer_set(&a, 10);
    gtimer_clear(&a);
    gclock_run(clock);
    assert_int_equal(as, 1);
    assert_int_equal(gclock_next(clock), UINT64_MAX);
    gclock_free(clock);
}

struct chip {
    uint8_t small;
    uint32_t array[3];
    uint8_t fifo[4];
    struct gtimer timer;
    int after;
};

static void chip_after(void *dev)
{
    ((struct chip *)dev)->after++;
}

static const struct state_field chip_fields[] = {
    STATE_FIELD(struct chip, small, 7),
    STATE_ARRAY(struct chip, array, 0xffffffff),
    STATE_BLOB(struct chip, fifo),
    STATE_GTIMER(struct chip, timer),
};
static const struct state_table chip_state = {.name = "chip",
                                              .version = 3,
                                              .fields = chip_fields,
                                              .field_count = array_size(chip_fields),
                                              .after = chip_after};

static void state_round_trip_and_refusals(void **state)
{
    struct gclock *clock = gclock_new(fake_source, NULL);
    struct chip a = {0}, b = {0};
    struct str bytes = {0}, json = {0};
    struct error err = {0};

    (void)state;
    gtimer_init(&a.timer, clock, count_up, &a.after);
    gtimer_init(&b.timer, clock, count_up, &b.after);
    state_reset(&chip_state, &a);
    state_reset(&chip_state, &b);
    assert_int_equal(a.small, 7);
    assert_int_equal(a.array[2], 0xffffffff);
    a.small = 9;
    a.array[1] = 5;
    memcpy(a.fifo, "\1\2\3\4", 4);
    gtimer_set(&a.timer, 1234567);
    state_json(&chip_state, &a, &json);
    assert_string_equal(str_text(&json), "{\"small\":9,\"array\":[4294967295,5,4294967295],"
                                         "\"fifo\":\"01020304\",\"timer\":1234567}");
    state_save(&chip_state, &a, &bytes);
    assert_int_equal(state_load(&chip_state, &b, bytes.data, bytes.len, &err), (int)bytes.len);
    assert_int_equal(b.small, 9);
    assert_int_equal(b.array[1], 5);
    assert_true(b.timer.armed);
    assert_int_equal(b.timer.deadline, 1234567);
    for (size_t cut = 0; cut < bytes.len; cut++)
        assert_int_equal(state_load(&chip_state, &b, bytes.data, cut, &err), -EINVAL);
    for (size_t i = 0; i < bytes.len;
         i++) { /* damage never crashes, and a refusal changes nothing */
        bytes.data[i] ^= 0x55;
        b.small = 1;
        if (state_load(&chip_state, &b, bytes.data, bytes.len, &err) < 0)
            assert_int_equal(b.small, 1);
        bytes.data[i] ^= 0x55;
    }
    str_done(&bytes);
    str_done(&json);
    gtimer_clear(&a.timer);
    gtimer_clear(&b.timer);
    gclock_free(clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_run_in_order_and_stop_with_the_clock),
        cmocka_unit_test(state_round_trip_and_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

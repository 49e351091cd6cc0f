/* SPDX-License-Identifier: Apache-2.0 */
/* A machine run by its threads, with the smallest guests: how it ends, pauses and goes on. */
#include <string.h>

#include "base/loop.h"
#include "base/mem.h"
#include "machine/machine_internal.h"
#include "tests/test.h"

enum { LOAD = 0x100000, HEADER = 32 };

struct outcome {
    struct loop *loop;
    enum machine_end end;
    int value;
};

static void ended(void *opaque, enum machine_end end, int value)
{
    struct outcome *o = opaque;

    o->end = end;
    o->value = value;
    loop_quit(o->loop, 0);
}

static void give_up(void *opaque)
{
    loop_quit(opaque, -1);
}

/* A multiboot kernel that is @code after a header with addresses. */
static size_t make_kernel(uint8_t *k, const uint8_t *code, size_t len)
{
    uint32_t h[8] = {0x1badb002, 1 << 16,      0u - 0x1badb002u - (1 << 16), LOAD, LOAD, 0,
                     0,          LOAD + HEADER};

    memcpy(k, h, HEADER);
    memcpy(k + HEADER, code, len);
    return HEADER + len;
}

static struct machine *make(const uint8_t *code, size_t len, bool no_reboot)
{
    static uint8_t kernel[256];
    struct machine_config c = {
        .cpus = 2, .memory = 4 << 20, .no_reboot = no_reboot, .debug_exit = true};
    struct error err = {0};
    struct machine *m;

    c.guest.kernel = kernel;
    c.guest.kernel_len = make_kernel(kernel, code, len);
    m = machine_new(&c, &err);
    if (!m)
        fail_msg("%s", error_text(&err));
    return m;
}

static struct outcome run(struct machine *m, void (*meanwhile)(struct machine *m))
{
    struct outcome o = {.loop = loop_new(NULL)};
    struct loop_timer *limit = loop_timer_new(o.loop, give_up, o.loop);

    loop_timer_set(limit, loop_now_ns() + 60000000000ull);
    assert_int_equal(machine_start(m, o.loop, ended, &o, NULL), 0);
    if (meanwhile)
        meanwhile(m);
    loop_run(o.loop, NULL);
    machine_free(m);
    loop_timer_free(limit);
    loop_free(o.loop);
    return o;
}

#define OUT8(port, value) 0x66, 0xba, (port)&0xff, (port) >> 8, 0xb0, (value), 0xee
#define OUT16(port, value)                                                                         \
    0x66, 0xba, (port)&0xff, (port) >> 8, 0x66, 0xb8, (value)&0xff, (value) >> 8, 0x66, 0xef
#define HANG 0xeb, 0xfe

static void guests_end_in_each_way(void **state)
{
    static const uint8_t debug_exit[] = {0xb9, 0, 0, 1, 0, 0xe2, 0xfe, OUT8(0xf4, 21), HANG};
    static const uint8_t power_off[] = {OUT16(0x604, 0x2000), HANG};
    static const uint8_t reset[] = {OUT8(0xcf9, 2), OUT8(0xcf9, 6), HANG};
    static const uint8_t panic[] = {OUT8(0x505, 1), HANG};
    static const uint8_t triple[] = {0x6a, 0, 0x6a, 0, 0x0f, 0x01, 0x1c, 0x24, 0xcc};
    struct outcome o;

    (void)state;
    o = run(make(debug_exit, sizeof(debug_exit), false), NULL);
    assert_int_equal(o.end, MACHINE_END_DEBUG_EXIT);
    assert_int_equal(o.value, 43);
    assert_int_equal(run(make(power_off, sizeof(power_off), false), NULL).end,
                     MACHINE_END_POWEROFF);
    assert_int_equal(run(make(reset, sizeof(reset), true), NULL).end, MACHINE_END_RESET);
    assert_int_equal(run(make(panic, sizeof(panic), false), NULL).end, MACHINE_END_PANIC);
    assert_int_equal(run(make(triple, sizeof(triple), true), NULL).end, MACHINE_END_TRIPLE);
}

/* The guest counts resets in CMOS byte 0x40, which survives them, and leaves after the third start.
 */
static void a_reset_starts_the_guest_again(void **state)
{
    static const uint8_t code[] = {
        0xb0, 0x40, 0xe6, 0x70,          0xe4, 0x71,           0xfe,           0xc0, 0x88, 0xc3,
        0xb0, 0x40, 0xe6, 0x70,          0x88, 0xd8,           0xe6,           0x71, 0x80, 0xfb,
        3,    0x75, 9,    OUT8(0xf4, 5), HANG, OUT8(0xcf9, 2), OUT8(0xcf9, 6), HANG};
    struct outcome o;

    (void)state;
    o = run(make(code, sizeof(code), false), NULL);
    assert_int_equal(o.end, MACHINE_END_DEBUG_EXIT);
    assert_int_equal(o.value, 11);
}

static void pause_and_stop(struct machine *m)
{
    struct machine_stats before, after;

    machine_lock(m);
    machine_pause(m);
    machine_stats(m, &before);
    machine_unlock(m);
    machine_lock(m);
    machine_stats(m, &after);
    assert_int_equal(before.instructions, after.instructions);
    machine_resume(m);
    machine_unlock(m);
    for (int i = 0; i < 100000 && after.instructions == before.instructions; i++) {
        machine_lock(m);
        machine_stats(m, &after);
        machine_unlock(m);
    }
    assert_true(after.instructions > before.instructions);
    machine_lock(m);
    machine_stop(m);
    machine_unlock(m);
}

static void a_machine_pauses_goes_on_and_stops(void **state)
{
    static const uint8_t spin[] = {HANG};

    (void)state;
    assert_int_equal(run(make(spin, sizeof(spin), false), pause_and_stop).end, MACHINE_END_STOPPED);
}

static struct gtimer waited_for;

static void timer_ends_it(void *opaque)
{
    machine_stop(opaque);
}

/* The timer is armed before the pause and due after it. */
static void pause_before_a_timer(struct machine *m)
{
    machine_lock(m);
    gtimer_init(&waited_for, m->clock, timer_ends_it, m);
    gtimer_set(&waited_for, gclock_now(m->clock) + 20000000);
    machine_pause(m);
    machine_resume(m);
    machine_unlock(m);
}

static void timers_of_a_sleeping_guest_go_on_after_a_pause(void **state)
{
    static const uint8_t halt[] = {0xfa, 0xf4, HANG};

    (void)state;
    assert_int_equal(run(make(halt, sizeof(halt), false), pause_before_a_timer).end,
                     MACHINE_END_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guests_end_in_each_way),
        cmocka_unit_test(a_reset_starts_the_guest_again),
        cmocka_unit_test(a_machine_pauses_goes_on_and_stops),
        cmocka_unit_test(timers_of_a_sleeping_guest_go_on_after_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

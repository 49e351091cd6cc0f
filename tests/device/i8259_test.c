/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "device/i8259.h"
#include "rig.h"

struct fixture {
    struct rig rig;
    struct i8259 *pic;
};

static void raise(struct fixture *f, unsigned irq)
{
    struct irq_line line = i8259_input(f->pic, irq);
    irq_set(&line, 1);
}

static void lower(struct fixture *f, unsigned irq)
{
    struct irq_line line = i8259_input(f->pic, irq);
    irq_set(&line, 0);
}

static int intr(const struct fixture *f)
{
    return f->rig.wire[0].level;
}

/* As a BIOS does: vectors 0x08 and 0x70, nothing masked. */
static void initialise(struct fixture *f, uint8_t icw4)
{
    rig_out(&f->rig, 0x20, 0x11);
    rig_out(&f->rig, 0x21, 0x08);
    rig_out(&f->rig, 0x21, 0x04);
    rig_out(&f->rig, 0x21, icw4);
    rig_out(&f->rig, 0xa0, 0x11);
    rig_out(&f->rig, 0xa1, 0x70);
    rig_out(&f->rig, 0xa1, 0x02);
    rig_out(&f->rig, 0xa1, 0x01);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct irq_line line;

    rig_set_up(&f.rig);
    line = rig_line(&f.rig, 0);
    f.pic = i8259_new(f.rig.ports, &line, NULL);
    assert_non_null(f.pic);
    initialise(&f, 0x01);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    i8259_device(f->pic)->free(i8259_device(f->pic));
    rig_tear_down(&f->rig);
    return 0;
}

static void edge_is_taken_once(void **state)
{
    struct fixture *f = *state;

    raise(f, 4);
    assert_int_equal(intr(f), 1);
    assert_int_equal(i8259_ack(f->pic), 0x0c);
    assert_int_equal(intr(f), 0);
    rig_out(&f->rig, 0x20, 0x20); /* EOI with the line still high: no new edge */
    assert_int_equal(intr(f), 0);
    lower(f, 4);
    raise(f, 4);
    assert_int_equal(intr(f), 1);
}

static void lowered_edge_is_spurious(void **state)
{
    struct fixture *f = *state;

    raise(f, 3);
    lower(f, 3);
    assert_int_equal(intr(f), 0);
    assert_int_equal(i8259_ack(f->pic), 0x0f);
    rig_out(&f->rig, 0x20, 0x0b);
    assert_int_equal(rig_in(&f->rig, 0x20), 0); /* nothing in service */
}

static void priorities_nest(void **state)
{
    struct fixture *f = *state;

    raise(f, 5);
    assert_int_equal(i8259_ack(f->pic), 0x0d);
    raise(f, 6); /* lower: waits */
    assert_int_equal(intr(f), 0);
    raise(f, 1); /* higher: comes through */
    assert_int_equal(intr(f), 1);
    assert_int_equal(i8259_ack(f->pic), 0x09);
    rig_out(&f->rig, 0x20, 0x20); /* ends 1 */
    rig_out(&f->rig, 0x20, 0x0b);
    assert_int_equal(rig_in(&f->rig, 0x20), 1 << 5);
    assert_int_equal(intr(f), 0);
    rig_out(&f->rig, 0x20, 0x65); /* specific EOI of 5 */
    assert_int_equal(i8259_ack(f->pic), 0x0e);
}

static void slave_comes_through_cascade(void **state)
{
    struct fixture *f = *state;

    raise(f, 14);
    raise(f, 8);
    assert_int_equal(i8259_ack(f->pic), 0x70);
    assert_int_equal(intr(f), 0); /* 14 waits for both EOIs */
    rig_out(&f->rig, 0xa0, 0x20);
    assert_int_equal(intr(f), 0);
    rig_out(&f->rig, 0x20, 0x20);
    assert_int_equal(intr(f), 1);
    assert_int_equal(i8259_ack(f->pic), 0x76);
}

static void special_fully_nested_mode_lets_slave_in(void **state)
{
    struct fixture *f = *state;

    initialise(f, 0x11);
    raise(f, 14);
    assert_int_equal(i8259_ack(f->pic), 0x76);
    raise(f, 8);
    assert_int_equal(intr(f), 1);
    assert_int_equal(i8259_ack(f->pic), 0x70);
}

static void mask_holds_the_request(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, 0x21, 0x10);
    raise(f, 4);
    assert_int_equal(intr(f), 0);
    assert_int_equal(rig_in(&f->rig, 0x21), 0x10);
    rig_out(&f->rig, 0x20, 0x0a);
    assert_int_equal(rig_in(&f->rig, 0x20), 0x10);
    rig_out(&f->rig, 0x21, 0);
    assert_int_equal(intr(f), 1);
}

static void level_asks_again(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, 0x4d1, 0xff);
    assert_int_equal(rig_in(&f->rig, 0x4d1), 0xde); /* 8 and 13 stay edges */
    raise(f, 11);
    assert_int_equal(i8259_ack(f->pic), 0x73);
    assert_int_equal(intr(f), 0);
    rig_out(&f->rig, 0xa0, 0x20);
    rig_out(&f->rig, 0x20, 0x20);
    assert_int_equal(intr(f), 1);
    lower(f, 11);
    assert_int_equal(intr(f), 0);
}

static void rotation(void **state)
{
    struct fixture *f = *state;

    raise(f, 3);
    raise(f, 4);
    assert_int_equal(i8259_ack(f->pic), 0x0b);
    rig_out(&f->rig, 0x20, 0xa0); /* rotate on non-specific EOI: 3 becomes lowest */
    lower(f, 3);
    raise(f, 3);
    raise(f, 0);
    assert_int_equal(i8259_ack(f->pic), 0x0c); /* order is 4 5 6 7 0 1 2 3 */
    rig_out(&f->rig, 0x20, 0x20);
    assert_int_equal(i8259_ack(f->pic), 0x08);
    rig_out(&f->rig, 0x20, 0x20);
    assert_int_equal(i8259_ack(f->pic), 0x0b);
    rig_out(&f->rig, 0x20, 0xc7); /* set priority: 7 lowest */
    rig_out(&f->rig, 0x20, 0x20);
    assert_int_equal(intr(f), 0);
}

static void automatic_eoi(void **state)
{
    struct fixture *f = *state;

    initialise(f, 0x03);
    raise(f, 4);
    assert_int_equal(i8259_ack(f->pic), 0x0c);
    rig_out(&f->rig, 0x20, 0x0b);
    assert_int_equal(rig_in(&f->rig, 0x20), 0);
    rig_out(&f->rig, 0x20, 0x80); /* rotate in automatic EOI mode */
    raise(f, 6);
    assert_int_equal(i8259_ack(f->pic), 0x0e);
    lower(f, 6);
    raise(f, 6);
    raise(f, 7);
    assert_int_equal(i8259_ack(f->pic), 0x0f); /* 6 is lowest now */
}

static void special_mask_mode(void **state)
{
    struct fixture *f = *state;

    raise(f, 2 + 1);
    assert_int_equal(i8259_ack(f->pic), 0x0b);
    raise(f, 6);
    assert_int_equal(intr(f), 0);
    rig_out(&f->rig, 0x21, 1 << 3);
    rig_out(&f->rig, 0x20, 0x68); /* set special mask mode: 3 holds nobody back any more */
    assert_int_equal(intr(f), 1);
    assert_int_equal(i8259_ack(f->pic), 0x0e);
    rig_out(&f->rig, 0x20, 0x20); /* ends 6 and not the masked 3 */
    rig_out(&f->rig, 0x20, 0x0b);
    assert_int_equal(rig_in(&f->rig, 0x20), 1 << 3);
}

static void poll_acknowledges(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, 0x20, 0x0c);
    assert_int_equal(rig_in(&f->rig, 0x20) & 0x80, 0);
    raise(f, 5);
    rig_out(&f->rig, 0x20, 0x0c);
    assert_int_equal(rig_in(&f->rig, 0x20), 0x85);
    assert_int_equal(intr(f), 0);
    rig_out(&f->rig, 0x20, 0x0b);
    assert_int_equal(rig_in(&f->rig, 0x20), 1 << 5);
}

static void initialisation_clears_edges(void **state)
{
    struct fixture *f = *state;

    raise(f, 4);
    initialise(f, 0x01);
    assert_int_equal(intr(f), 0);
    lower(f, 4);
    raise(f, 4);
    assert_int_equal(intr(f), 1);
}

static void word_access_reaches_both_ports(void **state)
{
    struct fixture *f = *state;

    ports_write(f->rig.ports, 0x20, 2, 0xaa0b); /* OCW3, then the mask */
    assert_int_equal(rig_in(&f->rig, 0x21), 0xaa);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(edge_is_taken_once),
                                       test(lowered_edge_is_spurious),
                                       test(priorities_nest),
                                       test(slave_comes_through_cascade),
                                       test(special_fully_nested_mode_lets_slave_in),
                                       test(mask_holds_the_request),
                                       test(level_asks_again),
                                       test(rotation),
                                       test(automatic_eoi),
                                       test(special_mask_mode),
                                       test(poll_acknowledges),
                                       test(initialisation_clears_edges),
                                       test(word_access_reaches_both_ports)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

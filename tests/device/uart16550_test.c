/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "device/uart16550.h"
#include "rig.h"

enum { THR = 0x3f8, IER = 0x3f9, IIR = 0x3fa, LCR = 0x3fb, MCR = 0x3fc, LSR = 0x3fd, MSR = 0x3fe };

struct fixture {
    struct rig rig;
    struct rig_char ch;
    struct uart16550 *uart;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct irq_line line;

    rig_set_up(&f.rig);
    rig_char_init(&f.ch);
    line = rig_line(&f.rig, 4);
    f.uart = uart16550_new(f.rig.ports, THR, f.rig.clock, &line, &f.ch.ch, NULL);
    assert_non_null(f.uart);
    rig_out(&f.rig, MCR, 0x0b);
    rig_out(&f.rig, LCR, 0x03);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    uart16550_device(f->uart)->free(uart16550_device(f->uart));
    rig_tear_down(&f->rig);
    return 0;
}

static void send(struct fixture *f, const char *text)
{
    const struct chardev_client *client = f->ch.client;
    size_t n = strlen(text);

    assert_true(client->room(client->opaque) >= n);
    client->input(client->opaque, (const uint8_t *)text, n);
}

static int irq(const struct fixture *f)
{
    return f->rig.wire[4].level;
}

static void transmits(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rig_in(&f->rig, LSR), 0x60);
    for (const char *p = "hello"; *p; p++)
        rig_out(&f->rig, THR, (uint8_t)*p);
    assert_int_equal(f->ch.written_len, 5);
    assert_memory_equal(f->ch.written, "hello", 5);
    assert_int_equal(rig_in(&f->rig, LSR), 0x60);
}

static void transmit_interrupt(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, IER, 2);
    assert_int_equal(irq(f), 1); /* empty when enabled */
    assert_int_equal(rig_in(&f->rig, IIR), 0x02);
    assert_int_equal(irq(f), 0);
    assert_int_equal(rig_in(&f->rig, IIR), 0x01);
    rig_out(&f->rig, THR, 'x');
    assert_int_equal(irq(f), 1);
    rig_out(&f->rig, MCR, 0x03); /* OUT2 off: not connected to the bus */
    assert_int_equal(irq(f), 0);
}

static void refused_output_waits(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, IIR, 0x01); /* FIFOs on */
    rig_out(&f->rig, IER, 2);
    rig_in(&f->rig, IIR);
    f->ch.refuse_after = 1;
    for (unsigned i = 0; i < 10; i++)
        rig_out(&f->rig, THR, (uint8_t)('a' + i));
    assert_int_equal(rig_in(&f->rig, LSR) & 0x60, 0);
    assert_int_equal(rig_in(&f->rig, IIR) & 0x0f, 0x01);
    f->ch.refuse_after = 100;
    f->ch.client->writable(f->ch.client->opaque);
    assert_int_equal(f->ch.written_len, 10);
    assert_memory_equal(f->ch.written, "abcdefghij", 10);
    assert_int_equal(rig_in(&f->rig, LSR) & 0x60, 0x60);
    assert_int_equal(rig_in(&f->rig, IIR) & 0x0f, 0x02);
}

static void receives_without_fifo(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, IER, 1);
    assert_int_equal(f->ch.client->room(f->ch.client->opaque), 1);
    send(f, "a");
    assert_int_equal(f->ch.client->room(f->ch.client->opaque), 0);
    assert_int_equal(irq(f), 1);
    assert_int_equal(rig_in(&f->rig, IIR), 0x04);
    assert_int_equal(rig_in(&f->rig, LSR), 0x61);
    f->ch.ready_calls = 0;
    assert_int_equal(rig_in(&f->rig, THR), 'a');
    assert_int_equal(f->ch.ready_calls, 1);
    assert_int_equal(irq(f), 0);
}

static void fifo_trigger_and_timeout(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, IIR, 0x81); /* trigger at 8 */
    rig_out(&f->rig, IER, 1);
    assert_int_equal(f->ch.client->room(f->ch.client->opaque), 16);
    send(f, "0123456");
    assert_int_equal(irq(f), 0);
    send(f, "7");
    assert_int_equal(rig_in(&f->rig, IIR), 0xc4);
    assert_int_equal(rig_in(&f->rig, THR), '0');
    assert_int_equal(irq(f), 0);
    /* Divisor 12 is 9600 baud: four characters of ten bits take 4.17 ms. */
    rig_pass(&f->rig, 4000000);
    assert_int_equal(irq(f), 0);
    rig_pass(&f->rig, 200000);
    assert_int_equal(irq(f), 1);
    assert_int_equal(rig_in(&f->rig, IIR), 0xcc);
    assert_int_equal(rig_in(&f->rig, THR), '1');
    assert_int_equal(irq(f), 0);
    rig_out(&f->rig, IIR, 0x83); /* clear */
    assert_int_equal(rig_in(&f->rig, LSR) & 1, 0);
    rig_pass(&f->rig, 10000000);
    assert_int_equal(irq(f), 0);
}

static void break_is_a_line_error(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, IIR, 0x01);
    rig_out(&f->rig, IER, 5);
    send(f, "a");
    uart16550_break(f->uart);
    assert_int_equal(rig_in(&f->rig, LSR), 0xe1); /* somewhere in the FIFO */
    assert_int_equal(rig_in(&f->rig, THR), 'a');
    assert_int_equal(rig_in(&f->rig, IIR), 0xc6);
    assert_int_equal(rig_in(&f->rig, LSR), 0xf1);
    assert_int_equal(rig_in(&f->rig, LSR), 0x61); /* shown once */
    assert_int_equal(rig_in(&f->rig, THR), 0);
    for (unsigned i = 0; i < 17; i++)
        uart16550_break(f->uart);
    assert_int_equal(rig_in(&f->rig, LSR) & 2, 2); /* overrun */
}

static void loopback(void **state)
{
    struct fixture *f = *state;

    rig_in(&f->rig, MSR);
    rig_out(&f->rig, MCR, 0x1a); /* loop, OUT2, RTS */
    assert_int_equal(f->ch.client->room(f->ch.client->opaque), 0);
    assert_int_equal(rig_in(&f->rig, MSR), 0x92); /* DCD and CTS; DSR fell */
    rig_out(&f->rig, MCR, 0x1f);
    assert_int_equal(rig_in(&f->rig, MSR) & 0xf0, 0xf0);
    rig_out(&f->rig, MCR, 0x1b);
    assert_int_equal(rig_in(&f->rig, MSR), 0xb4); /* the ring ended */
    rig_out(&f->rig, THR, 0x5a);
    assert_int_equal(f->ch.written_len, 0);
    assert_int_equal(rig_in(&f->rig, LSR), 0x61);
    assert_int_equal(rig_in(&f->rig, THR), 0x5a);
    rig_out(&f->rig, IER, 8);
    rig_out(&f->rig, MCR, 0x19);
    assert_int_equal(rig_in(&f->rig, IIR), 0x00); /* modem status */
    assert_int_equal(irq(f), 1);
    rig_in(&f->rig, MSR);
    assert_int_equal(irq(f), 0);
}

static void divisor_latch_and_scratch(void **state)
{
    struct fixture *f = *state;

    rig_out(&f->rig, LCR, 0x83);
    ports_write(f->rig.ports, THR, 2, 0x0102);
    assert_int_equal(rig_in(&f->rig, THR), 2);
    assert_int_equal(rig_in(&f->rig, IER), 1);
    rig_out(&f->rig, LCR, 0x03);
    assert_int_equal(rig_in(&f->rig, IER), 0);
    assert_int_equal(f->ch.written_len, 0);
    rig_out(&f->rig, 0x3ff, 0xa5);
    assert_int_equal(rig_in(&f->rig, 0x3ff), 0xa5);
    assert_int_equal(rig_in(&f->rig, MSR) & 0xf0, 0xb0);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(transmits),
                                       test(transmit_interrupt),
                                       test(refused_output_waits),
                                       test(receives_without_fifo),
                                       test(fifo_trigger_and_timeout),
                                       test(break_is_a_line_error),
                                       test(loopback),
                                       test(divisor_latch_and_scratch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

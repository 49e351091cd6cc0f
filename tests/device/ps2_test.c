/* SPDX-License-Identifier: Apache-2.0 */
/* Keyboard and mouse through the controller, as BIOSes and drivers use them. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/i8042.h"
#include "rig.h"

static struct rig rig;
static struct i8042 *kbc;
static struct ps2_device *keyboard, *mouse;

static void no_reset(void *opaque)
{
    fail_msg("nobody asked for a reset");
}

static void mode(uint8_t bits)
{
    rig_out(&rig, 0x64, 0x60);
    rig_out(&rig, 0x60, bits);
}

/* Translated, with both interrupts and both clocks. */
static int set_up(void **state)
{
    const struct i8042_ops ops = {.reset = no_reset};
    struct irq_line irq1, irq12;

    rig_set_up(&rig);
    irq1 = rig_line(&rig, 1);
    irq12 = rig_line(&rig, 12);
    kbc = i8042_new(rig.ports, &irq1, &irq12, &ops, NULL);
    keyboard = ps2_keyboard_new(rig.clock, NULL);
    mouse = ps2_mouse_new(NULL);
    i8042_attach(kbc, keyboard, mouse);
    mode(0x47);
    return 0;
}

static int tear_down(void **state)
{
    i8042_device(kbc)->free(i8042_device(kbc));
    keyboard->dev.free(&keyboard->dev);
    mouse->dev.free(&mouse->dev);
    rig_tear_down(&rig);
    return 0;
}

static bool key(unsigned number, bool down)
{
    return keyboard->input.ops->key(&keyboard->input, number, down);
}

static void move(int dx, int dy, int wheel, uint8_t buttons)
{
    mouse->input.ops->pointer(
        &mouse->input,
        &(struct input_pointer){.dx = dx, .dy = dy, .wheel = wheel, .buttons = buttons});
}

/* All bytes of one of the two (aux: the mouse) that wait, each with its interrupt. */
static void expect(bool aux, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t status = rig_in(&rig, 0x64), got;
        assert_int_equal(status & 0x21, aux ? 0x21 : 0x01);
        assert_int_equal(rig.wire[aux ? 12 : 1].level, 1);
        got = rig_in(&rig, 0x60);
        if (got != bytes[i])
            fail_msg("byte %u of %u is %02x and not %02x", i, n, got, bytes[i]);
    }
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
    assert_int_equal(rig.wire[aux ? 12 : 1].level, 0);
}

#define EXPECT(aux, ...)                                                                           \
    expect(aux, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void to_mouse(uint8_t byte)
{
    rig_out(&rig, 0x64, 0xd4);
    rig_out(&rig, 0x60, byte);
}

/* ---- keyboard ---- */

static void keys_are_translated(void **state)
{
    key(30, true); /* a */
    key(30, false);
    EXPECT(false, 0x1e, 0x9e);
    key(INPUT_KEY_RIGHTCTRL, true);
    key(INPUT_KEY_RIGHTCTRL, false);
    EXPECT(false, 0xe0, 0x1d, 0xe0, 0x9d);
    key(65, true); /* F7, whose code of set 2 is above 0x7f */
    key(65, false);
    EXPECT(false, 0x41, 0xc1);
    key(INPUT_KEY_PAUSE, true);
    key(INPUT_KEY_PAUSE, false);
    EXPECT(false, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    key(INPUT_KEY_SYSRQ, true);
    key(INPUT_KEY_SYSRQ, false);
    EXPECT(false, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
    assert_true(key(1000, true)); /* no such key: nothing */
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
}

static void every_key_round_trips(void **state)
{
    for (unsigned n = 1; n <= 88; n++) {
        if (n > 83 && n < 86)
            continue;
        key(n, true);
        key(n, false);
        EXPECT(false, (uint8_t)n, (uint8_t)(n | 0x80));
    }
}

static void raw_codes_are_of_set_2(void **state)
{
    mode(0x07);
    key(30, true);
    key(30, false);
    EXPECT(false, 0x1c, 0xf0, 0x1c);
    key(INPUT_KEY_DELETE, true);
    key(INPUT_KEY_DELETE, false);
    EXPECT(false, 0xe0, 0x71, 0xe0, 0xf0, 0x71);
    key(INPUT_KEY_PAUSE, true);
    EXPECT(false, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
    /* Set 1 from the keyboard itself. */
    rig_out(&rig, 0x60, 0xf0);
    rig_out(&rig, 0x60, 1);
    EXPECT(false, 0xfa, 0xfa);
    key(16, true);
    key(16, false);
    EXPECT(false, 0x10, 0x90);
    rig_out(&rig, 0x60, 0xf0);
    rig_out(&rig, 0x60, 0);
    EXPECT(false, 0xfa, 0xfa, 1);
    rig_out(&rig, 0x60, 0xf0);
    rig_out(&rig, 0x60, 3); /* not one of a PC's */
    EXPECT(false, 0xfa, 0xfe);
}

static void keyboard_commands(void **state)
{
    rig_out(&rig, 0x60, 0xff);
    EXPECT(false, 0xfa, 0xaa);
    rig_out(&rig, 0x60, 0xf2);
    EXPECT(false, 0xfa, 0xab, 0x41); /* 83, translated */
    rig_out(&rig, 0x60, 0xee);
    EXPECT(false, 0xee);
    rig_out(&rig, 0x60, 0xed);
    rig_out(&rig, 0x60, 0x07);
    EXPECT(false, 0xfa, 0xfa);
    rig_out(&rig, 0x60, 0x01); /* no command */
    EXPECT(false, 0xfe);
    rig_out(&rig, 0x60, 0xf5);
    EXPECT(false, 0xfa);
    key(30, true);
    key(30, false);
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
    rig_out(&rig, 0x60, 0xf4);
    EXPECT(false, 0xfa);
    key(30, true);
    EXPECT(false, 0x1e);
    rig_out(&rig, 0x60, 0xfe);
    EXPECT(false, 0x1e); /* again */
}

static void held_keys_repeat(void **state)
{
    rig_out(&rig, 0x60, 0xf3);
    rig_out(&rig, 0x60, 0x00); /* 30 a second after 250 ms */
    EXPECT(false, 0xfa, 0xfa);
    key(30, true);
    EXPECT(false, 0x1e);
    key(30, true); /* the host's repetition is not ours */
    rig_pass(&rig, 249000000);
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
    rig_pass(&rig, 2000000);
    EXPECT(false, 0x1e);
    rig_pass(&rig, 34000000);
    EXPECT(false, 0x1e);
    key(30, false);
    EXPECT(false, 0x9e);
    rig_pass(&rig, 1000000000);
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
}

static void a_flood_is_refused_but_no_key_hangs(void **state)
{
    unsigned taken = 0, bytes = 0, makes = 0, breaks = 0;

    for (unsigned n = 2; n <= 60; n++)
        taken += key(n, true);
    assert_in_range(taken, 8, 17);
    for (unsigned n = 2; n <= 60; n++)
        key(n, false);
    for (; rig_in(&rig, 0x64) & 1 && bytes < 1000; bytes++) {
        if (rig_in(&rig, 0x60) & 0x80)
            breaks++;
        else
            makes++;
    }
    assert_int_equal(makes, taken);
    assert_int_equal(breaks, taken);
}

static void answers_do_not_lose_keys(void **state)
{
    key(30, true);
    rig_out(&rig, 0x64, 0x20); /* the mode takes the place of the key's code, for a while */
    assert_int_equal(rig_in(&rig, 0x60), 0x47);
    EXPECT(false, 0x1e);
    key(30, false);
    rig_out(&rig, 0x60, 0xee); /* a command comes while a code waits to be read */
    EXPECT(false, 0x9e, 0xee);
    /* A stopped clock holds codes back. */
    rig_out(&rig, 0x64, 0xad);
    key(48, true);
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
    rig_out(&rig, 0x64, 0xae);
    EXPECT(false, 0x30);
}

/* ---- mouse ---- */

static void mouse_identifies_itself(void **state)
{
    static const uint8_t knock[] = {200, 100, 80};

    to_mouse(0xff);
    EXPECT(true, 0xfa, 0xaa, 0x00);
    to_mouse(0xf2);
    EXPECT(true, 0xfa, 0x00);
    for (unsigned i = 0; i < 3; i++) {
        to_mouse(0xf3);
        to_mouse(knock[i]);
        EXPECT(true, 0xfa, 0xfa);
    }
    to_mouse(0xf2);
    EXPECT(true, 0xfa, 0x03);
    for (unsigned i = 0; i < 3; i++) {
        to_mouse(0xf3);
        to_mouse(i == 1 ? 200 : knock[i]);
        EXPECT(true, 0xfa, 0xfa);
    }
    to_mouse(0xf2);
    EXPECT(true, 0xfa, 0x04);
    to_mouse(0xe9);
    EXPECT(true, 0xfa, 0x00, 0x02, 80);
    to_mouse(0xff);
    EXPECT(true, 0xfa, 0xaa, 0x00);
    to_mouse(0x10);
    EXPECT(true, 0xfe);
}

static void mouse_streams(void **state)
{
    move(5, 5, 0, 0); /* not enabled yet */
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
    to_mouse(0xf4);
    EXPECT(true, 0xfa);
    move(5, -3, 0, INPUT_LEFT);
    EXPECT(true, 0x09, 5, 3);
    move(-5, 3, 0, INPUT_RIGHT | INPUT_MIDDLE);
    EXPECT(true, 0x3e, 0xfb, 0xfd);
    move(300, 0, 0, 0); /* as much as a packet holds at a time */
    EXPECT(true, 0x08, 127, 0, 0x08, 127, 0, 0x08, 46, 0);
    to_mouse(0xf5);
    EXPECT(true, 0xfa);
    move(1, 1, 0, 0);
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
}

static void mouse_adds_up_what_is_not_read(void **state)
{
    int x = 0, clicks = 0, packets = 0;
    unsigned last = 0;

    to_mouse(0xf4);
    EXPECT(true, 0xfa);
    for (unsigned i = 0; i < 100; i++)
        move(1, 0, 0, 0);
    move(0, 0, 0, INPUT_LEFT);
    move(0, 0, 0, 0);
    for (; rig_in(&rig, 0x64) & 1 && packets < 100; packets++) {
        uint8_t head = rig_in(&rig, 0x60);
        x += (int8_t)rig_in(&rig, 0x60);
        rig_in(&rig, 0x60);
        clicks += (head & 1) && !(last & 1);
        last = head;
    }
    assert_int_equal(x, 100);
    assert_int_equal(clicks, 1);
    assert_int_equal(last & 1, 0);
    assert_in_range(packets, 3, 6);
}

static void mouse_wheel_and_side_buttons(void **state)
{
    static const uint8_t rates[] = {200, 100, 80, 200, 200, 80};

    for (unsigned i = 0; i < array_size(rates); i++) {
        to_mouse(0xf3);
        to_mouse(rates[i]);
        EXPECT(true, 0xfa, 0xfa);
    }
    to_mouse(0xf4);
    EXPECT(true, 0xfa);
    move(0, 0, 1, INPUT_SIDE);
    EXPECT(true, 0x08, 0, 0, 0x1f);
    move(0, 0, -1, INPUT_EXTRA);
    EXPECT(true, 0x08, 0, 0, 0x21);
}

static void mouse_on_demand_and_echo(void **state)
{
    to_mouse(0xf0);
    EXPECT(true, 0xfa);
    move(7, 0, 0, 0);
    assert_int_equal(rig_in(&rig, 0x64) & 1, 0);
    to_mouse(0xeb);
    EXPECT(true, 0xfa, 0x08, 7, 0);
    to_mouse(0xee);
    EXPECT(true, 0xfa);
    to_mouse(0x42);
    EXPECT(true, 0x42);
    to_mouse(0xec);
    EXPECT(true, 0xfa);
    to_mouse(0xe7); /* scaling is of stream mode */
    to_mouse(0xea);
    to_mouse(0xf4);
    EXPECT(true, 0xfa, 0xfa, 0xfa);
    move(4, 0, 0, 0);
    EXPECT(true, 0x08, 6, 0);
}

static void keys_go_before_the_mouse(void **state)
{
    to_mouse(0xf4);
    EXPECT(true, 0xfa);
    rig_out(&rig, 0x64, 0xad);
    rig_out(&rig, 0x64, 0xa7);
    move(1, 0, 0, 0);
    key(30, true);
    mode(0x47);
    assert_int_equal(rig_in(&rig, 0x60), 0x1e);
    EXPECT(true, 0x08, 1, 0);
}

#define UNIT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(keys_are_translated),
                                       UNIT(every_key_round_trips),
                                       UNIT(raw_codes_are_of_set_2),
                                       UNIT(keyboard_commands),
                                       UNIT(held_keys_repeat),
                                       UNIT(a_flood_is_refused_but_no_key_hangs),
                                       UNIT(answers_do_not_lose_keys),
                                       UNIT(mouse_identifies_itself),
                                       UNIT(mouse_streams),
                                       UNIT(mouse_adds_up_what_is_not_read),
                                       UNIT(mouse_wheel_and_side_buttons),
                                       UNIT(mouse_on_demand_and_echo),
                                       UNIT(keys_go_before_the_mouse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

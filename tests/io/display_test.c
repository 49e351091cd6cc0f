/* SPDX-License-Identifier: Apache-2.0 */
/* Frames with their damage, text, and the keys of a US keyboard. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "io/display.h"
#include "io/input.h"

enum { WIDTH = 16, HEIGHT = 1000 };

static void damage_stays_within_its_list(void **state)
{
    struct display_frame f = {.pixels = calloc(DISPLAY_MAX_PIXELS, 4)};
    uint32_t line[WIDTH] = {0};
    unsigned covered = 0;

    assert_true(display_frame_begin(&f, WIDTH, HEIGHT));
    assert_int_equal(f.damage_count, 1);
    assert_int_equal(f.damage[0].height, HEIGHT);
    display_frame_line(&f, 0, line);
    assert_false(display_frame_begin(&f, WIDTH, HEIGHT));
    assert_int_equal(f.damage_count, 0);
    /* A line in ten changes, more often than there is room for. */
    for (unsigned y = 0; y < HEIGHT; y++) {
        line[y % WIDTH] = y % 10 == 0;
        display_frame_line(&f, y, line);
        line[y % WIDTH] = 0;
    }
    assert_int_equal(f.damage_count, DISPLAY_RECTS);
    for (unsigned i = 0; i < f.damage_count; i++) {
        const struct display_rect *r = &f.damage[i];
        assert_true(r->width && r->height);
        assert_true(r->x + r->width <= WIDTH && r->y + r->height <= HEIGHT);
        assert_true(i == 0 || r->y >= f.damage[i - 1].y + f.damage[i - 1].height);
    }
    for (unsigned y = 0; y < HEIGHT; y += 10)
        for (unsigned i = 0; i < f.damage_count; i++)
            covered += y >= f.damage[i].y && y < f.damage[i].y + (unsigned)f.damage[i].height &&
                       y % WIDTH >= f.damage[i].x &&
                       y % WIDTH < f.damage[i].x + (unsigned)f.damage[i].width;
    assert_int_equal(covered, HEIGHT / 10);
    display_frame_line(&f, HEIGHT, line); /* beyond the end */
    free(f.pixels);
}

static void codes_of_pcs_are_unicode(void **state)
{
    assert_int_equal(display_cp437('A'), 'A');
    assert_int_equal(display_cp437(0x01), 0x263a);
    assert_int_equal(display_cp437(0x7f), 0x2302);
    assert_int_equal(display_cp437(0x80), 0x00c7);
    assert_int_equal(display_cp437(0xc9), 0x2554);
    assert_int_equal(display_cp437(0xdb), 0x2588);
    assert_int_equal(display_cp437(0xff), 0x00a0);
}

static void keys_have_names_and_characters(void **state)
{
    unsigned key;
    bool shift;

    for (int c = 0x20; c < 0x7f; c++)
        assert_true(input_key_of_char((char)c, &key, &shift));
    assert_true(input_key_of_char('A', &key, &shift));
    assert_int_equal(key, 30);
    assert_true(shift);
    assert_true(input_key_of_char('|', &key, &shift));
    assert_int_equal(key, 43);
    assert_true(input_key_of_char('\n', &key, &shift));
    assert_int_equal(key, INPUT_KEY_ENTER);
    assert_false(input_key_of_char(0, &key, &shift));
    assert_false(input_key_of_char((char)0xe4, &key, &shift));
    assert_int_equal(input_key_of_name("Delete", 6), INPUT_KEY_DELETE);
    assert_int_equal(input_key_of_name("f12", 3), 88);
    assert_int_equal(input_key_of_name("x-y", 1), 45);
    assert_int_equal(input_key_of_name("del-x", 3), INPUT_KEY_DELETE);
    assert_int_equal(input_key_of_name("f13", 3), 0);
    assert_int_equal(input_key_of_name("A", 1), 0); /* that is shift-a */
    assert_int_equal(input_key_of_name("", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(damage_stays_within_its_list),
                                       cmocka_unit_test(codes_of_pcs_are_unicode),
                                       cmocka_unit_test(keys_have_names_and_characters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A screen drawn on a terminal, held to a terminal of the test's own; and a terminal's keys. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "instance/text_keys.h"
#include "instance/text_view.h"
#include "io/input.h"
#include "tests/test.h"

/* ---- a terminal that knows what text_view uses, and nothing else ---- */

enum { WIDE = 100, HIGH = 40 };
static struct {
    unsigned columns, rows, x, y;
    unsigned front, back;
    bool bright, blink, cursor;
    struct {
        char text[4];
        unsigned front, back;
        bool blink;
    } cell[HIGH][WIDE];
} term;

static void attribute(unsigned n)
{
    if (n == 0)
        term.blink = false;
    else if (n == 5)
        term.blink = true;
    else if ((n >= 30 && n < 38) || (n >= 90 && n < 98))
        term.front = n;
    else if ((n >= 40 && n < 48) || (n >= 100 && n < 108))
        term.back = n;
    else
        fail_msg("attribute %u", n);
}

static const char *sequence(const char *at)
{
    unsigned p[4] = {0}, count = 0;

    assert_int_equal(*at++, '[');
    if (*at == '?') {
        p[0] = (unsigned)strtoul(at + 1, (char **)(uintptr_t)&at, 10);
        assert_int_equal(p[0], 25);
        term.cursor = *at == 'h';
        return at + 1;
    }
    while (isdigit((unsigned char)*at) || *at == ';') {
        if (*at == ';')
            at++;
        assert_true(count < array_size(p));
        p[count++] = (unsigned)strtoul(at, (char **)(uintptr_t)&at, 10);
    }
    switch (*at) {
    case 'H':
        assert_in_range(p[0], 1, term.rows);
        assert_in_range(p[1], 1, term.columns);
        term.y = p[0] - 1;
        term.x = p[1] - 1;
        break;
    case 'm':
        for (unsigned i = 0; i < count; i++)
            attribute(p[i]);
        break;
    case 'J':
        assert_int_equal(p[0], 2);
        for (unsigned i = 0; i < HIGH * WIDE; i++)
            strcpy(term.cell[i / WIDE][i % WIDE].text, " ");
        break;
    default:
        fail_msg("sequence that ends in %c", *at);
    }
    return at + 1;
}

/* Takes what was drawn; the number of bytes. */
static size_t show(struct str *out)
{
    size_t bytes = out->len;

    for (const char *at = str_text(out); *at;) {
        if (*at == '\33') {
            at = sequence(at + 1);
            continue;
        }
        size_t n = (*at & 0xe0) == 0xe0 ? 3 : (*at & 0xc0) == 0xc0 ? 2 : 1;
        assert_true(term.x < term.columns); /* it does not wrap */
        memcpy(term.cell[term.y][term.x].text, at, n);
        term.cell[term.y][term.x].text[n] = 0;
        term.cell[term.y][term.x].front = term.front;
        term.cell[term.y][term.x].back = term.back;
        term.cell[term.y][term.x].blink = term.blink;
        term.x++;
        at += n;
    }
    str_done(out);
    return bytes;
}

static struct text_view view;
static struct display_text screen;

static void size(unsigned columns, unsigned rows)
{
    term.columns = columns;
    term.rows = rows;
    text_view_resize(&view, columns, rows);
}

static size_t draw(void)
{
    struct str out = {0};

    text_view_draw(&view, &screen, &out);
    return show(&out);
}

static void put(unsigned x, unsigned y, const char *text, unsigned attributes)
{
    for (; *text; text++, x++)
        screen.cells[y * screen.columns + x] =
            (uint16_t)((unsigned)(uint8_t)*text | attributes << 8);
}

static int set_up(void **state)
{
    struct str out = {0};

    memset(&term, 0, sizeof term);
    memset(&view, 0, sizeof view);
    screen.columns = 80;
    screen.rows = 25;
    screen.cursor_x = screen.cursor_y = 0;
    screen.blink = true;
    for (unsigned i = 0; i < 80 * 25; i++)
        screen.cells[i] = 0x0720;
    text_view_begin(&view, &out);
    str_done(&out);
    size(80, 25);
    return 0;
}

static void only_changes_are_drawn(void **state)
{
    put(10, 3, "login:", 0x07);
    draw();
    assert_string_equal(term.cell[3][10].text, "l");
    assert_string_equal(term.cell[3][15].text, ":");
    assert_true(term.cursor);
    assert_int_equal(draw(), 0);
    put(10, 3, "Login:", 0x07);
    assert_in_range(draw(), 1, 40);
    assert_string_equal(term.cell[3][10].text, "L");
    assert_string_equal(term.cell[3][11].text, "o");
    screen.cursor_x = 17;
    screen.cursor_y = 3;
    assert_in_range(draw(), 1, 10);
    assert_int_equal(term.x, 17);
    assert_int_equal(term.y, 3);
    screen.cursor_x = screen.cursor_y = -1;
    draw();
    assert_false(term.cursor);
}

static void colours_are_the_terminals(void **state)
{
    put(0, 0, "A", 0x1e); /* yellow on blue */
    put(1, 0, "B", 0xc4); /* red on red, blinking */
    put(2, 0, "\xb0", 0x07);
    draw();
    assert_int_equal(term.cell[0][0].front, 93);
    assert_int_equal(term.cell[0][0].back, 44);
    assert_false(term.cell[0][0].blink);
    assert_int_equal(term.cell[0][1].front, 31);
    assert_int_equal(term.cell[0][1].back, 41);
    assert_true(term.cell[0][1].blink);
    assert_string_equal(term.cell[0][2].text, "\u2591");
    screen.blink = false;
    text_view_resize(&view, 80, 25);
    draw();
    assert_int_equal(term.cell[0][1].back, 101);
    assert_false(term.cell[0][1].blink);
}

static void a_small_terminal_follows_the_cursor(void **state)
{
    size(40, 10);
    put(0, 0, "first", 0x07);
    put(0, 24, "last", 0x07);
    put(78, 24, "zz", 0x07);
    draw();
    assert_string_equal(term.cell[0][0].text, "f");
    screen.cursor_y = 24;
    screen.cursor_x = 70; /* to the right of what is shown */
    draw();
    assert_string_equal(term.cell[9][0].text, "l");
    assert_false(term.cursor);
    screen.cursor_y = 0;
    screen.cursor_x = 0;
    draw();
    assert_string_equal(term.cell[0][0].text, "f");
    assert_true(term.cursor);
}

static void modes_and_pictures_come_and_go(void **state)
{
    const char *const lines[] = {"a picture"};
    struct str out = {0};

    put(0, 0, "text", 0x07);
    draw();
    text_view_notice(&view, lines, 1, &out);
    assert_true(show(&out) > 0);
    assert_string_equal(term.cell[0][2].text, "p");
    text_view_notice(&view, lines, 1, &out);
    assert_int_equal(show(&out), 0);
    draw();
    assert_string_equal(term.cell[0][2].text, "x");
    assert_string_equal(term.cell[0][7].text, " ");
    screen.columns = 40; /* the same cells in rows of another length */
    draw();
    assert_string_equal(term.cell[0][0].text, "t");
    screen.columns = 0;
    assert_int_equal(draw(), 0);
    screen.columns = DISPLAY_TEXT_COLUMNS + 1;
    assert_int_equal(draw(), 0);
}

/* ---- keys ---- */

/* The keys of @bytes and a pause, as "ctrl-46 103". */
static const char *keys(const char *bytes)
{
    static char text[200];
    struct text_key k[TEXT_KEYS_MAX];
    struct text_keys t = {0};
    size_t at = 0;

    text[0] = 0;
    for (const char *b = bytes;; b++) {
        unsigned n = *b ? text_keys_take(&t, (uint8_t)*b, k) : text_keys_pause(&t, k);
        for (unsigned i = 0; i < n; i++)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s%s%s%u", at ? " " : "",
                                   k[i].modifiers & TEXT_KEYS_CTRL ? "c-" : "",
                                   k[i].modifiers & TEXT_KEYS_ALT ? "a-" : "",
                                   k[i].modifiers & TEXT_KEYS_SHIFT ? "s-" : "", k[i].key);
        if (!*b)
            return text;
    }
}

static void terminals_keys_are_keys(void **state)
{
    static const struct {
        const char *bytes, *keys;
    } cases[] = {
        {"aA1!", "30 s-30 2 s-2"},
        {"\r\t\x7f\b", "28 15 14 14"},
        {"\3\32\34\36", "c-46 c-44 c-43 c-s-7"},
        {"\33", "1"},
        {"\33\33", "1 1"},
        {"\33x\33X", "a-45 a-s-45"},
        {"\33[A\33[B\33[C\33[D\33[H\33[F", "103 108 106 105 102 107"},
        {"\33OA\33OP\33OS\33OM", "103 59 62 96"},
        {"\33[2~\33[3~\33[5~\33[6~\33[15~\33[24~", "110 111 104 109 63 88"},
        {"\33[[A\33[[E", "59 63"},
        {"\33[1;5C\33[3;2~\33[1;4A\33[Z", "c-106 s-111 a-s-103 s-15"},
        {"\33[", "a-26"},
        {"\33O", "a-s-24"},
        {"\33[1;", ""},
        {"\33[1\33[A", "103"},
        {"\33[999;999;999;999A", "a-103"},
        {"\33[?1;2c", ""},
        {"\33[999~\33[0~\33[~", ""},
        {"\33[0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0A", "39 11 39 11 39 11 39 11 s-30"},
        {"\xc3\xa4\xff", ""},
    };

    for (unsigned i = 0; i < array_size(cases); i++)
        assert_string_equal(keys(cases[i].bytes), cases[i].keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(only_changes_are_drawn, set_up),
        cmocka_unit_test_setup(colours_are_the_terminals, set_up),
        cmocka_unit_test_setup(a_small_terminal_follows_the_cursor, set_up),
        cmocka_unit_test_setup(modes_and_pictures_come_and_go, set_up),
        cmocka_unit_test(terminals_keys_are_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

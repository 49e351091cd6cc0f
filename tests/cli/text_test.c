/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, numbers and times for people. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/human.h"
#include "cli/table.h"

static void test_table(void **state)
{
    struct table t = {0};
    struct str out = {0};

    table_row(&t);
    table_cell(&t, TABLE_PLAIN, "ID");
    table_cell(&t, TABLE_PLAIN, "STATUS");
    table_cell(&t, TABLE_PLAIN, "NAME");
    table_row(&t);
    table_cell(&t, TABLE_PLAIN, "0123");
    table_cell(&t, TABLE_GREEN, "Up");
    table_cell(&t, TABLE_PLAIN, "gr\xc3\xbcn");
    table_row(&t);
    table_cell(&t, TABLE_PLAIN, "\xe4\xb8\x96\xe7\x95\x8c");
    table_cell(&t, TABLE_PLAIN, "");
    table_cell(&t, TABLE_PLAIN, "");
    table_render(&t, false, &out);
    assert_string_equal(str_text(&out), "ID     STATUS   NAME\n"
                                        "0123   Up       gr\xc3\xbcn\n"
                                        "\xe4\xb8\x96\xe7\x95\x8c\n");
    str_done(&out);
    table_render(&t, true, &out);
    assert_string_equal(str_text(&out), "ID     STATUS   NAME\n"
                                        "0123   \x1b[32mUp\x1b[0m       gr\xc3\xbcn\n"
                                        "\xe4\xb8\x96\xe7\x95\x8c\n");
    str_done(&out);
    table_done(&t);
    table_render(&t, false, &out);
    assert_string_equal(str_text(&out), "");
}

/* Guests must not reach the terminal through a table. */
static void test_hostile_cells(void **state)
{
    struct str out = {0};

    table_add_clean(&out, "a\x1b[31m\nb\x7f\xc2\x9b"
                          "c\xff\xc3(\xe4\xb8");
    assert_string_equal(str_text(&out), "a?[31m?b?"
                                        "?c?"
                                        "?(?"
                                        "?");
    assert_int_equal(table_width("a\xc3\xbc\xe4\xb8\x96\x01"), 5);
    str_done(&out);
}

static void test_too_many_columns(void **state)
{
    struct table t = {0};

    table_cell(&t, TABLE_PLAIN, "before any row");
    table_row(&t);
    for (int i = 0; i < 2 * TABLE_COLUMNS; i++)
        table_cell(&t, TABLE_PLAIN, "x");
    assert_int_equal(t.columns, TABLE_COLUMNS);
    table_done(&t);
}

static void test_sizes(void **state)
{
    static const struct {
        uint64_t n;
        const char *size, *traffic;
    } cases[] = {
        {0, "0B", "0B"},
        {999, "999B", "999B"},
        {1000, "1000B", "1kB"},
        {1536, "1.5KiB", "1.54kB"},
        {536870912, "512MiB", "537MB"},
        {123456789, "118MiB", "123MB"},
        {UINT64_MAX, "16EiB", "18.4EB"},
    };

    for (size_t i = 0; i < array_size(cases); i++) {
        struct str out = {0};
        human_size(&out, cases[i].n);
        assert_string_equal(str_text(&out), cases[i].size);
        str_done(&out);
        human_traffic(&out, cases[i].n);
        assert_string_equal(str_text(&out), cases[i].traffic);
        str_done(&out);
    }
}

static void test_durations(void **state)
{
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        {-5, "Less than a second"}, {0, "Less than a second"}, {1, "1 second"},
        {59, "59 seconds"},         {60, "About a minute"},    {120, "2 minutes"},
        {3600, "About an hour"},    {7200, "2 hours"},         {47 * 3600, "47 hours"},
        {48 * 3600, "2 days"},      {14 * 86400, "2 weeks"},   {90 * 86400, "3 months"},
        {800 * 86400ll, "2 years"},
    };

    for (size_t i = 0; i < array_size(cases); i++) {
        struct str out = {0};
        human_duration(&out, cases[i].s * HUMAN_SECOND);
        assert_string_equal(str_text(&out), cases[i].text);
        str_done(&out);
    }
}

static void test_times(void **state)
{
    const int64_t now = 2000000000ll * HUMAN_SECOND;
    static const struct {
        const char *text;
        int64_t s; /* -1: not a time */
    } cases[] = {
        {"0s", 2000000000},
        {"90s", 2000000000 - 90},
        {"1h30m", 2000000000 - 5400},
        {"2d", 2000000000 - 2 * 86400},
        {"1700000000", 1700000000},
        {"2023-11-14T22:13:20Z", 1700000000},
        {"2023-11-14T23:13:20+01:00", 1700000000},
        {"2023-11-14T22:13:20", 1700000000},
        {"2023-11-14 22:13", 1699999980},
        {"2023-11-14", 1699920000},
        {"100w100w", 2000000000 - 200 * 7 * 86400},
        {"", -1},
        {"10", 10},
        {"10x", -1},
        {"m", -1},
        {"2023-02-30", -1},
        {"2023-01-01T25:00", -1},
        {"2023-01-01T10:00Q", -1},
        {"99999999999999999999s", -1},
        {"99999999999999999w", -1},
        {"-5m", -1},
    };

    for (size_t i = 0; i < array_size(cases); i++) {
        int64_t ns = 0;
        struct error err = {0};
        int r = human_parse_time(cases[i].text, now, &ns, &err);
        if (cases[i].s < 0) {
            assert_int_equal(r, -EINVAL);
            continue;
        }
        if (r)
            fail_msg("%s", error_text(&err));
        assert_int_equal(ns, cases[i].s * HUMAN_SECOND);
    }
}

static void test_time_text(void **state)
{
    struct str out = {0};
    int64_t ns = 0;

    human_time(&out, 1700000000ll * HUMAN_SECOND + 42);
    assert_string_equal(str_text(&out), "2023-11-14T22:13:20.000000042Z");
    assert_int_equal(human_parse_time(str_text(&out), 0, &ns, NULL), 0);
    assert_int_equal(ns, 1700000000ll * HUMAN_SECOND + 42);
    str_done(&out);
    human_time(&out, 0);
    assert_string_equal(str_text(&out), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),     cmocka_unit_test(test_hostile_cells),
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_too_many_columns),
        cmocka_unit_test(test_times),     cmocka_unit_test(test_durations),
        cmocka_unit_test(test_time_text),
    };
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

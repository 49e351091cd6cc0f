/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "tests/test.h"

static void error_chain_reads_outside_in(void **state)
{
    struct error err = {0};

    (void)state;
    assert_int_equal(error_set_errno(&err, -ENOENT, "open %s", "a.img"), -ENOENT);
    assert_int_equal(error_wrap(&err, -ENOENT, "start %s", "web"), -ENOENT);
    assert_string_equal(error_text(&err), "start web: open a.img: No such file or directory");
    assert_int_equal(err.code, -ENOENT);
    assert_int_equal(error_set(NULL, -EINVAL, "x"), -EINVAL);
    assert_string_equal(error_text(NULL), "unknown error");
}

static void error_text_is_cut_not_overrun(void **state)
{
    struct error err = {0};
    char text[3000];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    error_set(&err, -EIO, "%s", text);
    error_wrap(&err, -EIO, "%s", text);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void str_grows_and_steals(void **state)
{
    struct str s = {0};
    char *taken;

    (void)state;
    for (int i = 0; i < 1000; i++)
        str_addf(&s, "%d,", i);
    assert_false(s.failed);
    assert_int_equal(s.len, 3890);
    taken = str_steal(&s);
    assert_memory_equal(taken, "0,1,2,", 6);
    free(taken);
    assert_string_equal(str_text(&s), "");
    taken = str_steal(&s);
    assert_string_equal(taken, "");
    free(taken);
}

static void sizes_are_parsed_strictly(void **state)
{
    static const struct {
        const char *text;
        uint64_t unit, value;
        int result;
    } cases[] = {{"512", 1 << 20, 512ull << 20, 0},
                 {"512m", 1, 512ull << 20, 0},
                 {"2GiB", 1, 2ull << 30, 0},
                 {"1kb", 1, 1024, 0},
                 {"7b", 1 << 20, 7, 0},
                 {"3T", 1, 3ull << 40, 0},
                 {"", 1, 0, -EINVAL},
                 {"m", 1, 0, -EINVAL},
                 {"1x", 1, 0, -EINVAL},
                 {"-1", 1, 0, -EINVAL},
                 {"1m2", 1, 0, -EINVAL},
                 {"99999999999g", 1, 0, -ERANGE},
                 {"99999999999999999999", 1, 0, -ERANGE}};

    (void)state;
    for (size_t i = 0; i < array_size(cases); i++) {
        uint64_t value = 0;
        assert_int_equal(str_parse_size(cases[i].text, cases[i].unit, &value), cases[i].result);
        if (cases[i].result == 0)
            assert_int_equal(value, cases[i].value);
    }
}

static void numbers_are_parsed_strictly(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(str_parse_u64("0x10", &v), 0);
    assert_int_equal(v, 16);
    assert_int_equal(str_parse_u64("18446744073709551615", &v), 0);
    assert_int_equal(str_parse_u64("18446744073709551616", &v), -ERANGE);
    assert_int_equal(str_parse_u64("0x", &v), -EINVAL);
    assert_int_equal(str_parse_u64(" 1", &v), -EINVAL);
    assert_int_equal(str_parse_u64("1 ", &v), -EINVAL);
}

static void allocation_fails_on_demand(void **state)
{
    cleanup_free void *a = NULL, *c = NULL;

    (void)state;
    mem_fail_at(2);
    a = mem_alloc(1, 8);
    assert_non_null(a);
    assert_null(mem_alloc(1, 8));
    c = mem_alloc(1, 8);
    assert_non_null(c);
    assert_null(mem_alloc(SIZE_MAX, 16));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_chain_reads_outside_in),
        cmocka_unit_test(error_text_is_cut_not_overrun),
        cmocka_unit_test(str_grows_and_steals),
        cmocka_unit_test(sizes_are_parsed_strictly),
        cmocka_unit_test(numbers_are_parsed_strictly),
        cmocka_unit_test(allocation_fails_on_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

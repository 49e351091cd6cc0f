/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/parse.h"
#include "cli/suggest.h"

static const struct option options[] = {
    {.name = "tty", .letter = 't', .kind = OPTION_BOOL},
    {.name = "interactive", .letter = 'i', .kind = OPTION_BOOL},
    {.name = "proxy", .kind = OPTION_BOOL, .initial = "true"},
    {.name = "name", .letter = 'n', .kind = OPTION_TEXT, .value = "NAME"},
    {.name = "network",
     .alias = "net",
     .kind = OPTION_CHOICE,
     .value = "NET",
     .choices = "nat|none",
     .initial = "nat"},
    {.name = "publish", .letter = 'p', .kind = OPTION_LIST, .value = "PORT"},
    {.name = "memory", .letter = 'm', .kind = OPTION_SIZE, .value = "SIZE", .initial = "512m"},
    {.name = "cpus", .kind = OPTION_UINT, .value = "N"},
    {0},
};

static const struct verb anywhere = {
    .name = "stop", .synopsis = "INSTANCE...", .options = options, .min = 1, .max = -1};
static const struct verb first = {.name = "run",
                                  .synopsis = "[OPTIONS]",
                                  .options = options,
                                  .max = -1,
                                  .stop_at_positional = true};
static const struct verb two = {
    .name = "rename", .synopsis = "INSTANCE NAME", .options = options, .min = 2, .max = 2};

/* Parses up to six words. */
static int parse(const struct verb *verb, struct args *args, struct error *err, const char *a,
                 const char *b, const char *c, const char *d, const char *e, const char *f)
{
    const char *words[] = {a, b, c, d, e, f};
    int n = 0;

    *err = (struct error){0};
    while (n < 6 && words[n])
        n++;
    return args_parse(verb, n, (char *const *)words, args, err);
}

#define PARSE6(verb, a, b, c, d, e, f, ...) parse(verb, &args, &err, a, b, c, d, e, f)
#define PARSE(verb, ...)                    PARSE6(verb, ##__VA_ARGS__, NULL, NULL, NULL, NULL, NULL, NULL, NULL)

static void refuses(const struct verb *verb, const char *word, const char *value, const char *text)
{
    struct args args;
    struct error err;

    assert_int_equal(PARSE(verb, word, value), -EINVAL);
    assert_string_equal(error_text(&err), text);
    args_done(&args);
}

static void test_forms(void **state)
{
    struct args args;
    struct error err;

    assert_int_equal(PARSE(&anywhere, "-it", "web", "--name=x", "-m1g", "-p", "1:2"), 0);
    assert_true(args_bool(&args, "tty"));
    assert_true(args_bool(&args, "interactive"));
    assert_true(args_bool(&args, "proxy"));
    assert_string_equal(args_text(&args, "name"), "x");
    assert_int_equal(args_number(&args, "memory"), 1 << 30);
    assert_string_equal(args_list(&args, "publish", 0), "1:2");
    assert_null(args_list(&args, "publish", 1));
    assert_int_equal(args.word_count, 1);
    assert_string_equal(args.words[0], "web");
    args_done(&args);

    assert_int_equal(PARSE(&first, "--name", "--odd", "--proxy=f", "-tn=v", "--net", "none"), 0);
    assert_string_equal(args_text(&args, "name"), "v");
    assert_false(args_bool(&args, "proxy"));
    assert_true(args_bool(&args, "tty"));
    assert_string_equal(args_text(&args, "network"), "none");
    args_done(&args);

    assert_int_equal(PARSE(&first, "-t=false", "--interactive=TRUE", "-"), 0);
    assert_false(args_bool(&args, "tty"));
    assert_true(args_bool(&args, "interactive"));
    assert_string_equal(args.words[0], "-");
    args_done(&args);
}

static void test_defaults(void **state)
{
    struct args args;
    struct error err;

    assert_int_equal(PARSE(&first), 0);
    assert_int_equal(args_number(&args, "memory"), 512 << 20);
    assert_int_equal(args_number(&args, "cpus"), 0);
    assert_string_equal(args_text(&args, "network"), "nat");
    assert_null(args_text(&args, "name"));
    assert_false(args_given(&args, "memory"));
    args_done(&args);
}

static void test_where_options_end(void **state)
{
    struct args args;
    struct error err;

    assert_int_equal(PARSE(&first, "-t", "image", "-x", "--name", "y"), 0);
    assert_int_equal(args.word_count, 4);
    assert_string_equal(args.words[1], "-x");
    assert_null(args_text(&args, "name"));
    args_done(&args);

    assert_int_equal(PARSE(&anywhere, "--", "-t"), 0);
    assert_string_equal(args.words[0], "-t");
    assert_false(args_bool(&args, "tty"));
    args_done(&args);

    assert_int_equal(PARSE(&anywhere, "-n", "--", "w"), 0);
    assert_string_equal(args_text(&args, "name"), "--");
    args_done(&args);

    /* --help wins over what is missing. */
    assert_int_equal(PARSE(&two, "--help"), 0);
    assert_true(args_given(&args, "help"));
    args_done(&args);
}

static void test_lists(void **state)
{
    struct args args;
    struct error err;

    assert_int_equal(PARSE(&first, "-p1:1", "--publish", "2:2", "--publish=3:3"), 0);
    assert_string_equal(args_list(&args, "publish", 1), "2:2");
    assert_string_equal(args_list(&args, "publish", 2), "3:3");
    args_done(&args);
}

static void test_refusals(void **state)
{
    refuses(&anywhere, "--nam=x", NULL, "unknown option --nam; did you mean --name?");
    refuses(&anywhere, "--nmae", "x", "unknown option --nmae; did you mean --name?");
    refuses(&anywhere, "--mem", "1g", "unknown option --mem; did you mean --memory?");
    refuses(&anywhere, "--zebra", NULL,
            "unknown option --zebra; \"isola stop --help\" lists the options");
    refuses(&anywhere, "-tx", NULL, "unknown option -x; \"isola stop --help\" lists the options");
    refuses(&first, "--log-driver", "x",
            "option --log-driver is not supported yet: logs are kept by Isola; see "
            "--log-max-size and isola logs");
    refuses(&first, "--name", NULL, "option --name needs a value: --name NAME");
    refuses(&first, "-n", NULL, "option -n needs a value: -n NAME");
    refuses(&first, "--tty=maybe", NULL, "option --tty: \"maybe\" is not true or false");
    refuses(&first, "--memory", "lots",
            "option --memory: \"lots\" is not a size; write 512m or 2g");
    refuses(&first, "--cpus", "-1", "option --cpus: \"-1\" is not a whole number");
    refuses(&first, "--cpus", "99999999999999999999999",
            "option --cpus: "
            "\"99999999999999999999999\" is too large");
    refuses(&first, "--network=brdige", NULL,
            "option --network: \"brdige\" is none of nat or none");
    refuses(&first, "--network=nat|none", NULL,
            "option --network: \"nat|none\" is none of nat or none");
    refuses(&two, "a", NULL, "the last argument is missing; usage: isola rename INSTANCE NAME");
    refuses(&two, NULL, NULL, "an argument is missing; usage: isola rename INSTANCE NAME");
}

static void test_too_many_words(void **state)
{
    struct args args;
    struct error err;

    assert_int_equal(PARSE(&two, "a", "b", "c"), -EINVAL);
    assert_string_equal(error_text(&err),
                        "unexpected argument \"c\"; usage: isola rename INSTANCE NAME");
    args_done(&args);
}

static void test_allocation_fails(void **state)
{
    struct args args;
    struct error err;

    mem_fail_at(1);
    assert_int_equal(PARSE(&first, "-t"), -ENOMEM);
    mem_fail_at(0);
    args_done(&args);
}

static void test_suggest(void **state)
{
    struct suggest s = {.word = "psu"};

    assert_int_equal(suggest_distance("abc", "abc"), 0);
    assert_int_equal(suggest_distance("abc", "acb"), 1);
    assert_int_equal(suggest_distance("abc", ""), 3);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("a234567890123456789012345678901", "a"), 99);
    suggest_offer(&s, "stop");
    assert_null(s.best);
    suggest_offer(&s, "pus");
    suggest_offer(&s, "ps");
    assert_string_equal(s.best, "pus");
    s = (struct suggest){.word = "x"};
    suggest_offer(&s, "rm");
    assert_null(s.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_where_options_end),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_many_words),
        cmocka_unit_test(test_allocation_fails),
        cmocka_unit_test(test_suggest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/ignore.h"
#include "build/words.h"
#include "tests/test.h"

static const char *value(void *opaque, const char *name, size_t n)
{
    static const char *const pairs[][2] = {
        {"a", "one"}, {"b", "two words"}, {"empty", ""}, {"path", "/usr/lib/x.tar.gz"}};

    (void)opaque;
    for (size_t i = 0; i < array_size(pairs); i++)
        if (strlen(pairs[i][0]) == n && memcmp(pairs[i][0], name, n) == 0)
            return pairs[i][1];
    return NULL;
}

static const struct words_scope scope = {.value = value, .escape = '\\'};

static void variables_are_expanded(void **state)
{
    static const char *const rows[][2] = {
        {"x", "x"},
        {"$a", "one"},
        {"${a}b$b", "onebtwo words"},
        {"$none-${none}", "-"},
        {"\\$a", "$a"},
        {"'$a'", "$a"},
        {"\"$a\"", "one"},
        {"\"\\$a 'x'\"", "$a 'x'"},
        {"${none:-x}", "x"},
        {"${empty:-x}", "x"},
        {"${empty-x}", ""},
        {"${a:-x}", "one"},
        {"${a:+x}", "x"},
        {"${none:+x}", ""},
        {"${empty+x}", "x"},
        {"${none:-${a}-${none:-deep}}", "one-deep"},
        {"${none:-\"a}b\"}", "a}b"},
        {"${a:?wanted}", "one"},
        {"${path##*/}", "x.tar.gz"},
        {"${path#*/}", "usr/lib/x.tar.gz"},
        {"${path%.*}", "/usr/lib/x.tar"},
        {"${path%%.*}", "/usr/lib/x"},
        {"${path%none}", "/usr/lib/x.tar.gz"},
        {"${path/lib/LIB}", "/usr/LIB/x.tar.gz"},
        {"${path//\\//-}", "-usr-lib-x.tar.gz"},
        {"a$", "a$"},
        {"$$a", "$one"},
        {"c:\\\\x", "c:\\x"},
        {"", ""},
    };
    static const char *const bad[] = {"${",       "${}",     "${a",
                                      "${a:",     "${a:*x}", "${a!x}",
                                      "'x",       "\"x",     "${none:?wanted}",
                                      "${none?}", "${a:-$",  "${a:-${b}"};

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        struct error err = {0};
        char *got = words_expand(rows[i][0], &scope, &err);
        if (!got || strcmp(got, rows[i][1]) != 0)
            fail_msg("%s gives %s %s", rows[i][0], got, got ? "" : error_text(&err));
        free(got);
    }
    for (size_t i = 0; i < array_size(bad); i++)
        if (words_expand(bad[i], &scope, NULL))
            fail_msg("%s is accepted", bad[i]);
}

static void assert_split(const char *text, const char *joined)
{
    size_t n;
    char **words = words_split(text, &scope, &n, NULL);
    struct str s = {0};

    assert_non_null(words);
    for (size_t i = 0; i < n; i++)
        str_addf(&s, "<%s>", words[i]);
    assert_null(words[n]);
    assert_string_equal(str_text(&s), joined);
    str_done(&s);
    words_free(words);
}

static void words_are_split(void **state)
{
    (void)state;
    assert_split("", "");
    assert_split("  a\t b ", "<a><b>");
    assert_split("x=$b 'y z'\"!\" a\\ b", "<x=two words><y z!><a b>");
    assert_split("\"\" ''", "<><>");
}

static void depth_and_growth_are_limited(void **state)
{
    struct str s = {0};

    (void)state;
    for (int i = 0; i < 100; i++)
        str_add(&s, "${n:-");
    assert_null(words_expand(str_text(&s), &scope, NULL));
    s.len = 0;
    for (int i = 0; i < 300000; i++)
        str_add(&s, "$b");
    assert_null(words_expand(str_text(&s), &scope, NULL));
    str_done(&s);
    assert_false(
        words_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0));
}

static void documents_keep_their_quotes(void **state)
{
    char *got = words_expand_document("say \"$a\" 'it''s $b' \\$a \\n\n", &scope, NULL);

    (void)state;
    assert_string_equal(got, "say \"one\" 'it''s two words' $a \\n\n");
    free(got);
}

static void paths_are_matched(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool match;
    } rows[] = {
        {"a", "a", true},
        {"a", "a/b", false},
        {"*", "a/b", false},
        {"*.c", "x.c", true},
        {"*/*.c", "s/x.c", true},
        {"**", "a/b/c", true},
        {"**/x", "x", true},
        {"**/x", "a/b/x", true},
        {"a/**/x", "a/x", true},
        {"a/**/x", "a/b/c/x", true},
        {"a/**", "b/c", false},
        {"?", "ab", false},
        {"[a-c]x", "bx", true},
        {"[^a-c]x", "bx", false},
        {"a\\*", "a*", true},
        {"a\\*", "ab", false},
        {"[", "[", true},
        {"[]a]", "]", true},
        {"**/*.tmp", "a/b.tmp", true},
        {"a/*/c", "a/b/c", true},
        {"a/*/c", "a/b/d/c", false},
    };

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++)
        if (path_match(rows[i].pattern, rows[i].path) != rows[i].match)
            fail_msg("%s and %s", rows[i].pattern, rows[i].path);
}

static void ignore_files_are_obeyed(void **state)
{
    static const char text[] =
        "# comment\n\n*.md\r\n!README.md\n /node_modules/ \nbuild\n!build/keep\n"
        "./x/../secret\n";
    struct ignore *g = ignore_parse(text, strlen(text), NULL);

    (void)state;
    assert_non_null(g);
    assert_true(ignore_matches(g, "a.md"));
    assert_false(ignore_matches(g, "README.md"));
    assert_false(ignore_matches(g, "docs/a.md"));
    assert_true(ignore_matches(g, "node_modules"));
    assert_true(ignore_matches(g, "node_modules/x/y"));
    assert_true(ignore_matches(g, "build/out"));
    assert_false(ignore_matches(g, "build/keep"));
    assert_false(ignore_matches(g, "build/keep/this"));
    assert_true(ignore_matches(g, "secret"));
    assert_false(ignore_matches(g, "x"));
    assert_true(ignore_has_exceptions(g));
    assert_false(ignore_matches(NULL, "x"));
    ignore_free(g);
    assert_null(ignore_parse("../x", 4, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_expanded),
        cmocka_unit_test(words_are_split),
        cmocka_unit_test(depth_and_growth_are_limited),
        cmocka_unit_test(documents_keep_their_quotes),
        cmocka_unit_test(paths_are_matched),
        cmocka_unit_test(ignore_files_are_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

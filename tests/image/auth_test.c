/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/auth.h"
#include "tests/test.h"

static struct auth_challenge all[AUTH_CHALLENGES_MAX];
static size_t count;

static int parse(const char *header)
{
    count = 0;
    return auth_parse_challenges(header, all, &count, NULL);
}

static void challenges_are_read(void **state)
{
    (void)state;
    assert_int_equal(parse("Bearer realm=\"https://auth.docker.io/token\","
                           "service=\"registry.docker.io\",scope=\"repository:a/b:pull,push\""),
                     0);
    assert_int_equal(count, 1);
    assert_int_equal(all[0].scheme, AUTH_BEARER);
    assert_string_equal(all[0].realm, "https://auth.docker.io/token");
    assert_string_equal(all[0].service, "registry.docker.io");
    assert_string_equal(all[0].scope, "repository:a/b:pull,push");

    assert_int_equal(parse("basic REALM = \"a \\\"b\\\" c\" , Negotiate YII= ,, bearer "
                           "realm=https://x/y?z=1, error=\"insufficient_scope\""),
                     0);
    assert_int_equal(count, 3);
    assert_int_equal(all[0].scheme, AUTH_BASIC);
    assert_string_equal(all[0].realm, "a \"b\" c");
    assert_int_equal(all[1].scheme, AUTH_OTHER);
    assert_int_equal(all[2].scheme, AUTH_BEARER);
    assert_string_equal(all[2].realm, "https://x/y?z=1");
    assert_string_equal(all[2].error, "insufficient_scope");

    assert_int_equal(parse(""), 0);
    assert_int_equal(count, 0);
}

static void bad_challenges_are_refused(void **state)
{
    struct str s = {0};

    (void)state;
    assert_int_equal(parse("Bearer realm=\"open"), -EPROTO);
    assert_int_equal(parse("Bearer realm=\"a\nb\""), -EPROTO);
    assert_int_equal(parse("= \"x\""), -EPROTO);
    assert_int_equal(parse("\"Bearer\""), -EPROTO);
    str_add(&s, "Bearer realm=\"");
    for (int i = 0; i <= AUTH_PARAMETER_MAX; i++)
        str_add_char(&s, 'x');
    str_add(&s, "\"");
    assert_int_equal(parse(str_text(&s)), -EPROTO);
    str_done(&s);
    for (int i = 0; i < 1000; i++)
        str_add(&s, "Basic realm=x, ");
    assert_int_equal(parse(str_text(&s)), 0);
    assert_int_equal(count, AUTH_CHALLENGES_MAX);
    str_done(&s);
}

static void tokens_are_read(void **state)
{
    static const struct {
        const char *json, *token;
        unsigned seconds;
    } rows[] = {
        {"{\"token\":\"abc\",\"expires_in\":300}", "abc", 300},
        {"{\"access_token\":\"x.y-z\"}", "x.y-z", 60},
        {"{\"token\":\"\",\"access_token\":\"x\",\"expires_in\":-5}", "x", 60},
        {"{\"token\":\"x\",\"expires_in\":999999999}", "x", 3600},
        {"{\"token\":\"x\",\"expires_in\":\"1\"}", "x", 60},
    };
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"token\":7}",
        "{\"token\":\"a b\"}",
        "{\"token\":\"a\\r\\nX: y\"}",
        "{\"token\":\"\\u00e4\"}",
        "{\"token\":",
    };
    char *token;
    unsigned seconds;

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        assert_int_equal(
            auth_parse_token(rows[i].json, strlen(rows[i].json), &token, &seconds, NULL), 0);
        assert_string_equal(token, rows[i].token);
        assert_int_equal(seconds, rows[i].seconds);
        free(token);
    }
    for (size_t i = 0; i < array_size(bad); i++)
        assert_int_equal(auth_parse_token(bad[i], strlen(bad[i]), &token, &seconds, NULL), -EPROTO);
}

static void assert_error(const char *json, const char *text)
{
    struct str out = {0};

    auth_error_text(json, strlen(json), &out);
    assert_string_equal(str_text(&out), text);
    str_done(&out);
}

static void errors_become_one_line(void **state)
{
    (void)state;
    assert_error("{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\\nway\"},"
                 "{\"code\":\"NAME_UNKNOWN\"}]}",
                 "no way; NAME_UNKNOWN");
    assert_error("{\"details\":\"incorrect username or password\"}",
                 "incorrect username or password");
    assert_error("<html>", "");
    assert_error("{\"errors\":[7]}", "");
    assert_error("{\"errors\":{}}", "");
}

static void base64_goes_both_ways(void **state)
{
    static const struct {
        const char *plain, *coded;
    } rows[] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"alice:s?>", "YWxpY2U6cz8+"}};

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        struct str out = {0};
        char *back;
        auth_base64_encode(&out, rows[i].plain, strlen(rows[i].plain));
        assert_string_equal(str_text(&out), rows[i].coded);
        back = auth_base64_decode(rows[i].coded);
        assert_string_equal(back, rows[i].plain);
        free(back);
        str_done(&out);
    }
    assert_null(auth_base64_decode("a$b="));
    assert_null(auth_base64_decode("AAAA")); /* NUL bytes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenges_are_read),   cmocka_unit_test(bad_challenges_are_refused),
        cmocka_unit_test(tokens_are_read),       cmocka_unit_test(errors_become_one_line),
        cmocka_unit_test(base64_goes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "image/registries.h"
#include "tests/test.h"

static const char example[] = //
    "{\"aliases\": {\"tools\": \"registry.example/team/tools:2\", \"debian\": "
    "\"mirror.example/debian\"},"
    "\"registries\": {"
    " \"docker.io\": {\"mirrors\": [\"hub.example:5000\", \"all.example/hub\"]},"
    " \"registry.example\": {\"location\": \"real.example/root\"},"
    " \"registry.example/team/secret\": {\"blocked\": true},"
    " \"*.evil.example\": {\"blocked\": true},"
    " \"plain.example:80\": {\"insecure\": true}},"
    "\"parallel\": 2, \"stall-seconds\": 3}";

static void assert_endpoints(const struct registries *reg, const char *name, bool push,
                             const char *expected)
{
    struct image_reference ref;
    struct registry_endpoint *list;
    struct str s = {0};
    size_t n;
    int r;

    assert_int_equal(image_reference_parse(name, &ref, NULL), 0);
    assert_int_equal(registries_expand(reg, &ref, NULL), 0);
    r = registries_endpoints(reg, &ref, push, &list, &n, NULL);
    if (r < 0) {
        assert_int_equal(r, -EPERM);
        assert_string_equal(expected, "blocked");
        return;
    }
    for (size_t i = 0; i < n; i++)
        str_addf(&s, "%s%s %s:%s", i ? ", " : "", list[i].authority, list[i].repository, ref.tag);
    assert_string_equal(str_text(&s), expected);
    str_done(&s);
    free(list);
}

static void names_lead_to_places(void **state)
{
    struct registries *reg = registries_parse(example, strlen(example), "example", NULL);
    struct registries_limits limits;

    (void)state;
    assert_non_null(reg);
    assert_endpoints(reg, "busybox", false,
                     "hub.example:5000 library/busybox:latest, all.example "
                     "hub/library/busybox:latest, registry-1.docker.io library/busybox:latest");
    assert_endpoints(reg, "busybox", true, "registry-1.docker.io library/busybox:latest");
    assert_endpoints(reg, "tools", false, "real.example root/team/tools:2");
    assert_endpoints(reg, "tools:3", false, "real.example root/team/tools:3");
    assert_endpoints(reg, "debian:12", false, "mirror.example debian:12");
    assert_endpoints(reg, "docker.io/library/debian:12", true,
                     "registry-1.docker.io library/debian:12");
    assert_endpoints(reg, "registry.example/team/secret", false, "blocked");
    assert_endpoints(reg, "registry.example/team/secret/x", false, "blocked");
    assert_endpoints(reg, "registry.example/team/secrets", false,
                     "real.example "
                     "root/team/secrets:latest");
    assert_endpoints(reg, "a.evil.example/x", true, "blocked");
    assert_endpoints(reg, "evil.example/x", true, "evil.example x:latest");
    assert_true(registries_insecure(reg, "plain.example:80"));
    assert_false(registries_insecure(reg, "plain.example"));
    assert_true(registries_insecure(reg, "127.0.0.1:5000"));
    assert_true(registries_insecure(reg, "localhost"));
    assert_true(registries_insecure(reg, "[::1]:1"));
    assert_false(registries_insecure(reg, "localhost.example"));
    assert_false(registries_insecure(reg, "127.0.0.1.example"));
    registries_get_limits(reg, &limits);
    assert_int_equal(limits.parallel, 2);
    assert_int_equal(limits.stall_seconds, 3);
    assert_int_equal(limits.attempts, 5);
    registries_free(reg);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "line 1"},
        {"[]", "no JSON object"},
        {"{\"registry\":{}}", "unknown \"registry\""},
        {"{\"parallel\":0}", "1 to 16"},
        {"{\"parallel\":\"2\"}", "1 to 16"},
        {"{\"registries\":[]}", "wants an object"},
        {"{\"registries\":{\"https://x\":{}}}", "is not HOST"},
        {"{\"registries\":{\"x.y\":{\"insecure\":1}}}", "true or false"},
        {"{\"registries\":{\"x.y\":{\"insecur\":true}}}", "insecur"},
        {"{\"registries\":{\"x.y/z\":{\"insecure\":true}}}", "belongs to a host"},
        {"{\"registries\":{\"x.y\":{\"mirrors\":\"a\"}}}", "list of mirrors"},
        {"{\"registries\":{\"x.y\":{\"mirrors\":[\"http://a\"]}}}", "mirrors"},
        {"{\"registries\":{\"x.y\":{\"location\":\"../x\"}}}", "location"},
        {"{\"aliases\":{\"a\":\"b\"}}", "its registry"},
        {"{\"aliases\":{\"a\":\"x.y/B\"}}", "lower case"},
        {"{\"aliases\":{\"A\":\"x.y/b\"}}", "cannot be an alias"},
    };

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        struct error err = {0};
        assert_null(registries_parse(rows[i].text, strlen(rows[i].text), "test.json", &err));
        if (!strstr(error_text(&err), rows[i].says) || !strstr(error_text(&err), "test.json"))
            fail_msg("row %zu: %s", i, error_text(&err));
    }
}

static void put(const char *dir, const char *name, const char *text)
{
    char *path = str_format("%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static void remove_file(const char *dir, const char *name)
{
    char *path = str_format("%s/%s", dir, name);

    remove(path);
    free(path);
}

static void files_and_certificates_are_found(void **state)
{
    char dir[] = "/tmp/registries-test.XXXXXX";
    struct registry_certificates c;
    struct registries *reg;
    char *certs;

    (void)state;
    assert_non_null(mkdtemp(dir));
    setenv("XDG_CONFIG_HOME", dir, 1);
    unsetenv("ISOLA_REGISTRIES");
    certs = str_format("%s/isola", dir);
    mkdir(certs, 0700);
    put(certs, "registries.json", "{\"registries\":{\"u.example\":{\"insecure\":true}}}");
    reg = registries_load(NULL);
    assert_non_null(reg);
    assert_true(registries_insecure(reg, "u.example"));
    registries_free(reg);
    setenv("ISOLA_REGISTRIES", "/nonexistent", 1);
    assert_null(registries_load(NULL));
    remove_file(certs, "registries.json");
    free(certs);

    for (const char *part = "isola/certs.d/c.example:1"; part; part = NULL) {
        certs = str_format("%s/isola/certs.d", dir);
        mkdir(certs, 0700);
        free(certs);
        certs = str_format("%s/%s", dir, part);
        mkdir(certs, 0700);
    }
    put(certs, "a.crt", "AUTHORITY");
    put(certs, "me.cert", "CERT");
    put(certs, "me.key", "KEY");
    registries_certificates("c.example:1", &c);
    assert_string_equal(c.ca_pem, "AUTHORITY\n");
    assert_non_null(strstr(c.client_certificate, "/me.cert"));
    assert_non_null(strstr(c.client_key, "/me.key"));
    free(c.ca_pem);
    free(c.client_certificate);
    free(c.client_key);
    registries_certificates("../certs.d/c.example:1", &c);
    assert_null(c.ca_pem);
    remove_file(certs, "a.crt");
    remove_file(certs, "me.cert");
    remove_file(certs, "me.key");
    rmdir(certs);
    free(certs);
    remove_file(dir, "isola/certs.d");
    remove_file(dir, "isola");
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_places),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(files_and_certificates_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

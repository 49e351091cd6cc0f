/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "image/manifest.h"
#include "tests/test.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

#define CONFIG "\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" A "\",\"size\":7}"
#define LAYER                                                                                      \
    "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"" B               \
    "\",\"size\":12345678901}"
#define ENTRY(platform)                                                                            \
    "{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"digest\":\"" A                                    \
    "\",\"size\":7,\"platform\":{" platform "}}"

static int parse(const char *text, const char *type, struct manifest *m, struct error *err)
{
    return manifest_parse(text, strlen(text), type, m, err);
}

static void images_are_read(void **state)
{
    struct manifest m;

    (void)state;
    assert_int_equal(parse("{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "," LAYER "]}",
                           MEDIA_OCI_MANIFEST "; charset=utf-8", &m, NULL),
                     0);
    assert_false(m.is_index);
    assert_string_equal(m.media_type, MEDIA_OCI_MANIFEST);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.config.digest, A);
    assert_true(m.entries[1].size == 12345678901);
    manifest_done(&m);
    /* Simple servers call everything application/json. */
    assert_int_equal(parse("{" CONFIG ",\"layers\":[]}", "application/json", &m, NULL), 0);
    assert_string_equal(m.media_type, MEDIA_OCI_MANIFEST);
    manifest_done(&m);
}

static void what_is_no_image_is_refused(void **state)
{
    static const struct {
        const char *text, *type, *says;
    } rows[] = {
        {"", NULL, "not JSON"},
        {"[]", NULL, "no JSON object"},
        {"{\"schemaVersion\":1,\"layers\":[]}", NULL, "schema version 1"},
        {"{" CONFIG "}", NULL, "no \"layers\""},
        {"{" CONFIG ",\"layers\":{}}", NULL, "no list"},
        {"{" CONFIG ",\"layers\":[7]}", NULL, "layer 1"},
        {"{" CONFIG ",\"layers\":[],\"manifests\":[]}", NULL, "an index has"},
        {"{" CONFIG ",\"layers\":[]}", MEDIA_OCI_INDEX, "\"manifests\""},
        {"{\"mediaType\":\"" MEDIA_OCI_MANIFEST "\"," CONFIG ",\"layers\":[]}", MEDIA_OCI_INDEX,
         "its sender calls it"},
        {"{\"mediaType\":\"text/html\"," CONFIG ",\"layers\":[]}", NULL, "not supported"},
        {"{\"mediaType\":\"a\\nb\"," CONFIG ",\"layers\":[]}", NULL, "bad \"mediaType\""},
        {"{\"layers\":[]}", NULL, "configuration"},
        {"{\"config\":{\"mediaType\":\"application/x\",\"digest\":\"" A "\",\"size\":1},"
         "\"layers\":[]}",
         NULL, "artifact"},
        {"{\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"sha256:../../x\","
         "\"size\":1},\"layers\":[]}",
         NULL, "digest"},
        {"{\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" A "\",\"size\":-1},"
         "\"layers\":[]}",
         NULL, "size"},
        {"{\"config\":{\"mediaType\":\"" MEDIA_OCI_CONFIG "\",\"digest\":\"" A
         "\",\"size\":99999999999999999999},\"layers\":[]}",
         NULL, "not JSON"},
        {"{" CONFIG "," CONFIG ",\"layers\":[]}", NULL, "duplicate"},
    };

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        struct manifest m;
        struct error err = {0};
        int r = parse(rows[i].text, rows[i].type, &m, &err);
        if (r == 0 || !strstr(error_text(&err), rows[i].says))
            fail_msg("row %zu: %d %s", i, r, error_text(&err));
        assert_null(strchr(error_text(&err), '\n'));
    }
}

static void numbers_are_limited(void **state)
{
    struct str s = {0};
    struct manifest m;

    (void)state;
    str_add(&s, "{" CONFIG ",\"layers\":[" LAYER);
    for (int i = 1; i < MANIFEST_LAYERS_MAX; i++)
        str_add(&s, "," LAYER);
    str_add(&s, "]}");
    assert_int_equal(parse(str_text(&s), NULL, &m, NULL), 0);
    manifest_done(&m);
    s.len -= 2;
    str_add(&s, "," LAYER "]}");
    assert_int_equal(parse(str_text(&s), NULL, &m, NULL), -E2BIG);
    s.len = 0;
    for (int i = 0; i < 100000; i++)
        str_add(&s, "[");
    assert_int_equal(parse(str_text(&s), NULL, &m, NULL), -EINVAL);
    while (s.len <= MANIFEST_MAX)
        str_add(&s, "                ");
    assert_int_equal(parse(str_text(&s), NULL, &m, NULL), -E2BIG);
    str_done(&s);
}

static void assert_selected(const char *index, const char *platform, const char *variant)
{
    struct manifest m;
    struct platform wanted;
    const struct descriptor *d;

    assert_int_equal(parse(index, NULL, &m, NULL), 0);
    assert_int_equal(platform_parse(platform, &wanted, NULL), 0);
    if (variant) {
        assert_int_equal(manifest_select(&m, &wanted, &d, NULL), 0);
        assert_string_equal(d->platform.variant, variant);
    } else {
        struct error err = {0};
        assert_int_equal(manifest_select(&m, &wanted, &d, &err), -ENOENT);
        assert_non_null(strstr(error_text(&err), "linux/arm/v7"));
        assert_null(strstr(error_text(&err), "unknown"));
    }
    manifest_done(&m);
}

static void the_right_platform_is_selected(void **state)
{
    static const char index[] = "{\"manifests\":[" ENTRY(
        "\"os\":\"unknown\",\"architecture\":"
        "\"unknown\"") "," ENTRY("\"os\":"
                                 "\"linux\","
                                 "\"architecture\""
                                 ":\"arm\","
                                 "\"variant\":"
                                 "\"v5\"") "," ENTRY("\"os\":\"linux\",\"architecture\":\"arm\","
                                                     "\"variant\":\"v6\"") "," ENTRY("\"os\":"
                                                                                     "\"linux\","
                                                                                     "\"architectur"
                                                                                     "e\":\"arm\","
                                                                                     "\"variant\":"
                                                                                     "\"v7\"") "," ENTRY("\"os\":"
                                                                                                         "\"linux\","
                                                                                                         "\"architecture\""
                                                                                                         ":\"amd64\","
                                                                                                         "\"variant\":"
                                                                                                         "\"v3\"") "," ENTRY("\"os\":\"linux\",\"architecture\":\"amd64\"") "," ENTRY("\"os\":\"windows\",\"architecture\":\"arm64\"") "]}";

    (void)state;
    assert_selected(index, "linux/amd64", "");
    assert_selected(index, "x86_64", "");
    assert_selected(index, "amd64/v2", "");
    assert_selected(index, "amd64/v3", "v3");
    assert_selected(index, "arm", "v7");
    assert_selected(index, "arm/v6", "v6");
    assert_selected(index, "armv6l", "v6");
    assert_selected(index, "arm/v8", "v7");
    assert_selected(index, "arm64", NULL);
    assert_selected(index, "linux/s390x", NULL);
}

static void platforms_are_parsed(void **state)
{
    static const char *const bad[] = {"",        "/",       "linux/",       "/amd64",
                                      "linux",   "a/b/c/d", "linux/amd64/", "linux/amd 64",
                                      "linux/\n"};
    struct platform p;

    (void)state;
    for (size_t i = 0; i < array_size(bad); i++)
        if (platform_parse(bad[i], &p, NULL) != -EINVAL)
            fail_msg("\"%s\" is accepted", bad[i]);
    assert_int_equal(platform_parse("Linux/AArch64", &p, NULL), 0);
    assert_string_equal(p.os, "linux");
    assert_string_equal(p.architecture, "arm64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_are_read),      cmocka_unit_test(what_is_no_image_is_refused),
        cmocka_unit_test(numbers_are_limited),  cmocka_unit_test(the_right_platform_is_selected),
        cmocka_unit_test(platforms_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "image/reference.h"
#include "tests/test.h"

#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX64

static void names_are_normalised_as_docker_does(void **state)
{
    static const struct {
        const char *text, *full, *familiar;
    } rows[] = {
        {"debian", "docker.io/library/debian:latest", "debian:latest"},
        {"debian:bookworm", "docker.io/library/debian:bookworm", "debian:bookworm"},
        {"debian@" DIGEST, "docker.io/library/debian@" DIGEST, "debian@" DIGEST},
        {"debian:12@" DIGEST, "docker.io/library/debian:12@" DIGEST, "debian:12@" DIGEST},
        {"grafana/grafana", "docker.io/grafana/grafana:latest", "grafana/grafana:latest"},
        {"docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
        {"index.docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
        {"index.docker.io/a/b:1", "docker.io/a/b:1", "a/b:1"},
        {"docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"},
        {"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
        {"docker.io/ghcr.io/x", "docker.io/ghcr.io/x:latest", "docker.io/ghcr.io/x:latest"},
        {"localhost/x", "localhost/x:latest", "localhost/x:latest"},
        {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
        {"localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"},
        {"myhost/x", "docker.io/myhost/x:latest", "myhost/x:latest"},
        {"Myhost/x", "Myhost/x:latest", "Myhost/x:latest"},
        {"ghcr.io/a/b/c:V1.0_x-y", "ghcr.io/a/b/c:V1.0_x-y", "ghcr.io/a/b/c:V1.0_x-y"},
        {"127.0.0.1:5055/x", "127.0.0.1:5055/x:latest", "127.0.0.1:5055/x:latest"},
        {"[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x:1"},
        {"[fe80::1]/x", "[fe80::1]/x:latest", "[fe80::1]/x:latest"},
        {"f/a--b__c.d_e", "docker.io/f/a--b__c.d_e:latest", "f/a--b__c.d_e:latest"},
        {"0/1", "docker.io/0/1:latest", "0/1:latest"},
    };

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        struct image_reference ref, again;
        struct error err = {0};
        struct str full = {0}, familiar = {0};

        if (image_reference_parse(rows[i].text, &ref, &err) < 0)
            fail_msg("%s", error_text(&err));
        image_reference_text(&ref, &full);
        image_reference_familiar(&ref, &familiar);
        assert_string_equal(str_text(&full), rows[i].full);
        assert_string_equal(str_text(&familiar), rows[i].familiar);
        /* Both are read as the same image again. */
        assert_int_equal(image_reference_parse(str_text(&full), &again, NULL), 0);
        again.short_name = ref.short_name;
        assert_memory_equal(&again, &ref, sizeof(ref));
        assert_int_equal(image_reference_parse(str_text(&familiar), &again, NULL), 0);
        again.short_name = ref.short_name;
        assert_memory_equal(&again, &ref, sizeof(ref));
        str_done(&full);
        str_done(&familiar);
    }
}

static void bad_names_are_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "empty"},
        {"Debian", "lower case"},
        {"docker.io/Debian", "lower case"},
        {"https://docker.io/debian", "scheme"},
        {"docker://debian", "scheme"},
        {HEX64, "id of an image"},
        {"debian:", "tag"},
        {"debian:-x", "tag"},
        {"debian:a/b:c", "HOST"},
        {"debian:a b", "tag"},
        {"debian@", "digest"},
        {"debian@sha256:12", "digest"},
        {"debian@" DIGEST "0", "digest"},
        {"debian@md5:0123456789abcdef0123456789abcdef", "digest"},
        {"debian@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
         "digest"},
        {"debian@" DIGEST "@" DIGEST, "digest"},
        {"/debian", "repository"},
        {"debian/", "repository"},
        {"a//b", "repository"},
        {"a/../b", "repository"},
        {"../b", "HOST"},
        {"a___b", "repository"},
        {"a..b", "repository"},
        {"_a", "repository"},
        {"a_", "repository"},
        {"a\nb", "repository"},
        {"a b", "repository"},
        {"x.y:0/a", "HOST"},
        {"x.y:65536/a", "HOST"},
        {"x.y:0x10/a", "HOST"},
        {"x.y:/a", "HOST"},
        {"x..y/a", "HOST"},
        {"-x.y/a", "HOST"},
        {"x.-y/a", "HOST"},
        {"x.y-/a", "HOST"},
        {".x/a", "HOST"},
        {"x_y.z/a", "HOST"},
        {"u@x.y/a", "digest"},
        {"[::1/a", "HOST"},
        {"[]:1/a", "HOST"},
    };

    (void)state;
    for (size_t i = 0; i < array_size(rows); i++) {
        struct image_reference ref;
        struct error err = {0};

        if (image_reference_parse(rows[i].text, &ref, &err) != -EINVAL)
            fail_msg("\"%s\" is accepted", rows[i].text);
        if (!strstr(error_text(&err), rows[i].says))
            fail_msg("\"%s\": %s", rows[i].text, error_text(&err));
        assert_null(strchr(error_text(&err), '\n'));
    }
}

/* A name whose parts have the given numbers of bytes; a part of 0 is left out. */
static int parse_of_length(size_t host, size_t path, size_t tag)
{
    struct image_reference ref;
    struct str s = {0};
    int r;

    for (size_t i = 0; i < host; i++)
        str_add_char(&s, i == 2 ? '.' : 'h');
    if (host)
        str_add_char(&s, '/');
    for (size_t i = 0; i < path; i++)
        str_add_char(&s, 'p');
    if (tag)
        str_add_char(&s, ':');
    for (size_t i = 0; i < tag; i++)
        str_add_char(&s, 't');
    str_add(&s, "@" DIGEST);
    r = image_reference_parse(str_text(&s), &ref, NULL);
    str_done(&s);
    return r;
}

static void lengths_are_limited(void **state)
{
    (void)state;
    assert_int_equal(parse_of_length(253, 255, 128), 0);
    assert_int_equal(parse_of_length(254, 255, 128), -EINVAL);
    assert_int_equal(parse_of_length(253, 256, 128), -EINVAL);
    assert_int_equal(parse_of_length(253, 255, 129), -EINVAL);
    assert_int_equal(parse_of_length(0, 255 - strlen("library/"), 1), 0);
    assert_int_equal(parse_of_length(0, 256 - strlen("library/"), 1), -EINVAL);
    assert_int_equal(parse_of_length(0, 100000, 1), -EINVAL);
}

static void registries_and_digests_alone(void **state)
{
    (void)state;
    assert_true(image_registry_valid("registry.example:5000"));
    assert_true(image_registry_valid("localhost"));
    assert_false(image_registry_valid(""));
    assert_false(image_registry_valid("a/b"));
    assert_false(image_registry_valid("a:b:1"));
    assert_true(image_digest_valid(DIGEST));
    assert_true(image_digest_valid("sha512:" HEX64 HEX64));
    assert_false(image_digest_valid("sha512:" HEX64));
    assert_false(image_digest_valid("sha256:../" HEX64));
    assert_false(image_digest_valid(HEX64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_normalised_as_docker_does),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(lengths_are_limited),
        cmocka_unit_test(registries_and_digests_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

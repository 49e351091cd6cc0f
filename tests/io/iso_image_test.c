/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/iso_image.h"

/* Finds @name as a reader does: descriptor, root directory, record; checks both orders of bytes. */
static const uint8_t *find(const uint8_t *image, size_t image_len, const char *name,
                           size_t *ret_len)
{
    const uint8_t *primary = image + 16 * ISO_SECTOR, *at, *end;

    assert_memory_equal(primary, "\1CD001\1", 7);
    assert_memory_equal(image + 17 * ISO_SECTOR, "\377CD001\1", 7);
    assert_int_equal(load_le32(primary + 80) * (size_t)ISO_SECTOR, image_len);
    assert_int_equal(load_le32(primary + 80), __builtin_bswap32(load_le32(primary + 84)));
    assert_int_equal(load_le16(primary + 128), ISO_SECTOR);
    at = image + load_le32(primary + 156 + 2) * (size_t)ISO_SECTOR;
    end = at + load_le32(primary + 156 + 10);
    for (; at < end && *at; at += *at) {
        uint32_t sector = load_le32(at + 2);
        assert_int_equal(*at % 2, 0);
        assert_int_equal(sector, __builtin_bswap32(load_le32(at + 6)));
        *ret_len = load_le32(at + 10);
        assert_true(sector * (size_t)ISO_SECTOR + *ret_len <= image_len);
        if (at[32] == strlen(name) && memcmp(at + 33, name, at[32]) == 0)
            return image + sector * (size_t)ISO_SECTOR;
    }
    return NULL;
}

static void files_are_found(void **state)
{
    static uint8_t large[5000];
    const struct iso_file files[] = {
        {"empty", "", 0}, {"meta-data", "id", 2}, {"user-data", large, sizeof large}};
    const uint8_t *at;
    uint8_t *image;
    size_t len, n;

    (void)state;
    memset(large, 7, sizeof large);
    assert_int_equal(iso_image_make("cidata", files, 3, &image, &len, NULL), 0);
    assert_int_equal(len, (21 + 1 + 3) * ISO_SECTOR);
    assert_memory_equal(image + 16 * ISO_SECTOR + 40, "cidata    ", 10);
    at = find(image, len, "user-data", &n);
    assert_int_equal(n, sizeof large);
    assert_memory_equal(at, large, n);
    at = find(image, len, "meta-data", &n);
    assert_int_equal(n, 2);
    assert_memory_equal(at, "id", 2);
    assert_non_null(find(image, len, "empty", &n));
    assert_null(find(image, len, "other", &n));
    free(image);
}

static void limits(void **state)
{
    const struct iso_file long_name = {"a-name-that-is-longer-than-thirty-1", "", 0};
    uint8_t *image;
    size_t len;

    (void)state;
    assert_int_equal(iso_image_make("x", &long_name, 1, &image, &len, NULL), -EINVAL);
    assert_int_equal(iso_image_make("x", &long_name, 99, &image, &len, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests_name("iso_image", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking what the kernel's build packs, made here with the same libraries. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "io/kernel_file.h"
#include "tests/test.h"

enum { PLAIN = 300000, SETUP = 5 * 512, ROOM = SETUP + PLAIN * 2 };

static uint8_t plain[PLAIN];

static size_t pack(const char *format, uint8_t *to, size_t room)
{
    if (strcmp(format, "xz") == 0) {
        size_t at = 0;
        assert_int_equal(
            lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, plain, PLAIN, to, &at, room),
            LZMA_OK);
        return at;
    }
    if (strcmp(format, "lz4") == 0) {
        int n = LZ4_compress_default((const char *)plain, (char *)to + 8, PLAIN, (int)room - 8);
        store_le32(to, 0x184c2102);
        store_le32(to + 4, (uint32_t)n);
        return 8 + (size_t)n;
    }
    if (strcmp(format, "zstd") == 0)
        return ZSTD_compress(to, room, plain, PLAIN, 3);
    z_stream z = {.next_in = plain, .avail_in = PLAIN, .next_out = to, .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out - 4; /* its own last word is the size, as below */
}

static size_t make(const char *format, uint8_t *image)
{
    size_t n;

    memset(image, 0, ROOM);
    image[0x1f1] = 4;
    memcpy(image + 0x202, "HdrS", 4);
    store_le16(image + 0x206, 0x20f);
    store_le32(image + 0x248, 100);
    n = pack(format, image + SETUP + 100, ROOM - SETUP - 200);
    store_le32(image + SETUP + 100 + n, PLAIN);
    store_le32(image + 0x24c, (uint32_t)n + 4);
    return SETUP + 100 + n + 4;
}

static void each_format_unpacks_and_damage_is_seen(void **state)
{
    static const char *const formats[] = {"xz", "lz4", "zstd", "gzip"};
    uint8_t *image = malloc(ROOM);

    (void)state;
    for (unsigned i = 0; i < PLAIN; i++)
        plain[i] = (uint8_t)(i * i >> 7);
    for (size_t f = 0; f < array_size(formats); f++) {
        uint8_t *out = NULL;
        struct error err = {0};
        size_t out_len = 0, len = make(formats[f], image);
        assert_int_equal(kernel_file_unpack(image, len, &out, &out_len, &err), 1);
        assert_int_equal(out_len, PLAIN);
        assert_memory_equal(out, plain, PLAIN);
        free(out);
        /* Cut off: the header's length no longer fits, so the guest is left to find out. */
        assert_int_equal(kernel_file_unpack(image, len - 1, &out, &out_len, &err), 0);
        memset(image + SETUP + 100 + 40, 0xff, 300);
        if (f == 0 || f == 3) { /* the others have no checksum and may unpack to something else */
            assert_int_equal(kernel_file_unpack(image, len, &out, &out_len, &err), -ENOEXEC);
        } else if (kernel_file_unpack(image, len, &out, &out_len, &err) == 1) {
            free(out);
        }
        make(formats[f], image);
        store_le32(image + len - 4, PLAIN + 1);
        assert_int_equal(kernel_file_unpack(image, len, &out, &out_len, &err), -ENOEXEC);
    }
    free(image);
}

static void other_files_are_left_alone(void **state)
{
    uint8_t *image = malloc(ROOM), *out;
    size_t len, out_len;

    (void)state;
    len = make("xz", image);
    memcpy(image + SETUP + 100, "??????", 6);
    assert_int_equal(kernel_file_unpack(image, len, &out, &out_len, NULL), 0);
    assert_int_equal(kernel_file_unpack(image, 100, &out, &out_len, NULL), 0);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_format_unpacks_and_damage_is_seen),
        cmocka_unit_test(other_files_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

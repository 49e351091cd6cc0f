/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/gmem.h"
#include "tests/test.h"

struct seen {
    int pages, all, codes;
    uint64_t gfn;
    unsigned offset, len;
};

static void saw_page(void *opaque, uint64_t gfn)
{
    struct seen *s = opaque;
    s->pages++;
    s->gfn = gfn;
}

static void saw_all(void *opaque)
{
    ((struct seen *)opaque)->all++;
}

static void saw_code(void *opaque, uint64_t gfn, unsigned offset, unsigned len)
{
    struct seen *s = opaque;
    s->codes++;
    s->gfn = gfn;
    s->offset = offset;
    s->len = len;
}

static void ranges_are_checked(void **state)
{
    struct gmem *gm = gmem_new(16 * GMEM_PAGE_SIZE, NULL);
    uint8_t bytes[8192] = {1};

    (void)state;
    assert_null(gmem_new(100, NULL));
    assert_int_equal(gmem_write(gm, 15 * GMEM_PAGE_SIZE, bytes, 4097), -EFAULT);
    assert_int_equal(gmem_write(gm, UINT64_MAX - 10, bytes, 4097), -EFAULT);
    assert_int_equal(gmem_read(gm, 16 * GMEM_PAGE_SIZE, bytes, 1), -EFAULT);
    assert_null(gmem_write_page(gm, 16));
    assert_null(gmem_read_page(gm, UINT64_MAX));
    assert_int_equal(gmem_delta_pages(gm), 0);
    gmem_free(gm);
}

/* What is discarded costs nothing any more and reads as the base does. */
static void discarded_pages(void **state)
{
    struct gmem *gm = gmem_new(16 * GMEM_PAGE_SIZE, NULL), *fork;
    struct seen seen = {0};
    struct gmem_listener l = {.all_changed = saw_all, .code_written = saw_code, .opaque = &seen};
    struct gmem_layer *layer;
    uint8_t byte = 7;

    (void)state;
    gmem_listen(gm, &l);
    for (unsigned i = 2; i < 6; i++)
        gmem_write(gm, i * GMEM_PAGE_SIZE, &byte, 1);
    gmem_set_code(gm, 3, GMEM_CODE_DECODED);
    assert_int_equal(gmem_discard(gm, 15, 2), -EFAULT);
    assert_int_equal(gmem_discard(gm, UINT64_MAX, 2), -EFAULT);
    assert_int_equal(gmem_discard(gm, 8, 8), 0); /* nothing was there */
    assert_int_equal(seen.all, 0);
    assert_int_equal(gmem_discard(gm, 0, 4), 0);
    assert_int_equal(seen.all, 1);
    assert_int_equal(seen.codes, 1);
    assert_int_equal(seen.gfn, 3);
    assert_int_equal(gmem_delta_pages(gm), 2);
    gmem_read(gm, 3 * GMEM_PAGE_SIZE, &byte, 1);
    assert_int_equal(byte, 0);
    assert_true(gmem_page_flags(gm, 3) & GMEM_DIRTY);
    layer = gmem_freeze(gm, NULL);
    assert_non_null(layer);
    fork = gmem_new_on(layer, NULL);
    byte = 9;
    gmem_write(fork, 5 * GMEM_PAGE_SIZE, &byte, 1);
    assert_int_equal(gmem_discard(fork, 0, 16), 0);
    gmem_read(fork, 5 * GMEM_PAGE_SIZE, &byte, 1);
    assert_int_equal(byte, 7);
    assert_int_equal(gmem_delta_pages(fork), 0);
    gmem_free(fork);
    gmem_layer_unref(layer);
    gmem_free(gm);
}

static void dirty_log_is_taken_once(void **state)
{
    struct gmem *gm = gmem_new(130 * GMEM_PAGE_SIZE, NULL);
    struct seen seen = {0};
    struct gmem_listener l = {.all_changed = saw_all, .opaque = &seen};
    uint64_t bits[3];

    (void)state;
    gmem_listen(gm, &l);
    assert_int_equal(gmem_write(gm, 65 * GMEM_PAGE_SIZE - 1, "ab", 2), 0);
    assert_int_equal(gmem_dirty_take(gm, bits), 2);
    assert_int_equal(bits[1], 3);
    assert_int_equal(bits[0] | bits[2], 0);
    assert_int_equal(seen.all, 1);
    assert_int_equal(gmem_dirty_take(gm, NULL), 0);
    assert_int_equal(seen.all, 1);
    gmem_free(gm);
}

static void layers_share_and_diverge(void **state)
{
    struct gmem *a = gmem_new(8 * GMEM_PAGE_SIZE, NULL), *b;
    struct gmem_layer *layer;
    struct seen seen = {0};
    struct gmem_listener l = {.page_changed = saw_page, .all_changed = saw_all, .opaque = &seen};
    const uint8_t *before;
    char text[6] = "";

    (void)state;
    gmem_listen(a, &l);
    gmem_write(a, 5, "hello", 6);
    layer = gmem_freeze(a, NULL);
    assert_non_null(layer);
    assert_int_equal(seen.all, 1);
    b = gmem_new_on(layer, NULL);
    assert_int_equal(gmem_delta_pages(a) + gmem_delta_pages(b), 0);
    before = gmem_read_page(a, 0);
    assert_ptr_equal(before, gmem_read_page(b, 0));
    gmem_write(a, 5, "HE", 2);
    assert_int_equal(seen.pages, 1); /* the page moved: whoever kept the old pointer was told */
    assert_ptr_not_equal(before, gmem_read_page(a, 0));
    gmem_read(b, 5, text, 6);
    assert_string_equal(text, "hello");
    gmem_read(a, 5, text, 6);
    assert_string_equal(text, "HEllo");
    gmem_free(a); /* forks survive their parent */
    gmem_layer_unref(layer);
    gmem_read(b, 5, text, 6);
    assert_string_equal(text, "hello");
    gmem_free(b);
}

static void frozen_layers_chain(void **state)
{
    struct gmem *a = gmem_new(4 * GMEM_PAGE_SIZE, NULL);
    struct gmem_layer *first, *second;
    uint8_t byte;

    (void)state;
    gmem_write(a, 0, "1", 1);
    gmem_write(a, GMEM_PAGE_SIZE, "1", 1);
    first = gmem_freeze(a, NULL);
    gmem_write(a, 0, "2", 1);
    second = gmem_freeze(a, NULL);
    gmem_layer_unref(first);
    gmem_read(a, 0, &byte, 1);
    assert_int_equal(byte, '2');
    gmem_read(a, GMEM_PAGE_SIZE, &byte, 1);
    assert_int_equal(byte, '1');
    assert_int_equal(gmem_clear(a, NULL), 0);
    gmem_read(a, 0, &byte, 1);
    assert_int_equal(byte, 0);
    gmem_layer_unref(second);
    gmem_free(a);
}

/* However often it is frozen, each layer keeps what was then, and has few parts. */
static void many_freezes(void **state)
{
    enum { TIMES = 3 * GMEM_PARTS, PAGES = 8 };
    struct gmem *a = gmem_new(PAGES * GMEM_PAGE_SIZE, NULL);
    struct gmem_layer *layers[TIMES];
    int fds[GMEM_LAYER_FDS];

    (void)state;
    for (unsigned i = 0; i < TIMES; i++) {
        uint8_t value = (uint8_t)(i + 1);
        assert_int_equal(gmem_write(a, i % (PAGES - 1) * GMEM_PAGE_SIZE, &value, 1), 0);
        layers[i] = gmem_freeze(a, NULL);
        assert_non_null(layers[i]);
        assert_in_range(gmem_layer_fds(layers[i], fds), 2, GMEM_LAYER_FDS);
    }
    for (unsigned i = 0; i < TIMES; i++) {
        for (unsigned page = 0; page < PAGES; page++) {
            const uint8_t *at = gmem_layer_page(layers[i], page);
            unsigned last = i < page ? 0 : i - (i - page) % (PAGES - 1) + 1;
            if (page == PAGES - 1 || i < page)
                assert_null(at);
            else
                assert_int_equal(at[0], last);
        }
        gmem_layer_unref(layers[i]);
    }
    /* Nothing written: the same layer again. */
    layers[0] = gmem_freeze(a, NULL);
    layers[1] = gmem_freeze(a, NULL);
    assert_ptr_equal(layers[0], layers[1]);
    gmem_layer_unref(layers[0]);
    gmem_layer_unref(layers[1]);
    gmem_free(a);
}

/* As another process takes it over: it outlives the first, and damage is refused. */
static void a_layer_by_its_descriptors(void **state)
{
    enum { BYTES = 8 * GMEM_PAGE_SIZE };
    struct gmem *a = gmem_new(BYTES, NULL), *b;
    struct gmem_layer *layer, *taken;
    int fds[GMEM_LAYER_FDS];
    unsigned count;
    uint8_t byte;

    (void)state;
    gmem_write(a, 0, "1", 1);
    gmem_layer_unref(gmem_freeze(a, NULL));
    gmem_write(a, GMEM_PAGE_SIZE, "2", 1);
    layer = gmem_freeze(a, NULL);
    count = gmem_layer_fds(layer, fds);
    assert_int_equal(count, 3);
    taken = gmem_layer_from_fds(fds, count, BYTES, NULL);
    assert_non_null(taken);
    assert_null(gmem_layer_from_fds(fds, count - 1, BYTES, NULL)); /* a part is missing */
    assert_null(gmem_layer_from_fds(fds, count, 2 * BYTES, NULL)); /* too small */
    assert_null(gmem_layer_from_fds(fds, 0, BYTES, NULL));
    assert_int_equal(write(fds[1], "x", 1), -1); /* sealed */
    gmem_layer_unref(layer);
    gmem_free(a);
    b = gmem_new_on(taken, NULL);
    gmem_layer_unref(taken);
    gmem_read(b, 0, &byte, 1);
    assert_int_equal(byte, '1');
    gmem_read(b, GMEM_PAGE_SIZE, &byte, 1);
    assert_int_equal(byte, '2');
    gmem_read(b, 2 * GMEM_PAGE_SIZE, &byte, 1);
    assert_int_equal(byte, 0);
    gmem_free(b);
}

static void code_writes_are_told(void **state)
{
    struct gmem *gm = gmem_new(4 * GMEM_PAGE_SIZE, NULL);
    struct seen seen = {0};
    struct gmem_listener l = {.page_changed = saw_page, .code_written = saw_code, .opaque = &seen};

    (void)state;
    gmem_listen(gm, &l);
    gmem_set_code(gm, 1, GMEM_CODE_DECODED);
    assert_int_equal(seen.pages, 1);
    gmem_set_code(gm, 1, GMEM_CODE_DECODED);
    assert_int_equal(seen.pages, 1);
    gmem_write(gm, GMEM_PAGE_SIZE - 1, "abc", 3);
    assert_int_equal(seen.codes, 1);
    assert_int_equal(seen.gfn, 1);
    assert_int_equal(seen.offset, 0);
    assert_int_equal(seen.len, 2);
    gmem_clear_code(gm, 1, GMEM_CODE_DECODED);
    gmem_write(gm, GMEM_PAGE_SIZE, "a", 1);
    assert_int_equal(seen.codes, 1);
    gmem_unlisten(gm, &l);
    gmem_free(gm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(discarded_pages),
        cmocka_unit_test(dirty_log_is_taken_once),
        cmocka_unit_test(layers_share_and_diverge),
        cmocka_unit_test(frozen_layers_chain),
        cmocka_unit_test(code_writes_are_told),
        cmocka_unit_test(many_freezes),
        cmocka_unit_test(a_layer_by_its_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

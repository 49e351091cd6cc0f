/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/virtio/virtio_balloon.h"
#include "virtio_guest.h"

enum { INFLATE = 0, DEFLATE = 1, REPORTING = 2, PAGE = 4096, FREE = 0x300000 };
enum { F_PAGE_REPORTING = 5 };

struct setup {
    struct guest g;
    struct virtio_balloon *balloon;
};

static int set_up(void **state)
{
    struct setup *t = mem_new(struct setup);

    guest_init(&t->g);
    t->balloon = virtio_balloon_new(t->g.bus, GUEST_SLOT, t->g.space, NULL);
    assert_non_null(t->balloon);
    guest_plug(&t->g, virtio_balloon_device(t->balloon), virtio_balloon_function(t->balloon));
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *t = *state;

    guest_done(&t->g);
    free(t);
    return 0;
}

static void fill(struct setup *t, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        space_store(t->g.space, FREE + i * PAGE, 8, 0x1111111111111111ull);
}

static unsigned full(struct setup *t, unsigned pages)
{
    unsigned n = 0;

    for (unsigned i = 0; i < pages; i++)
        n += space_load(t->g.space, FREE + i * PAGE, 8) != 0;
    return n;
}

static void run(struct setup *t, unsigned queue, const struct vring_buffer *buffers, unsigned n)
{
    uint32_t id, written;

    vring_add(&t->g.ring[queue], buffers, n);
    guest_kick(&t->g, queue);
    assert_true(vring_used(&t->g.ring[queue], &id, &written));
    assert_int_equal(written, 0);
}

static void target_and_actual(void **state)
{
    struct setup *t = *state;

    assert_int_equal(guest_config_read(&t->g, 0, 4), 0x10021af4);
    assert_true(guest_features(&t->g) & VIRTIO_BIT(F_PAGE_REPORTING));
    assert_false(virtio_balloon_running(t->balloon));
    guest_start(&t->g, false, 0, 2, 16);
    assert_true(virtio_balloon_running(t->balloon));
    virtio_balloon_set(t->balloon, 77);
    assert_int_equal(guest_isr(&t->g), 2);
    assert_int_equal(guest_read(&t->g, 2, 0, 4), 77);
    guest_write(&t->g, 2, 4, 4, 55);
    guest_write(&t->g, 2, 0, 4, 1); /* not the driver's */
    assert_int_equal(guest_read(&t->g, 2, 0, 4), 77);
    assert_int_equal(virtio_balloon_pages(t->balloon), 55);
}

static void inflated_pages_go(void **state)
{
    struct setup *t = *state;
    const uint32_t first = FREE / PAGE;
    /* Upwards, downwards, alone, outside memory. */
    const uint32_t numbers[] = {first,     first + 1, first + 2, first + 9,
                                first + 8, first + 5, 0xfffffff, UINT32_MAX};
    const struct vring_buffer one = {GUEST_BUF, sizeof(numbers) + 3, false};
    uint64_t before;

    guest_start(&t->g, false, 0, 2, 16);
    fill(t, 10);
    guest_put(&t->g, GUEST_BUF, numbers, sizeof(numbers));
    before = gmem_delta_pages(t->g.ram);
    run(t, INFLATE, &one, 1);
    assert_int_equal(full(t, 10), 4);
    assert_int_equal(before - gmem_delta_pages(t->g.ram), 6);
    run(t, DEFLATE, &one, 1);
    fill(t, 10); /* and they come back */
    assert_int_equal(full(t, 10), 10);
    assert_false(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
}

static void reported_pages_go(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer two[] = {{FREE + PAGE, 2 * PAGE, true},
                                       {FREE + 4 * PAGE + 100, 2 * PAGE, true}};
    const struct vring_buffer bad = {GUEST_RAM - PAGE, 2 * PAGE, true};

    guest_start(&t->g, false, VIRTIO_BIT(F_PAGE_REPORTING), 3, 16);
    fill(t, 10);
    run(t, REPORTING, two, 2);
    assert_int_equal(full(t, 10), 7); /* of the second only a whole page */
    assert_int_equal(space_load(t->g.space, FREE + 5 * PAGE, 8), 0);
    vring_add(&t->g.ring[REPORTING], &bad, 1);
    guest_kick(&t->g, REPORTING);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {test(target_and_actual), test(inflated_pages_go),
                                       test(reported_pages_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

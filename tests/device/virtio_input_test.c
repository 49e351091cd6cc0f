/* SPDX-License-Identifier: Apache-2.0 */
/* The tablet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/virtio/virtio_input.h"
#include "virtio_guest.h"

enum { EVENTS = 0, RING = 16, CONFIG_PAGE = 2 };

struct setup {
    struct guest g;
    struct virtio_input *tablet;
    struct input *input;
};

static int set_up(void **state)
{
    struct setup *t = mem_new(struct setup);

    guest_init(&t->g);
    t->tablet = virtio_input_new(t->g.bus, GUEST_SLOT, t->g.space, NULL);
    assert_non_null(t->tablet);
    t->input = virtio_input_input(t->tablet);
    guest_plug(&t->g, virtio_input_device(t->tablet), virtio_input_function(t->tablet));
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

static unsigned query(struct guest *g, unsigned select, unsigned subsel)
{
    guest_write(g, CONFIG_PAGE, 0, 1, select);
    guest_write(g, CONFIG_PAGE, 1, 1, subsel);
    return (unsigned)guest_read(g, CONFIG_PAGE, 2, 1);
}

static void says_what_it_is(void **state)
{
    struct setup *t = *state;

    assert_int_equal(guest_config_read(&t->g, 0, 4), 0x10521af4);
    assert_int_equal(guest_config_read(&t->g, 8, 1), 1);
    assert_int_equal(guest_config_read(&t->g, 0x10, 4), 0); /* no legacy ports */
    assert_int_equal(query(&t->g, 1, 0), 12);
    assert_int_equal(guest_read(&t->g, CONFIG_PAGE, 8, 1), 'I');
    assert_int_equal(query(&t->g, 0x11, 1), 0x110 / 8 + 1); /* buttons */
    assert_int_equal(guest_read(&t->g, CONFIG_PAGE, 8 + 0x110 / 8, 1), 0x1f);
    assert_int_equal(query(&t->g, 0x11, 2), 2); /* the wheel */
    assert_int_equal(query(&t->g, 0x11, 3), 1);
    assert_int_equal(guest_read(&t->g, CONFIG_PAGE, 8, 1), 3);
    assert_int_equal(query(&t->g, 0x12, 1), 20);
    assert_int_equal(guest_read(&t->g, CONFIG_PAGE, 12, 4), INPUT_PLACE_MAX);
    assert_int_equal(query(&t->g, 0x12, 2), 0);
    assert_int_equal(query(&t->g, 0x77, 0), 0);
}

/* Event @n of the buffers that the driver lent in order. */
static void expect(struct setup *t, unsigned n, unsigned type, unsigned code, unsigned value)
{
    uint8_t event[8];

    guest_get(&t->g, GUEST_BUF + 8 * n, event, sizeof(event));
    assert_int_equal(load_le16(event), type);
    assert_int_equal(load_le16(event + 2), code);
    assert_int_equal(load_le32(event + 4), value);
}

static void lend(struct setup *t, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        const struct vring_buffer s = {.gpa = GUEST_BUF + 8 * i, .len = 8, .write = true};
        vring_add(&t->g.ring[EVENTS], &s, 1);
    }
    guest_kick(&t->g, EVENTS);
}

static void tells_what_changed(void **state)
{
    struct setup *t = *state;
    struct input_pointer p = {.x = 100, .y = 200, .buttons = INPUT_LEFT, .wheel = -1};

    assert_false(t->input->ready);
    guest_start(&t->g, false, 0, 2, RING);
    assert_true(t->input->ready);
    lend(t, 0, 8);
    t->input->ops->pointer(t->input, &p);
    expect(t, 0, 3, 0, 100);
    expect(t, 1, 3, 1, 200);
    expect(t, 2, 1, 0x110, 1);
    expect(t, 3, 2, 8, UINT32_MAX);
    expect(t, 4, 0, 0, 0);
    t->input->ops->pointer(t->input, &(struct input_pointer){.x = 100, .y = 201});
    expect(t, 5, 3, 1, 201);
    expect(t, 6, 1, 0x110, 0);
    expect(t, 7, 0, 0, 0);
    /* Nothing is lent now: the last place is told when there is room again. */
    for (unsigned i = 0; i < 1000; i++)
        t->input->ops->pointer(t->input, &(struct input_pointer){.x = (uint16_t)i, .y = 201});
    lend(t, 8, 2);
    expect(t, 8, 3, 0, 999);
    expect(t, 9, 0, 0, 0);
    assert_int_equal(guest_status(&t->g) & VIRTIO_NEEDS_RESET, 0);
    guest_write(&t->g, 0, 20, 1, 0);
    assert_false(t->input->ready);
}

static void a_buffer_too_small_needs_a_reset(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer s = {.gpa = GUEST_BUF, .len = 4, .write = true};

    guest_start(&t->g, false, 0, 2, RING);
    vring_add(&t->g.ring[EVENTS], &s, 1);
    vring_add(&t->g.ring[EVENTS], &s, 1);
    guest_kick(&t->g, EVENTS);
    t->input->ops->pointer(t->input, &(struct input_pointer){.x = 1});
    assert_int_equal(guest_status(&t->g) & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
}

#define UNIT(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(says_what_it_is), UNIT(tells_what_changed),
                                       UNIT(a_buffer_too_small_needs_a_reset)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

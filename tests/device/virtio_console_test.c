/* SPDX-License-Identifier: Apache-2.0 */
/* The console and the entropy device. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/virtio/virtio_console.h"
#include "device/virtio/virtio_rng.h"
#include "io/chardev_mem.h"
#include "virtio_guest.h"

enum { IN = 0, OUT = 1 };

struct setup {
    struct guest g;
    struct chardev *ch;
    struct virtio_console *console;
    int random_error;
};

static int set_up(void **state)
{
    struct setup *t = mem_new(struct setup);

    t->ch = chardev_mem_new(NULL);
    guest_init(&t->g);
    t->console = virtio_console_new(t->g.bus, GUEST_SLOT, t->g.space, t->ch, NULL);
    assert_non_null(t->console);
    guest_plug(&t->g, virtio_console_device(t->console), virtio_console_function(t->console));
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *t = *state;

    guest_done(&t->g);
    if (t->ch)
        t->ch->ops->close(t->ch);
    free(t);
    return 0;
}

static void type_and_show(struct setup *t)
{
    const struct vring_buffer in[] = {{GUEST_BUF, 4, true}, {GUEST_BUF + 0x100, 4, true}};
    const struct vring_buffer out[] = {{GUEST_BUF + 0x1000, 5, false},
                                       {GUEST_BUF + 0x2ffe, 7, false}};
    uint32_t id, len;
    char got[9] = {0};

    guest_put(&t->g, GUEST_BUF + 0x1000, "hello", 5);
    guest_put(&t->g, GUEST_BUF + 0x2ffe, ", host\n", 7);
    vring_add(&t->g.ring[OUT], out, 2);
    guest_kick(&t->g, OUT);
    assert_true(vring_used(&t->g.ring[OUT], &id, &len));
    assert_string_equal(str_text(chardev_mem_output(t->ch)), "hello, host\n");
    /* Input before there are buffers waits. */
    chardev_mem_type(t->ch, "12345678", 8);
    assert_false(vring_used(&t->g.ring[IN], &id, &len));
    vring_add(&t->g.ring[IN], in, 1);
    vring_add(&t->g.ring[IN], in + 1, 1);
    guest_kick(&t->g, IN);
    assert_true(vring_used(&t->g.ring[IN], &id, &len));
    assert_int_equal(len, 4);
    assert_true(vring_used(&t->g.ring[IN], &id, &len));
    guest_get(&t->g, GUEST_BUF, got, 4);
    guest_get(&t->g, GUEST_BUF + 0x100, got + 4, 4);
    assert_string_equal(got, "12345678");
}

static void modern_console(void **state)
{
    struct setup *t = *state;

    assert_int_equal(guest_config_read(&t->g, 0, 4), 0x10031af4);
    guest_start(&t->g, false, VIRTIO_BIT(VIRTIO_F_EVENT_IDX), 2, 16);
    type_and_show(t);
}

static void legacy_console(void **state)
{
    struct setup *t = *state;

    guest_start(&t->g, true, 0, 2, 0);
    type_and_show(t);
}

/* What the host side refuses stays in the ring and continues where it stopped. */
static void refused_output(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer out[] = {{GUEST_BUF, 6, false}, {GUEST_BUF + 0x100, 6, false}};
    uint32_t id, len;

    guest_start(&t->g, false, 0, 2, 16);
    chardev_mem_limit(t->ch, 8);
    guest_put(&t->g, GUEST_BUF, "abcdef", 6);
    guest_put(&t->g, GUEST_BUF + 0x100, "ghijkl", 6);
    vring_add(&t->g.ring[OUT], out, 2);
    guest_kick(&t->g, OUT);
    assert_false(vring_used(&t->g.ring[OUT], &id, &len));
    assert_string_equal(str_text(chardev_mem_output(t->ch)), "abcdefgh");
    guest_kick(&t->g, OUT);
    chardev_mem_limit(t->ch, UINT64_MAX);
    assert_true(vring_used(&t->g.ring[OUT], &id, &len));
    assert_string_equal(str_text(chardev_mem_output(t->ch)), "abcdefghijkl");
}

static void size_and_emergencies(void **state)
{
    struct setup *t = *state;

    guest_write(&t->g, 2, 8, 4, 'P'); /* without a driver */
    guest_write(&t->g, 2, 8, 4, 'A');
    assert_string_equal(str_text(chardev_mem_output(t->ch)), "PA");
    guest_start(&t->g, false, VIRTIO_BIT(0), 2, 16);
    chardev_mem_resize(t->ch, 132, 43);
    assert_int_equal(guest_read(&t->g, 2, 0, 2), 132);
    assert_int_equal(guest_read(&t->g, 2, 2, 2), 43);
    assert_int_equal(guest_isr(&t->g), 2);
}

static void broken_console_drivers(void **state)
{
    struct setup *t = *state;

    guest_start(&t->g, false, 0, 2, 16);
    vring_add(&t->g.ring[OUT], &(struct vring_buffer){GUEST_RAM, 10, false}, 1);
    guest_kick(&t->g, OUT);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    guest_start(&t->g, false, 0, 2, 16);
    vring_add(&t->g.ring[IN], &(struct vring_buffer){GUEST_RAM, 10, true}, 1);
    chardev_mem_type(t->ch, "x", 1);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
}

static int fill(void *opaque, void *bytes, size_t len)
{
    memset(bytes, 0x77, len);
    return ((struct setup *)opaque)->random_error;
}

static void random_bytes(void **state)
{
    struct setup *t = mem_new(struct setup);
    struct virtio_rng *rng;
    const struct vring_buffer ask[] = {{GUEST_BUF, 1000, true}, {GUEST_BUF + 0x1000, 8000, true}};
    uint32_t id, len;

    guest_init(&t->g);
    rng = virtio_rng_new(t->g.bus, GUEST_SLOT, t->g.space, fill, t, NULL);
    assert_non_null(rng);
    guest_plug(&t->g, virtio_rng_device(rng), virtio_rng_function(rng));
    assert_int_equal(guest_config_read(&t->g, 0, 4), 0x10051af4);
    guest_start(&t->g, false, 0, 1, 16);
    vring_add(&t->g.ring[0], ask, 2);
    guest_kick(&t->g, 0);
    assert_true(vring_used(&t->g.ring[0], &id, &len));
    assert_int_equal(len, 4096); /* no more than that at once */
    assert_int_equal(space_load(t->g.space, GUEST_BUF + 999, 1), 0x77);
    assert_int_equal(space_load(t->g.space, GUEST_BUF + 1000, 1), 0);
    t->random_error = -EIO;
    vring_add(&t->g.ring[0], ask, 1);
    guest_kick(&t->g, 0);
    assert_true(vring_used(&t->g.ring[0], &id, &len));
    assert_int_equal(len, 0);
    vring_add(&t->g.ring[0], &(struct vring_buffer){GUEST_BUF, 8, false}, 1);
    guest_kick(&t->g, 0);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    tear_down((void **)&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(modern_console, set_up, tear_down),
        cmocka_unit_test_setup_teardown(legacy_console, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_output, set_up, tear_down),
        cmocka_unit_test_setup_teardown(size_and_emergencies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_console_drivers, set_up, tear_down),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

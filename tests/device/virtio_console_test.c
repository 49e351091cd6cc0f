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
    struct chardev *ch, *agent;
    struct virtio_console *console;
    int random_error;
};

static void add_console(struct setup *t, struct chardev *named)
{
    const struct virtio_console_ports ports = {.console = t->ch, .named = named, .name = "a.name"};

    t->console = virtio_console_new(t->g.bus, GUEST_SLOT, t->g.space, &ports, NULL);
    assert_non_null(t->console);
    guest_plug(&t->g, virtio_console_device(t->console), virtio_console_function(t->console));
}

static int set_up(void **state)
{
    struct setup *t = mem_new(struct setup);

    t->ch = chardev_mem_new(NULL);
    guest_init(&t->g);
    add_console(t, NULL);
    *state = t;
    return 0;
}

static int set_up_ports(void **state)
{
    struct setup *t = mem_new(struct setup);

    t->ch = chardev_mem_new(NULL);
    t->agent = chardev_mem_new(NULL);
    guest_init(&t->g);
    add_console(t, t->agent);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *t = *state;

    guest_done(&t->g);
    if (t->ch)
        t->ch->ops->close(t->ch);
    if (t->agent)
        t->agent->ops->close(t->agent);
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

/* ---- several ports (5.3.6.2) ---- */

enum { CONTROL_IN = 2, CONTROL_OUT = 3, AGENT_IN = 4, AGENT_OUT = 5 };
enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE_PORT = 4, OPEN = 6, NAME = 7 };
enum { MULTIPORT = 1, CONTROL_BUF = GUEST_BUF + 0x10000 };

static void say(struct setup *t, uint32_t port, uint16_t event, uint16_t value)
{
    uint8_t message[8];
    uint32_t id, len;

    store_le32(message, port);
    store_le16(message + 4, event);
    store_le16(message + 6, value);
    guest_put(&t->g, CONTROL_BUF, message, sizeof message);
    vring_add(&t->g.ring[CONTROL_OUT], &(struct vring_buffer){CONTROL_BUF, 8, false}, 1);
    guest_kick(&t->g, CONTROL_OUT);
    assert_true(vring_used(&t->g.ring[CONTROL_OUT], &id, &len));
}

/* Offers a buffer for a message; what comes first is kept at @n. */
static void listen_to(struct setup *t, unsigned n)
{
    vring_add(&t->g.ring[CONTROL_IN],
              &(struct vring_buffer){CONTROL_BUF + 0x100 * (n + 1), 32, true}, 1);
    guest_kick(&t->g, CONTROL_IN);
}

static void expect(struct setup *t, unsigned n, uint32_t port, uint16_t event, const char *name)
{
    uint8_t message[32] = {0};
    uint32_t id, len;

    assert_true(vring_used(&t->g.ring[CONTROL_IN], &id, &len));
    assert_int_equal(len, 8 + strlen(name));
    guest_get(&t->g, CONTROL_BUF + 0x100 * (n + 1), message, len);
    assert_int_equal(load_le32(message), port);
    assert_int_equal(load_le16(message + 4), event);
    assert_int_equal(load_le16(message + 6), 1);
    assert_string_equal((char *)message + 8, name);
}

static void ports_are_announced(struct setup *t)
{
    for (unsigned n = 0; n < 2; n++)
        listen_to(t, n);
    say(t, 0, READY, 1);
    expect(t, 0, 0, ADD, "");
    expect(t, 1, 1, ADD, "");
    say(t, 0, PORT_READY, 1);
    say(t, 1, PORT_READY, 1); /* before there are buffers: nothing is lost */
    for (unsigned n = 2; n < 5; n++)
        listen_to(t, n);
    expect(t, 2, 0, CONSOLE_PORT, "");
    expect(t, 3, 1, NAME, "a.name");
    expect(t, 4, 1, OPEN, "");
}

static void several_ports(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer in = {GUEST_BUF, 16, true}, out = {GUEST_BUF + 0x1000, 5, false};
    uint32_t id, len;
    char got[6] = {0};

    guest_start(&t->g, false, VIRTIO_BIT(MULTIPORT), 6, 16);
    assert_int_equal(guest_read(&t->g, 2, 4, 4), 2); /* max_nr_ports */
    ports_are_announced(t);
    guest_put(&t->g, GUEST_BUF + 0x1000, "agent", 5);
    vring_add(&t->g.ring[AGENT_OUT], &out, 1);
    guest_kick(&t->g, AGENT_OUT);
    assert_true(vring_used(&t->g.ring[AGENT_OUT], &id, &len));
    assert_string_equal(str_text(chardev_mem_output(t->agent)), "agent");
    assert_int_equal(chardev_mem_output(t->ch)->len, 0);
    /* Input waits until the port is open, and again once it is closed. */
    vring_add(&t->g.ring[AGENT_IN], &in, 1);
    vring_add(&t->g.ring[AGENT_IN], &in, 1);
    guest_kick(&t->g, AGENT_IN);
    chardev_mem_type(t->agent, "abc", 3);
    assert_false(vring_used(&t->g.ring[AGENT_IN], &id, &len));
    say(t, 1, OPEN, 1);
    assert_true(vring_used(&t->g.ring[AGENT_IN], &id, &len));
    assert_int_equal(len, 3);
    guest_get(&t->g, GUEST_BUF, got, 3);
    assert_string_equal(got, "abc");
    say(t, 1, OPEN, 0);
    chardev_mem_type(t->agent, "def", 3);
    assert_false(vring_used(&t->g.ring[AGENT_IN], &id, &len));
    type_and_show(t); /* the console goes on as ever */
}

/* A driver without the feature has a console and nothing else. */
static void ports_not_wanted(void **state)
{
    struct setup *t = *state;
    uint32_t id, len;

    guest_start(&t->g, false, 0, 6, 16);
    listen_to(t, 0);
    vring_add(&t->g.ring[AGENT_OUT], &(struct vring_buffer){GUEST_BUF, 5, false}, 1);
    guest_kick(&t->g, AGENT_OUT);
    assert_false(vring_used(&t->g.ring[AGENT_OUT], &id, &len));
    assert_int_equal(chardev_mem_output(t->agent)->len, 0);
    type_and_show(t);
    assert_false(vring_used(&t->g.ring[CONTROL_IN], &id, &len));
}

static void ports_in_a_snapshot(void **state)
{
    struct setup *t = *state;
    struct device *dev = virtio_console_device(t->console);
    struct str saved = {0};

    guest_start(&t->g, false, VIRTIO_BIT(MULTIPORT), 6, 16);
    say(t, 0, READY, 1);
    state_save(dev->state, dev, &saved);
    state_reset(dev->state, dev);
    assert_int_equal(state_load(dev->state, dev, saved.data, saved.len, NULL), saved.len);
    str_done(&saved);
    listen_to(t, 0);
    expect(t, 0, 0, ADD, "");
}

static void broken_port_drivers(void **state)
{
    struct setup *t = *state;

    guest_start(&t->g, false, VIRTIO_BIT(MULTIPORT), 6, 16);
    say(t, 7, PORT_READY, 1);
    say(t, 0xffffffff, OPEN, 1);
    say(t, 1, 0xffff, 1);
    assert_false(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    vring_add(&t->g.ring[CONTROL_OUT], &(struct vring_buffer){CONTROL_BUF, 7, false}, 1);
    guest_kick(&t->g, CONTROL_OUT);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    guest_start(&t->g, false, VIRTIO_BIT(MULTIPORT), 6, 16);
    vring_add(&t->g.ring[CONTROL_IN], &(struct vring_buffer){GUEST_RAM, 32, true}, 1);
    say(t, 0, READY, 1);
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
        cmocka_unit_test_setup_teardown(several_ports, set_up_ports, tear_down),
        cmocka_unit_test_setup_teardown(ports_not_wanted, set_up_ports, tear_down),
        cmocka_unit_test_setup_teardown(ports_in_a_snapshot, set_up_ports, tear_down),
        cmocka_unit_test_setup_teardown(broken_port_drivers, set_up_ports, tear_down),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/virtio/virtio_net.h"
#include "virtio_guest.h"

enum {
    F_CSUM = 0,
    F_GUEST_CSUM = 1,
    F_MTU = 3,
    F_TSO4 = 11,
    F_MRG = 15,
    F_CTRL_VQ = 17,
    F_RX = 18
};
enum { RX = 0, TX = 1, CTRL = 2, HDR = 12 };

static const uint8_t mac[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};

/* A backend that keeps the last frame. */
struct wire {
    struct netdev netdev;
    const struct netdev_client *client;
    uint8_t frame[NETDEV_FRAME_MAX];
    size_t len;
    unsigned frames, batches, ready;
    const uint8_t *echo; /* sent back from inside send */
    size_t echo_len;
};

struct setup {
    struct guest g;
    struct wire wire;
    struct virtio_net *net;
};

static void wire_attach(struct netdev *n, const struct netdev_client *client)
{
    container_of(n, struct wire, netdev)->client = client;
}

static void wire_send(struct netdev *n, const struct netdev_span *spans, unsigned count)
{
    struct wire *w = container_of(n, struct wire, netdev);

    w->len = 0;
    for (unsigned i = 0; i < count; i++) {
        memcpy(w->frame + w->len, spans[i].data, spans[i].len);
        w->len += spans[i].len;
    }
    w->frames++;
    if (w->echo)
        w->client->receive(w->client->opaque, w->echo, w->echo_len);
}

static void wire_sent(struct netdev *n)
{
    container_of(n, struct wire, netdev)->batches++;
}

static void wire_ready(struct netdev *n)
{
    container_of(n, struct wire, netdev)->ready++;
}

static const struct netdev_ops wire_ops = {
    .attach = wire_attach, .send = wire_send, .sent = wire_sent, .ready = wire_ready};

static int set_up(void **state)
{
    struct setup *t = mem_new(struct setup);

    t->wire.netdev =
        (struct netdev){.ops = &wire_ops, .mtu = 9000, .tx_super = true, .rx_verified = true};
    guest_init(&t->g);
    t->net = virtio_net_new(t->g.bus, GUEST_SLOT, t->g.space, &t->wire.netdev, mac, NULL);
    assert_non_null(t->net);
    guest_plug(&t->g, virtio_net_device(t->net), virtio_net_function(t->net));
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

/* Sends header and frame in two buffers and takes them back. */
static void transmit(struct setup *t, const uint8_t *hdr, size_t hdr_len, const uint8_t *frame,
                     size_t len)
{
    const struct vring_buffer buffers[] = {{GUEST_BUF, (uint32_t)hdr_len, false},
                                           {GUEST_BUF + 0x1000, (uint32_t)len, false}};
    uint32_t id, written;

    guest_put(&t->g, GUEST_BUF, hdr, hdr_len);
    guest_put(&t->g, GUEST_BUF + 0x1000, frame, len);
    vring_add(&t->g.ring[TX], buffers, 2);
    guest_kick(&t->g, TX);
    assert_true(vring_used(&t->g.ring[TX], &id, &written));
    assert_int_equal(written, 0);
}

static bool receive(struct setup *t, const uint8_t *frame, size_t len)
{
    const struct netdev_client *c = t->wire.client;
    bool room = c->can_receive(c->opaque, len);

    if (room)
        c->receive(c->opaque, frame, len);
    return room;
}

static void identity(void **state)
{
    struct setup *t = *state;
    uint64_t offered = guest_features(&t->g);

    assert_int_equal(guest_config_read(&t->g, 0, 4), 0x10001af4);
    assert_int_equal(guest_read(&t->g, 0, 18, 2), 3);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(guest_read(&t->g, 2, i, 1), mac[i]);
    assert_int_equal(guest_read(&t->g, 2, 6, 2), 1); /* link up */
    assert_int_equal(guest_read(&t->g, 2, 10, 2), 9000);
    assert_true(offered & VIRTIO_BIT(F_TSO4));
    assert_true(offered & VIRTIO_BIT(F_MTU));
    /* Offloads that nobody does are not offered. */
    assert_false(offered & (VIRTIO_BIT(7) | VIRTIO_BIT(8) | VIRTIO_BIT(12) | VIRTIO_BIT(14)));
    guest_start(&t->g, false, 0, 2, 16);
    t->wire.client->link(t->wire.client->opaque, false);
    assert_int_equal(guest_read(&t->g, 2, 6, 2), 0);
    assert_int_equal(guest_isr(&t->g), 2);
}

static void frames_go_out(struct setup *t, size_t header)
{
    uint8_t hdr[HDR] = {0}, frame[1514];

    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 3);
    transmit(t, hdr, header, frame, sizeof(frame));
    assert_int_equal(t->wire.frames, 1);
    assert_int_equal(t->wire.batches, 2); /* the first when the driver was ready */
    assert_int_equal(t->wire.len, sizeof(frame));
    assert_memory_equal(t->wire.frame, frame, sizeof(frame));
    assert_int_equal(t->wire.netdev.tx_bytes, sizeof(frame));
    transmit(t, hdr, header, frame, 5); /* no Ethernet frame */
    assert_int_equal(t->wire.frames, 1);
    assert_int_equal(t->wire.netdev.dropped, 1);
    hdr[1] = 3; /* UDP fragmentation was not negotiated */
    transmit(t, hdr, header, frame, sizeof(frame));
    assert_int_equal(t->wire.frames, 1);
}

static void modern_transmit(void **state)
{
    struct setup *t = *state;

    guest_start(&t->g, false, 0, 2, 16);
    frames_go_out(t, HDR);
}

static void legacy_transmit(void **state)
{
    struct setup *t = *state;

    guest_start(&t->g, true, 0, 2, 0);
    frames_go_out(t, 10); /* no num_buffers */
}

static void checksums_are_completed(void **state)
{
    struct setup *t = *state;
    uint8_t hdr[HDR] = {1, 0}, frame[61] = {0};
    uint32_t sum = 0;

    guest_start(&t->g, false, VIRTIO_BIT(F_CSUM), 2, 16);
    for (size_t i = 34; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 37);
    hdr[6] = 34; /* start, offset of a TCP checksum */
    hdr[8] = 16;
    transmit(t, hdr, HDR, frame, sizeof(frame));
    assert_int_equal(t->wire.frames, 1);
    /* Over the result with the pseudo header's part in place the sum is as it was given. */
    for (size_t i = 34; i < sizeof(frame); i++)
        sum += i % 2 ? (uint32_t)frame[i] : (uint32_t)frame[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    assert_int_equal(t->wire.frame[50] << 8 | t->wire.frame[51], ~sum & 0xffff);
    hdr[8] = 26; /* beyond the frame */
    transmit(t, hdr, HDR, frame, sizeof(frame));
    hdr[6] = 0xff;
    hdr[7] = 0xff;
    transmit(t, hdr, HDR, frame, sizeof(frame));
    assert_int_equal(t->wire.frames, 1);
    assert_false(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
}

static void large_segments(void **state)
{
    struct setup *t = *state;
    static uint8_t frame[65000];
    uint8_t hdr[HDR] = {1, 1, 54, 0, 0xb4, 5, 34, 0, 16};

    guest_start(&t->g, false, VIRTIO_BIT(F_CSUM) | VIRTIO_BIT(F_TSO4), 2, 16);
    transmit(t, hdr, HDR, frame, sizeof(frame));
    assert_int_equal(t->wire.len, sizeof(frame));
    guest_start(&t->g, false, VIRTIO_BIT(F_CSUM), 2, 16);
    transmit(t, hdr, HDR, frame, sizeof(frame));
    assert_int_equal(t->wire.frames, 1); /* not negotiated: not sent */
}

static void frames_come_in(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer one[] = {{GUEST_BUF, HDR, true}, {GUEST_BUF + 0x1000, 1514, true}};
    uint8_t frame[1000], got[1000];
    uint32_t id, len;

    memset(frame, 0xff, sizeof(frame));
    assert_true(receive(t, frame, sizeof(frame))); /* before there is a driver: dropped */
    assert_int_equal(t->wire.netdev.dropped, 1);
    guest_start(&t->g, false, VIRTIO_BIT(F_GUEST_CSUM) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX), 2, 16);
    assert_false(receive(t, frame, sizeof(frame))); /* no buffers yet */
    vring_add(&t->g.ring[RX], one, 2);
    t->wire.ready = 0;
    guest_kick(&t->g, RX);
    assert_int_equal(t->wire.ready, 1);
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 5);
    assert_true(receive(t, frame, sizeof(frame)));
    assert_true(vring_used(&t->g.ring[RX], &id, &len));
    assert_int_equal(len, HDR + sizeof(frame));
    guest_get(&t->g, GUEST_BUF + 0x1000, got, sizeof(got));
    assert_memory_equal(got, frame, sizeof(got));
    assert_int_equal(space_load(t->g.space, GUEST_BUF, 1), 2); /* the checksum is valid */
    assert_int_equal(space_load(t->g.space, GUEST_BUF + 10, 2), 1);
    assert_int_equal(t->g.intx, 1);
    /* A frame that does not fit the buffer is dropped, the buffer stays. */
    vring_add(&t->g.ring[RX], one, 2);
    t->wire.client->receive(t->wire.client->opaque, t->wire.frame, 2000);
    assert_false(vring_used(&t->g.ring[RX], &id, &len));
    assert_true(receive(t, frame, sizeof(frame)));
    assert_true(vring_used(&t->g.ring[RX], &id, &len));
}

static void merged_buffers(void **state)
{
    struct setup *t = *state;
    static uint8_t frame[5000], got[5000];
    uint32_t id, len;
    size_t at = 0;

    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 5 + i / 256);
    guest_start(&t->g, false, VIRTIO_BIT(F_MRG), 2, 16);
    for (unsigned i = 0; i < 3; i++) {
        const struct vring_buffer one = {GUEST_BUF + 0x1000 * i, 1600, true};
        vring_add(&t->g.ring[RX], &one, 1);
    }
    assert_false(receive(t, frame, sizeof(frame))); /* three are not enough */
    t->wire.client->receive(t->wire.client->opaque, frame, sizeof(frame)); /* forced: dropped */
    assert_false(vring_used(&t->g.ring[RX], &id, &len));
    vring_add(&t->g.ring[RX], &(struct vring_buffer){GUEST_BUF + 0x3000, 1600, true}, 1);
    assert_true(receive(t, frame, sizeof(frame)));
    for (unsigned i = 0; i < 4; i++) {
        size_t skip = i ? 0 : HDR;
        assert_true(vring_used(&t->g.ring[RX], &id, &len));
        guest_get(&t->g, GUEST_BUF + 0x1000 * i + skip, got + at, len - skip);
        at += len - skip;
    }
    assert_int_equal(at, sizeof(frame));
    assert_memory_equal(got, frame, sizeof(frame));
    assert_int_equal(space_load(t->g.space, GUEST_BUF + 10, 2), 4);
    assert_int_equal(t->wire.netdev.rx_frames, 1);
}

static int command(struct setup *t, uint8_t class, uint8_t cmd, const void *data, size_t len)
{
    struct vring_buffer buffers[] = {{GUEST_BUF, 2, false},
                                     {GUEST_BUF + 0x1000, (uint32_t)len, false},
                                     {GUEST_BUF + 0x2000, 1, true}};
    const uint8_t head[2] = {class, cmd};
    uint32_t id, written;

    guest_put(&t->g, GUEST_BUF, head, 2);
    guest_put(&t->g, GUEST_BUF + 0x1000, data, len);
    space_store(t->g.space, GUEST_BUF + 0x2000, 1, 0xee);
    vring_add(&t->g.ring[CTRL], buffers, 3);
    guest_kick(&t->g, CTRL);
    assert_true(vring_used(&t->g.ring[CTRL], &id, &written));
    assert_int_equal(written, 1);
    return (int)space_load(t->g.space, GUEST_BUF + 0x2000, 1);
}

static bool gets(struct setup *t, const uint8_t *to)
{
    uint8_t frame[60] = {0};
    uint32_t id, len;

    memcpy(frame, to, 6);
    vring_add(&t->g.ring[RX], &(struct vring_buffer){GUEST_BUF + 0x8000, 2000, true}, 1);
    assert_true(receive(t, frame, sizeof(frame)));
    return vring_used(&t->g.ring[RX], &id, &len);
}

static void filters(void **state)
{
    struct setup *t = *state;
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t other[6] = {0x52, 0x54, 0, 1, 1, 1}, multi[6] = {1, 0, 0x5e, 0, 0, 1};
    static uint8_t table[4 + 6 + 4 + 6] = {1, 0, 0, 0, 0x52, 0x54, 0,    1, 1, 1,
                                           1, 0, 0, 0, 1,    0,    0x5e, 0, 0, 1};
    static uint8_t many[4 + 4 + 6 * 40] = {0, 0, 0, 0, 40};
    uint8_t on = 1, off = 0, two = 2;

    guest_start(&t->g, false, VIRTIO_BIT(F_MRG) | VIRTIO_BIT(F_CTRL_VQ) | VIRTIO_BIT(F_RX), 3, 64);
    assert_true(gets(t, mac) && gets(t, all));
    assert_false(gets(t, other) || gets(t, multi));
    assert_int_equal(command(t, 0, 0, &on, 1), 0);
    assert_true(gets(t, other) && gets(t, multi));
    assert_int_equal(command(t, 0, 0, &off, 1), 0);
    assert_int_equal(command(t, 0, 1, &on, 1), 0);
    assert_true(!gets(t, other) && gets(t, multi));
    assert_int_equal(command(t, 0, 1, &off, 1), 0);
    assert_int_equal(command(t, 1, 0, table, sizeof(table)), 0);
    assert_true(gets(t, other) && gets(t, multi));
    assert_int_equal(command(t, 1, 0, many, sizeof(many)), 0); /* more than are kept: all */
    assert_true(!gets(t, other) && gets(t, multi));
    assert_int_equal(command(t, 1, 1, other, 6), 0);
    assert_true(gets(t, other) && !gets(t, mac));
    assert_int_equal(guest_read(&t->g, 2, 3, 1), 1);
    /* What is malformed or unknown is refused and changes nothing. */
    assert_int_equal(command(t, 1, 0, table, sizeof(table) - 1), 1);
    table[0] = 0xff;
    table[3] = 0xff;
    assert_int_equal(command(t, 1, 0, table, sizeof(table)), 1);
    assert_int_equal(command(t, 0, 0, &two, 1), 1);
    assert_int_equal(command(t, 4, 0, &on, 1), 1);
    assert_true(gets(t, multi));
    /* A reset forgets. */
    guest_start(&t->g, false, VIRTIO_BIT(F_MRG) | VIRTIO_BIT(F_CTRL_VQ) | VIRTIO_BIT(F_RX), 3, 64);
    assert_true(gets(t, mac) && !gets(t, multi));
}

/* A backend that answers from inside send must not confuse the frame being sent. */
static void replies_inside_send(void **state)
{
    struct setup *t = *state;
    uint8_t hdr[HDR] = {0}, frame[100] = {0}, reply[80];
    uint32_t id, len;

    memset(reply, 0xff, sizeof(reply));
    guest_start(&t->g, false, VIRTIO_BIT(F_MRG), 2, 16);
    vring_add(&t->g.ring[RX], &(struct vring_buffer){GUEST_BUF + 0x8000, 2000, true}, 1);
    t->wire.echo = reply;
    t->wire.echo_len = sizeof(reply);
    transmit(t, hdr, HDR, frame, sizeof(frame));
    assert_true(vring_used(&t->g.ring[RX], &id, &len));
    assert_int_equal(len, HDR + sizeof(reply));
}

static void broken_drivers(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer outside = {GUEST_RAM - 64, 128, false};
    const struct vring_buffer rx = {GUEST_RAM - 64, 2000, true};
    const struct vring_buffer no_answer = {GUEST_BUF, 16, false};
    uint8_t frame[100];

    memset(frame, 0xff, sizeof(frame));
    guest_start(&t->g, false, 0, 2, 16);
    vring_add(&t->g.ring[TX], &outside, 1);
    guest_kick(&t->g, TX);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    guest_start(&t->g, false, 0, 2, 16);
    vring_add(&t->g.ring[RX], &rx, 1);
    assert_true(receive(t, frame, sizeof(frame)));
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    assert_true(receive(t, frame, sizeof(frame))); /* dropped */
    guest_start(&t->g, false, VIRTIO_BIT(F_CTRL_VQ), 3, 16);
    vring_add(&t->g.ring[CTRL], &no_answer, 1);
    guest_kick(&t->g, CTRL);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
}

static void legacy_sets_its_address(void **state)
{
    struct setup *t = *state;

    guest_start(&t->g, true, 0, 2, 0);
    ports_write(t->g.ports, GUEST_IO + 20, 4, 0x44332211);
    ports_write(t->g.ports, GUEST_IO + 24, 2, 0x6655);
    ports_write(t->g.ports, GUEST_IO + 24, 4, 0x6655); /* into the status: no */
    assert_int_equal(ports_read(t->g.ports, GUEST_IO + 20, 4), 0x44332211);
    assert_int_equal(ports_read(t->g.ports, GUEST_IO + 24, 4), 0x00016655);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modern_transmit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(legacy_transmit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checksums_are_completed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_segments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_come_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(merged_buffers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(filters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replies_inside_send, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_drivers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(legacy_sets_its_address, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

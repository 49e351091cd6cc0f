/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/virtio/virtqueue.h"
#include "vring.h"

enum { RAM = 4 << 20, RING = 0x10000, SIZE = 8, BUF = 0x100000 };

struct setup {
    struct gmem *ram;
    struct space *space;
    struct virtqueue vq;
    struct vring ring;
    struct virtq_chain chain;
};

static int set_up(void **state)
{
    struct setup *t = mem_new(struct setup);

    t->ram = gmem_new(RAM, NULL);
    t->space = space_new(t->ram, NULL);
    space_map_ram(t->space, "ram", 0, RAM, 0, 0, NULL);
    vring_init(&t->ring, t->space, RING, SIZE);
    t->vq = (struct virtqueue){.space = t->space,
                               .size_max = VIRTQ_SIZE_MAX,
                               .size = SIZE,
                               .desc = t->ring.desc,
                               .driver = t->ring.avail,
                               .device = t->ring.used,
                               .indirect = true};
    assert_int_equal(virtq_enable(&t->vq), 0);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *t = *state;

    space_free(t->space);
    gmem_free(t->ram);
    free(t);
    return 0;
}

static void chains_come_in_order(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer one[] = {
        {BUF, 16, false}, {BUF + 0x1000, 512, true}, {BUF + 0x2000, 1, true}};
    uint32_t id, len;

    assert_int_equal(virtq_pop(&t->vq, &t->chain), 0);
    for (unsigned round = 0; round < 3 * SIZE; round++) { /* wraps several times */
        uint16_t head = vring_add(&t->ring, one, 3);
        assert_int_equal(virtq_pending(&t->vq), 1);
        assert_int_equal(virtq_pop(&t->vq, &t->chain), 1);
        assert_int_equal(t->chain.head, head);
        assert_int_equal(t->chain.out_count, 1);
        assert_int_equal(t->chain.in_count, 2);
        assert_int_equal(t->chain.out_len, 16);
        assert_int_equal(t->chain.in_len, 513);
        assert_int_equal(virtq_push(&t->vq, head, 513), 0);
        assert_false(vring_used(&t->ring, &id, &len)); /* not before it is published */
        assert_int_equal(virtq_publish(&t->vq), 1);
        assert_true(vring_used(&t->ring, &id, &len));
        assert_int_equal(id, head);
        assert_int_equal(len, 513);
        assert_int_equal(virtq_pop(&t->vq, &t->chain), 0);
    }
}

static void indirect_tables_are_followed(void **state)
{
    struct setup *t = *state;
    struct vring_buffer many[20];

    for (unsigned i = 0; i < 20; i++)
        many[i] = (struct vring_buffer){BUF + i * 0x1000, 100 + i, i >= 5};
    vring_add_indirect(&t->ring, BUF + 0x80000 + 8, many, 20);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), 1);
    assert_int_equal(t->chain.out_count, 5);
    assert_int_equal(t->chain.in_count, 15);
    assert_int_equal(t->chain.segment[19].len, 119);

    t->vq.indirect = false; /* not negotiated */
    vring_add_indirect(&t->ring, BUF + 0x80000, many, 20);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
}

static void broken_rings_are_errors(void **state)
{
    struct setup *t = *state;

    /* A circle. */
    vring_set_desc(&t->ring, 0, BUF, 16, VRING_NEXT, 1);
    vring_set_desc(&t->ring, 1, BUF, 16, VRING_NEXT, 0);
    vring_offer(&t->ring, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO); /* and stays one */
    /* A descriptor beyond the table. */
    vring_set_desc(&t->ring, 0, BUF, 16, VRING_NEXT, SIZE);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    /* Readable after writable. */
    vring_set_desc(&t->ring, 0, BUF, 16, VRING_NEXT | VRING_WRITE, 1);
    vring_set_desc(&t->ring, 1, BUF, 16, 0, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    /* Indirect: nested, chained on, empty, odd length, outside memory, too long a chain. */
    vring_set_desc(&t->ring, 0, BUF, 16, VRING_INDIRECT | VRING_NEXT, 1);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    vring_set_desc(&t->ring, 0, BUF, 0, VRING_INDIRECT, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    vring_set_desc(&t->ring, 0, BUF, 24, VRING_INDIRECT, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    vring_set_desc(&t->ring, 0, RAM, 16, VRING_INDIRECT, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EFAULT);
    vring_set_desc(&t->ring, 0, UINT64_MAX - 7, 16, VRING_INDIRECT, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EFAULT);
    space_store(t->space, BUF + 12, 2, VRING_INDIRECT);
    vring_set_desc(&t->ring, 0, BUF, 16, VRING_INDIRECT, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    for (unsigned i = 0; i <= VIRTQ_CHAIN_MAX; i++)
        space_store(t->space, BUF + 16 * i + 12, 4, VRING_NEXT | (i + 1) << 16);
    vring_set_desc(&t->ring, 0, BUF, 16 * (VIRTQ_CHAIN_MAX + 1), VRING_INDIRECT, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    /* A head beyond the table; more entries than the ring holds. */
    vring_set_desc(&t->ring, 0, BUF, 16, 0, 0);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), 1);
    vring_offer(&t->ring, SIZE);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EPROTO);
    space_store(t->space, t->ring.avail + 2, 2, SIZE + 2);
    assert_int_equal(virtq_pending(&t->vq), -EPROTO);
}

static void rings_outside_memory_are_errors(void **state)
{
    struct setup *t = *state;

    t->vq.driver = RAM;
    assert_int_equal(virtq_pop(&t->vq, &t->chain), -EFAULT);
    assert_int_equal(virtq_want_kicks(&t->vq), -EFAULT);
    t->vq.device = RAM;
    assert_int_equal(virtq_push(&t->vq, 0, 0), -EFAULT);
    t->vq.device = RAM - 4; /* entry 0 is the first thing outside */
    assert_int_equal(virtq_push(&t->vq, 0, 0), -EFAULT);
    t->vq.event_idx = true;
    assert_int_equal(virtq_want_kicks(&t->vq), -EFAULT);
}

static void bad_set_ups_are_refused(void **state)
{
    struct setup *t = *state;
    struct virtqueue vq = t->vq;

    vq.size = 0;
    assert_int_equal(virtq_enable(&vq), -EINVAL);
    vq.size = 6;
    assert_int_equal(virtq_enable(&vq), -EINVAL);
    vq.size = 512;
    assert_int_equal(virtq_enable(&vq), -EINVAL);
    vq = t->vq;
    vq.desc += 8;
    assert_int_equal(virtq_enable(&vq), -EINVAL);
    vq = t->vq;
    vq.driver += 1;
    assert_int_equal(virtq_enable(&vq), -EINVAL);
    vq = t->vq;
    vq.device = UINT64_MAX - 3;
    assert_int_equal(virtq_enable(&vq), -EINVAL);
}

static void interrupts_follow_flags(void **state)
{
    struct setup *t = *state;

    assert_int_equal(virtq_publish(&t->vq), 0); /* nothing new */
    virtq_push(&t->vq, 0, 0);
    assert_int_equal(virtq_publish(&t->vq), 1);
    vring_set_flags(&t->ring, 1);
    virtq_push(&t->vq, 0, 0);
    assert_int_equal(virtq_publish(&t->vq), 0);
}

static void interrupts_follow_event_index(void **state)
{
    struct setup *t = *state;

    t->vq.event_idx = true;
    vring_set_flags(&t->ring, 1); /* without meaning now */
    vring_set_used_event(&t->ring, 0);
    virtq_push(&t->vq, 0, 0);
    assert_int_equal(virtq_publish(&t->vq), 1);
    virtq_push(&t->vq, 0, 0); /* used 2: the driver still has its wish at 0 */
    assert_int_equal(virtq_publish(&t->vq), 0);
    vring_set_used_event(&t->ring, 4);
    for (unsigned i = 0; i < 2; i++)
        virtq_push(&t->vq, 0, 0);
    assert_int_equal(virtq_publish(&t->vq), 0); /* used 4 */
    for (unsigned i = 0; i < 3; i++)
        virtq_push(&t->vq, 0, 0);
    assert_int_equal(virtq_publish(&t->vq), 1); /* 5..7: 5 was among them */
    /* Over the end of 16 bits. */
    t->vq.used_next = t->vq.used_published = 0xffff;
    vring_set_used_event(&t->ring, 0xffff);
    virtq_push(&t->vq, 0, 0);
    assert_int_equal(virtq_publish(&t->vq), 1);
}

static void kicks_are_asked_for(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer one = {BUF, 16, false};

    t->vq.event_idx = true;
    vring_add(&t->ring, &one, 1);
    assert_int_equal(virtq_want_kicks(&t->vq), 1);
    assert_int_equal(vring_avail_event(&t->ring), 0);
    virtq_pop(&t->vq, &t->chain);
    assert_int_equal(virtq_want_kicks(&t->vq), 0);
    assert_int_equal(vring_avail_event(&t->ring), 1);
    virtq_unpop(&t->vq, 1);
    assert_int_equal(virtq_pending(&t->vq), 1);
}

static void data_is_gathered_and_scattered(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer buffers[] = {
        {BUF + 4090, 10, false}, {0, 0, false}, {BUF + 0x3000, 3, false},
        {BUF + 0x4ffe, 4, true}, {0, 0, true},  {BUF + 0x7000, 0x2000, true},
    };
    uint8_t bytes[13], out[0x2004];
    struct space_span spans[4];
    size_t len;

    for (unsigned i = 0; i < 10; i++)
        space_store(t->space, BUF + 4090 + i, 1, i);
    for (unsigned i = 0; i < 3; i++)
        space_store(t->space, BUF + 0x3000 + i, 1, 10 + i);
    vring_add(&t->ring, buffers, 6);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), 1);
    assert_int_equal(virtq_read(&t->vq, &t->chain, 0, bytes, 13), 0);
    for (unsigned i = 0; i < 13; i++)
        assert_int_equal(bytes[i], i);
    assert_int_equal(virtq_read(&t->vq, &t->chain, 9, bytes, 3), 0);
    assert_int_equal(bytes[0], 9);
    assert_int_equal(virtq_read(&t->vq, &t->chain, 9, bytes, 5), -EFAULT);
    assert_int_equal(virtq_read(&t->vq, &t->chain, UINT64_MAX, bytes, 2), -EFAULT);

    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    assert_int_equal(virtq_write(&t->vq, &t->chain, 0, out, sizeof(out)), 0);
    assert_int_equal(space_load(t->space, BUF + 0x5001, 1), 21);
    assert_int_equal(space_load(t->space, BUF + 0x7000, 1), 28);
    assert_int_equal(virtq_write(&t->vq, &t->chain, 1, out, sizeof(out)), -EFAULT);

    assert_int_equal(virtq_spans(&t->vq, &t->chain, true, 0, 0x2004, spans, 4, &len), 2);
    assert_int_equal(len, 0x2004);
    assert_int_equal(spans[0].len, 4); /* neighbours in guest memory are neighbours here */
    assert_memory_equal(spans[1].data, out + 4, 0x2000);
    assert_int_equal(virtq_spans(&t->vq, &t->chain, true, 2, 0x2000, spans, 1, &len), 1);
    assert_int_equal(len, 2); /* one span was not enough */
    assert_int_equal(virtq_spans(&t->vq, &t->chain, true, 0, 0x2005, spans, 4, &len), -EFAULT);
}

static void data_outside_memory_is_an_error(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer buffers[] = {{RAM - 4, 8, false}, {RAM - 8, 16, true}};
    uint8_t bytes[16] = {0};
    struct space_span spans[4];
    size_t len;

    vring_add(&t->ring, buffers, 2);
    assert_int_equal(virtq_pop(&t->vq, &t->chain), 1);
    assert_int_equal(virtq_read(&t->vq, &t->chain, 0, bytes, 8), -EFAULT);
    assert_int_equal(virtq_read(&t->vq, &t->chain, 0, bytes, 4), 0);
    assert_int_equal(virtq_write(&t->vq, &t->chain, 0, bytes, 16), -EFAULT);
    assert_int_equal(virtq_spans(&t->vq, &t->chain, true, 0, 16, spans, 4, &len), -EFAULT);
    assert_int_equal(virtq_spans(&t->vq, &t->chain, true, 0, 8, spans, 4, &len), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chains_come_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(indirect_tables_are_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_rings_are_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rings_outside_memory_are_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_set_ups_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(interrupts_follow_flags, set_up, tear_down),
        cmocka_unit_test_setup_teardown(interrupts_follow_event_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kicks_are_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_is_gathered_and_scattered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_outside_memory_is_an_error, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

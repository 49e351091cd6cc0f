/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/virtio/virtio_blk.h"
#include "io/block_fault.h"
#include "io/block_mem.h"
#include "virtio_guest.h"

enum {
    DISK = 1 << 20,
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_ZERO = 13
};
enum { F_RO = 5, F_FLUSH = 9, F_WCE = 11, F_DISCARD = 13, F_ZEROES = 14 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, NOTHING = 0xee };
enum { HEADER = GUEST_BUF, STATUS = GUEST_BUF + 0x800, DATA = GUEST_BUF + 0x10000 };

struct setup {
    struct guest g;
    uint8_t *bytes;
    struct block *mem, *block;
    struct virtio_blk *blk;
};

static struct setup *make(bool readonly, bool deferred)
{
    struct setup *t = mem_new(struct setup);

    t->bytes = mem_alloc(1, DISK);
    for (unsigned i = 0; i < DISK; i++)
        t->bytes[i] = (uint8_t)(i / 512 * 7 + i);
    t->mem = block_mem_new(t->bytes, DISK, readonly, deferred, NULL);
    strcpy(t->mem->serial, "disk-0123456789abcde");
    t->block = block_fault_new(t->mem, NULL);
    guest_init(&t->g);
    t->blk = virtio_blk_new(t->g.bus, GUEST_SLOT, t->g.space, t->block, NULL);
    assert_non_null(t->blk);
    guest_plug(&t->g, virtio_blk_device(t->blk), virtio_blk_function(t->blk));
    return t;
}

static int set_up(void **state)
{
    *state = make(false, false);
    return 0;
}

static int set_up_deferred(void **state)
{
    *state = make(false, true);
    return 0;
}

static int set_up_readonly(void **state)
{
    *state = make(true, false);
    return 0;
}

static int tear_down(void **state)
{
    struct setup *t = *state;

    guest_done(&t->g);
    block_close(t->block);
    block_close(t->mem);
    free(t->bytes);
    free(t);
    return 0;
}

static void put_header(struct setup *t, uint64_t at, uint32_t type, uint64_t sector)
{
    space_store(t->g.space, at, 4, type);
    space_store(t->g.space, at + 4, 4, 0);
    space_store(t->g.space, at + 8, 8, sector);
}

/* One request with its data in one buffer; the status, and in *ret_len what was written. */
static int request(struct setup *t, uint32_t type, uint64_t sector, uint32_t len, bool in,
                   uint32_t *ret_len)
{
    struct vring_buffer buffers[3] = {{HEADER, 16, false}, {DATA, len, in}, {STATUS, 1, true}};
    uint32_t id, written = 0;
    uint16_t head;

    if (!len)
        buffers[1] = buffers[2];
    put_header(t, HEADER, type, sector);
    space_store(t->g.space, STATUS, 1, NOTHING);
    head = vring_add(&t->g.ring[0], buffers, len ? 3 : 2);
    guest_kick(&t->g, 0);
    block_drain(t->block);
    if (!(guest_status(&t->g) & VIRTIO_NEEDS_RESET)) {
        assert_true(vring_used(&t->g.ring[0], &id, &written));
        assert_int_equal(id, head);
    }
    if (ret_len)
        *ret_len = written;
    return (int)space_load(t->g.space, STATUS, 1);
}

static void reads_and_writes(struct setup *t)
{
    uint8_t bytes[4096];
    uint32_t len;

    assert_int_equal(request(t, T_IN, 3, 4096, true, &len), OK);
    assert_int_equal(len, 4097);
    guest_get(&t->g, DATA, bytes, 4096);
    assert_memory_equal(bytes, t->bytes + 3 * 512, 4096);
    memset(bytes, 0x5a, sizeof(bytes));
    guest_put(&t->g, DATA, bytes, 4096);
    assert_int_equal(request(t, T_OUT, 100, 4096, false, &len), OK);
    assert_int_equal(len, 1);
    assert_memory_equal(t->bytes + 100 * 512, bytes, 4096);
    assert_int_equal(request(t, T_FLUSH, 0, 0, false, NULL), OK);
    /* The last sector, and beyond it. */
    assert_int_equal(request(t, T_IN, DISK / 512 - 1, 512, true, NULL), OK);
    assert_int_equal(request(t, T_IN, DISK / 512 - 1, 1024, true, NULL), IOERR);
    assert_int_equal(request(t, T_OUT, DISK / 512, 512, false, NULL), IOERR);
    assert_int_equal(request(t, T_OUT, UINT64_MAX, 512, false, NULL), IOERR);
    assert_int_equal(request(t, T_IN, 0, 100, true, NULL), IOERR);
    assert_int_equal(request(t, 99, 0, 512, true, NULL), UNSUPP);
}

static void modern_driver(void **state)
{
    struct setup *t = *state;
    uint64_t offered = guest_features(&t->g);

    assert_int_equal(guest_config_read(&t->g, 0, 4), 0x10011af4);
    assert_int_equal(guest_read(&t->g, 2, 0, 8), DISK / 512);
    assert_int_equal(guest_read(&t->g, 0, 18, 2), 1);
    assert_true(offered & VIRTIO_BIT(VIRTIO_F_VERSION_1));
    guest_start(&t->g, false, offered & ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX), 1, 16);
    reads_and_writes(t);
}

static void legacy_driver(void **state)
{
    struct setup *t = *state;

    t->g.legacy = true;
    assert_int_equal(ports_read(t->g.ports, GUEST_IO + 20, 4), DISK / 512);
    guest_start(&t->g, true, guest_features(&t->g) & ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX), 1, 0);
    reads_and_writes(t);
    /* With MSI-X on, the configuration moves. */
    guest_enable_msix(&t->g, 2);
    assert_int_equal(ports_read(t->g.ports, GUEST_IO + 24, 4), DISK / 512);
}

static void identity(void **state)
{
    struct setup *t = *state;
    char id[21] = {0};

    guest_start(&t->g, false, 0, 1, 16);
    assert_int_equal(request(t, T_GET_ID, 0, 20, true, NULL), OK);
    guest_get(&t->g, DATA, id, 20);
    assert_string_equal(id, "disk-0123456789abcde");
}

static void zeroes_and_discard(void **state)
{
    struct setup *t = *state;
    const uint64_t features = VIRTIO_BIT(F_FLUSH) | VIRTIO_BIT(F_DISCARD) | VIRTIO_BIT(F_ZEROES);
    uint8_t zero[1024] = {0}, before = t->bytes[8 * 512 + 1024];

    guest_start(&t->g, false, features, 1, 16);
    space_store(t->g.space, DATA, 8, 8);
    space_store(t->g.space, DATA + 8, 4, 2);
    space_store(t->g.space, DATA + 12, 4, 1);
    assert_int_equal(request(t, T_ZERO, 0, 16, false, NULL), OK);
    assert_memory_equal(t->bytes + 8 * 512, zero, 1024);
    assert_int_equal(t->bytes[8 * 512 + 1024], before);
    assert_int_equal(request(t, T_DISCARD, 0, 16, false, NULL), UNSUPP); /* flag: none there */
    space_store(t->g.space, DATA + 12, 4, 0);
    assert_int_equal(request(t, T_DISCARD, 0, 16, false, NULL), OK);
    space_store(t->g.space, DATA, 8, DISK / 512 - 1);
    assert_int_equal(request(t, T_DISCARD, 0, 16, false, NULL), IOERR);
    space_store(t->g.space, DATA, 8, UINT64_MAX);
    assert_int_equal(request(t, T_ZERO, 0, 16, false, NULL), IOERR);
    assert_int_equal(request(t, T_ZERO, 0, 32, false, NULL), UNSUPP);
}

static void read_only_drives(void **state)
{
    struct setup *t = *state;

    assert_true(guest_features(&t->g) & VIRTIO_BIT(F_RO));
    assert_false(guest_features(&t->g) & VIRTIO_BIT(F_ZEROES));
    guest_start(&t->g, false, VIRTIO_BIT(F_RO), 1, 16);
    assert_int_equal(request(t, T_OUT, 0, 512, false, NULL), IOERR);
    assert_int_equal(request(t, T_ZERO, 0, 16, false, NULL), UNSUPP);
    assert_int_equal(request(t, T_IN, 0, 512, true, NULL), OK);
}

/* 2 MiB in scattered pieces, more than one part; odd pieces too. */
static void large_and_scattered_requests(void **state)
{
    struct setup *t = *state;
    struct vring_buffer buffers[132];
    uint8_t *bytes = mem_alloc(1, 130 * 4096);
    uint32_t id, len;
    unsigned n = 0;

    guest_start(&t->g, false, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 1, 16);
    put_header(t, HEADER, T_IN, 0);
    buffers[n++] = (struct vring_buffer){HEADER, 16, false};
    for (unsigned i = 0; i < 130; i++) /* every other page: no two spans join */
        buffers[n++] =
            (struct vring_buffer){DATA + 0x2000 * i + 1, 4096 - (i % 2 ? 0 : 1) + (i % 2), true};
    buffers[n++] = (struct vring_buffer){STATUS, 1, true};
    vring_add_indirect(&t->g.ring[0], GUEST_BUF + 0x1000, buffers, n);
    guest_kick(&t->g, 0);
    block_drain(t->block);
    assert_true(vring_used(&t->g.ring[0], &id, &len));
    assert_int_equal(space_load(t->g.space, STATUS, 1), OK);
    assert_int_equal(len, 130 * 4096 + 1);
    for (unsigned i = 0, at = 0; i < 130; i++) {
        guest_get(&t->g, buffers[1 + i].gpa, bytes + at, buffers[1 + i].len);
        at += buffers[1 + i].len;
    }
    assert_memory_equal(bytes, t->bytes, 130 * 4096);
    free(bytes);
}

static void header_and_status_may_be_split(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer buffers[] = {{HEADER, 7, false},       {HEADER + 7, 9, false},
                                           {DATA, 500, true},        {DATA + 0x1000, 12, true},
                                           {DATA + 0x2000, 0, true}, {STATUS, 1, true}};
    uint8_t bytes[512];
    uint32_t id, len;

    guest_start(&t->g, false, 0, 1, 16);
    put_header(t, HEADER, T_IN, 5);
    vring_add(&t->g.ring[0], buffers, 6);
    guest_kick(&t->g, 0);
    block_drain(t->block);
    assert_true(vring_used(&t->g.ring[0], &id, &len));
    assert_int_equal(len, 513);
    guest_get(&t->g, DATA, bytes, 500);
    guest_get(&t->g, DATA + 0x1000, bytes + 500, 12);
    assert_memory_equal(bytes, t->bytes + 5 * 512, 512);
}

static void errors_of_the_drive(void **state)
{
    struct setup *t = *state;
    struct virtio_blk_stats stats;

    guest_start(&t->g, false, VIRTIO_BIT(F_FLUSH), 1, 16);
    block_fault_set(t->block,
                    &(struct block_fault_plan){.ops = ~0u, .nth = 2, .count = 1, .code = -EIO});
    assert_int_equal(request(t, T_IN, 0, 512, true, NULL), OK);
    assert_int_equal(request(t, T_IN, 0, 512, true, NULL), IOERR);
    assert_int_equal(request(t, T_FLUSH, 0, 0, true, NULL), OK);
    block_fault_set(t->block,
                    &(struct block_fault_plan){.ops = 1u << BLOCK_FLUSH, .nth = 1, .code = -EIO});
    assert_int_equal(request(t, T_FLUSH, 0, 0, true, NULL), IOERR);
    assert_false(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    virtio_blk_stats(t->blk, &stats);
    assert_int_equal(stats.requests, 4);
    assert_int_equal(stats.read_bytes, 512);
}

/* Writes are followed by a flush unless the driver said that it flushes itself. */
static void write_through(void **state)
{
    struct setup *t = *state;
    const struct block_fault_plan count = {.ops = 1u << BLOCK_FLUSH};

    guest_start(&t->g, false, 0, 1, 16); /* no flush feature */
    block_fault_set(t->block, &count);
    assert_int_equal(request(t, T_OUT, 0, 512, false, NULL), OK);
    assert_int_equal(block_fault_seen(t->block), 1);
    guest_start(&t->g, false, VIRTIO_BIT(F_FLUSH) | VIRTIO_BIT(F_WCE), 1, 16);
    assert_int_equal(guest_read(&t->g, 2, 32, 1), 1);
    assert_int_equal(request(t, T_OUT, 0, 512, false, NULL), OK);
    assert_int_equal(block_fault_seen(t->block), 1);
    guest_write(&t->g, 2, 32, 1, 0);
    assert_int_equal(guest_read(&t->g, 2, 32, 1), 0);
    assert_int_equal(request(t, T_OUT, 0, 512, false, NULL), OK);
    assert_int_equal(block_fault_seen(t->block), 2);
    block_fault_set(t->block,
                    &(struct block_fault_plan){.ops = 1u << BLOCK_FLUSH, .nth = 1, .code = -EIO});
    assert_int_equal(request(t, T_OUT, 0, 512, false, NULL), IOERR);
    guest_start(&t->g, false, VIRTIO_BIT(F_FLUSH) | VIRTIO_BIT(F_WCE), 1, 16);
    assert_int_equal(guest_read(&t->g, 2, 32, 1), 1); /* a reset brings the cache back */
}

/* More requests than are held in flight: the others wait in the ring and none is lost. */
static void many_in_flight(void **state)
{
    struct setup *t = *state;
    uint32_t id, len;
    unsigned seen = 0;

    guest_start(&t->g, false, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
                1, 256);
    for (unsigned i = 0; i < 200; i++) {
        const struct vring_buffer buffers[3] = {{HEADER + 16 * i, 16, false},
                                                {DATA + 0x1000 * i, 512, true},
                                                {GUEST_BUF + 0x4000 + i, 1, true}};
        put_header(t, HEADER + 16 * i, T_IN, i);
        space_store(t->g.space, GUEST_BUF + 0x4000 + i, 1, NOTHING);
        vring_add_indirect(&t->g.ring[0], GUEST_BUF + 0x5000 + 48 * i, buffers, 3);
    }
    guest_kick(&t->g, 0);
    assert_false(vring_used(&t->g.ring[0], &id, &len));
    block_drain(t->block);
    while (vring_used(&t->g.ring[0], &id, &len))
        seen++;
    assert_int_equal(seen, 200);
    for (unsigned i = 0; i < 200; i++) {
        uint8_t bytes[512];
        assert_int_equal(space_load(t->g.space, GUEST_BUF + 0x4000 + i, 1), OK);
        guest_get(&t->g, DATA + 0x1000 * i, bytes, 512);
        assert_memory_equal(bytes, t->bytes + 512 * i, 512);
    }
}

/* A reset waits for what is in flight; nothing touches memory afterwards. */
static void reset_while_in_flight(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer buffers[3] = {
        {HEADER, 16, false}, {DATA, 512, true}, {STATUS, 1, true}};

    guest_start(&t->g, false, 0, 1, 16);
    for (unsigned i = 0; i < 5; i++)
        vring_add(&t->g.ring[0], buffers, 3);
    guest_kick(&t->g, 0);
    guest_write(&t->g, 0, 20, 1, 0);
    assert_int_equal(guest_status(&t->g), 0);
    space_store(t->g.space, DATA, 8, 0x1122334455667788);
    block_drain(t->block);
    assert_int_equal(space_load(t->g.space, DATA, 8), 0x1122334455667788);
    guest_start(&t->g, false, 0, 1, 16);
    assert_int_equal(request(t, T_IN, 0, 512, true, NULL), OK);
}

static void interrupts(void **state)
{
    struct setup *t = *state;

    guest_start(&t->g, false, VIRTIO_BIT(F_FLUSH), 1, 16);
    assert_int_equal(t->g.intx, 0);
    request(t, T_FLUSH, 0, 0, true, NULL);
    assert_int_equal(t->g.intx, 1);
    assert_int_equal(guest_isr(&t->g), 1); /* reading takes it back */
    assert_int_equal(t->g.intx, 0);
    assert_int_equal(guest_isr(&t->g), 0);
    vring_set_flags(&t->g.ring[0], 1);
    request(t, T_FLUSH, 0, 0, true, NULL);
    assert_int_equal(t->g.intx, 0);
    vring_set_flags(&t->g.ring[0], 0);

    guest_enable_msix(&t->g, 2);
    guest_write(&t->g, 0, 22, 2, 0);
    guest_write(&t->g, 0, 26, 2, 1);
    assert_int_equal(guest_read(&t->g, 0, 26, 2), 1);
    request(t, T_FLUSH, 0, 0, true, NULL);
    assert_int_equal(t->g.msi_count, 1);
    assert_int_equal(t->g.msi_data, 0x101);
    assert_int_equal(t->g.intx, 0);
    guest_write(&t->g, 0, 26, 2, 2); /* a vector that does not exist */
    assert_int_equal(guest_read(&t->g, 0, 26, 2), 0xffff);
    request(t, T_FLUSH, 0, 0, true, NULL);
    assert_int_equal(t->g.msi_count, 1);
}

/* Every kind of garbage: the device asks for a reset, tells so, works again after it. */
static void broken_drivers(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer bad[][2] = {
        {{GUEST_RAM, 16, false}, {STATUS, 1, true}},          /* header outside memory */
        {{HEADER, 15, false}, {STATUS, 1, true}},             /* short header */
        {{HEADER, 16, false}, {DATA, 512, false}},            /* no status */
        {{HEADER, 16, false}, {GUEST_RAM - 1, 2, true}},      /* status outside */
        {{HEADER, 16, false}, {GUEST_RAM - 512, 1025, true}}, /* data outside */
    };

    guest_enable_msix(&t->g, 2);
    for (unsigned i = 0; i < array_size(bad); i++) {
        unsigned before;
        guest_start(&t->g, false, 0, 1, 16);
        guest_write(&t->g, 0, 16, 2, 0);
        before = t->g.msi_count;
        put_header(t, HEADER, i == 3 ? 99 : T_IN, 0);
        vring_add(&t->g.ring[0], bad[i], 2);
        guest_kick(&t->g, 0);
        block_drain(t->block);
        assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
        assert_int_equal(t->g.msi_count, before + 1); /* a configuration interrupt */
        guest_kick(&t->g, 0);                         /* without effect */
        guest_start(&t->g, false, 0, 1, 16);
        assert_int_equal(request(t, T_IN, 0, 512, true, NULL), OK);
    }
}

static void negotiation(void **state)
{
    struct setup *t = *state;

    /* Without VERSION_1 a modern driver is refused, as with a feature that was not offered. */
    for (unsigned i = 0; i < 2; i++) {
        guest_write(&t->g, 0, 20, 1, 0);
        guest_write(&t->g, 0, 8, 4, 0);
        guest_write(&t->g, 0, 12, 4, i ? 1u << 30 : 0);
        guest_write(&t->g, 0, 8, 4, 1);
        guest_write(&t->g, 0, 12, 4, i);
        guest_write(&t->g, 0, 20, 1, 11);
        assert_int_equal(guest_status(&t->g), 3);
    }
    /* Features are fixed once they are agreed on; words beyond 64 bits do not exist. */
    guest_start(&t->g, false, VIRTIO_BIT(F_FLUSH), 1, 16);
    guest_write(&t->g, 0, 8, 4, 0);
    guest_write(&t->g, 0, 12, 4, 0);
    assert_int_equal(guest_read(&t->g, 0, 12, 4), 1u << F_FLUSH);
    guest_write(&t->g, 0, 0, 4, 7);
    assert_int_equal(guest_read(&t->g, 0, 4, 4), 0);
    /* A queue that is not there. */
    guest_write(&t->g, 0, 22, 2, 9);
    assert_int_equal(guest_read(&t->g, 0, 24, 2), 0);
    guest_write(&t->g, 0, 28, 2, 1);
    guest_kick(&t->g, 9);
    assert_false(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    /* A queue of an impossible size. */
    guest_write(&t->g, 0, 20, 1, 0);
    guest_write(&t->g, 0, 22, 2, 0);
    assert_int_equal(guest_read(&t->g, 0, 24, 2), 256);
    guest_write(&t->g, 0, 24, 2, 24);
    guest_write(&t->g, 0, 28, 2, 1);
    assert_int_equal(guest_read(&t->g, 0, 28, 2), 0);
    assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
}

/* The bus-master bit holds the device off; what waited is served when it comes. */
static void bus_mastering(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer buffers[3] = {
        {HEADER, 16, false}, {DATA, 512, true}, {STATUS, 1, true}};
    uint32_t id, len;

    guest_start(&t->g, false, 0, 1, 16);
    guest_config_write(&t->g, 4, 2, guest_config_read(&t->g, 4, 2) & ~4u);
    put_header(t, HEADER, T_IN, 0);
    vring_add(&t->g.ring[0], buffers, 3);
    guest_kick(&t->g, 0);
    assert_false(vring_used(&t->g.ring[0], &id, &len));
    guest_config_write(&t->g, 4, 2, guest_config_read(&t->g, 4, 2) | 4u);
    assert_true(vring_used(&t->g.ring[0], &id, &len));
}

/* BAR 4 through configuration space (4.1.4.9). */
static void configuration_window(void **state)
{
    struct setup *t = *state;
    unsigned cap = guest_config_read(&t->g, 0x34, 1);

    while (cap &&
           !(guest_config_read(&t->g, cap, 1) == 9 && guest_config_read(&t->g, cap + 3, 1) == 5))
        cap = guest_config_read(&t->g, cap + 1, 1);
    assert_true(cap != 0);
    guest_config_write(&t->g, cap + 4, 1, VIRTIO_BAR_MMIO);
    guest_config_write(&t->g, cap + 8, 4, 0x2000);
    guest_config_write(&t->g, cap + 12, 4, 4);
    assert_int_equal(guest_config_read(&t->g, cap + 16, 4), DISK / 512);
    guest_config_write(&t->g, cap + 8, 4, 20);
    guest_config_write(&t->g, cap + 12, 4, 1);
    guest_config_write(&t->g, cap + 16, 1, VIRTIO_ACKNOWLEDGE);
    assert_int_equal(guest_status(&t->g), VIRTIO_ACKNOWLEDGE);
    guest_config_write(&t->g, cap + 8, 4, 0xfffffffc); /* outside: nothing happens */
    guest_config_write(&t->g, cap + 12, 4, 4);
    guest_config_write(&t->g, cap + 16, 4, 0);
    (void)guest_config_read(&t->g, cap + 16, 4);
}

static void state_survives_a_move(void **state)
{
    struct setup *t = *state, *other = make(false, false);
    struct str s = {0};
    struct error err = {0};
    void *from = virtio_blk_device(t->blk), *to = virtio_blk_device(other->blk);
    const struct state_table *table = virtio_blk_device(t->blk)->state;

    guest_start(&t->g, false, VIRTIO_BIT(F_FLUSH) | VIRTIO_BIT(F_WCE), 1, 16);
    guest_write(&t->g, 2, 32, 1, 0);
    request(t, T_IN, 0, 512, true, NULL);
    state_save(table, from, &s);
    assert_int_equal(state_load(table, to, s.data, s.len, &err), (int64_t)s.len);
    /* The other guest's memory and driver are as they were. */
    for (uint64_t at = 0; at < GUEST_RAM; at += 8)
        space_store(other->g.space, at, 8, space_load(t->g.space, at, 8));
    memcpy(other->g.ring, t->g.ring, sizeof(other->g.ring));
    other->g.ring[0].space = other->g.space;
    assert_int_equal(guest_read(&other->g, 2, 32, 1), 0);
    assert_int_equal(request(other, T_IN, 3, 512, true, NULL), OK);
    str_done(&s);
    tear_down((void **)&other);
}

static void set_up_errors(void **state)
{
    struct setup *t = *state;
    struct error err = {0};

    assert_null(virtio_blk_new(t->g.bus, GUEST_SLOT, t->g.space, t->block, &err)); /* taken */
    assert_true(err.code < 0);
    for (unsigned n = 1; n <= 3; n++) {
        err = (struct error){0};
        mem_fail_at(n);
        assert_null(virtio_blk_new(t->g.bus, 5, t->g.space, t->block, &err));
        mem_fail_at(0);
        assert_int_equal(err.code, -ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(modern_driver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(legacy_driver, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modern_driver, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(legacy_driver, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(identity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zeroes_and_discard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zeroes_and_discard, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(read_only_drives, set_up_readonly, tear_down),
        cmocka_unit_test_setup_teardown(large_and_scattered_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_and_scattered_requests, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(header_and_status_may_be_split, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_of_the_drive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_of_the_drive, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(write_through, set_up, tear_down),
        cmocka_unit_test_setup_teardown(write_through, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(many_in_flight, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(reset_while_in_flight, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(interrupts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_drivers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_drivers, set_up_deferred, tear_down),
        cmocka_unit_test_setup_teardown(negotiation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bus_mastering, set_up, tear_down),
        cmocka_unit_test_setup_teardown(configuration_window, set_up, tear_down),
        cmocka_unit_test_setup_teardown(state_survives_a_move, set_up, tear_down),
        cmocka_unit_test_setup_teardown(set_up_errors, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

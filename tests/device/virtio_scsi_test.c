/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/virtio/virtio_scsi.h"
#include "io/block_fault.h"
#include "io/block_mem.h"
#include "virtio_guest.h"

enum { DISK = 1 << 20, DISKS = 2, CONTROL = 0, REQUEST = 2 };
enum { HEADER = GUEST_BUF, RESPONSE = GUEST_BUF + 0x800, DATA = GUEST_BUF + 0x10000 };
enum { HEADER_LEN = 51, RESPONSE_LEN = 108, CDB = 19 };
enum { OK = 0, OVERRUN = 1, BAD_TARGET = 3 };
enum { CHECK = 2, ILLEGAL = 5, PROTECT = 7, MEDIUM = 3 };

struct setup {
    struct guest g;
    uint8_t *bytes[DISKS];
    struct block *mem[DISKS], *fault;
    struct virtio_scsi *scsi;
};

/* Target 0 can be written and fails on demand, target 1 is read-only. */
static struct setup *make(bool deferred)
{
    struct setup *t = mem_new(struct setup);
    struct block *disks[DISKS];

    for (unsigned d = 0; d < DISKS; d++) {
        t->bytes[d] = mem_alloc(1, DISK);
        for (unsigned i = 0; i < DISK; i++)
            t->bytes[d][i] = (uint8_t)(i / 512 * 7 + i + d);
        t->mem[d] = block_mem_new(t->bytes[d], DISK, d == 1, deferred, NULL);
    }
    strcpy(t->mem[0]->serial, "first");
    t->fault = block_fault_new(t->mem[0], NULL);
    disks[0] = t->fault;
    disks[1] = t->mem[1];
    guest_init(&t->g);
    t->scsi = virtio_scsi_new(t->g.bus, GUEST_SLOT, t->g.space, disks, DISKS, NULL);
    assert_non_null(t->scsi);
    guest_plug(&t->g, virtio_scsi_device(t->scsi), virtio_scsi_function(t->scsi));
    guest_start(&t->g, false, 0, 3, 64);
    return t;
}

static int set_up(void **state)
{
    *state = make(false);
    return 0;
}

static int set_up_deferred(void **state)
{
    *state = make(true);
    return 0;
}

static int tear_down(void **state)
{
    struct setup *t = *state;

    guest_done(&t->g);
    block_close(t->fault);
    block_close(t->mem[0]);
    block_close(t->mem[1]);
    for (unsigned d = 0; d < DISKS; d++)
        free(t->bytes[d]);
    free(t);
    return 0;
}

struct answer {
    unsigned code, status, key, asc, residual;
};

static void post(struct setup *t, unsigned target, unsigned lun, const uint8_t *cdb, size_t cdb_len,
                 size_t out, size_t in)
{
    uint8_t header[HEADER_LEN] = {1, (uint8_t)target, 0x40, (uint8_t)lun};
    struct vring_buffer buffers[4];
    unsigned n = 0;

    memcpy(header + CDB, cdb, cdb_len);
    guest_put(&t->g, HEADER, header, sizeof(header));
    buffers[n++] = (struct vring_buffer){HEADER, HEADER_LEN, false};
    if (out)
        buffers[n++] = (struct vring_buffer){DATA, (uint32_t)out, false};
    buffers[n++] = (struct vring_buffer){RESPONSE, RESPONSE_LEN, true};
    if (in)
        buffers[n++] = (struct vring_buffer){DATA, (uint32_t)in, true};
    vring_add(&t->g.ring[REQUEST], buffers, n);
    guest_kick(&t->g, REQUEST);
}

static struct answer collect(struct setup *t)
{
    uint8_t response[RESPONSE_LEN];
    uint32_t id, len;

    assert_true(vring_used(&t->g.ring[REQUEST], &id, &len));
    guest_get(&t->g, RESPONSE, response, sizeof(response));
    return (struct answer){.code = response[11],
                           .status = response[10],
                           .key = response[12 + 2],
                           .asc = response[12 + 12],
                           .residual = load_le32(response + 4)};
}

#define COMMAND(t, target, out, in, ...)                                                           \
    ({                                                                                             \
        const uint8_t cdb_[] = {__VA_ARGS__};                                                      \
        post(t, target, 0, cdb_, sizeof(cdb_), out, in);                                           \
        collect(t);                                                                                \
    })

static uint64_t be(struct setup *t, unsigned at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | space_load(t->g.space, (uint32_t)DATA + at + i, 1);
    return value;
}

static void identity(void **state)
{
    struct setup *t = *state;
    static const uint8_t inquiry[] = {0x12, 0, 0, 0, 36};
    char text[16];
    struct answer a;

    assert_int_equal(guest_config_read(&t->g, 0, 4), 0x10041af4);
    assert_int_equal(guest_read(&t->g, 2, 0, 4), 1);
    assert_int_equal(guest_read(&t->g, 2, 24, 4), 32);
    a = COMMAND(t, 0, 0, 36, 0x12, 0, 0, 0, 36);
    assert_int_equal(a.code | a.status | a.residual, 0);
    guest_get(&t->g, DATA + 8, text, 12);
    assert_memory_equal(text, "ISOLA   DISK", 12);
    a = COMMAND(t, 0, 0, 255, 0x12, 1, 0x80, 0, 255); /* serial number */
    assert_int_equal(a.residual, 255 - 9);
    guest_get(&t->g, DATA + 4, text, 5);
    assert_memory_equal(text, "first", 5);
    for (unsigned page = 0; page < 256; page++) {
        bool known = page == 0 || page == 0x80 || page == 0x83 || (page >= 0xb0 && page <= 0xb2);
        a = COMMAND(t, 1, 0, 255, 0x12, 1, (uint8_t)page, 0, 255);
        assert_int_equal(a.status, known ? 0 : CHECK);
    }
    a = COMMAND(t, 0, 0, 8, 0x25);
    assert_int_equal(be(t, 0, 4), DISK / 512 - 1);
    assert_int_equal(be(t, 4, 4), 512);
    a = COMMAND(t, 0, 0, 32, 0x9e, 0x10, [13] = 32);
    assert_int_equal(be(t, 0, 8), DISK / 512 - 1);
    a = COMMAND(t, 1, 0, 64, 0x1a, 0, 8, 0, 64);
    assert_int_equal(be(t, 2, 1), 0x90); /* write-protected */
    a = COMMAND(t, 0, 0, 64, 0x5a, 0, 0x3f, [8] = 64);
    assert_int_equal(be(t, 0, 2), 26);
    assert_int_equal(be(t, 3, 1), 0x10);
    assert_int_equal(be(t, 10, 1), 4); /* write cache */
    a = COMMAND(t, 0, 0, 16, 0xa0, [9] = 16);
    assert_int_equal(be(t, 0, 4), 8);
    a = COMMAND(t, 0, 0, 0, 0x00);
    assert_int_equal(a.code | a.status, 0);
    assert_int_equal(COMMAND(t, 2, 0, 36, 0x12, 0, 0, 0, 36).code, BAD_TARGET);
    post(t, 0, 1, inquiry, sizeof(inquiry), 0, 36);
    a = collect(t);
    assert_int_equal(a.key << 8 | a.asc, ILLEGAL << 8 | 0x25);
    a = COMMAND(t, 0, 0, 0, 0xc1);
    assert_int_equal(a.key << 8 | a.asc, ILLEGAL << 8 | 0x20);
}

static void data_moves(void **state)
{
    struct setup *t = *state;
    uint8_t bytes[2048], got[2048];
    uint64_t in, out;
    struct answer a;

    a = COMMAND(t, 0, 0, 2048, 0x28, [5] = 3, [8] = 4); /* READ(10) */
    assert_int_equal(a.code | a.status | a.residual, 0);
    guest_get(&t->g, DATA, got, sizeof(got));
    assert_memory_equal(got, t->bytes[0] + 3 * 512, 2048);
    a = COMMAND(t, 1, 0, 1024, 0x88, [9] = 5, [13] = 1); /* READ(16), less than there is room */
    assert_int_equal(a.residual, 512);
    guest_get(&t->g, DATA, got, 512);
    assert_memory_equal(got, t->bytes[1] + 5 * 512, 512);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 11);
    guest_put(&t->g, DATA, bytes, sizeof(bytes));
    a = COMMAND(t, 0, 2048, 0, 0xaa, 8, [5] = 7, [9] = 4); /* WRITE(12), FUA */
    assert_int_equal(a.code | a.status | a.residual, 0);
    assert_memory_equal(t->bytes[0] + 7 * 512, bytes, 2048);
    a = COMMAND(t, 0, 512, 0, 0x0a, 0, 0, 9, 1); /* WRITE(6) */
    assert_memory_equal(t->bytes[0] + 9 * 512, bytes, 512);
    a = COMMAND(t, 0, 0, 0, 0x35);
    assert_int_equal(a.code | a.status, 0);
    virtio_scsi_stats(t->scsi, &in, &out);
    assert_int_equal(in, 2048 + 512);
    assert_int_equal(out, 2048 + 512);
    /* Outside the disk, into a read-only one, with too little room. */
    a = COMMAND(t, 0, 0, 1024, 0x28, [3] = 0, 7, 0xff, [8] = 2);
    assert_int_equal(a.key << 8 | a.asc, ILLEGAL << 8 | 0x21);
    assert_int_equal(a.residual, 1024);
    a = COMMAND(t, 0, 0, 512, 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [13] = 1);
    assert_int_equal(a.asc, 0x21);
    a = COMMAND(t, 1, 512, 0, 0x2a, [8] = 1);
    assert_int_equal(a.key << 8 | a.asc, PROTECT << 8 | 0x27);
    assert_int_equal(COMMAND(t, 0, 0, 512, 0x28, [8] = 2).code, OVERRUN);
    assert_int_equal(COMMAND(t, 0, 0, 512, 0x2a, [8] = 1).code, OVERRUN);
    /* A disk that fails. */
    block_fault_set(t->fault, &(struct block_fault_plan){.ops = ~0u, .nth = 1, .code = -EIO});
    a = COMMAND(t, 0, 0, 512, 0x28, [8] = 1);
    assert_int_equal(a.status, CHECK);
    assert_int_equal(a.key, MEDIUM);
}

static void unmapping(void **state)
{
    struct setup *t = *state;
    uint8_t list[24] = {0, 22, 0, 16, [15] = 2, [19] = 3};
    struct answer a;

    guest_put(&t->g, DATA, list, sizeof(list));
    a = COMMAND(t, 0, 24, 0, 0x42, [8] = 24);
    assert_int_equal(a.code | a.status, 0);
    for (unsigned i = 2 * 512; i < 5 * 512; i++)
        assert_int_equal(t->bytes[0][i], 0);
    assert_int_not_equal(t->bytes[0][5 * 512 + 1], 0);
    list[12] = 1; /* beyond the end */
    guest_put(&t->g, DATA, list, sizeof(list));
    assert_int_equal(COMMAND(t, 0, 24, 0, 0x42, [8] = 24).asc, 0x21);
    assert_int_equal(COMMAND(t, 0, 24, 0, 0x42, [8] = 40).asc, 0x1a);
    assert_int_equal(COMMAND(t, 0, 8, 0, 0x42, [8] = 8).asc, 0x1a);
    assert_int_equal(COMMAND(t, 1, 24, 0, 0x42, [8] = 24).asc, 0x20);
}

static void slow_disks(void **state)
{
    struct setup *t = *state;
    static const uint8_t read[] = {0x28, [8] = 1};
    uint32_t id, len;
    uint8_t got[512];

    post(t, 0, 0, read, sizeof(read), 0, 512);
    assert_false(vring_used(&t->g.ring[REQUEST], &id, &len));
    block_drain(t->fault);
    assert_int_equal(collect(t).status, 0);
    guest_get(&t->g, DATA, got, sizeof(got));
    assert_memory_equal(got, t->bytes[0], 512);
    post(t, 0, 0, read, sizeof(read), 0, 512);
    guest_write(&t->g, 0, 20, 1, 0); /* a reset waits */
    assert_int_equal(guest_status(&t->g), 0);
}

static unsigned manage(struct setup *t, uint32_t subtype, unsigned target)
{
    uint8_t request[24] = {[4] = (uint8_t)subtype, [8] = 1, (uint8_t)target, 0x40};
    const struct vring_buffer buffers[] = {{HEADER, sizeof(request), false}, {RESPONSE, 5, true}};
    uint32_t id, len;

    guest_put(&t->g, HEADER, request, sizeof(request));
    vring_add(&t->g.ring[CONTROL], buffers, 2);
    guest_kick(&t->g, CONTROL);
    assert_true(vring_used(&t->g.ring[CONTROL], &id, &len));
    return (unsigned)space_load(t->g.space, RESPONSE, 1);
}

static void task_management(void **state)
{
    struct setup *t = *state;
    static const uint8_t read[] = {0x28, [8] = 1};

    post(t, 0, 0, read, sizeof(read), 0, 512);
    assert_int_equal(manage(t, 0, 0), 11); /* abort: refused */
    assert_int_equal(manage(t, 5, 7), 12);
    assert_int_equal(manage(t, 5, 0), 0); /* reset: what was in flight has ended */
    assert_int_equal(collect(t).code, OK);
}

static void broken_drivers(void **state)
{
    struct setup *t = *state;
    const struct vring_buffer short_header[] = {{HEADER, 20, false},
                                                {RESPONSE, RESPONSE_LEN, true}};
    const struct vring_buffer no_response[] = {{HEADER, HEADER_LEN, false}, {RESPONSE, 100, true}};
    const struct vring_buffer outside[] = {{GUEST_RAM - 8, HEADER_LEN, false},
                                           {RESPONSE, RESPONSE_LEN, true}};
    const struct vring_buffer *all[] = {short_header, no_response, outside};

    for (unsigned i = 0; i < 3; i++) {
        guest_start(&t->g, false, 0, 3, 64);
        vring_add(&t->g.ring[REQUEST], all[i], 2);
        guest_kick(&t->g, REQUEST);
        assert_true(guest_status(&t->g) & VIRTIO_NEEDS_RESET);
    }
}

int main(void)
{
#define test(name)     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define deferred(name) cmocka_unit_test_setup_teardown(name, set_up_deferred, tear_down)
    const struct CMUnitTest tests[] = {
        test(identity),       test(data_moves),          test(unmapping),
        deferred(slow_disks), deferred(task_management), test(broken_drivers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

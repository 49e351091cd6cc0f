/* SPDX-License-Identifier: Apache-2.0 */
/* The floppy disk controller and the DMA controller, programmed as a BIOS does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "device/fdc.h"
#include "io/block_mem.h"
#include "rig.h"

enum { DOR = 0x3f2, MSR = 0x3f4, DATA = 0x3f5, DIR = 0x3f7 };
enum { SIZE = 1474560, BUFFER = 0x10000 };
enum { TO_MEMORY = 0x46, FROM_MEMORY = 0x4a }; /* single, channel 2 */

struct fixture {
    struct rig rig;
    struct i8237 *dma;
    struct fdc *fdc;
    uint8_t *bytes;
    struct block *disk;
};

static uint8_t byte_at(uint32_t at)
{
    return (uint8_t)(at / 512 * 3 + at);
}

static void make(struct fixture *f, bool readonly, bool deferred)
{
    const bool present[FDC_DRIVES] = {true};
    struct irq_line irq;

    memset(f, 0, sizeof(*f));
    rig_set_up(&f->rig);
    f->bytes = mem_alloc(1, SIZE);
    for (uint32_t i = 0; i < SIZE; i++)
        f->bytes[i] = byte_at(i);
    f->disk = block_mem_new(f->bytes, SIZE, readonly, deferred, NULL);
    irq = rig_line(&f->rig, 6);
    f->dma = i8237_new(f->rig.ports, f->rig.space, NULL);
    f->fdc = fdc_new(f->rig.ports, f->dma, &irq, present, NULL);
    assert_non_null(f->fdc);
    assert_int_equal(fdc_change(f->fdc, 0, f->disk, NULL), 0);
}

static int set_up(void **state)
{
    static struct fixture f;

    make(&f, false, false);
    *state = &f;
    return 0;
}

static int set_up_readonly(void **state)
{
    static struct fixture f;

    make(&f, true, false);
    *state = &f;
    return 0;
}

static int set_up_deferred(void **state)
{
    static struct fixture f;

    make(&f, false, true);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    fdc_device(f->fdc)->free(fdc_device(f->fdc));
    i8237_device(f->dma)->free(i8237_device(f->dma));
    block_close(f->disk);
    free(f->bytes);
    rig_tear_down(&f->rig);
    return 0;
}

static void command(struct fixture *f, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(rig_in(&f->rig, MSR) & 0xc0, 0x80);
        rig_out(&f->rig, DATA, bytes[i]);
    }
}

static void result(struct fixture *f, uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(rig_in(&f->rig, MSR) & 0xd0, 0xd0);
        bytes[i] = rig_in(&f->rig, DATA);
    }
    assert_int_equal(rig_in(&f->rig, MSR) & 0xd0, 0x80);
}

#define COMMAND(f, ...)                                                                            \
    command(f, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void sense(struct fixture *f, uint8_t st0, uint8_t track)
{
    uint8_t r[2];

    COMMAND(f, 0x08);
    result(f, r, 2);
    assert_int_equal(r[0], st0);
    assert_int_equal(r[1], track);
    assert_int_equal(f->rig.wire[6].level, 0);
}

/* Reset, motor of drive A, data rate, DMA mode, head at track 0. */
static void ready(struct fixture *f)
{
    rig_out(&f->rig, DOR, 0);
    rig_out(&f->rig, DOR, 0x1c);
    assert_int_equal(f->rig.wire[6].level, 1);
    for (unsigned i = 0; i < 4; i++)
        sense(f, (uint8_t)(0xc0 | i), 0);
    rig_out(&f->rig, DIR, 0); /* 500 kb/s */
    COMMAND(f, 0x03, 0xdf, 0x02);
    COMMAND(f, 0x07, 0);
    sense(f, 0x20, 0);
}

static void dma(struct fixture *f, uint8_t mode, uint32_t address, uint32_t n)
{
    rig_out(&f->rig, 0x0a, 6);
    rig_out(&f->rig, 0x0c, 0);
    rig_out(&f->rig, 0x0b, mode);
    rig_out(&f->rig, 0x04, address & 0xff);
    rig_out(&f->rig, 0x04, address >> 8 & 0xff);
    rig_out(&f->rig, 0x05, (n - 1) & 0xff);
    rig_out(&f->rig, 0x05, (uint8_t)((n - 1) >> 8));
    rig_out(&f->rig, 0x81, (uint8_t)(address >> 16));
    rig_out(&f->rig, 0x0a, 2);
}

/* A data command at cylinder, head, sector; compares ST0-ST2 and the next sector's name. */
static void data(struct fixture *f, uint8_t code, uint8_t c, uint8_t h, uint8_t r,
                 const uint8_t expected[6])
{
    uint8_t got[7];

    COMMAND(f, code, (uint8_t)(h << 2), c, h, r, 2, 18, 0x1b, 0xff);
    assert_int_equal(f->rig.wire[6].level, 1);
    result(f, got, 7);
    assert_int_equal(f->rig.wire[6].level, 0);
    for (unsigned i = 0; i < 6; i++)
        if (got[i] != expected[i])
            fail_msg("result %u: %02x, not %02x", i, got[i], expected[i]);
}

static void check_memory(struct fixture *f, uint32_t address, uint32_t at, uint32_t n)
{
    static uint8_t bytes[0x10000];

    assert_int_equal(space_read(f->rig.space, address, bytes, n), 0);
    for (uint32_t i = 0; i < n; i++)
        if (bytes[i] != byte_at(at + i))
            fail_msg("byte %u: %02x", i, bytes[i]);
}

static uint32_t offset(unsigned c, unsigned h, unsigned r)
{
    return ((c * 2 + h) * 18 + r - 1) * 512;
}

static void reads_and_writes(void **state)
{
    struct fixture *f = *state;
    uint8_t pattern[1024];

    ready(f);
    COMMAND(f, 0x0f, 0, 5);
    sense(f, 0x20, 5);
    /* Three sectors. */
    dma(f, TO_MEMORY, BUFFER, 3 * 512);
    data(f, 0xe6, 5, 0, 4, (uint8_t[]){0, 0, 0, 5, 0, 7});
    check_memory(f, BUFFER, offset(5, 0, 4), 3 * 512);
    assert_int_equal(rig_in(&f->rig, 0x08) & 4, 4); /* terminal count */
    /* A whole cylinder, over both heads. */
    dma(f, TO_MEMORY, BUFFER, 36 * 512);
    data(f, 0xe6, 5, 0, 1, (uint8_t[]){0, 0, 0, 6, 0, 1});
    check_memory(f, BUFFER, offset(5, 0, 1), 36 * 512);
    /* From the middle of a track to the other head. */
    dma(f, TO_MEMORY, BUFFER, 4 * 512);
    data(f, 0xe6, 5, 0, 17, (uint8_t[]){0, 0, 0, 5, 1, 3});
    check_memory(f, BUFFER, offset(5, 0, 17), 4 * 512);
    memset(pattern, 0xa7, sizeof(pattern));
    space_write(f->rig.space, BUFFER, pattern, sizeof(pattern));
    dma(f, FROM_MEMORY, BUFFER, sizeof(pattern));
    data(f, 0xc5, 5, 1, 9, (uint8_t[]){4, 0, 0, 5, 1, 11});
    assert_memory_equal(f->bytes + offset(5, 1, 9), pattern, sizeof(pattern));
    assert_int_equal(f->bytes[offset(5, 1, 11)], byte_at(offset(5, 1, 11)));
    /* A track is formatted: all of it is one byte. */
    dma(f, FROM_MEMORY, BUFFER, 18 * 4);
    COMMAND(f, 0x4d, 0, 2, 18, 0x54, 0xf6);
    result(f, pattern, 7);
    assert_int_equal(pattern[0], 0);
    for (uint32_t i = 0; i < 18 * 512; i++)
        assert_int_equal(f->bytes[offset(5, 0, 1) + i], 0xf6);
}

static void refusals(void **state)
{
    struct fixture *f = *state;
    uint8_t r[7];

    ready(f);
    dma(f, TO_MEMORY, BUFFER, 512);
    data(f, 0xe6, 1, 0, 1, (uint8_t[]){0x40, 4, 0, 1, 0, 1}); /* the head is elsewhere */
    data(f, 0xe6, 0, 0, 19, (uint8_t[]){0x40, 4, 0, 0, 0, 19});
    data(f, 0xe6, 0, 0, 0, (uint8_t[]){0x40, 4, 0, 0, 0, 0});
    dma(f, TO_MEMORY, BUFFER, 40 * 512); /* more than the cylinder has */
    data(f, 0xe6, 0, 0, 1, (uint8_t[]){0x40, 0x80, 0, 1, 0, 1});
    dma(f, TO_MEMORY, 0xff0000, 512); /* no memory there */
    data(f, 0xe6, 0, 0, 1, (uint8_t[]){0x40, 0x10, 0, 0, 0, 1});
    rig_out(&f->rig, 0x0a, 6); /* the channel is masked */
    data(f, 0xe6, 0, 0, 1, (uint8_t[]){0x40, 0x10, 0, 0, 0, 1});
    rig_out(&f->rig, DIR, 2); /* a rate that this diskette was not written with */
    dma(f, TO_MEMORY, BUFFER, 512);
    data(f, 0xe6, 0, 0, 1, (uint8_t[]){0x40, 1, 1, 0, 0, 1});
    COMMAND(f, 0x4a, 0);
    result(f, r, 7);
    assert_int_equal(r[0], 0x40);
    rig_out(&f->rig, DIR, 0);
    COMMAND(f, 0x4a, 0);
    result(f, r, 7);
    assert_int_equal(r[0], 0);
    COMMAND(f, 0x1f); /* no command */
    result(f, r, 1);
    assert_int_equal(r[0], 0x80);
    COMMAND(f, 0x08); /* nothing to sense */
    result(f, r, 1);
    assert_int_equal(r[0], 0x80);
    data(f, 0xe6, 0, 0, 1, (uint8_t[]){0, 0, 0, 0, 0, 2});
}

static void write_protected(void **state)
{
    struct fixture *f = *state;
    uint8_t r[7];

    ready(f);
    dma(f, FROM_MEMORY, BUFFER, 512);
    data(f, 0xc5, 0, 0, 1, (uint8_t[]){0x40, 2, 0, 0, 0, 1});
    COMMAND(f, 0x04, 0);
    result(f, r, 1);
    assert_int_equal(r[0], 0x78);
}

static void diskettes_change(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    uint8_t small[512] = {0};
    struct block *wrong = block_mem_new(small, 512, false, false, NULL);

    ready(f);
    assert_int_equal(rig_in(&f->rig, DIR), 0);
    assert_int_equal(fdc_change(f->fdc, 0, wrong, &err), -EINVAL);
    assert_non_null(strstr(error_text(&err), "no diskette"));
    assert_ptr_equal(fdc_diskette(f->fdc, 0), f->disk);
    assert_int_equal(fdc_change(f->fdc, 0, NULL, NULL), 0);
    assert_int_equal(rig_in(&f->rig, DIR), 0x80);
    dma(f, TO_MEMORY, BUFFER, 512);
    data(f, 0xe6, 0, 0, 1, (uint8_t[]){0x40, 1, 1, 0, 0, 1});
    COMMAND(f, 0x0f, 0, 1);
    sense(f, 0x20, 1);
    assert_int_equal(rig_in(&f->rig, DIR), 0x80); /* still none */
    assert_int_equal(fdc_change(f->fdc, 0, f->disk, NULL), 0);
    assert_int_equal(rig_in(&f->rig, DIR), 0x80);
    COMMAND(f, 0x0f, 0, 0);
    sense(f, 0x20, 0);
    assert_int_equal(rig_in(&f->rig, DIR), 0);
    block_close(wrong);
}

/* The diskette takes its time; a reset in between ends the command. */
static void slow_diskette(void **state)
{
    struct fixture *f = *state;
    uint8_t r[7];

    ready(f);
    dma(f, TO_MEMORY, BUFFER, 20 * 512);
    COMMAND(f, 0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    assert_int_equal(rig_in(&f->rig, MSR), 0x10);
    rig_out(&f->rig, DATA, 0x08);
    assert_int_equal(rig_in(&f->rig, MSR), 0x10);
    block_drain(f->disk);
    result(f, r, 7);
    assert_int_equal(r[0], 0);
    check_memory(f, BUFFER, 0, 20 * 512);
    dma(f, TO_MEMORY, BUFFER, 512);
    COMMAND(f, 0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    rig_out(&f->rig, DOR, 0);
    rig_out(&f->rig, DOR, 0x1c);
    sense(f, 0xc0, 0);
    COMMAND(f, 0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
}

static void dma_registers(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[4] = {1, 2, 3, 4}, back[4];

    rig_out(&f->rig, 0x0d, 0);
    assert_int_equal(i8237_left(f->dma, 2), 0); /* masked */
    dma(f, 0x56, 0x2fffe, 4);                   /* auto, over the end of a 64 KiB page */
    assert_int_equal(i8237_left(f->dma, 2), 4);
    assert_int_equal(i8237_move(f->dma, 2, bytes, 4, true), 0);
    assert_int_equal(i8237_left(f->dma, 2), 4);
    space_read(f->rig.space, 0x2fffe, back, 2);
    space_read(f->rig.space, 0x20000, back + 2, 2);
    assert_memory_equal(back, bytes, 4);
    assert_int_equal(rig_in(&f->rig, 0x08), 4);
    assert_int_equal(rig_in(&f->rig, 0x08), 0);
    rig_out(&f->rig, 0x0c, 0);
    assert_int_equal(rig_in(&f->rig, 0x04), 0xfe);
    assert_int_equal(rig_in(&f->rig, 0x04), 0xff);
    /* Words: channel 5. */
    rig_out(&f->rig, 0xd6, 0x45);
    rig_out(&f->rig, 0xd8, 0);
    rig_out(&f->rig, 0xc4, 0x00);
    rig_out(&f->rig, 0xc4, 0x80);
    rig_out(&f->rig, 0xc6, 1);
    rig_out(&f->rig, 0xc6, 0);
    rig_out(&f->rig, 0x8b, 3);
    rig_out(&f->rig, 0xd4, 1);
    assert_int_equal(i8237_left(f->dma, 5), 4);
    assert_int_equal(i8237_move(f->dma, 5, bytes, 4, true), 0);
    space_read(f->rig.space, 0x30000, back, 4);
    assert_memory_equal(back, bytes, 4);
    assert_int_equal(i8237_left(f->dma, 5), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_and_writes),
        CASE(refusals),
        cmocka_unit_test_setup_teardown(write_protected, set_up_readonly, tear_down),
        CASE(diskettes_change),
        cmocka_unit_test_setup_teardown(slow_diskette, set_up_deferred, tear_down),
        CASE(dma_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

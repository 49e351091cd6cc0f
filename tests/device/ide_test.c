/* SPDX-License-Identifier: Apache-2.0 */
/* The IDE controller, programmed by its registers as drivers do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ata_rig.h"
#include "base/mem.h"
#include "device/ata/ide.h"

enum { HD = 0x1f0, CD = 0x170, BM = 0xc000, CD_BM = BM + 8 };
enum { ERR = 1, DRQ = 8, RDY = 0x40, BSY = 0x80 };
enum { ABRT = 4, IDNF = 0x10, UNC = 0x40 };
enum { PRDS = 0x1000, BUFFER = 0x10000 };

struct fixture {
    struct ata_rig a;
    struct ide *ide;
};

static void make(struct fixture *f, bool deferred)
{
    struct ata_drive *drives[IDE_DRIVES] = {NULL};
    struct irq_line irqs[IDE_CHANNELS];

    ata_rig_set_up(&f->a, deferred);
    drives[0] = f->a.hd;
    drives[2] = f->a.cd;
    irqs[0] = rig_line(&f->a.rig, 14);
    irqs[1] = rig_line(&f->a.rig, 15);
    f->ide = ide_new(f->a.bus, 1, 1, f->a.rig.ports, f->a.rig.space, drives, irqs, NULL);
    assert_non_null(f->ide);
    assert_int_equal(pci_place_bar(ide_function(f->ide), 4, BM, NULL), 0);
    ports_write(f->a.rig.ports, 0xcf8, 4, 0x80000904);
    ports_write(f->a.rig.ports, 0xcfc, 2, 5); /* I/O, bus master */
}

static int set_up(void **state)
{
    static struct fixture f;

    make(&f, false);
    *state = &f;
    return 0;
}

static int set_up_deferred(void **state)
{
    static struct fixture f;

    make(&f, true);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    ide_device(f->ide)->free(ide_device(f->ide));
    ata_rig_tear_down(&f->a);
    return 0;
}

static uint8_t in(struct fixture *f, unsigned port)
{
    return rig_in(&f->a.rig, (uint16_t)port);
}

static void out(struct fixture *f, unsigned port, unsigned value)
{
    rig_out(&f->a.rig, (uint16_t)port, (uint8_t)value);
}

/* A command of 28 bits. */
static void command(struct fixture *f, unsigned base, unsigned code, uint32_t lba, unsigned count)
{
    out(f, base + 6, 0xe0 | (lba >> 24 & 15));
    out(f, base + 2, count);
    out(f, base + 3, lba & 0xff);
    out(f, base + 4, lba >> 8 & 0xff);
    out(f, base + 5, lba >> 16 & 0xff);
    out(f, base + 7, code);
}

static void command48(struct fixture *f, unsigned code, uint64_t lba, unsigned count)
{
    out(f, HD + 6, 0x40);
    out(f, HD + 2, count >> 8);
    out(f, HD + 3, lba >> 24 & 0xff);
    out(f, HD + 4, lba >> 32 & 0xff);
    out(f, HD + 5, lba >> 40 & 0xff);
    out(f, HD + 2, count & 0xff);
    out(f, HD + 3, lba & 0xff);
    out(f, HD + 4, lba >> 8 & 0xff);
    out(f, HD + 5, lba >> 16 & 0xff);
    out(f, HD + 7, code);
}

static void read_data(struct fixture *f, unsigned base, uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i += 2)
        store_le16(bytes + i, (uint16_t)ports_read(f->a.rig.ports, (uint16_t)base, 2));
}

static void write_data(struct fixture *f, unsigned base, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i += 4)
        ports_write(f->a.rig.ports, (uint16_t)base, 4, load_le32(bytes + i));
}

static void check_disk(const uint8_t *bytes, uint64_t at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != ata_rig_byte(at + i))
            fail_msg("byte %zu: %02x", i, bytes[i]);
}

/* Status by the alternate register, which leaves the interrupt alone. */
static uint8_t status(struct fixture *f, unsigned base)
{
    return in(f, base + 0x206);
}

static int irq(struct fixture *f, unsigned base)
{
    return f->a.rig.wire[base == HD ? 14 : 15].level;
}

static void identify_and_signature(void **state)
{
    struct fixture *f = *state;
    uint8_t id[512], sum = 0;

    assert_int_equal(in(f, HD + 4) | in(f, HD + 5) << 8, 0);
    assert_int_equal(in(f, CD + 4) | in(f, CD + 5) << 8, 0xeb14);
    assert_int_equal(in(f, HD + 2), 1);
    command(f, HD, 0xec, 0, 0);
    assert_int_equal(status(f, HD), RDY | DRQ | 0x10);
    assert_int_equal(irq(f, HD), 1);
    in(f, HD + 7);
    assert_int_equal(irq(f, HD), 0);
    read_data(f, HD, id, 512);
    assert_int_equal(status(f, HD) & (DRQ | BSY | ERR), 0);
    assert_int_equal(load_le32(id + 120), ATA_RIG_DISK / 512);
    assert_int_equal(load_le64(id + 200), ATA_RIG_DISK / 512);
    assert_memory_equal(id + 20, "idks0-21436587a9cbed", 20);
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + id[i]);
    assert_int_equal(sum, 0);
    /* A CD drive refuses, and shows itself. */
    command(f, CD, 0xec, 0, 0);
    assert_int_equal(status(f, CD) & ERR, ERR);
    assert_int_equal(in(f, CD + 1), ABRT);
    assert_int_equal(in(f, CD + 4) | in(f, CD + 5) << 8, 0xeb14);
    command(f, CD, 0xa1, 0, 0);
    read_data(f, CD, id, 512);
    assert_int_equal(load_le16(id), 0x85c0);
}

static void missing_slave_is_silent(void **state)
{
    struct fixture *f = *state;

    out(f, HD + 6, 0xf0);
    assert_int_equal(in(f, HD + 7), 0);
    out(f, HD + 7, 0xec);
    assert_int_equal(in(f, HD + 7), 0);
    assert_int_equal(irq(f, HD), 0);
    out(f, HD + 6, 0xe0);
    assert_int_equal(in(f, HD + 7) & RDY, RDY);
}

static void pio_reads_and_writes(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[5 * 512], back[5 * 512];
    unsigned rises;

    command(f, HD, 0x20, 100, 5);
    rises = f->a.rig.wire[14].rises;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(in(f, HD + 7) & (DRQ | BSY), DRQ);
        read_data(f, HD, bytes + i * 512, 512);
    }
    assert_int_equal(f->a.rig.wire[14].rises, rises + 4); /* one a sector */
    check_disk(bytes, 100 * 512, sizeof(bytes));
    assert_int_equal(in(f, HD + 7), RDY | 0x10);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)rand();
    command(f, HD, 0x30, 200, 5);
    rises = f->a.rig.wire[14].rises;
    assert_int_equal(irq(f, HD), 0); /* the first block is not announced */
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(in(f, HD + 7) & (DRQ | BSY), DRQ);
        write_data(f, HD, bytes + i * 512, 512);
    }
    assert_int_equal(f->a.rig.wire[14].rises, rises + 5);
    assert_int_equal(in(f, HD + 7), RDY | 0x10);
    assert_memory_equal(f->a.disk_bytes + 200 * 512, bytes, sizeof(bytes));
    /* The same again by blocks of four, 48 bits, the last block is short. */
    command(f, HD, 0xc6, 0, 4);
    rises = f->a.rig.wire[14].rises;
    command48(f, 0x29, 200, 5);
    read_data(f, HD, back, sizeof(back));
    assert_memory_equal(back, bytes, sizeof(bytes));
    assert_int_equal(f->a.rig.wire[14].rises, rises + 1); /* it was never lowered in between */
    command48(f, 0x39, 300, 5);
    write_data(f, HD, bytes, 2048);
    assert_int_equal(in(f, HD + 7) & (DRQ | BSY), DRQ);
    write_data(f, HD, bytes + 2048, 512);
    assert_int_equal(in(f, HD + 7), RDY | 0x10);
    assert_memory_equal(f->a.disk_bytes + 300 * 512, bytes, sizeof(bytes));
    /* By cylinder, head, sector: 2/3/4 of 16 heads and 63 sectors. */
    out(f, HD + 6, 0xa3);
    out(f, HD + 2, 1);
    out(f, HD + 3, 4);
    out(f, HD + 4, 2);
    out(f, HD + 5, 0);
    out(f, HD + 7, 0x20);
    read_data(f, HD, bytes, 512);
    check_disk(bytes, ((2 * 16 + 3) * 63 + 3) * 512, 512);
}

static void prd(struct fixture *f, unsigned n, uint32_t base, uint32_t count)
{
    uint8_t entry[8];

    store_le32(entry, base);
    store_le32(entry + 4, count);
    assert_int_equal(space_write(f->a.rig.space, PRDS + 8 * n, entry, 8), 0);
}

static void start_dma(struct fixture *f, unsigned bm, bool to_memory)
{
    out(f, bm + 2, 0x66);
    ports_write(f->a.rig.ports, (uint16_t)(bm + 4), 4, PRDS);
    out(f, bm, to_memory ? 9 : 1);
}

static void dma_moves_along_the_list(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[300 * 512];

    prd(f, 0, BUFFER, 0); /* 64 KiB */
    prd(f, 1, BUFFER + 0x10000, 0x8000);
    prd(f, 2, BUFFER + 0x18000, (300 * 512 - 0x18000) | 0x80000000u);
    command48(f, 0x25, 1000, 300);
    assert_int_equal(status(f, HD), BSY); /* waits for the master */
    start_dma(f, BM, true);
    assert_int_equal(in(f, BM + 2), 0x64);
    assert_int_equal(irq(f, HD), 1);
    out(f, BM, 0);
    assert_int_equal(in(f, HD + 7), RDY | 0x10);
    assert_int_equal(space_read(f->a.rig.space, BUFFER, bytes, sizeof(bytes)), 0);
    check_disk(bytes, 1000 * 512, sizeof(bytes));
    /* Written elsewhere; the list may be longer than needed. */
    prd(f, 2, BUFFER + 0x18000, 0x80000000u);
    start_dma(f, BM, false);
    command(f, HD, 0xca, 2000, 200);
    assert_int_equal(in(f, BM + 2), 0x65); /* still active: memory is left */
    out(f, BM, 0);
    assert_int_equal(in(f, BM + 2), 0x64);
    assert_memory_equal(f->a.disk_bytes + 2000 * 512, bytes, 200 * 512);
    out(f, BM + 2, 0x04);
    assert_int_equal(in(f, BM + 2), 0);
}

static void dma_errors(void **state)
{
    struct fixture *f = *state;

    prd(f, 0, BUFFER, 512 | 0x80000000u);
    command(f, HD, 0xc8, 0, 2); /* longer than the list */
    in(f, HD + 7);
    start_dma(f, BM, true);
    assert_int_equal(in(f, BM + 2) & 7, 0);
    assert_int_equal(irq(f, HD), 0);
    assert_int_equal(status(f, HD), RDY | 0x10);
    out(f, BM, 0);
    prd(f, 0, 0xfffff000, 512 | 0x80000000u); /* no memory there */
    command(f, HD, 0xc8, 0, 1);
    start_dma(f, BM, true);
    assert_int_equal(in(f, BM + 2) & 7, 6);
    assert_int_equal(status(f, HD) & ERR, ERR);
    out(f, BM, 0);
    /* A list that lies outside memory. */
    command(f, HD, 0xc8, 0, 1);
    out(f, BM + 2, 6);
    ports_write(f->a.rig.ports, BM + 4, 4, 0xf0000000);
    out(f, BM, 9);
    assert_int_equal(in(f, BM + 2) & 7, 6);
    out(f, BM, 0);
    /* A list without an end: 8192 regions, then it is over. */
    for (unsigned i = 0; i < 8192; i++) {
        uint8_t entry[8] = {0, 0, 8, 0, 2};
        assert_int_equal(space_write(f->a.rig.space, 0x20000 + 8 * i, entry, 8), 0);
    }
    command(f, HD, 0xc8, 0, 256);
    out(f, BM + 2, 6);
    ports_write(f->a.rig.ports, BM + 4, 4, 0x20000);
    out(f, BM, 9);
    assert_int_equal(in(f, BM + 2) & 7, 0); /* 16 KiB of 128 */
    out(f, BM, 0);
    /* The function may not master the bus. */
    ports_write(f->a.rig.ports, 0xcf8, 4, 0x80000904);
    ports_write(f->a.rig.ports, 0xcfc, 2, 1);
    prd(f, 0, BUFFER, 512 | 0x80000000u);
    command(f, HD, 0xc8, 0, 1);
    start_dma(f, BM, true);
    assert_int_equal(in(f, BM + 2) & 7, 6);
}

static void bad_commands_are_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[512];

    command(f, HD, 0x20, ATA_RIG_DISK / 512 - 1, 2);
    assert_int_equal(in(f, HD + 7) & (ERR | DRQ), ERR);
    assert_int_equal(in(f, HD + 1), IDNF);
    command48(f, 0x24, 0xffffffffffff, 0);
    assert_int_equal(in(f, HD + 1), IDNF);
    command48(f, 0x34, 1ull << 40, 1);
    assert_int_equal(in(f, HD + 1), IDNF);
    for (unsigned i = 0; i < 3; i++) {
        static const uint8_t codes[] = {0xff, 0xb0, 0x60}; /* 0x60: no queues on this cable */
        command(f, HD, codes[i], 0, 1);
        assert_int_equal(in(f, HD + 7) & ERR, ERR);
        assert_int_equal(in(f, HD + 1), ABRT);
    }
    command(f, HD, 0xc6, 0, 3); /* no power of two */
    assert_int_equal(in(f, HD + 1), ABRT);
    command(f, HD, 0xc6, 0, 0);
    command(f, HD, 0xc4, 0, 1); /* switched off */
    assert_int_equal(in(f, HD + 1), ABRT);
    out(f, HD + 6, 0xa0); /* sector 0 of a cylinder is none */
    out(f, HD + 3, 0);
    out(f, HD + 7, 0x20);
    assert_int_equal(in(f, HD + 1), IDNF);
    f->a.disk_mem->readonly = f->a.disk->readonly = true;
    command(f, HD, 0x30, 0, 1);
    assert_int_equal(in(f, HD + 1), ABRT);
    /* After all that it works. */
    command(f, HD, 0x20, 7, 1);
    read_data(f, HD, bytes, 512);
    check_disk(bytes, 7 * 512, 512);
    assert_int_equal(in(f, HD + 7), RDY | 0x10);
}

static void media_errors_are_told(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[512] = {0};

    block_fault_set(f->a.disk, &(struct block_fault_plan){
                                   .ops = 1 << BLOCK_READ, .nth = 1, .count = 2, .code = -EIO});
    command(f, HD, 0x20, 0, 1);
    assert_int_equal(in(f, HD + 7) & (ERR | DRQ | BSY), ERR);
    assert_int_equal(in(f, HD + 1), UNC);
    prd(f, 0, BUFFER, 512 | 0x80000000u);
    start_dma(f, BM, true);
    command(f, HD, 0xc8, 0, 1);
    assert_int_equal(in(f, BM + 2) & 7, 6);
    assert_int_equal(in(f, HD + 1), UNC);
    out(f, BM, 0);
    block_fault_set(
        f->a.disk,
        &(struct block_fault_plan){
            .ops = 1 << BLOCK_WRITE | 1 << BLOCK_FLUSH, .nth = 1, .count = 2, .code = -ENOSPC});
    command(f, HD, 0x30, 0, 1);
    write_data(f, HD, bytes, 512);
    assert_int_equal(in(f, HD + 1), ABRT);
    command(f, HD, 0xe7, 0, 0);
    assert_int_equal(in(f, HD + 7) & ERR, ERR);
    command(f, HD, 0xe7, 0, 0);
    assert_int_equal(in(f, HD + 7) & ERR, 0);
}

static void durability(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[512] = {0};
    const struct block_fault_plan flushes = {.ops = 1 << BLOCK_FLUSH, .code = -EIO};

    block_fault_set(f->a.disk, &flushes);
    command(f, HD, 0x30, 0, 1);
    write_data(f, HD, bytes, 512);
    assert_int_equal(block_fault_seen(f->a.disk), 0);
    command48(f, 0xce, 0, 1); /* forced unit access */
    write_data(f, HD, bytes, 512);
    assert_int_equal(block_fault_seen(f->a.disk), 1);
    out(f, HD + 1, 0x82); /* write cache off */
    out(f, HD + 7, 0xef);
    command(f, HD, 0x30, 0, 1);
    write_data(f, HD, bytes, 512);
    assert_int_equal(block_fault_seen(f->a.disk), 2);
    assert_int_equal(in(f, HD + 7) & ERR, 0);
}

static void trim_discards_ranges(void **state)
{
    struct fixture *f = *state;
    uint8_t ranges[512] = {0};

    store_le64(ranges, 10 | 2ull << 48);
    store_le64(ranges + 16, 20 | 1ull << 48);
    space_write(f->a.rig.space, BUFFER, ranges, 512);
    prd(f, 0, BUFFER, 512 | 0x80000000u);
    f->a.disk->can_discard = true;
    out(f, HD + 1, 1);
    command48(f, 0x06, 0, 1);
    start_dma(f, BM, false);
    assert_int_equal(in(f, HD + 7) & ERR, 0);
    out(f, BM, 0);
    for (unsigned i = 0; i < 1024; i++)
        assert_int_equal(f->a.disk_bytes[10 * 512 + i], 0);
    assert_int_equal(f->a.disk_bytes[20 * 512 + 5], 0);
    check_disk(f->a.disk_bytes + 12 * 512, 12 * 512, 8 * 512);
    store_le64(ranges, ATA_RIG_DISK / 512 | 1ull << 48);
    space_write(f->a.rig.space, BUFFER, ranges, 512);
    out(f, HD + 1, 1);
    command48(f, 0x06, 0, 1);
    start_dma(f, BM, false);
    assert_int_equal(in(f, HD + 7) & ERR, ERR);
}

/* A slow disk: commands and register writes while busy do nothing, a reset ends it all. */
static void busy_is_busy(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[512];

    command(f, HD, 0x20, 50, 1);
    assert_int_equal(status(f, HD), BSY);
    command(f, HD, 0x20, 60, 1);
    assert_int_equal(status(f, HD), BSY);
    assert_int_equal(ports_read(f->a.rig.ports, HD, 2), 0xffff);
    assert_int_equal(irq(f, HD), 0);
    block_drain(f->a.disk);
    assert_int_equal(irq(f, HD), 1);
    read_data(f, HD, bytes, 512);
    check_disk(bytes, 50 * 512, 512);
    command(f, HD, 0x20, 60, 2);
    out(f, HD + 0x206, 4);
    assert_int_equal(in(f, HD + 7), BSY);
    out(f, HD + 0x206, 0);
    assert_int_equal(in(f, HD + 7), RDY | 0x10);
    assert_int_equal(in(f, HD + 1), 1);
    assert_int_equal(irq(f, HD), 0);
    /* The master is stopped in the middle of a transfer. */
    prd(f, 0, BUFFER, 512 | 0x80000000u);
    command(f, HD, 0xc8, 0, 1);
    start_dma(f, BM, true);
    assert_int_equal(in(f, BM + 2) & 7, 1);
    out(f, BM, 8);
    assert_int_equal(in(f, BM + 2) & 7, 0);
    assert_int_equal(status(f, HD) & (BSY | ERR), ERR);
    /* And it goes on working. */
    command(f, HD, 0xc8, 9, 1);
    start_dma(f, BM, true);
    block_drain(f->a.disk);
    assert_int_equal(in(f, BM + 2) & 7, 4);
    space_read(f->a.rig.space, BUFFER, bytes, 512);
    check_disk(bytes, 9 * 512, 512);
    device_reset(ide_device(f->ide));
}

/* Saves the state of the controller and loads it again after it was reset. */
static void save_and_load(struct fixture *f)
{
    struct device *dev = ide_device(f->ide);
    struct error err = {0};
    struct str saved = {0};

    dev->settle(dev);
    state_save(dev->state, dev, &saved);
    device_reset(dev);
    if (state_load(dev->state, dev, saved.data, saved.len, &err) < 0)
        fail_msg("%s", error_text(&err));
    str_done(&saved);
    assert_int_equal(pci_place_bar(ide_function(f->ide), 4, BM, NULL), 0);
    ports_write(f->a.rig.ports, 0xcf8, 4, 0x80000904);
    ports_write(f->a.rig.ports, 0xcfc, 2, 5);
}

/* A snapshot in the middle of commands; the disk takes its time. */
static void saved_commands_go_on(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[3 * 512], out_bytes[1024];

    command(f, HD, 0x20, 40, 3);
    save_and_load(f);
    assert_int_equal(status(f, HD) & (DRQ | BSY), DRQ);
    read_data(f, HD, bytes, 512);
    block_drain(f->a.disk); /* what was read ahead is read again */
    read_data(f, HD, bytes + 512, 188);
    save_and_load(f);
    read_data(f, HD, bytes + 700, 1024 - 700);
    block_drain(f->a.disk);
    read_data(f, HD, bytes + 1024, 512);
    check_disk(bytes, 40 * 512, sizeof(bytes));
    assert_int_equal(status(f, HD), RDY | 0x10);
    for (unsigned i = 0; i < sizeof(out_bytes); i++)
        out_bytes[i] = (uint8_t)(i * 5 + 1);
    command(f, HD, 0x30, 90, 2);
    write_data(f, HD, out_bytes, 512);
    save_and_load(f);
    assert_int_equal(status(f, HD) & (DRQ | BSY), DRQ);
    write_data(f, HD, out_bytes + 512, 100);
    save_and_load(f);
    write_data(f, HD, out_bytes + 612, 412);
    block_drain(f->a.disk);
    assert_int_equal(status(f, HD), RDY | 0x10);
    assert_memory_equal(f->a.disk_bytes + 90 * 512, out_bytes, sizeof(out_bytes));
    /* DMA that the master has not been started for. */
    prd(f, 0, BUFFER, 1024 | 0x80000000u);
    command(f, HD, 0xc8, 60, 2);
    save_and_load(f);
    start_dma(f, BM, true);
    block_drain(f->a.disk);
    assert_int_equal(in(f, BM + 2) & 7, 4);
    space_read(f->a.rig.space, BUFFER, bytes, 1024);
    check_disk(bytes, 60 * 512, 1024);
}

static void interrupts_can_be_masked(void **state)
{
    struct fixture *f = *state;

    out(f, HD + 0x206, 2);
    command(f, HD, 0xe7, 0, 0);
    assert_int_equal(irq(f, HD), 0);
    out(f, HD + 0x206, 0);
    assert_int_equal(irq(f, HD), 1);
    in(f, HD + 7);
    assert_int_equal(irq(f, HD), 0);
}

/* ---- packet commands ---- */

/* Sends a packet; @dma: its data goes by the bus master, else in blocks of @limit bytes. */
static void packet(struct fixture *f, const uint8_t bytes[12], bool dma, unsigned limit)
{
    out(f, CD + 6, 0xa0);
    out(f, CD + 1, dma);
    out(f, CD + 4, limit & 0xff);
    out(f, CD + 5, limit >> 8);
    out(f, CD + 7, 0xa0);
    assert_int_equal(status(f, CD) & (DRQ | BSY), DRQ);
    assert_int_equal(in(f, CD + 2) & 3, 1);
    for (unsigned i = 0; i < 12; i += 2)
        ports_write(f->a.rig.ports, CD, 2, load_le16(bytes + i));
}

/* Takes all blocks that are offered; returns the number of bytes. */
static unsigned take(struct fixture *f, uint8_t *bytes, unsigned room)
{
    unsigned n = 0;

    while (status(f, CD) & DRQ) {
        unsigned len = in(f, CD + 4) | (unsigned)in(f, CD + 5) << 8;
        assert_int_equal(in(f, CD + 2) & 3, 2);
        assert_true(n + len <= room && len);
        for (unsigned i = 0; i < len; i += 2)
            store_le16(bytes + n + i, (uint16_t)ports_read(f->a.rig.ports, CD, 2));
        n += len;
    }
    assert_int_equal(in(f, CD + 2) & 3, 3);
    return n;
}

/* The sense code of the last command as 0xKKAAQQ. */
static unsigned sense(struct fixture *f)
{
    const uint8_t request[12] = {3, 0, 0, 0, 18};
    uint8_t data[20];

    packet(f, request, false, 0xfffe);
    assert_int_equal(take(f, data, sizeof(data)), 18);
    return (unsigned)data[2] << 16 | data[12] << 8 | data[13];
}

static bool ready(struct fixture *f)
{
    const uint8_t test[12] = {0};

    packet(f, test, false, 0);
    return !(status(f, CD) & ERR);
}

static void cd_is_read(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[64 << 10];
    uint8_t read10[12] = {0x28, 0, 0, 0, 0, 3, 0, 0, 20}, capacity[12] = {0x25},
            toc[12] = {0x43, 0, 0, 0, 0, 0, 0, 0, 100}, inquiry[12] = {0x12, 0, 0, 0, 36},
            read12[12] = {0xa8, 0, 0, 0, 0, 100, 0, 0, 0, 28};

    packet(f, inquiry, false, 0xfffe);
    assert_int_equal(take(f, data, sizeof(data)), 36);
    assert_memory_equal(data + 8, "ISOLA   CD-ROM  ", 16);
    assert_false(ready(f)); /* was just switched on */
    assert_int_equal(sense(f), 0x062900);
    assert_true(ready(f));
    packet(f, capacity, false, 8);
    assert_int_equal(take(f, data, sizeof(data)), 8);
    assert_memory_equal(data, "\0\0\0\x7f\0\0\x08\0", 8);
    packet(f, toc, false, 0xfffe);
    assert_int_equal(take(f, data, sizeof(data)), 20);
    assert_memory_equal(data, "\0\x12\1\1\0\x14\1\0\0\0\0\0\0\x14\xaa\0\0\0\0\x80", 20);
    /* Blocks that are no sectors. */
    packet(f, read10, false, 3000);
    assert_int_equal(take(f, data, sizeof(data)), 20 * 2048);
    assert_memory_equal(data, f->a.cd_bytes + 3 * 2048, 20 * 2048);
    /* By DMA. */
    prd(f, 0, BUFFER, 0x80000000u);
    packet(f, read12, true, 0);
    start_dma(f, CD_BM, true);
    assert_int_equal(in(f, CD_BM + 2) & 6, 4);
    assert_int_equal(irq(f, CD), 1);
    out(f, CD_BM, 0);
    assert_int_equal(space_read(f->a.rig.space, BUFFER, data, 28 * 2048), 0);
    assert_memory_equal(data, f->a.cd_bytes + 100 * 2048, 28 * 2048);
    /* Past the end, and what is no command. */
    read10[5] = 120;
    packet(f, read10, false, 2048);
    assert_int_equal(status(f, CD) & (ERR | DRQ), ERR);
    assert_int_equal(in(f, CD + 1) >> 4, 5);
    assert_int_equal(sense(f), 0x052100);
    packet(f, (uint8_t[12]){0x2a}, false, 2048);
    assert_int_equal(sense(f), 0x052000);
    read10[2] = 0xff;
    packet(f, read10, false, 2048);
    assert_int_equal(sense(f), 0x052100);
}

static void cd_is_changed(void **state)
{
    struct fixture *f = *state;
    uint8_t event[12] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, lock[12] = {0x1e, 0, 0, 0, 1},
            eject[12] = {0x1b, 0, 0, 0, 2}, load[12] = {0x1b, 0, 0, 0, 3}, data[32];

    ready(f);
    assert_true(ready(f));
    packet(f, lock, false, 0);
    packet(f, eject, false, 0);
    assert_int_equal(sense(f), 0x055302);
    assert_true(ready(f));
    lock[4] = 0;
    packet(f, lock, false, 0);
    packet(f, eject, false, 0);
    assert_int_equal(status(f, CD) & ERR, 0);
    assert_false(ready(f));
    assert_int_equal(sense(f), 0x023a02); /* tray open */
    packet(f, event, false, 0xfffe);
    assert_int_equal(take(f, data, sizeof(data)), 8);
    assert_memory_equal(data, "\0\6\4\x10\3\1\0\0", 8); /* removed; open */
    device_reset(&f->a.cd->dev); /* a reboot does not put in what was ejected */
    assert_false(ready(f));
    assert_int_equal(sense(f), 0x023a02);
    packet(f, load, false, 0);
    assert_false(ready(f));
    assert_int_equal(sense(f), 0x062800);
    assert_true(ready(f));
    /* The user takes it out and puts another one in. */
    ata_cd_change(f->a.cd, NULL);
    assert_false(ready(f));
    assert_int_equal(sense(f), 0x062800);
    assert_false(ready(f));
    assert_int_equal(sense(f), 0x023a01);
    ata_cd_change(f->a.cd, f->a.disc);
    packet(f, event, false, 0xfffe);
    assert_int_equal(take(f, data, sizeof(data)), 8);
    assert_memory_equal(data, "\0\6\4\x10\2\2\0\0", 8); /* new disc */
    packet(f, event, false, 0xfffe);
    take(f, data, sizeof(data));
    assert_int_equal(data[4], 0);
    assert_false(ready(f));
    assert_true(ready(f));
}

/* The disc goes while it is being read. */
static void disc_vanishes(void **state)
{
    struct fixture *f = *state;
    uint8_t read10[12] = {0x28, 0, 0, 0, 0, 0, 0, 0, 100};

    ready(f);
    packet(f, read10, true, 0);
    assert_int_equal(status(f, CD), BSY);
    block_drain(f->a.disc);
    ata_cd_change(f->a.cd, NULL);
    prd(f, 0, BUFFER, 0x80000000u);
    prd(f, 1, BUFFER, 0x80000000u);
    start_dma(f, CD_BM, true);
    assert_int_equal(status(f, CD) & (BSY | DRQ), 0);
    out(f, CD_BM, 0);
    packet(f, read10, false, 2048);
    assert_int_equal(status(f, CD) & ERR, ERR);
}

static void answers_are_bounded(void **state)
{
    struct fixture *f = *state;
    uint8_t data[512];

    ready(f);
    for (unsigned code = 0; code < 256; code++) {
        for (unsigned variant = 0; variant < 8; variant++) {
            uint8_t p[12] = {(uint8_t)code};
            p[1] = (uint8_t)variant;
            p[2] = variant & 4 ? 0x3f : (uint8_t)variant;
            p[4] = p[7] = p[8] = p[9] = 0xff;
            if (code == 0x28 || code == 0xa8 || code == 0xbe || code == 0x1b)
                continue;
            packet(f, p, false, 0xfffe);
            assert_true(take(f, data, sizeof(data)) <= 512);
        }
    }
    assert_true(ready(f));
}

#define CASE(test)      cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SLOW_CASE(test) cmocka_unit_test_setup_teardown(test, set_up_deferred, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(identify_and_signature),
                                       CASE(missing_slave_is_silent),
                                       CASE(pio_reads_and_writes),
                                       CASE(dma_moves_along_the_list),
                                       CASE(dma_errors),
                                       CASE(bad_commands_are_refused),
                                       CASE(media_errors_are_told),
                                       CASE(durability),
                                       CASE(trim_discards_ranges),
                                       SLOW_CASE(busy_is_busy),
                                       SLOW_CASE(saved_commands_go_on),
                                       CASE(interrupts_can_be_masked),
                                       CASE(cd_is_read),
                                       CASE(cd_is_changed),
                                       SLOW_CASE(disc_vanishes),
                                       CASE(answers_are_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The AHCI controller, programmed through its registers and command lists. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ata_rig.h"
#include "base/mem.h"
#include "device/ata/ahci.h"

#define ABAR 0xe0000000u
enum { HD = 0x100, CD = 0x280, EMPTY = 0x180 }; /* ports 0, 3 and 1 */
enum {
    CLB = 0,
    FB = 8,
    IS = 0x10,
    IE = 0x14,
    CMD = 0x18,
    TFD = 0x20,
    SIG = 0x24,
    SSTS = 0x28,
    SCTL = 0x2c,
    SERR = 0x30,
    SACT = 0x34,
    CI = 0x38
};
enum {
    D2H = 1,
    PIO_SETUP = 2,
    SET_BITS = 8,
    INTERFACE = 1 << 27,
    BUS = 1 << 29,
    FILE_ERROR = 1 << 30
};
enum { LIST = 0x1000, AREA = 0x2000, TABLES = 0x4000, BUFFER = 0x20000 };

struct fixture {
    struct ata_rig a;
    struct ahci *ahci;
};

static uint32_t get(struct fixture *f, unsigned reg)
{
    return (uint32_t)space_load(f->a.rig.space, ABAR + reg, 4);
}

static void set(struct fixture *f, unsigned reg, uint32_t value)
{
    space_store(f->a.rig.space, ABAR + reg, 4, value);
}

static void start_port(struct fixture *f, unsigned port)
{
    set(f, port + CLB, LIST);
    set(f, port + FB, AREA);
    set(f, port + IE, 0xffffffff);
    set(f, port + CMD, 0x10 | 6);
    set(f, port + CMD, 0x11 | 6);
    set(f, port + IS, 0xffffffff);
    set(f, 8, 0xffffffff);
}

static void make(struct fixture *f, bool deferred)
{
    struct ata_drive *drives[AHCI_PORTS] = {NULL};

    ata_rig_set_up(&f->a, deferred);
    drives[0] = f->a.hd;
    drives[3] = f->a.cd;
    f->ahci = ahci_new(f->a.bus, 4, f->a.rig.space, drives, NULL);
    assert_non_null(f->ahci);
    assert_int_equal(pci_place_bar(ahci_function(f->ahci), 5, ABAR, NULL), 0);
    ports_write(f->a.rig.ports, 0xcf8, 4, 0x80002004);
    ports_write(f->a.rig.ports, 0xcfc, 2, 6); /* memory, bus master */
    set(f, 4, 0x80000002);
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

    ahci_device(f->ahci)->free(ahci_device(f->ahci));
    ata_rig_tear_down(&f->a);
    return 0;
}

static void put(struct fixture *f, uint64_t at, const void *bytes, size_t n)
{
    assert_int_equal(space_write(f->a.rig.space, at, bytes, n), 0);
}

/* A command in @slot whose data is @len bytes at BUFFER + @slot * 64 KiB, in two regions. */
static void command(struct fixture *f, unsigned slot, uint8_t code, uint64_t lba, unsigned count,
                    unsigned tag, uint32_t len, uint32_t flags)
{
    uint32_t table = TABLES + slot * 0x100, first = len / 4 * 2, data = BUFFER + slot * 0x10000;
    uint8_t header[32] = {0}, fis[64] = {0x27, 0x80, code}, region[32] = {0};
    bool queued = code == 0x60 || code == 0x61;

    store_le32(header, 5 | flags | (len ? 2u << 16 : 0));
    store_le32(header + 8, table);
    put(f, LIST + 32 * slot, header, sizeof(header));
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = (uint8_t)(lba >> 8 * i);
        fis[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    fis[7] = 0x40;
    fis[queued ? 3 : 12] = (uint8_t)count;
    fis[queued ? 11 : 13] = (uint8_t)(count >> 8);
    if (queued)
        fis[12] = (uint8_t)(tag << 3);
    put(f, table, fis, sizeof(fis));
    if (!len)
        return;
    store_le32(region, data);
    store_le32(region + 12, first - 1);
    store_le32(region + 16, data + first);
    store_le32(region + 28, len - first - 1);
    put(f, table + 0x80, region, sizeof(region));
}

static void check_disk(struct fixture *f, unsigned slot, uint64_t at, size_t n)
{
    static uint8_t bytes[0x10000];

    assert_int_equal(space_read(f->a.rig.space, BUFFER + slot * 0x10000, bytes, n), 0);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != ata_rig_byte(at + i))
            fail_msg("byte %zu: %02x", i, bytes[i]);
}

static uint8_t area(struct fixture *f, unsigned at)
{
    return (uint8_t)space_load(f->a.rig.space, AREA + at, 1);
}

static void signatures(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, 0) & 0x1f, AHCI_PORTS - 1);
    assert_int_equal(get(f, 0xc), 0x3f);
    assert_int_equal(get(f, HD + SSTS), 0x123);
    assert_int_equal(get(f, EMPTY + SSTS), 0);
    assert_int_equal(get(f, EMPTY + TFD), 0x7f);
    assert_int_equal(get(f, HD + SIG), 0xffffffff); /* nobody has taken the FIS yet */
    start_port(f, HD);
    start_port(f, CD);
    assert_int_equal(get(f, HD + SIG), 0x00000101);
    assert_int_equal(get(f, CD + SIG), 0xeb140101);
    assert_int_equal(get(f, HD + TFD) & 0xff, 0x50);
    /* COMRESET: gone, and here again. */
    set(f, HD + SCTL, 0x301);
    assert_int_equal(get(f, HD + SSTS), 0);
    set(f, HD + SCTL, 0x300);
    assert_int_equal(get(f, HD + SSTS), 0x123);
    assert_int_equal(get(f, HD + SIG), 0x00000101);
    assert_true(get(f, HD + SERR));
    set(f, 4, 1); /* the whole controller */
    assert_int_equal(get(f, 4), 0x80000000);
    assert_int_equal(get(f, HD + CMD) & 1, 0);
}

static void commands_one_by_one(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[1024];

    start_port(f, HD);
    command(f, 0, 0xec, 0, 0, 0, 512, 0);
    set(f, HD + CI, 1);
    assert_int_equal(get(f, HD + CI), 0);
    assert_int_equal(get(f, HD + IS), PIO_SETUP);
    assert_int_equal(get(f, 8), 1);
    assert_int_equal(area(f, 0x20), 0x5f);
    assert_int_equal(area(f, 0x20 + 15), 0x50);
    assert_int_equal(space_load(f->a.rig.space, LIST + 4, 4), 512); /* bytes moved */
    space_read(f->a.rig.space, BUFFER, bytes, 512);
    assert_int_equal(load_le16(bytes + 152) & 1 << 8, 1 << 8); /* native queuing */
    /* The wire goes when the cause and its summary have been cleared. */
    set(f, HD + IS, 0xffffffff);
    assert_int_equal(get(f, 8), 1);
    set(f, 8, 1);
    assert_int_equal(get(f, 8), 0);
    /* A write by DMA and a read of the same, in one go. */
    memset(bytes, 0x5a, sizeof(bytes));
    put(f, BUFFER, bytes, sizeof(bytes));
    command(f, 0, 0x35, 77, 2, 0, 1024, 1 << 6);
    command(f, 1, 0x25, 76, 4, 0, 2048, 0);
    set(f, HD + CI, 3);
    assert_int_equal(get(f, HD + CI), 0);
    assert_int_equal(get(f, HD + IS), D2H);
    assert_memory_equal(f->a.disk_bytes + 77 * 512, bytes, 1024);
    assert_int_equal(space_load(f->a.rig.space, BUFFER + 0x10000 + 512, 4), 0x5a5a5a5a);
    command(f, 2, 0xea, 0, 0, 0, 0, 0); /* flush */
    set(f, HD + CI, 4);
    assert_int_equal(get(f, HD + CI), 0);
}

static void queued_commands(void **state)
{
    struct fixture *f = *state;

    start_port(f, HD);
    for (unsigned i = 0; i < 10; i++)
        command(f, i, 0x60, 1000 + 8 * i, 8, i, 4096, 0);
    set(f, HD + SACT, 0x3ff);
    set(f, HD + CI, 0x3ff);
    assert_int_equal(get(f, HD + CI), 0);       /* all accepted */
    assert_int_equal(get(f, HD + SACT), 0x3ff); /* none is done */
    assert_int_equal(get(f, HD + TFD) & 0x88, 0);
    block_drain(f->a.disk);
    assert_int_equal(get(f, HD + SACT), 0);
    assert_int_equal(get(f, HD + IS), SET_BITS);
    assert_int_equal(area(f, 0x58), 0xa1);
    for (unsigned i = 0; i < 10; i++)
        check_disk(f, i, (1000 + 8 * i) * 512, 4096);
}

static void queue_fails_as_one(void **state)
{
    struct fixture *f = *state;

    start_port(f, HD);
    for (unsigned i = 0; i < 8; i++)
        command(f, i, 0x60, i == 2 ? ATA_RIG_DISK / 512 : 8 * i, 8, i, 4096, 0);
    set(f, HD + SACT, 0xff);
    set(f, HD + CI, 0xff);
    assert_int_equal(get(f, HD + TFD) & 1, 1);
    assert_int_equal(get(f, HD + SACT) & 4, 4);
    assert_true(get(f, HD + IS) & FILE_ERROR);
    block_drain(f->a.disk);
    assert_int_equal(get(f, HD + SACT) & 4, 4); /* nothing goes on */
    /* The driver stops the port, and asks which one it was. */
    set(f, HD + CMD, 0x10 | 6);
    assert_int_equal(get(f, HD + SACT), 0);
    set(f, HD + IS, 0xffffffff);
    set(f, HD + CMD, 0x11 | 6);
    command(f, 0, 0x2f, 0x10, 1, 0, 512, 0);
    set(f, HD + CI, 1);
    block_drain(f->a.disk);
    assert_int_equal(get(f, HD + CI), 0);
    assert_int_equal(space_load(f->a.rig.space, BUFFER, 1), 2);
    assert_int_equal(space_load(f->a.rig.space, BUFFER + 3, 1), 0x10); /* no such address */
    command(f, 5, 0x60, 8, 8, 5, 4096, 0);
    set(f, HD + SACT, 1 << 5);
    set(f, HD + CI, 1 << 5);
    block_drain(f->a.disk);
    assert_int_equal(get(f, HD + SACT), 0);
    check_disk(f, 5, 8 * 512, 4096);
}

static void restart(struct fixture *f, unsigned port)
{
    set(f, port + CMD, 0x10 | 6);
    set(f, port + IS, 0xffffffff);
    set(f, port + CMD, 0x11 | 6);
    assert_int_equal(get(f, port + CI), 0);
}

static void errors(void **state)
{
    struct fixture *f = *state;
    uint8_t fis[64] = {0x46}, header[32] = {5};

    start_port(f, HD);
    command(f, 0, 0x25, 0x123456789a, 1, 0, 512, 0);
    command(f, 1, 0x25, 0, 1, 0, 512, 0);
    set(f, HD + CI, 3);
    assert_int_equal(get(f, HD + CI), 3); /* the failed one and all behind it */
    assert_int_equal(get(f, HD + TFD) & 0xffff, 0x1051);
    assert_true(get(f, HD + IS) & FILE_ERROR);
    restart(f, HD);
    /* What is no command FIS. */
    command(f, 0, 0x25, 0, 1, 0, 512, 0);
    put(f, TABLES, fis, 1);
    set(f, HD + CI, 1);
    assert_true(get(f, HD + IS) & INTERFACE);
    restart(f, HD);
    /* A table, a list, data that are nowhere. */
    store_le32(header + 8, 0xf0000000);
    put(f, LIST, header, sizeof(header));
    set(f, HD + CI, 1);
    assert_true(get(f, HD + IS) & BUS);
    restart(f, HD);
    set(f, HD + CLB, 0xf0000000);
    set(f, HD + CI, 1);
    assert_true(get(f, HD + IS) & BUS);
    restart(f, HD);
    set(f, HD + CLB, LIST);
    command(f, 0, 0x25, 0, 2, 0, 512, 0); /* 1024 bytes into 512 */
    set(f, HD + CI, 1);
    assert_int_equal(get(f, HD + TFD) & 1, 1);
    restart(f, HD);
    command(f, 0, 0x25, 0, 1, 0, 0, 0); /* into nothing */
    set(f, HD + CI, 1);
    assert_int_equal(get(f, HD + TFD) & 1, 1);
    restart(f, HD);
    command(f, 0, 0xa0, 0, 1, 0, 0, 0); /* a packet for a disk */
    set(f, HD + CI, 1);
    assert_int_equal(get(f, HD + TFD) & 1, 1);
    restart(f, HD);
    /* No bus mastering. */
    command(f, 0, 0x25, 0, 1, 0, 512, 0);
    ports_write(f->a.rig.ports, 0xcfc, 2, 2);
    set(f, HD + CI, 1);
    assert_true(get(f, HD + IS) & BUS);
    restart(f, HD);
    ports_write(f->a.rig.ports, 0xcfc, 2, 6);
    set(f, HD + CI, 1);
    assert_int_equal(get(f, HD + CI), 0);
    check_disk(f, 0, 0, 512);
    /* Ports without a drive take nothing and break nothing. */
    start_port(f, EMPTY);
    set(f, EMPTY + CI, 1);
    assert_int_equal(get(f, EMPTY + IS), 0);
}

/* While a command runs: a second one waits, stopping the port ends both, so does a reset. */
static void slow_disk(void **state)
{
    struct fixture *f = *state;

    start_port(f, HD);
    command(f, 0, 0x25, 3, 1, 0, 512, 0);
    command(f, 1, 0x60, 5, 1, 1, 512, 0);
    set(f, HD + SACT, 2);
    set(f, HD + CI, 3);
    assert_int_equal(get(f, HD + TFD) & 0x80, 0x80);
    assert_int_equal(get(f, HD + CI), 3);
    block_drain(f->a.disk);
    assert_int_equal(get(f, HD + CI), 0);
    block_drain(f->a.disk);
    assert_int_equal(get(f, HD + SACT), 0);
    check_disk(f, 0, 3 * 512, 512);
    check_disk(f, 1, 5 * 512, 512);
    set(f, HD + CI, 1);
    restart(f, HD);
    set(f, HD + CI, 1);
    set(f, HD + SCTL, 1);
    set(f, HD + SCTL, 0);
    assert_int_equal(get(f, HD + CI), 0);
    set(f, HD + CI, 1);
    set(f, 4, 1);
    assert_int_equal(get(f, HD + CI), 0);
}

static void software_reset(void **state)
{
    struct fixture *f = *state;
    uint8_t control = 0, srst = 4;

    start_port(f, HD);
    command(f, 0, 0, 0, 0, 0, 0, 0);
    put(f, TABLES + 1, &control, 1);
    put(f, TABLES + 15, &srst, 1);
    set(f, HD + CI, 1);
    assert_int_equal(get(f, HD + CI), 0);
    srst = 0;
    put(f, TABLES + 15, &srst, 1);
    set(f, HD + CI, 1);
    assert_int_equal(get(f, HD + CI), 0);
    assert_int_equal(get(f, HD + TFD) & 0xffff, 0x150);
    assert_int_equal(area(f, 0x40), 0x34);
}

static void cd_packets(void **state)
{
    struct fixture *f = *state;
    uint8_t read10[16] = {0x28, 0, 0, 0, 0, 2, 0, 0, 4}, data[8192], sense[12] = {3, 0, 0, 0, 18};

    start_port(f, CD);
    command(f, 0, 0xa0, 0, 0, 0, 8192, 1 << 5);
    put(f, TABLES + 0x40, read10, 16);
    set(f, CD + CI, 1); /* unit attention: it was just switched on */
    assert_int_equal(get(f, CD + TFD) & 1, 1);
    assert_int_equal(get(f, CD + TFD) >> 12 & 15, 6);
    restart(f, CD);
    set(f, CD + CI, 1);
    assert_int_equal(get(f, CD + CI), 0);
    assert_int_equal(get(f, CD + TFD) & 1, 0);
    space_read(f->a.rig.space, BUFFER, data, sizeof(data));
    assert_memory_equal(data, f->a.cd_bytes + 2 * 2048, sizeof(data));
    put(f, TABLES + 0x40, sense, 12);
    set(f, CD + CI, 1);
    assert_int_equal(space_load(f->a.rig.space, BUFFER, 1), 0xf0);
    assert_int_equal(space_load(f->a.rig.space, LIST + 4, 4), 18);
}

#define CASE(test)      cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define SLOW_CASE(test) cmocka_unit_test_setup_teardown(test, set_up_deferred, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(signatures),
                                       CASE(commands_one_by_one),
                                       SLOW_CASE(queued_commands),
                                       SLOW_CASE(queue_fails_as_one),
                                       CASE(errors),
                                       SLOW_CASE(slow_disk),
                                       CASE(software_reset),
                                       CASE(cd_packets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2 against a model in memory: random requests, with clusters of several sizes, over backing
 * disks, and with the power cut at any write. tests/io/qcow2-test.sh holds it to QEMU's tools.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/disk_sim.h"
#include "io/qcow2.h"

enum { SECTORS = 1024, DISK = SECTORS * 512, LIMIT = 4 << 20, MAY_BE = 24 };

struct rig {
    uint64_t random;
    unsigned cluster_bits;
    bool backed, discard;
    struct disk *file, *image;
    uint64_t stamp;
    /* What each sector holds (0: zeroes), and, since the last flush, what else it may. */
    uint64_t now[SECTORS], may_be[SECTORS][MAY_BE];
    unsigned may_count[SECTORS];
};

static uint32_t draw(struct rig *t, uint32_t below)
{
    t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(t->random >> 33) % below;
}

/* A sector is its stamp, repeated. */
static void fill(uint8_t *sector, uint64_t stamp)
{
    for (unsigned i = 0; i < 512; i += 8)
        memcpy(sector + i, &stamp, 8);
}

static struct disk *backing_disk(const struct rig *t)
{
    static uint8_t bytes[DISK / 2];

    if (!t->backed)
        return NULL;
    for (unsigned i = 0; i < DISK / 2 / 512; i++)
        fill(bytes + i * 512ul, i % 3 ? 0xb000 + i : 0);
    return disk_sim_new(bytes, sizeof bytes, 0, NULL);
}

static void open_image(struct rig *t, bool check)
{
    const struct qcow2_options o = {.discard = t->discard, .check = check};
    struct error err = {0};

    t->image = qcow2_open(t->file, backing_disk(t), "test", &o, &err);
    if (!t->image)
        print_error("%s\n", error_text(&err));
    assert_non_null(t->image);
}

static void begin(struct rig *t, unsigned seed, unsigned cluster_bits, bool backed)
{
    const struct qcow2_create c = {.size = DISK,
                                   .cluster_bits = cluster_bits,
                                   .backing = backed ? "base" : NULL,
                                   .backing_format = "raw"};

    memset(t, 0, sizeof *t);
    t->random = seed;
    t->cluster_bits = cluster_bits;
    t->backed = backed;
    t->discard = seed & 2; /* without it freed clusters keep what they had */
    if (backed)
        for (unsigned i = 0; i < SECTORS / 2; i++)
            t->now[i] = i % 3 ? 0xb000 + i : 0;
    for (unsigned i = 0; i < SECTORS; i++) {
        t->may_be[i][0] = t->now[i];
        t->may_count[i] = 1;
    }
    t->file = disk_sim_new(NULL, 0, LIMIT, NULL);
    assert_int_equal(qcow2_create(t->file, &c, NULL), 0);
    open_image(t, false);
}

static void remember(struct rig *t, uint32_t first, uint32_t count, bool zero, uint64_t stamp)
{
    for (uint32_t i = first; i < first + count; i++) {
        t->now[i] = zero ? 0 : stamp + i - first;
        if (t->may_count[i] < MAY_BE)
            t->may_be[i][t->may_count[i]++] = t->now[i];
    }
}

/* All that was written is durable. */
static void remember_flush(struct rig *t)
{
    for (uint32_t i = 0; i < SECTORS; i++) {
        t->may_be[i][0] = t->now[i];
        t->may_count[i] = 1;
    }
}

/* A sector whose history is full takes no more until a flush: the model must not forget. */
static bool has_room(const struct rig *t, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++)
        if (t->may_count[i] == MAY_BE)
            return false;
    return true;
}

/* One random request. 0 or what it failed with. */
static int step(struct rig *t)
{
    static uint8_t bytes[DISK];
    uint32_t count = 1 + draw(t, draw(t, 4) ? 16 : 200), first = draw(t, SECTORS - count + 1),
             what = draw(t, 16);
    int r;

    if (what == 0 || !has_room(t, first, count)) {
        r = disk_flush(t->image);
        if (r == 0)
            remember_flush(t);
        return r;
    }
    if (what <= 3) { /* a discard may do nothing to the clusters at its ends: cut them off */
        uint32_t per = 1u << (t->cluster_bits - 9), from = (first + per - 1) / per * per,
                 to = (first + count) / per * per;
        if (what == 1 && t->discard && from < to) {
            r = disk_discard(t->image, from * 512ull, (to - from) * 512ull);
            remember(t, from, to - from, true, 0);
            return r;
        }
        r = disk_write_zeroes(t->image, first * 512ull, count * 512ull, what == 2);
        remember(t, first, count, true, 0);
        return r;
    }
    t->stamp += 1000;
    for (uint32_t i = 0; i < count; i++)
        fill(bytes + i * 512ul, t->stamp + i);
    r = disk_write(t->image, first * 512ull, bytes, count * 512ul);
    remember(t, first, count, false, t->stamp);
    return r;
}

/* Compares with the model; with @crashed each sector may be anything it was since a flush. */
static void compare(struct rig *t, bool crashed)
{
    static uint8_t bytes[DISK];
    uint8_t want[512];

    assert_int_equal(disk_read(t->image, 0, bytes, DISK), 0);
    for (uint32_t i = 0; i < SECTORS; i++) {
        bool found = false;
        for (unsigned k = 0; crashed && !found && k < t->may_count[i]; k++) {
            fill(want, t->may_be[i][k]);
            found = memcmp(want, bytes + i * 512ul, 512) == 0;
        }
        fill(want, t->now[i]);
        if (!found && memcmp(want, bytes + i * 512ul, 512) != 0)
            fail_msg("sector %u is %#lx, not %#lx", i, *(unsigned long *)(bytes + i * 512ul),
                     (unsigned long)t->now[i]);
    }
}

/* The image as it is in the file: no error, and leaks only if they are allowed. */
static void check(struct rig *t, bool leaks, enum qcow2_repair repair)
{
    struct qcow2_check found;
    struct error err = {0};

    if (qcow2_check(t->image, repair, &found, &err) < 0)
        fail_msg("%s", error_text(&err));
    assert_int_equal(found.errors, 0);
    if (!leaks)
        assert_int_equal(found.leaks, 0);
}

/* Closes, keeping the file's bytes, and opens these again. */
static void again(struct rig *t, bool for_check)
{
    size_t len;
    void *bytes;

    /* What close writes last is seen before it frees the file. */
    assert_int_equal(disk_flush(t->image), 0);
    assert_int_equal(disk_flush(t->image), 0);
    bytes = disk_sim_crash(t->file, 0, &len);
    assert_int_equal(disk_close(t->image), 0);
    t->file = disk_sim_new(bytes, len, LIMIT, NULL);
    free(bytes);
    open_image(t, for_check);
}

static void random_requests(void **state)
{
    static struct rig t;

    (void)state;
    for (unsigned seed = 1; seed <= 24; seed++) {
        begin(&t, seed, 9 + seed % 6 * 2 % 8, seed & 1);
        for (unsigned i = 0; i < 400; i++) {
            assert_int_equal(step(&t), 0);
            if (i % 50 == 49)
                compare(&t, false);
            if (i % 200 == 199)
                again(&t, false);
        }
        again(&t, true);
        check(&t, false, QCOW2_REPAIR_NOT);
        compare(&t, false);
        disk_close(t.image);
    }
}

/* The power goes at each of many writes; the image is right and no flushed data is lost. */
static void power_cuts(void **state)
{
    static struct rig t;

    (void)state;
    for (unsigned seed = 1; seed <= 600; seed++) {
        size_t len;
        void *bytes;
        begin(&t, seed, 9 + seed % 5 * 3 % 7, seed & 1);
        for (unsigned i = draw(&t, 40); i; i--)
            assert_int_equal(step(&t), 0);
        disk_sim_fail_after(t.file, 1 + draw(&t, 120));
        for (unsigned i = 0; i < 200 && step(&t) == 0; i++)
            ;
        bytes = disk_sim_crash(t.file, seed % 4 ? seed : 0, &len);
        disk_close(t.image);
        t.file = disk_sim_new(bytes, len, LIMIT, NULL);
        free(bytes);
        open_image(&t, true);
        check(&t, true, QCOW2_REPAIR_LEAKS);
        check(&t, false, QCOW2_REPAIR_NOT);
        compare(&t, true);
        disk_close(t.image);
    }
}

/* A file system without room: requests fail, the image stays right, and what was there stays. */
static void full_file(void **state)
{
    static struct rig t;
    static uint8_t bytes[DISK];
    struct disk *small;
    size_t len;
    void *image;
    int r = 0;

    (void)state;
    begin(&t, 7, 12, false);
    assert_int_equal(disk_write(t.image, 0, "kept", 4), 0);
    image = (assert_int_equal(disk_flush(t.image), 0), disk_sim_crash(t.file, 0, &len));
    disk_close(t.image);
    small = disk_sim_new(image, len, len + 20 * 4096, NULL);
    free(image);
    t.file = small;
    open_image(&t, false);
    memset(bytes, 1, sizeof bytes);
    for (unsigned i = 1; r == 0 && i < DISK / 4096; i++)
        r = disk_write(t.image, i * 4096ul, bytes, 4096);
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(disk_flush(t.image), 0);
    assert_int_equal(disk_discard(t.image, 4096, 8192), 0);
    assert_int_equal(disk_flush(t.image), 0);
    assert_int_equal(disk_write(t.image, DISK / 2, bytes, 4096), 0);
    image = (assert_int_equal(disk_flush(t.image), 0), disk_sim_crash(t.file, 0, &len));
    disk_close(t.image);
    t.file = disk_sim_new(image, len, LIMIT, NULL);
    free(image);
    open_image(&t, true);
    check(&t, false, QCOW2_REPAIR_NOT);
    assert_int_equal(disk_read(t.image, 0, bytes, 4096), 0);
    assert_memory_equal(bytes, "kept", 4);
    disk_close(t.image);
}

/* The header at @offset becomes the bytes of @value (@n, big-endian): what open then says. */
static void refuse(const void *image, size_t len, size_t offset, uint64_t value, unsigned n,
                   const char *words)
{
    struct disk *file = disk_sim_new(image, len, 0, NULL), *opened;
    struct error err = {0};
    uint8_t bytes[8];

    for (unsigned i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> 8 * (n - 1 - i));
    assert_int_equal(disk_write(file, offset, bytes, n), 0);
    opened = qcow2_open(file, NULL, "test", &(struct qcow2_options){.readonly = true}, &err);
    assert_null(opened);
    if (!strstr(error_text(&err), words))
        fail_msg("\"%s\" has no \"%s\"", error_text(&err), words);
}

static void refusals(void **state)
{
    static struct rig t;
    size_t len;
    void *image;

    (void)state;
    begin(&t, 1, 16, false);
    image = disk_sim_crash(t.file, 0, &len);
    disk_close(t.image);
    refuse(image, len, 0, 0, 4, "no qcow2");
    refuse(image, len, 4, 4, 4, "version 4");
    refuse(image, len, 32, 2, 4, "encrypted (LUKS)");
    refuse(image, len, 20, 22, 4, "2^22");
    refuse(image, len, 20, 0xffffffff, 4, "2^");
    refuse(image, len, 36, 0xffffffff, 4, "L1 table");
    refuse(image, len, 36, 0, 4, "too small");
    refuse(image, len, 40, 12345, 8, "L1 table");
    refuse(image, len, 48, 1, 8, "reference count table");
    refuse(image, len, 56, 0, 4, "reference count table");
    refuse(image, len, 60, 0x7fffffff, 4, "snapshots");
    refuse(image, len, 72, 4, 8, "external data file");
    refuse(image, len, 72, 16, 8, "extended L2");
    refuse(image, len, 72, 1ull << 40, 8, "feature 40");
    refuse(image, len, 96, 7, 4, "2^7");
    refuse(image, len, 100, 4, 4, "header of 4");
    refuse(image, len, 8, 1ull << 40, 8, "backing");
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_requests),
        cmocka_unit_test(power_cuts),
        cmocka_unit_test(full_file),
        cmocka_unit_test(refusals),
    };
    log_level_max = LOG_LEVEL_ERROR; /* that the power went is no news */
    return cmocka_run_group_tests_name("qcow2", tests, NULL, NULL);
}

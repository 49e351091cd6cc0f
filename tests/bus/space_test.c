/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "bus/space.h"
#include "tests/test.h"

struct regs {
    uint64_t last_offset, last_value;
    unsigned last_size, reads, writes;
};

static uint64_t regs_read(void *dev, uint64_t offset, unsigned size)
{
    struct regs *r = dev;
    r->last_offset = offset;
    r->last_size = size;
    r->reads++;
    return 0x1122334455667788ull;
}

static void regs_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
    struct regs *r = dev;
    r->last_offset = offset;
    r->last_size = size;
    r->last_value = value;
    r->writes++;
}

static const struct mmio_ops regs_ops = {regs_read, regs_write};

struct fixture {
    struct gmem *ram;
    struct space *space;
    struct regs regs;
};

static struct fixture make(void)
{
    struct fixture f = {.ram = gmem_new(64 * GMEM_PAGE_SIZE, NULL)};
    f.space = space_new(f.ram, NULL);
    return f;
}

static void drop(struct fixture *f)
{
    space_free(f->space);
    gmem_free(f->ram);
}

static void priorities_hide_and_show(void **state)
{
    struct fixture f = make();
    static const uint8_t rom[GMEM_PAGE_SIZE] = {0xaa, 0xbb};
    struct space_range *over;
    struct space_hit hit;

    (void)state;
    assert_non_null(space_map_ram(f.space, "ram", 0, 16 * GMEM_PAGE_SIZE, 0, 0, NULL));
    assert_null(space_map_ram(f.space, "again", 0x3000, 0x1000, 0, 0, NULL));
    over = space_map_rom(f.space, "rom", 0x4000, GMEM_PAGE_SIZE, rom, 1, NULL);
    assert_non_null(over);
    space_store(f.space, 0x4000, 2, 0x1234);
    assert_int_equal(space_load(f.space, 0x4000, 2), 0xbbaa);
    space_resolve(f.space, 0x3ff0, &hit);
    assert_int_equal(hit.kind, SPACE_RAM);
    assert_int_equal(hit.left, 0x10);
    assert_int_equal(space_write(f.space, 0x3fff, "ab", 2), -EFAULT);
    assert_int_equal(space_load(f.space, 0x3fff, 1), 0); /* nothing was written */
    space_unmap(f.space, over);
    space_store(f.space, 0x3fff, 2, 0x1234);
    assert_int_equal(space_load(f.space, 0x3fff, 2), 0x1234);
    drop(&f);
}

static void mmio_gets_offset_and_size(void **state)
{
    struct fixture f = make();

    (void)state;
    space_map_mmio(f.space, "regs", 0xfee00000, 0x1000, &regs_ops, &f.regs, 0, NULL);
    assert_int_equal(space_load(f.space, 0xfee00010, 4), 0x55667788);
    assert_int_equal(f.regs.last_offset, 0x10);
    assert_int_equal(f.regs.last_size, 4);
    space_store(f.space, 0xfee00020, 8, 0xdeadbeefcafe);
    assert_int_equal(f.regs.last_value, 0xdeadbeefcafe);
    /* An access over the end is split, so that a device never sees bytes beyond its range. */
    f.regs = (struct regs){0};
    space_store(f.space, 0xfee00ffe, 4, 0x04030201);
    assert_int_equal(f.regs.writes, 2);
    assert_int_equal(f.regs.last_offset, 0xfff);
    assert_int_equal(space_load(f.space, 0x12345678000, 4), 0xffffffff);
    assert_int_equal(space_load(f.space, UINT64_MAX, 8) >> 56, 0xff);
    drop(&f);
}

static void spans_merge_and_bound(void **state)
{
    struct fixture f = make();
    struct space_span spans[2];

    (void)state;
    space_map_ram(f.space, "low", 0, 8 * GMEM_PAGE_SIZE, 0, 0, NULL);
    space_map_ram(f.space, "high", 0x100000, 8 * GMEM_PAGE_SIZE, 32, 0, NULL);
    assert_int_equal(space_spans(f.space, 0x800, 0x3000, true, spans, 2), 1);
    assert_int_equal(spans[0].len, 0x3000);
    assert_int_equal(space_spans(f.space, 0x7000, 0x2000, true, spans, 2), -EFAULT);
    assert_int_equal(space_spans(f.space, UINT64_MAX - 10, 100, false, spans, 2), -EFAULT);
    assert_int_equal(gmem_page_flags(f.ram, 0) & GMEM_DIRTY, GMEM_DIRTY);
    drop(&f);
}

static uint32_t port_read(void *dev, uint16_t offset, unsigned size)
{
    struct regs *r = dev;
    r->reads++;
    r->last_size = size;
    return 0x10u + offset;
}

static void port_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    regs_write(dev, offset, size, value);
}

static void ports_overlap_and_split(void **state)
{
    static const struct port_ops ops = {port_read, port_write};
    struct ports *p = ports_new(NULL);
    struct regs a = {0}, b = {0};
    struct port_range *over;

    (void)state;
    ports_map(p, "a", 0x100, 4, &ops, &a, NULL);
    assert_null(ports_map(p, "bad", 0xffff, 2, &ops, &a, NULL));
    assert_int_equal(ports_read(p, 0x101, 2), 0x11);
    assert_int_equal(ports_read(p, 0x102, 4), 0xffff1312);
    assert_int_equal(ports_read(p, 0x99, 4), 0xffffffff);
    over = ports_map(p, "b", 0x102, 2, &ops, &b, NULL);
    ports_write(p, 0x102, 1, 5);
    assert_int_equal(b.writes, 1);
    ports_unmap(p, over);
    ports_write(p, 0x102, 1, 5);
    assert_int_equal(a.writes, 1);
    ports_write(p, 0xffff, 4, 1);
    ports_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priorities_hide_and_show),
        cmocka_unit_test(mmio_gets_offset_and_size),
        cmocka_unit_test(spans_merge_and_bound),
        cmocka_unit_test(ports_overlap_and_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

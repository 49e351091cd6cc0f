/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "machine/boot.h"
#include "tests/test.h"

enum { MIB = 1 << 20 };

struct fixture {
    struct gmem *ram;
    struct space *space;
    struct boot_params p;
    struct boot_entry entry;
    struct error err;
};

static void make(struct fixture *f, uint64_t bytes)
{
    *f = (struct fixture){.ram = gmem_new(bytes, NULL)};
    f->space = space_new(f->ram, NULL);
    space_map_ram(f->space, "ram", 0, bytes, 0, 0, NULL);
    f->p = (struct boot_params){.space = f->space,
                                .low_memory = bytes,
                                .memory = bytes,
                                .rsdp = 0xf0000,
                                .append = "console=ttyS0 test",
                                .range_count = 2,
                                .ranges = {{0, 0x9fc00, 1}, {0x100000, bytes - 0x100000, 1}}};
}

static void drop(struct fixture *f)
{
    space_free(f->space);
    gmem_free(f->ram);
}

/* ---- images ---- */

enum { BZ_SETUP = 5 * 512, BZ_LEN = BZ_SETUP + 3000 };

static void make_bzimage(uint8_t *k)
{
    memset(k, 0, BZ_LEN);
    memset(k + BZ_SETUP, 0x90, BZ_LEN - BZ_SETUP);
    k[0x1f1] = 4;
    store_le16(k + 0x1fe, 0xaa55);
    k[0x201] = 0x6a;
    memcpy(k + 0x202, "HdrS", 4);
    store_le16(k + 0x206, 0x20f);
    k[0x211] = 1;
    store_le32(k + 0x22c, 0x7fffffff);
    store_le32(k + 0x230, 0x200000);
    store_le16(k + 0x236, 1);
    store_le32(k + 0x238, 64);
    store_le64(k + 0x258, 16 * MIB);
    store_le32(k + 0x260, 4 * MIB);
}

enum { ELF_LEN = 0x300 };

/* A 64-bit ELF: one segment at 1 MiB (file 0x200.., 64 bytes, 4096 in memory), one PVH note. */
static void make_elf(uint8_t *k)
{
    memset(k, 0, ELF_LEN);
    memcpy(k, "\177ELF\2\1\1", 7);
    store_le16(k + 16, 2);
    store_le16(k + 18, 62);
    store_le64(k + 24, 0x100000);
    store_le64(k + 32, 64);
    store_le16(k + 54, 56);
    store_le16(k + 56, 2);
    store_le32(k + 64, 1); /* PT_LOAD */
    store_le64(k + 64 + 8, 0x200);
    store_le64(k + 64 + 24, MIB);
    store_le64(k + 64 + 32, 64);
    store_le64(k + 64 + 40, 4096);
    store_le32(k + 120, 4); /* PT_NOTE */
    store_le64(k + 120 + 8, 0x280);
    store_le64(k + 120 + 32, 20);
    store_le32(k + 0x280, 4);
    store_le32(k + 0x284, 4);
    store_le32(k + 0x288, 18);
    memcpy(k + 0x28c, "Xen", 4);
    store_le32(k + 0x290, MIB + 16);
    memset(k + 0x200, 0xcc, 64);
}

static void make_multiboot(uint8_t *k)
{
    make_elf(k);
    store_le32(k + 0x2a0, 0x1badb002);
    store_le32(k + 0x2a4, 3);
    store_le32(k + 0x2a8, 0u - 0x1badb002u - 3);
}

static int load(struct fixture *f, const uint8_t *k, size_t len)
{
    f->p.kernel = k;
    f->p.kernel_len = len;
    return boot_load(&f->p, &f->entry, &f->err);
}

/* ---- tests ---- */

static void linux_gets_its_zero_page(void **state)
{
    uint8_t k[BZ_LEN], zp[4096], initrd[5000];
    struct fixture f;
    char text[32];

    (void)state;
    make(&f, 64 * MIB);
    make_bzimage(k);
    memset(initrd, 0x77, sizeof(initrd));
    f.p.initrd = initrd;
    f.p.initrd_len = sizeof(initrd);
    assert_int_equal(load(&f, k, sizeof(k)), 0);
    assert_string_equal(f.entry.protocol, "linux64");
    assert_int_equal(f.entry.rip, 16 * MIB + 0x200);
    assert_int_equal(f.entry.rsi, BOOT_ZERO_PAGE);
    space_read(f.space, f.entry.rsi, zp, sizeof(zp));
    assert_int_equal(zp[0x210], 0xff);
    assert_int_equal(load_le32(zp + 0x218), 64 * MIB - 8192);
    assert_int_equal(load_le32(zp + 0x21c), sizeof(initrd));
    assert_int_equal(load_le64(zp + 0x70), 0xf0000);
    assert_int_equal(zp[0x1e8], 2);
    assert_int_equal(load_le64(zp + 0x2d0 + 20), 0x100000);
    space_read(f.space, load_le32(zp + 0x228), text, 19);
    assert_string_equal(text, "console=ttyS0 test");
    assert_int_equal(space_load(f.space, 64 * MIB - 8192 + 4999, 1), 0x77);
    assert_int_equal(space_load(f.space, 16 * MIB, 1), 0x90);
    /* Identity map: the entry for address 0x40200000 (PD 1, entry 1). */
    assert_int_equal(space_load(f.space, f.entry.cr3 + 0x3000 + 8, 8), 0x40200083);
    drop(&f);
}

static void too_little_memory_names_the_figure(void **state)
{
    uint8_t k[BZ_LEN];
    struct fixture f;

    (void)state;
    make(&f, 19 * MIB);
    make_bzimage(k);
    assert_int_equal(load(&f, k, sizeof(k)), -ENOMEM);
    assert_string_equal(
        error_text(&f.err),
        "load kernel: the kernel needs at least 20 MiB of memory, this machine has 19 MiB");
    drop(&f);
}

static void cut_kernels_are_refused(void **state)
{
    uint8_t k[BZ_LEN];
    struct fixture f;

    (void)state;
    make(&f, 32 * MIB);
    make_bzimage(k);
    store_le32(k + 0x1f4, (BZ_LEN - BZ_SETUP + 15) / 16);
    assert_int_equal(load(&f, k, sizeof(k)), 0);
    assert_int_equal(load(&f, k, sizeof(k) - 100), -ENOEXEC);
    assert_non_null(strstr(error_text(&f.err), "cut off"));
    drop(&f);
}

static void long_command_lines_are_refused(void **state)
{
    uint8_t k[BZ_LEN];
    struct fixture f;
    char text[100];

    (void)state;
    make(&f, 32 * MIB);
    make_bzimage(k);
    memset(text, 'x', sizeof(text));
    text[65] = 0;
    f.p.append = text;
    assert_int_equal(load(&f, k, sizeof(k)), -EINVAL);
    text[64] = 0;
    assert_int_equal(load(&f, k, sizeof(k)), 0);
    drop(&f);
}

/* A payload as Linux packs it: ELF, then 64-bit, inverse and 32-bit relocations. */
static void unpacked_kernels_are_relocated(void **state)
{
    enum { LINK = 16 * MIB };
    uint8_t k[BZ_LEN], v[ELF_LEN + 32];
    uint64_t base = 0xffffffff80000000ull + LINK, slide;
    struct fixture f;

    (void)state;
    make(&f, 64 * MIB);
    make_bzimage(k);
    make_elf(v);
    store_le64(v + 24, LINK);
    store_le64(v + 64 + 24, LINK);
    store_le64(v + 0x200, base);           /* 64-bit place */
    store_le32(v + 0x208, (uint32_t)base); /* 32-bit place */
    store_le32(v + 0x20c, 1000);           /* inverse place */
    memset(v + ELF_LEN, 0, 32);
    store_le32(v + ELF_LEN + 4, (uint32_t)base);       /* 64-bit table after its 0 */
    store_le32(v + ELF_LEN + 12, (uint32_t)base + 12); /* inverse table */
    store_le32(v + ELF_LEN + 20, (uint32_t)base + 8);  /* 32-bit table */
    f.p.vmlinux = v;
    f.p.vmlinux_len = ELF_LEN + 24;
    f.p.random = 5;
    assert_int_equal(load(&f, k, sizeof(k)), 0);
    assert_int_equal(f.entry.rip, LINK);
    slide = 5 * 0x200000;
    assert_int_equal(space_load(f.space, LINK, 8), base + slide);
    assert_int_equal(space_load(f.space, LINK + 8, 4), (uint32_t)(base + slide));
    assert_int_equal(space_load(f.space, LINK + 12, 4), (uint32_t)(1000 - slide));
    assert_int_equal(space_load(f.space, BOOT_ZERO_PAGE + 0x211, 1) & 2, 2);
    /* A table that points outside the kernel is damage, not a write somewhere. */
    store_le32(v + ELF_LEN + 4, (uint32_t)base + 4090);
    assert_int_equal(load(&f, k, sizeof(k)), -ENOEXEC);
    f.p.append = "nokaslr";
    assert_int_equal(load(&f, k, sizeof(k)), 0);
    assert_int_equal(space_load(f.space, LINK, 8), base);
    drop(&f);
}

static void pvh_and_multiboot_start(void **state)
{
    uint8_t k[ELF_LEN], initrd[10] = "initrd";
    struct fixture f;

    (void)state;
    make(&f, 4 * MIB);
    f.p.initrd = initrd;
    f.p.initrd_len = sizeof(initrd);
    make_elf(k);
    assert_int_equal(load(&f, k, sizeof(k)), 0);
    assert_string_equal(f.entry.protocol, "pvh");
    assert_int_equal(f.entry.mode, BOOT_PROT32);
    assert_int_equal(f.entry.rip, MIB + 16);
    assert_int_equal(space_load(f.space, f.entry.rbx, 4), 0x336ec578);
    assert_int_equal(space_load(f.space, MIB, 1), 0xcc);
    make_multiboot(k);
    assert_int_equal(load(&f, k, sizeof(k)), 0);
    assert_string_equal(f.entry.protocol, "multiboot");
    assert_int_equal(f.entry.rax, 0x2badb002);
    assert_int_equal(f.entry.rip, MIB);
    assert_int_equal(space_load(f.space, f.entry.rbx + 20, 4), 1); /* one module */
    store_le32(k + 0x2a4, 4);
    store_le32(k + 0x2a8, 0u - 0x1badb002u - 4);
    assert_int_equal(load(&f, k, sizeof(k)), -ENOTSUP);
    drop(&f);
}

/* Every prefix of an image and every damaged byte is loaded or refused, never more. */
static void damage_is_survived(void **state)
{
    static void (*const makers[])(uint8_t *) = {make_elf, make_multiboot, make_bzimage};
    static const size_t lens[] = {ELF_LEN, ELF_LEN, BZ_LEN};
    static const uint8_t values[] = {0, 0xff, 0x80, 1};

    (void)state;
    for (size_t m = 0; m < array_size(makers); m++) {
        for (size_t len = 0; len < lens[m]; len += m == 2 ? 61 : 3) {
            uint8_t k[BZ_LEN], *exact = malloc(len ? len : 1);
            struct fixture f;
            makers[m](k);
            memcpy(exact, k, len); /* so that a sanitizer sees reads beyond the file */
            make(&f, 24 * MIB);
            load(&f, exact, len);
            drop(&f);
            free(exact);
        }
        for (size_t at = 0; at < 0x300; at++) {
            uint8_t k[BZ_LEN];
            struct fixture f;
            makers[m](k);
            k[at] = values[at % array_size(values)];
            make(&f, 24 * MIB);
            load(&f, k, lens[m]);
            drop(&f);
        }
    }
}

static void unknown_files_are_refused(void **state)
{
    struct fixture f;

    (void)state;
    make(&f, 4 * MIB);
    assert_int_equal(load(&f, (const uint8_t *)"hello", 5), -ENOEXEC);
    assert_non_null(strstr(error_text(&f.err), "neither a Linux bzImage nor"));
    assert_int_equal(load(&f, (const uint8_t *)"", 0), -ENOEXEC);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linux_gets_its_zero_page),
        cmocka_unit_test(too_little_memory_names_the_figure),
        cmocka_unit_test(long_command_lines_are_refused),
        cmocka_unit_test(cut_kernels_are_refused),
        cmocka_unit_test(unpacked_kernels_are_relocated),
        cmocka_unit_test(pvh_and_multiboot_start),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(unknown_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

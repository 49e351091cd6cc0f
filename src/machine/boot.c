/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot.h"

#include <errno.h>

#include "base/mem.h"

int boot_copy(const struct boot_params *p, uint64_t gpa, const void *bytes, size_t len,
              const char *what, struct error *err)
{
    if (space_write(p->space, gpa, bytes, len) < 0)
        return error_set(err, -EFAULT, "load %s at 0x%llx: there is no memory there for %zu bytes",
                         what, (unsigned long long)gpa, len);
    return 0;
}

int boot_too_small(const struct boot_params *p, const char *what, uint64_t bytes, struct error *err)
{
    return error_set(
        err, -ENOMEM, "%s needs at least %llu MiB of memory, this machine has %llu MiB", what,
        (unsigned long long)((bytes + (1 << 20) - 1) >> 20), (unsigned long long)(p->memory >> 20));
}

int boot_write_gdt(const struct boot_params *p, bool long_mode, struct boot_entry *ret,
                   struct error *err)
{
    /* Selectors 0x10 and 0x18 as the Linux boot protocol wants them (__BOOT_CS, __BOOT_DS). */
    uint64_t gdt[4] = {0, 0, long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
                       0x00cf93000000ffffull};

    ret->gdt = BOOT_GDT;
    ret->gdt_limit = sizeof(gdt) - 1;
    ret->cs = 0x10;
    ret->ds = 0x18;
    return boot_copy(p, BOOT_GDT, gdt, sizeof(gdt), "the boot descriptor table", err);
}

int boot_write_page_tables(const struct boot_params *p, struct boot_entry *ret, struct error *err)
{
    static const uint64_t present_write = 3, large = 0x80;
    uint64_t table[512] = {BOOT_PAGE_TABLES + 0x1000 + present_write};
    int r = boot_copy(p, BOOT_PAGE_TABLES, table, sizeof(table), "page tables", err);

    memset(table, 0, sizeof(table));
    for (unsigned i = 0; i < 4; i++)
        table[i] = BOOT_PAGE_TABLES + 0x2000 + i * 0x1000 + present_write;
    if (r == 0)
        r = boot_copy(p, BOOT_PAGE_TABLES + 0x1000, table, sizeof(table), "page tables", err);
    for (unsigned i = 0; i < 4 && r == 0; i++) {
        for (unsigned n = 0; n < 512; n++)
            table[n] = ((uint64_t)i << 30) + ((uint64_t)n << 21) + present_write + large;
        r = boot_copy(p, BOOT_PAGE_TABLES + 0x2000 + i * 0x1000, table, sizeof(table),
                      "page tables", err);
    }
    ret->cr3 = BOOT_PAGE_TABLES;
    return r;
}

int boot_write_cmdline(const struct boot_params *p, size_t max, struct error *err)
{
    const char *text = p->append ? p->append : "";
    size_t len = strlen(text);

    max = min_of(max, (size_t)BOOT_CMDLINE_MAX - 1);
    if (len > max)
        return error_set(err, -EINVAL,
                         "the kernel command line has %zu characters, this kernel takes %zu", len,
                         max);
    return boot_copy(p, BOOT_CMDLINE, text, len + 1, "the kernel command line", err);
}

int boot_place_initrd(const struct boot_params *p, uint64_t floor, uint64_t limit,
                      uint64_t *ret_addr, struct error *err)
{
    uint64_t top = min_of(limit, p->low_memory), need;

    *ret_addr = 0;
    if (!p->initrd_len)
        return 0;
    need = ((uint64_t)p->initrd_len + 0xfff) & ~0xfffull;
    floor = (floor + 0xfff) & ~0xfffull;
    if (top < floor || top - floor < need)
        return boot_too_small(p, "the kernel with this initrd", floor + need, err);
    *ret_addr = (top - need) & ~0xfffull;
    return boot_copy(p, *ret_addr, p->initrd, p->initrd_len, "the initrd", err);
}

int boot_load(const struct boot_params *p, struct boot_entry *ret, struct error *err)
{
    int r;

    *ret = (struct boot_entry){0};
    if (boot_is_linux(p->kernel, p->kernel_len))
        r = boot_load_linux(p, ret, err);
    else if (boot_is_multiboot(p->kernel, p->kernel_len))
        r = boot_load_multiboot(p, ret, err);
    else if (boot_is_elf(p->kernel, p->kernel_len))
        r = boot_load_pvh(p, ret, err);
    else
        r = error_set(
            err, -ENOEXEC,
            "the file is neither a Linux bzImage nor an ELF kernel with a PVH or multiboot entry");
    return r < 0 ? error_wrap(err, r, "load kernel") : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot Specification version 0.6.96. The initrd becomes the first module. */
#include <errno.h>

#include "base/mem.h"
#include "machine/boot.h"

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
enum { HEADER_WINDOW = 8192 };
enum {
    WANT_VIDEO = 1 << 2,
    HAS_ADDRESSES = 1 << 16,
    REQUIRED_BITS = 0xffff,
    KNOWN_REQUIRED = 3 | WANT_VIDEO
};

/* Section 3.3, the part that is filled. */
struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
        mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name,
        apm_table;
};
enum {
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODS = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_NAME = 1 << 9
};
struct multiboot_module {
    uint32_t start, end, string, reserved;
};
struct multiboot_range {
    uint32_t size;
    uint32_t addr_low, addr_high, len_low, len_high, type;
};
_Static_assert(sizeof(struct multiboot_range) == 24, "layout of the interface");

/* The header's offset: on a 4-byte boundary in the first 8 KiB, with a checksum. SIZE_MAX: none. */
static size_t find_header(const uint8_t *kernel, size_t len)
{
    size_t window = min_of(len, (size_t)HEADER_WINDOW);

    for (size_t at = 0; at + 12 <= window; at += 4)
        if (load_le32(kernel + at) == HEADER_MAGIC &&
            load_le32(kernel + at) + load_le32(kernel + at + 4) + load_le32(kernel + at + 8) == 0)
            return at;
    return SIZE_MAX;
}

bool boot_is_multiboot(const uint8_t *kernel, size_t len)
{
    return find_header(kernel, len) != SIZE_MAX;
}

/* Loads by the address fields of the header (section 3.1.3). */
static int load_by_addresses(const struct boot_params *p, size_t at, uint64_t *ret_entry,
                             uint64_t *ret_end, struct error *err)
{
    const uint8_t *h = p->kernel + at;
    uint32_t header_addr, load_addr, load_end, bss_end;
    size_t file_offset, bytes;
    int r;

    if (at + 32 > p->kernel_len)
        return error_set(err, -ENOEXEC, "the multiboot header is cut off");
    header_addr = load_le32(h + 12);
    load_addr = load_le32(h + 16);
    load_end = load_le32(h + 20);
    bss_end = load_le32(h + 24);
    *ret_entry = load_le32(h + 28);
    if (header_addr < load_addr || header_addr - load_addr > at)
        return error_set(err, -ENOEXEC, "the multiboot header's addresses contradict each other");
    file_offset = at - (header_addr - load_addr);
    bytes = p->kernel_len - file_offset;
    if (load_end) {
        if (load_end < load_addr || load_end - load_addr > bytes)
            return error_set(err, -ENOEXEC, "the multiboot load end lies outside the file");
        bytes = load_end - load_addr;
    }
    *ret_end = max_of((uint64_t)load_addr + bytes, (uint64_t)bss_end);
    if (load_addr < 0x100000 || *ret_end > p->low_memory)
        return boot_too_small(p, "the multiboot kernel", *ret_end, err);
    r = boot_copy(p, load_addr, p->kernel + file_offset, bytes, "the multiboot kernel", err);
    return r;
}

static int write_info(const struct boot_params *p, uint64_t initrd, struct error *err)
{
    enum { MODS = BOOT_INFO + 0x100, MMAP = BOOT_INFO + 0x200, NAME = BOOT_INFO + 0x180 };
    struct multiboot_range map[BOOT_RANGES];
    struct multiboot_module module = {.start = (uint32_t)initrd,
                                      .end = (uint32_t)(initrd + p->initrd_len)};
    struct multiboot_info info = {.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_NAME |
                                           (initrd ? INFO_MODS : 0),
                                  .mem_lower = 639,
                                  .mem_upper = (uint32_t)((p->low_memory - 0x100000) >> 10),
                                  .cmdline = BOOT_CMDLINE,
                                  .mods_count = initrd ? 1 : 0,
                                  .mods_addr = initrd ? MODS : 0,
                                  .mmap_length = p->range_count * (uint32_t)sizeof(map[0]),
                                  .mmap_addr = MMAP,
                                  .boot_loader_name = NAME};
    int r;

    for (unsigned i = 0; i < p->range_count; i++)
        map[i] = (struct multiboot_range){.size = 20,
                                          .addr_low = (uint32_t)p->ranges[i].start,
                                          .addr_high = (uint32_t)(p->ranges[i].start >> 32),
                                          .len_low = (uint32_t)p->ranges[i].len,
                                          .len_high = (uint32_t)(p->ranges[i].len >> 32),
                                          .type = p->ranges[i].type};
    r = boot_copy(p, BOOT_INFO, &info, sizeof(info), "the multiboot information", err);
    if (r == 0)
        r = boot_copy(p, MODS, &module, sizeof(module), "the multiboot modules", err);
    if (r == 0)
        r = boot_copy(p, MMAP, map, p->range_count * sizeof(map[0]), "the multiboot memory map",
                      err);
    if (r == 0)
        r = boot_copy(p, NAME, "Isola", 6, "the loader's name", err);
    return r;
}

int boot_load_multiboot(const struct boot_params *p, struct boot_entry *ret, struct error *err)
{
    size_t at = find_header(p->kernel, p->kernel_len);
    uint32_t flags = load_le32(p->kernel + at + 4);
    uint64_t entry = 0, end = 0, initrd;
    int r;

    if (flags & REQUIRED_BITS & ~(uint32_t)KNOWN_REQUIRED)
        return error_set(err, -ENOTSUP,
                         "the multiboot header requires features 0x%x that this loader lacks",
                         flags & REQUIRED_BITS & ~(uint32_t)KNOWN_REQUIRED);
    if (flags & WANT_VIDEO)
        return error_set(err, -ENOTSUP,
                         "the multiboot kernel requires a video mode, and there is no display");
    if (flags & HAS_ADDRESSES) {
        r = load_by_addresses(p, at, &entry, &end, err);
    } else {
        struct boot_elf elf;
        r = boot_elf_open(&elf, p->kernel, p->kernel_len, err);
        if (r == 0)
            r = boot_elf_load(&elf, p, 0, &end, err);
        if (r == 0)
            entry = elf.entry;
    }
    if (r < 0)
        return r;
    if (entry >= end)
        return error_set(err, -ENOEXEC, "the multiboot entry 0x%llx lies outside the kernel",
                         (unsigned long long)entry);
    r = boot_place_initrd(p, end, p->low_memory, &initrd, err);
    if (r == 0)
        r = boot_write_cmdline(p, BOOT_CMDLINE_MAX - 1, err);
    if (r == 0)
        r = write_info(p, initrd, err);
    if (r == 0)
        r = boot_write_gdt(p, false, ret, err);
    if (r < 0)
        return r;
    ret->protocol = "multiboot";
    ret->mode = BOOT_PROT32;
    ret->rip = entry;
    ret->rax = LOADER_MAGIC;
    ret->rbx = BOOT_INFO;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* PVH direct boot: xen/include/public/arch-x86/hvm/start_info.h and docs/misc/pvh.pandoc of Xen. */
#include <errno.h>

#include "base/mem.h"
#include "machine/boot.h"

enum { XEN_ELFNOTE_PHYS32_ENTRY = 18 };
#define START_INFO_MAGIC 0x336ec578u

/* Version 1 of the start information. */
struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};
struct modlist_entry {
    uint64_t paddr, size, cmdline, reserved;
};
struct memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "layout of the interface");
_Static_assert(sizeof(struct modlist_entry) == 32, "layout of the interface");
_Static_assert(sizeof(struct memmap_entry) == 24, "layout of the interface");

int boot_load_pvh(const struct boot_params *p, struct boot_entry *ret, struct error *err)
{
    enum { MODLIST = BOOT_INFO + 0x100, MEMMAP = BOOT_INFO + 0x200 };
    struct boot_elf elf;
    uint64_t entry, end, initrd;
    struct memmap_entry map[BOOT_RANGES];
    struct modlist_entry module;
    struct start_info info;
    int r = boot_elf_open(&elf, p->kernel, p->kernel_len, err);

    if (r < 0)
        return r;
    if (!boot_elf_note(&elf, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, &entry))
        return error_set(
            err, -ENOEXEC,
            "the ELF file has neither a PVH entry note nor a multiboot header, so it is no kernel "
            "that can be started directly");
    r = boot_elf_load(&elf, p, 0, &end, err);
    if (r < 0)
        return r;
    if (entry >= end)
        return error_set(err, -ENOEXEC, "the PVH entry 0x%llx lies outside the kernel",
                         (unsigned long long)entry);
    r = boot_place_initrd(p, end, p->low_memory, &initrd, err);
    if (r < 0)
        return r;
    r = boot_write_cmdline(p, BOOT_CMDLINE_MAX - 1, err);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < p->range_count; i++)
        map[i] = (struct memmap_entry){
            .addr = p->ranges[i].start, .size = p->ranges[i].len, .type = p->ranges[i].type};
    module = (struct modlist_entry){.paddr = initrd, .size = p->initrd_len};
    info = (struct start_info){.magic = START_INFO_MAGIC,
                               .version = 1,
                               .nr_modules = initrd ? 1 : 0,
                               .modlist = initrd ? MODLIST : 0,
                               .cmdline = BOOT_CMDLINE,
                               .rsdp = p->rsdp,
                               .memmap = MEMMAP,
                               .memmap_entries = p->range_count};
    r = boot_copy(p, BOOT_INFO, &info, sizeof(info), "the PVH start information", err);
    if (r == 0)
        r = boot_copy(p, MODLIST, &module, sizeof(module), "the PVH module list", err);
    if (r == 0)
        r = boot_copy(p, MEMMAP, map, p->range_count * sizeof(map[0]), "the PVH memory map", err);
    if (r == 0)
        r = boot_write_gdt(p, false, ret, err);
    if (r < 0)
        return r;
    ret->protocol = "pvh";
    ret->mode = BOOT_PROT32;
    ret->rip = entry;
    ret->rbx = BOOT_INFO;
    return 0;
}

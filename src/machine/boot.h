/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boot: putting a kernel into guest memory and a processor in front of it, without firmware.
 *
 *   Linux bzImage   Linux boot protocol (Documentation/x86/boot.rst), 64-bit or 32-bit entry; given
 * the unpacked payload too, the loader does what the kernel's decompressor would do PVH ELF
 * XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/arch-x86/hvm/start_info.h) multiboot 1 ELF Multiboot
 * Specification 0.6.96
 *
 * Loaders check everything they read: a broken file is an error that says what is wrong, and
 * nothing outside guest memory is touched.
 */
#ifndef MACHINE_BOOT_H
#define MACHINE_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "bus/space.h"

/* A range of guest-physical memory as firmware would report it (ACPI 6.4, 15.1). */
struct boot_range {
    uint64_t start, len;
    uint32_t type; /* 1 RAM, 2 reserved, 3 ACPI reclaimable */
};

enum { BOOT_RANGES = 8 };

/* A linear frame buffer of 32-bit pixels 0x00RRGGBB, or a VGA's text mode 3; neither: no screen. */
struct boot_screen {
    bool text;
    uint64_t address;
    unsigned width, height, line_bytes;
};

/* What the loaders know of the machine, and what is to be loaded. Everything is borrowed. */
struct boot_params {
    struct space *space;
    struct boot_range ranges[BOOT_RANGES];
    unsigned range_count;
    uint64_t low_memory; /* bytes of RAM from address 0 up to the hole below 4 GiB */
    uint64_t memory;     /* all RAM in bytes, for messages */
    uint64_t rsdp;       /* address of the ACPI root pointer */
    const uint8_t *kernel;
    size_t kernel_len;
    const uint8_t *vmlinux; /* unpacked payload of the bzImage, NULL: the guest unpacks it */
    size_t vmlinux_len;
    const uint8_t *initrd;
    size_t initrd_len;
    const char *append;
    struct boot_screen screen;
    uint64_t random; /* for the kernel's address-space randomisation; 0 = none */
};

/* How the boot processor starts. */
enum boot_mode {
    BOOT_LONG64, /* 64-bit mode, identity-mapped, RSI = argument */
    BOOT_PROT32, /* flat 32-bit protected mode, paging off */
};
struct boot_entry {
    const char *protocol; /* for inspect: "linux64", "linux32", "pvh", "multiboot" */
    enum boot_mode mode;
    uint64_t rip;
    uint64_t rax, rbx, rsi;
    uint64_t gdt; /* guest address of the GDT below (8 entries) */
    uint16_t gdt_limit;
    uint64_t cr3;    /* BOOT_LONG64: identity page tables of the first 4 GiB */
    uint16_t cs, ds; /* selectors of that GDT */
};

/* Recognises the format of the kernel and loads it. 0, or a negative errno with @err set. */
int boot_load(const struct boot_params *p, struct boot_entry *ret, struct error *err);

/* The loaders themselves; boot_load picks one. */
bool boot_is_linux(const uint8_t *kernel, size_t len);
int boot_load_linux(const struct boot_params *p, struct boot_entry *ret, struct error *err);
bool boot_is_elf(const uint8_t *kernel, size_t len);
int boot_load_pvh(const struct boot_params *p, struct boot_entry *ret, struct error *err);
bool boot_is_multiboot(const uint8_t *kernel, size_t len);
int boot_load_multiboot(const struct boot_params *p, struct boot_entry *ret, struct error *err);

/* ---- shared by the loaders ---- */

/* Where the loaders put their own things; all below 640 KiB and above the BIOS data area. */
enum {
    BOOT_GDT = 0x6000,
    BOOT_ZERO_PAGE = 0x7000,
    BOOT_INFO = 0x8000,        /* PVH start info, multiboot information */
    BOOT_PAGE_TABLES = 0x9000, /* PML4, PDPT, four page directories */
    BOOT_CMDLINE = 0x20000,
    BOOT_CMDLINE_MAX = 0x10000,
};

/* Writes a GDT of flat segments and fills the gdt, cs and ds members of @ret. */
int boot_write_gdt(const struct boot_params *p, bool long_mode, struct boot_entry *ret,
                   struct error *err);
/* Writes page tables that map the first 4 GiB onto themselves; sets ret->cr3. */
int boot_write_page_tables(const struct boot_params *p, struct boot_entry *ret, struct error *err);
/* Writes the command line at BOOT_CMDLINE; @max is the longest the kernel takes, without NUL. */
int boot_write_cmdline(const struct boot_params *p, size_t max, struct error *err);
/*
 * Copies the initrd as high as possible below @limit and low memory, above @floor. *ret_addr is 0
 * when there is none. -ENOMEM says how much memory would do.
 */
int boot_place_initrd(const struct boot_params *p, uint64_t floor, uint64_t limit,
                      uint64_t *ret_addr, struct error *err);
/* Copies into guest memory; -EFAULT with "@what does not fit" when it is not all RAM. */
int boot_copy(const struct boot_params *p, uint64_t gpa, const void *bytes, size_t len,
              const char *what, struct error *err);
/* The error for a machine that is too small: "needs at least N MiB of memory, this machine has M
 * MiB". */
int boot_too_small(const struct boot_params *p, const char *what, uint64_t bytes,
                   struct error *err);

/* ---- ELF, checked ---- */

struct boot_segment {
    uint64_t paddr, vaddr, file_offset, file_size, mem_size;
};
struct boot_elf {
    const uint8_t *data;
    size_t len;
    bool is64;
    uint64_t entry;
    unsigned count; /* program headers */
    uint64_t ph_offset;
    unsigned ph_size;
};
/* Opens an x86 ELF executable (32 or 64 bits). -ENOEXEC with the reason otherwise. */
int boot_elf_open(struct boot_elf *elf, const uint8_t *data, size_t len, struct error *err);
/* Program header @n if it is PT_LOAD with memory: 1 and *ret; 0 when it is something else;
 * -ENOEXEC. */
int boot_elf_segment(const struct boot_elf *elf, unsigned n, struct boot_segment *ret,
                     struct error *err);
/* Copies all PT_LOAD segments to their physical addresses plus @delta; *ret_end is where they end.
 */
int boot_elf_load(const struct boot_elf *elf, const struct boot_params *p, uint64_t delta,
                  uint64_t *ret_end, struct error *err);
/* Finds the note (@name, @type) in PT_NOTE segments: 1 and its first 8 bytes (zero-extended), or 0.
 */
int boot_elf_note(const struct boot_elf *elf, const char *name, uint32_t type, uint64_t *ret_value);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables of board pc (ACPI 6.4): RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET, DSDT. */
#ifndef MACHINE_ACPI_H
#define MACHINE_ACPI_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "bus/space.h"

/* Where the fixed hardware of board pc is. */
enum {
    PC_PM_BASE = 0x600, /* PM1a event, control and timer of the PIIX4 */
    PC_GPE_BASE = 0xafe0,
    PC_SCI = 9,
    PC_HPET_BASE = (int)0xfed00000,
    PC_IOAPIC_BASE = (int)0xfec00000,
    PC_LAPIC_BASE = (int)0xfee00000,
    PC_VMGENID_BASE = (int)0xfed80000,
    PC_VMGENID_GPE = 5,
    PC_PCI_HOLE = (int)0xc0000000, /* RAM below, PCI memory above */
    PC_PVPANIC_PORT = 0x505,
    PC_ACPI_TABLES = 0xe0000, /* 64 KiB for the tables */
    PC_RSDP = 0xf0000,
    PC_SMBIOS = 0xf1000,
};

struct acpi_config {
    unsigned cpus;
    unsigned serials;  /* bit i: COM(i + 1) is present */
    bool screen;       /* VGA, keyboard and mouse */
    uint16_t pm_base;  /* port of the PIIX4's PM block: PC_PM_BASE, or where firmware has put it */
    uint32_t pci_hole; /* first address of the PCI window below 4 GiB */
    uint64_t pci_hole64, pci_hole64_end; /* a window above 4 GiB; equal: none */
};

/* The tables as one blob, with the places that depend on where it lies. */
enum { ACPI_POINTERS = 32, ACPI_SUMS = 16 };
struct acpi_pointer {
    uint32_t at; /* offset of a little-endian address of a table */
    unsigned size;
};
struct acpi_sum {
    uint32_t start, len; /* the bytes that add up to 0 */
    uint32_t at;         /* offset of the checksum */
};
struct acpi_tables {
    struct str bytes; /* owned: str_done */
    struct acpi_pointer pointers[ACPI_POINTERS];
    struct acpi_sum sums[ACPI_SUMS];
    unsigned pointer_count, sum_count;
    uint32_t rsdt, xsdt; /* addresses */
};

/* Builds the tables for guest address @base. 0, or -ENOMEM with nothing to free. */
int acpi_build(const struct acpi_config *config, uint32_t base, struct acpi_tables *ret,
               struct error *err);

/* The root pointer: its size and where its members are. */
enum {
    ACPI_RSDP_SUM = 8,
    ACPI_RSDP_RSDT = 16,
    ACPI_RSDP_SUM_LEN = 20, /* bytes that the first checksum covers */
    ACPI_RSDP_XSDT = 24,
    ACPI_RSDP_SUM_ALL = 32,
    ACPI_RSDP_SIZE = 36,
};
void acpi_rsdp(uint8_t rsdp[ACPI_RSDP_SIZE], uint32_t rsdt, uint32_t xsdt);

/* Builds the tables and writes them at PC_ACPI_TABLES and PC_RSDP. */
int acpi_write(struct space *space, const struct acpi_config *config, struct error *err);

/*
 * The tables as firmware gets them: files "etc/acpi/tables", "etc/acpi/rsdp" and "etc/table-loader"
 * (QEMU's linker/loader script: allocate both, add their addresses to the pointers, fix the
 * checksums). Each is owned: str_done.
 */
struct acpi_files {
    struct str tables, rsdp, loader;
};
int acpi_make_files(const struct acpi_config *config, struct acpi_files *ret, struct error *err);
void acpi_files_done(struct acpi_files *f);

#endif

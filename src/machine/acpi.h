/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI tables of board pc (ACPI 6.4): RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET, DSDT. */
#ifndef MACHINE_ACPI_H
#define MACHINE_ACPI_H

#include <stdbool.h>

#include "base/error.h"
#include "bus/space.h"

/* Where the fixed hardware of board pc is. */
enum {
    PC_PM_BASE = 0x600, /* PM1a event, control and timer of the PIIX4 */
    PC_GPE_BASE = 0xafe0,
    PC_SCI = 9,
    PC_HPET_BASE = (int)0xfed00000,
    PC_IOAPIC_BASE = (int)0xfec00000,
    PC_LAPIC_BASE = (int)0xfee00000,
    PC_PCI_HOLE = (int)0xc0000000, /* RAM below, PCI memory above */
    PC_PVPANIC_PORT = 0x505,
    PC_ACPI_TABLES = 0xe0000, /* 64 KiB for the tables */
    PC_RSDP = 0xf0000,
    PC_SMBIOS = 0xf1000,
};

struct acpi_config {
    unsigned cpus;
    unsigned serials; /* bit i: COM(i + 1) is present */
    bool screen;      /* VGA, keyboard and mouse */
};

/* Builds the tables and writes them at PC_ACPI_TABLES and PC_RSDP. */
int acpi_write(struct space *space, const struct acpi_config *config, struct error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers by which ACPI tells an operating system of PCI devices that come and go (QEMU's
 * "ACPI PCI hotplug interface", ports 0xAE00-0xAE13): one bit for each slot of bus 0. The methods
 * that read them are the board's (its DSDT).
 */
#ifndef DEVICE_ACPI_PCIHP_H
#define DEVICE_ACPI_PCIHP_H

#include "bus/space.h"
#include "device/device.h"

enum { ACPI_PCIHP_BASE = 0xae00, ACPI_PCIHP_PORTS = 0x14 };
/* Registers, 32 bits each. */
enum { ACPI_PCIHP_UP = 0, ACPI_PCIHP_DOWN = 4, ACPI_PCIHP_EJECT = 8, ACPI_PCIHP_REMOVABLE = 12 };

struct acpi_pcihp;

struct acpi_pcihp_ops {
    void (*event)(void *opaque);                /* look at the registers: GPE 1 */
    void (*eject)(void *opaque, unsigned slot); /* the guest has let go of a removable slot */
    void *opaque;
};

struct acpi_pcihp *acpi_pcihp_new(struct ports *ports, const struct acpi_pcihp_ops *ops,
                                  struct error *err);
struct device *acpi_pcihp_device(struct acpi_pcihp *hp);

/* What stands in @slot (0..31) may be taken out. */
void acpi_pcihp_removable(struct acpi_pcihp *hp, unsigned slot, bool yes);
/* Tells the guest that something was put into @slot; asks it to let go of what is there. */
void acpi_pcihp_added(struct acpi_pcihp *hp, unsigned slot);
void acpi_pcihp_remove(struct acpi_pcihp *hp, unsigned slot);

#endif

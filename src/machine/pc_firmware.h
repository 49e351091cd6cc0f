/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What firmware leaves behind on a PC, done by the board for direct boots: PCI resources and
 * interrupt routing, ACPI power management, virtual-wire APIC mode, MTRRs, ACPI and SMBIOS tables.
 */
#ifndef MACHINE_PC_FIRMWARE_H
#define MACHINE_PC_FIRMWARE_H

#include "machine/pc.h"

/* After a reset of all devices and processors. */
int pc_firmware_setup(struct pc *pc, struct error *err);
/* Puts the boot processor in front of the kernel. */
void pc_firmware_enter(struct machine *m, const struct boot_entry *entry);

#endif

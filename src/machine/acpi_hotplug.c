/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of PCI hot-plug in the DSDT, over the registers of device/acpi_pcihp.h:
 *
 *   PCI0: a Device Sxx for each slot with _EJ0, which writes its bit; PCNT, which notifies the
 *         devices whose bits are set: 1 (device check) where something came, 3 (eject request)
 *         where something shall go
 *   \_GPE._E01 calls PCNT
 */
#include <stdio.h>

#include "device/acpi_pcihp.h"
#include "machine/acpi_hotplug.h"

static void slot_name(char name[5], unsigned slot)
{
    snprintf(name, 5, "S%02X_", slot);
}

static void notify_slots(struct aml *a)
{
    char name[5];

    aml_open_method(a, "DVNT", 2);
    for (unsigned slot = ACPI_HOTPLUG_FIRST; slot <= ACPI_HOTPLUG_LAST; slot++) {
        slot_name(name, slot);
        aml_open_if_bits(a, 0, 1u << slot);
        aml_notify(a, name, 1);
        aml_close(a);
    }
    aml_close(a);
}

void acpi_hotplug_slots(struct aml *a)
{
    static const char *const status[] = {"PCIU", "PCID"}, *const eject[] = {"PCEJ"};
    char name[5];

    aml_io_region(a, "PCST", ACPI_PCIHP_BASE + ACPI_PCIHP_UP, 8);
    aml_field32(a, "PCST", status, 2);
    aml_io_region(a, "PCSE", ACPI_PCIHP_BASE + ACPI_PCIHP_EJECT, 4);
    aml_field32(a, "PCSE", eject, 1);
    for (unsigned slot = ACPI_HOTPLUG_FIRST; slot <= ACPI_HOTPLUG_LAST; slot++) {
        slot_name(name, slot);
        aml_open_device(a, name);
        aml_name(a, "_ADR");
        aml_integer(a, (uint64_t)slot << 16);
        aml_name(a, "_SUN");
        aml_integer(a, slot);
        aml_open_method(a, "_EJ0", 1);
        aml_store_integer(a, 1u << slot, "PCEJ");
        aml_close(a);
        aml_close(a);
    }
    notify_slots(a);
    aml_open_method(a, "PCNT", 0);
    aml_call(a, "DVNT");
    aml_call(a, "PCIU");
    aml_integer(a, 1);
    aml_call(a, "DVNT");
    aml_call(a, "PCID");
    aml_integer(a, 3);
    aml_close(a);
}

void acpi_hotplug_event(struct aml *a)
{
    aml_open_scope(a, "\\_GPE");
    aml_open_method(a, "_E01", 0);
    aml_call(a, "\\/\3_SB_PCI0PCNT"); /* a path of three segments (20.2.2) */
    aml_close(a);
    aml_close(a);
}

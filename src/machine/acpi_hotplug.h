/* SPDX-License-Identifier: Apache-2.0 */
/* PCI hot-plug in the DSDT of board pc. */
#ifndef MACHINE_ACPI_HOTPLUG_H
#define MACHINE_ACPI_HOTPLUG_H

#include "machine/aml.h"

/* The slots that drives and network adapters can be put into while the machine runs, and the event
 * that says so. */
enum { ACPI_HOTPLUG_FIRST = 3, ACPI_HOTPLUG_LAST = 30, ACPI_HOTPLUG_GPE = 1 };

/* What belongs into the scope of the host bridge, and beside it. */
void acpi_hotplug_slots(struct aml *a);
void acpi_hotplug_event(struct aml *a);

#endif

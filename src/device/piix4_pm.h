/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power management of the PIIX4 (Intel 290562-001, chapter 7; ACPI 6.4 chapter 4.8): PM1a event and
 * control blocks, the 3.579545 MHz timer, the SCI, power button, S5, the APM command port 0xB2-0xB3
 * (ACPI enable 0xF1, disable 0xF0) and a GPE0 block at 0xAFE0. There is no SMBus: its base register
 * reads as zero.
 */
#ifndef DEVICE_PIIX4_PM_H
#define DEVICE_PIIX4_PM_H

#include "bus/clock.h"
#include "bus/irq.h"
#include "device/device.h"
#include "device/pci.h"

enum {
    PIIX4_PM_GPE0 = 0xafe0, /* 2 status bytes, 2 enable bytes */
    PIIX4_PM_S5 = 0,        /* SLP_TYP of the sleeping states, for the board's DSDT */
    PIIX4_PM_S3 = 1,
    PIIX4_PM_S4 = 2,
    PIIX4_PM_ACPI_ENABLE = 0xf1,
    PIIX4_PM_ACPI_DISABLE = 0xf0,
};

struct piix4_pm;

struct piix4_pm_ops {
    void (*poweroff)(void *opaque); /* SLP_EN with SLP_TYP S5 */
    void *opaque;
};

/* Adds the function as @slot.@fn; @sci is its level-triggered interrupt. NULL with @err set. */
struct piix4_pm *piix4_pm_new(struct pci_bus *bus, unsigned slot, unsigned fn, struct ports *ports,
                              struct gclock *clock, const struct irq_line *sci,
                              const struct piix4_pm_ops *ops, struct error *err);
struct device *piix4_pm_device(struct piix4_pm *pm);

/*
 * Puts the PM block at port @base (64 ports: PM1_EVT +0, PM1_CNT +4, PM_TMR +8) and enables it, as
 * firmware would after each reset; @acpi also hands it to the OS (SCI_EN).
 */
void piix4_pm_place(struct piix4_pm *pm, uint16_t base, bool acpi);
/* Where the PM block is now, 0 while it is disabled. */
uint16_t piix4_pm_base(const struct piix4_pm *pm);
/*
 * As a board that has no system-management mode presents itself to firmware after a reset: APMC's
 * SMI counts as set up (DEVACTB, so that firmware does not wait for it) and ACPI mode is always on.
 */
void piix4_pm_without_smm(struct piix4_pm *pm);
/* The button is pressed and let go. */
void piix4_pm_power_button(struct piix4_pm *pm);
/* What the RTC's interrupt is connected to besides IRQ 8: its rise sets RTC_STS. */
struct irq_line piix4_pm_rtc_input(struct piix4_pm *pm);
/* Sets status bit @bit (0..15) of GPE0. */
void piix4_pm_gpe(struct piix4_pm *pm, unsigned bit);

#endif

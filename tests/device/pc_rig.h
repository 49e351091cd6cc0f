/* SPDX-License-Identifier: Apache-2.0 */
/* All platform devices wired as on board pc, without processors: for tests over all of them. */
#ifndef TESTS_DEVICE_PC_RIG_H
#define TESTS_DEVICE_PC_RIG_H

#include "device/ata/ata.h"
#include "device/lapic.h"
#include "device/pci.h"
#include "device/ps2.h"
#include "io/display.h"
#include "rig.h"

enum { PC_RIG_DEVICES = 48, PC_RIG_CPUS = 2, PC_RIG_DISK = 32 << 10, PC_RIG_FLOPPY = 163840 };
#define PC_RIG_FLASH 0xffff0000u

struct pc_rig {
    struct rig rig;
    struct rig_char ch;
    struct i8259 *pic;
    struct ioapic *io;
    struct hpet *hpet;
    struct piix3 *piix3;
    struct piix4_pm *pm;
    struct uart16550 *uart;
    struct lapics *apics;
    struct pci_bus *bus;
    struct i8042 *kbc;
    struct ps2_device *keyboard, *mouse;
    struct ata_drive *hd, *cd;
    uint8_t flash_bytes[RIG_FLASH]; /* of the flash chip at PC_RIG_FLASH */
    uint8_t disk_bytes[PC_RIG_DISK], floppy_bytes[PC_RIG_FLOPPY];
    struct block *diskette, *disk, *disc, *slow_disc,
        *slow_disk;                /* slow: requests wait for block_drain */
    struct pci_function *function; /* one with all kinds of BARs, MSI-X and INTx */
    struct display *display;       /* of the VGA at slot 3 */
    struct device *device[PC_RIG_DEVICES];
    unsigned devices;
    unsigned intr[PC_RIG_CPUS], nmis, inits, sipis, resets, ends; /* what was driven */
};

/* A board at guest time @now. The struct must not move afterwards. */
void pc_rig_set_up(struct pc_rig *pc, uint64_t now);
void pc_rig_tear_down(struct pc_rig *pc);
/* Drives ISA interrupt / GSI @n. */
void pc_rig_gsi(struct pc_rig *pc, unsigned n, int level);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Drives of memory and a PCI bus for the tests of the ATA cables. */
#ifndef TESTS_DEVICE_ATA_RIG_H
#define TESTS_DEVICE_ATA_RIG_H

#include "device/ata/ata.h"
#include "device/pci.h"
#include "io/block_fault.h"
#include "rig.h"

enum { ATA_RIG_DISK = 4 << 20, ATA_RIG_CD = 256 << 10 };

struct ata_rig {
    struct rig rig;
    struct pci_bus *bus;
    uint8_t *disk_bytes, *cd_bytes;
    struct block *disk_mem, *disk, *disc; /* disk: disk_mem behind a block_fault */
    struct ata_drive *hd, *cd;
};

/* @deferred: requests wait for block_drain. */
void ata_rig_set_up(struct ata_rig *a, bool deferred);
/* After the cable was freed. */
void ata_rig_tear_down(struct ata_rig *a);
/* What byte @at of the disk holds at first. */
uint8_t ata_rig_byte(uint64_t at);

#endif

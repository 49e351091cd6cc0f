/* SPDX-License-Identifier: Apache-2.0 */
#include "ata_rig.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "io/block_mem.h"

uint8_t ata_rig_byte(uint64_t at)
{
    return (uint8_t)(at / 512 * 7 + at);
}

void ata_rig_set_up(struct ata_rig *a, bool deferred)
{
    struct irq_line intx;
    struct msi_sink msi;

    memset(a, 0, sizeof(*a));
    rig_set_up(&a->rig);
    intx = rig_line(&a->rig, 0);
    intx.set = NULL;
    msi = rig_msi(&a->rig);
    a->bus = pci_bus_new(a->rig.space, a->rig.ports, &intx, &msi, NULL);
    a->disk_bytes = mem_alloc(1, ATA_RIG_DISK);
    a->cd_bytes = mem_alloc(1, ATA_RIG_CD);
    assert(a->bus && a->disk_bytes && a->cd_bytes);
    for (unsigned i = 0; i < ATA_RIG_DISK; i++)
        a->disk_bytes[i] = ata_rig_byte(i);
    for (unsigned i = 0; i < ATA_RIG_CD; i++)
        a->cd_bytes[i] = (uint8_t)(i / 2048 + i);
    a->disk_mem = block_mem_new(a->disk_bytes, ATA_RIG_DISK, false, deferred, NULL);
    strcpy(a->disk_mem->serial, "disk-0123456789abcde");
    a->disk = block_fault_new(a->disk_mem, NULL);
    a->disc = block_mem_new(a->cd_bytes, ATA_RIG_CD, true, deferred, NULL);
    a->hd = ata_drive_new("hd", a->disk, false, NULL);
    a->cd = ata_drive_new("cd", a->disc, true, NULL);
    assert(a->disk && a->disc && a->hd && a->cd);
}

void ata_rig_tear_down(struct ata_rig *a)
{
    pci_bus_free(a->bus);
    a->hd->dev.free(&a->hd->dev);
    a->cd->dev.free(&a->cd->dev);
    block_close(a->disk);
    block_close(a->disk_mem);
    block_close(a->disc);
    free(a->disk_bytes);
    free(a->cd_bytes);
    rig_tear_down(&a->rig);
}

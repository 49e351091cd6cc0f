/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drives of board pc that are not virtio: on the PIIX3's IDE channels (00:01.1), where a CD
 * drive is the master of the second channel, and on AHCI (00:1f.0), where it has the last port.
 * Disks take the other places in order. A controller without drives is left out.
 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "device/ata/ahci.h"
#include "device/ata/ide.h"
#include "device/fdc.h"
#include "device/i8237.h"
#include "device/mc146818.h"
#include "machine/pc.h"

enum { IDE_CD = 2, AHCI_CD = AHCI_PORTS - 1, AHCI_SLOT = 31 };

static struct irq_line isa_irq(struct pc *pc, unsigned irq)
{
    return (struct irq_line){.set = pc_isa_irq, .opaque = pc, .input = irq};
}

static struct ata_drive *add_drive(struct pc *pc, const char *name, struct block *block, bool cd,
                                   struct error *err)
{
    struct ata_drive *d = ata_drive_new(name, block, cd, err);

    if (!d)
        return NULL;
    machine_add_device(pc->machine, ata_drive_device(d));
    pc->ata[pc->ata_count++] = d;
    if (cd)
        pc->cd = d;
    return d;
}

/* The Open Firmware path, as firmware builds it from what it finds. */
static void note_boot_path(struct pc *pc, unsigned drive, enum machine_bus bus, unsigned place)
{
    bool ide = bus == MACHINE_BUS_IDE;

    snprintf(pc->boot_path[drive], sizeof(pc->boot_path[drive]), "/pci@i0cf8/%s/drive@%x/disk@%u",
             ide ? "ide@1,1" : "sata@1f", ide ? place / 2 : place, ide ? place % 2 : 0);
}

/* Puts the drives of @bus into @places. */
static int fill(struct pc *pc, enum machine_bus bus, struct ata_drive **places, unsigned count,
                unsigned cd_place, struct error *err)
{
    const struct machine_config *c = &pc->machine->config;
    const char *kind = bus == MACHINE_BUS_IDE ? "ide" : "ahci";
    unsigned place = 0;
    char name[32];

    if (c->cdrom && c->cdrom_bus == bus) {
        snprintf(name, sizeof(name), "%s-cd", kind);
        places[cd_place] = add_drive(pc, name, c->disc, true, err);
        if (!places[cd_place])
            return -ENOMEM;
        note_boot_path(pc, MACHINE_DRIVES, bus, cd_place);
    }
    for (unsigned i = 0; i < c->drive_count; i++) {
        if (c->drive_bus[i] != bus)
            continue;
        while (place < count && places[place])
            place++;
        if (place == count)
            return error_set(err, -ENOSPC, "bus %s has %u places for disks and the CD drive", kind,
                             count);
        snprintf(name, sizeof(name), "%s-disk%u", kind, place);
        places[place] = add_drive(pc, name, c->drives[i], false, err);
        if (!places[place])
            return -ENOMEM;
        note_boot_path(pc, i, bus, place);
    }
    return 0;
}

static bool any(struct ata_drive *const *places, unsigned count)
{
    while (count--)
        if (places[count])
            return true;
    return false;
}

static int create_ide(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct ata_drive *places[IDE_DRIVES] = {NULL};
    struct irq_line irqs[IDE_CHANNELS] = {isa_irq(pc, 14), isa_irq(pc, 15)};
    struct ide *ide;
    int r = fill(pc, MACHINE_BUS_IDE, places, IDE_DRIVES, IDE_CD, err);

    if (r < 0 || !any(places, IDE_DRIVES))
        return r;
    ide = ide_new(pc->pci, 1, 1, m->ports, m->space, places, irqs, err);
    if (!ide)
        return -ENOMEM;
    machine_add_device(m, ide_device(ide));
    return 0;
}

static int create_ahci(struct pc *pc, struct error *err)
{
    struct ata_drive *places[AHCI_PORTS] = {NULL};
    struct ahci *ahci;
    int r = fill(pc, MACHINE_BUS_AHCI, places, AHCI_PORTS, AHCI_CD, err);

    if (r < 0 || !any(places, AHCI_PORTS))
        return r;
    ahci = ahci_new(pc->pci, AHCI_SLOT, pc->machine->space, places, err);
    if (!ahci)
        return -ENOMEM;
    machine_add_device(pc->machine, ahci_device(ahci));
    return 0;
}

/* The drives' types and number are in CMOS for firmware and old drivers. */
static int create_floppy(struct pc *pc, struct error *err)
{
    enum { CMOS_FLOPPIES = 0x10, CMOS_EQUIPMENT = 0x14 };
    enum { EQUIPMENT_FLOPPY = 1 << 0, EQUIPMENT_FPU = 1 << 1, EQUIPMENT_MOUSE = 1 << 2 };
    struct machine *m = pc->machine;
    const bool present[FDC_DRIVES] = {true};
    struct irq_line irq = isa_irq(pc, 6);
    struct i8237 *dma;

    if (!m->config.floppy)
        return 0;
    dma = i8237_new(m->ports, m->space, err);
    if (!dma)
        return -ENOMEM;
    machine_add_device(m, i8237_device(dma));
    pc->fdc = fdc_new(m->ports, dma, &irq, present, err);
    if (!pc->fdc)
        return -ENOMEM;
    machine_add_device(m, fdc_device(pc->fdc));
    if (fdc_change(pc->fdc, 0, m->config.diskette, err) < 0)
        return error_wrap(err, -EINVAL, "floppy disk");
    mc146818_set_cmos(pc->rtc, CMOS_FLOPPIES, (uint8_t)(fdc_cmos_type(pc->fdc, 0) << 4));
    mc146818_set_cmos(pc->rtc, CMOS_EQUIPMENT, EQUIPMENT_FLOPPY | EQUIPMENT_FPU | EQUIPMENT_MOUSE);
    snprintf(pc->boot_path[MACHINE_DRIVES + 1], sizeof(pc->boot_path[0]),
             "/pci@i0cf8/isa@1/fdc@03f0/floppy@0");
    return 0;
}

int pc_create_drives(struct pc *pc, struct error *err)
{
    int r = create_ide(pc, err);

    if (r == 0)
        r = create_ahci(pc, err);
    return r < 0 ? r : create_floppy(pc, err);
}

void pc_drives_stats(struct pc *pc, struct machine_stats *ret)
{
    for (unsigned i = 0; i < pc->ata_count; i++) {
        ret->block_read += pc->ata[i]->read_bytes;
        ret->block_written += pc->ata[i]->written_bytes;
    }
    if (pc->fdc) {
        struct fdc_stats st;
        fdc_stats(pc->fdc, &st);
        ret->block_read += st.read_bytes;
        ret->block_written += st.written_bytes;
    }
}

static int change_diskette(struct pc *pc, struct block *block, struct block **ret_old,
                           struct error *err)
{
    struct block *old;
    int r;

    if (!pc->fdc)
        return error_set(err, -ENODEV,
                         "the machine has no floppy drive; start it with --floppy FILE or "
                         "--floppy none");
    old = fdc_diskette(pc->fdc, 0);
    if (old)
        block_drain(old);
    r = fdc_change(pc->fdc, 0, block, err);
    if (r == 0)
        *ret_old = old;
    return r;
}

int pc_set_medium(struct machine *m, enum machine_medium which, struct block *block,
                  struct block **ret_old, struct error *err)
{
    struct pc *pc = m->pc;

    if (which == MACHINE_FLOPPY)
        return change_diskette(pc, block, ret_old, err);
    if (!pc->cd)
        return error_set(err, -ENODEV,
                         "the machine has no CD drive; start it with --cdrom FILE or --cdrom none");
    *ret_old = pc->cd->block;
    if (*ret_old)
        block_drain(*ret_old);
    ata_cd_change(pc->cd, block);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drives of board pc that are not virtio: the PIIX3's IDE channels at 00:01.1. A CD drive is
 * the master of the second channel, disks take the other places in order. A controller without
 * drives is left out.
 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "device/ata/ide.h"
#include "machine/pc.h"

enum { CD_PLACE = 2 };

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

static int fill_ide(struct pc *pc, struct ata_drive *places[IDE_DRIVES], struct error *err)
{
    const struct machine_config *c = &pc->machine->config;
    unsigned place = 0;
    char name[32];

    if (c->cdrom && c->cdrom_bus == MACHINE_BUS_IDE) {
        places[CD_PLACE] = add_drive(pc, "ide-1.0", c->disc, true, err);
        if (!places[CD_PLACE])
            return -ENOMEM;
    }
    for (unsigned i = 0; i < c->drive_count; i++) {
        if (c->drive_bus[i] != MACHINE_BUS_IDE)
            continue;
        while (place < IDE_DRIVES && places[place])
            place++;
        if (place == IDE_DRIVES)
            return error_set(err, -ENOSPC, "more IDE drives than its %d places, CD drive included",
                             IDE_DRIVES);
        snprintf(name, sizeof(name), "ide-%u.%u", place / 2, place % 2);
        places[place] = add_drive(pc, name, c->drives[i], false, err);
        if (!places[place])
            return -ENOMEM;
    }
    return 0;
}

static int create_ide(struct pc *pc, struct error *err)
{
    struct machine *m = pc->machine;
    struct ata_drive *places[IDE_DRIVES] = {NULL};
    struct irq_line irqs[IDE_CHANNELS] = {isa_irq(pc, 14), isa_irq(pc, 15)};
    struct ide *ide;
    int r = fill_ide(pc, places, err);

    if (r < 0)
        return r;
    if (!places[0] && !places[1] && !places[2] && !places[3])
        return 0;
    ide = ide_new(pc->pci, 1, 1, m->ports, m->space, places, irqs, err);
    if (!ide)
        return -ENOMEM;
    machine_add_device(m, ide_device(ide));
    return 0;
}

int pc_create_drives(struct pc *pc, struct error *err)
{
    return create_ide(pc, err);
}

void pc_drives_stats(struct pc *pc, struct machine_stats *ret)
{
    for (unsigned i = 0; i < pc->ata_count; i++) {
        ret->block_read += pc->ata[i]->read_bytes;
        ret->block_written += pc->ata[i]->written_bytes;
    }
}

int pc_set_medium(struct machine *m, enum machine_medium which, struct block *block,
                  struct block **ret_old, struct error *err)
{
    struct pc *pc = m->pc;

    if (!pc->cd)
        return error_set(err, -ENODEV,
                         "the machine has no CD drive; start it with --cdrom FILE or --cdrom none");
    *ret_old = pc->cd->block;
    if (*ret_old)
        block_drain(*ret_old);
    ata_cd_change(pc->cd, block);
    return 0;
}

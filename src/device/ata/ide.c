/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel is idle, takes the bytes of a packet command, or carries out an action (ata_job). Data
 * of PIO pass through `pio`, one DRQ block at a time; data of DMA go along the guest's list of
 * physical regions (PRDs), but not before the bus master's start bit is set. An end is told only
 * when the host has taken all data (`finished`).
 *
 * Sections without a name are those of ATA/ATAPI-7 volume 2 (T13/1532-D).
 */
#include "device/ata/ide.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "device/ata/ata_job.h"

enum { PIO_BYTES = ATA_MULTIPLE * ATA_SECTOR };
enum phase { P_IDLE, P_PACKET, P_DATA };
enum { CONTROL_NIEN = 0x02, CONTROL_SRST = 0x04, CONTROL_HOB = 0x80 };
enum { REASON_COMMAND = 1, REASON_IN = 2 }; /* interrupt reason, in the count register */
enum { COMMAND_DEVICE_RESET = 0x08 };
/* Bus master registers. */
enum { BM_COMMAND, BM_STATUS = 2, BM_TABLE = 4, BM_SIZE = 8 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INTERRUPT = 0x04, BM_CAPABLE = 0x60 };
/* Configuration: IDETIM, whose bit 15 lets a channel answer. */
enum { IDETIM = 0x40, IDETIM_DECODE = 0x8000 };
#define PRD_LAST 0x80000000u
/* A list lies within 64 KiB. */
enum { PRD_SIZE = 8, PRDS_MAX = 65536 / PRD_SIZE };

struct ide_channel {
    struct ide *ide;
    struct ata_drive *drive[2];
    struct irq_line irq;
    struct port_range *command_ports, *control_port;
    struct ata_job job;
    /* State. */
    struct ata_regs regs[2];
    uint8_t selected, control, interrupt, phase, finished, pio_full;
    int32_t result; /* of what is finished */
    uint32_t pio_at, pio_len;
    uint8_t pio[PIO_BYTES];
    uint8_t bm_command, bm_status;
    uint32_t bm_table, prd, prd_base, prd_left;
    uint16_t prds; /* regions begun; PRDS_MAX: the list has ended */
};

struct ide {
    struct device dev;
    struct ports *ports;
    struct space *space;
    struct pci_function *pci;
    struct ide_channel channel[IDE_CHANNELS];
};

static void update_irq(struct ide_channel *ch)
{
    irq_set(&ch->irq, ch->interrupt && !(ch->control & CONTROL_NIEN));
}

static void raise_irq(struct ide_channel *ch)
{
    ch->interrupt = 1;
    ch->bm_status |= BM_INTERRUPT;
    update_irq(ch);
}

static void lower_irq(struct ide_channel *ch)
{
    ch->interrupt = 0;
    update_irq(ch);
}

static struct ata_drive *drive_of(const struct ide_channel *ch)
{
    return ch->drive[ch->selected];
}

static struct ata_regs *regs_of(struct ide_channel *ch)
{
    return &ch->regs[ch->selected];
}

/* ---- ends ---- */

/* The list is used up to its last byte. */
static bool list_ended(const struct ide_channel *ch)
{
    return ch->prds == PRDS_MAX && !ch->prd_left;
}

static void finish(struct ide_channel *ch, int result)
{
    const struct ata_action *a = &ch->job.action;
    bool dma = a->protocol == ATA_P_DMA_IN || a->protocol == ATA_P_DMA_OUT,
         silent = a->protocol == ATA_P_PIO_IN && !a->packet && result == 0;

    ch->finished = 0;
    ch->phase = P_IDLE;
    if (dma && result == -ENOBUFS) { /* a list that is too short: the master stops, silently */
        ch->bm_status &= (uint8_t)~BM_ACTIVE;
        result = 0;
        silent = true;
    }
    if (dma && result < 0)
        ch->bm_status = (uint8_t)((ch->bm_status & ~BM_ACTIVE) | BM_ERROR);
    if (dma && list_ended(ch))
        ch->bm_status &= (uint8_t)~BM_ACTIVE;
    ata_end(drive_of(ch), a, result, regs_of(ch));
    if (!silent)
        raise_irq(ch);
}

static void job_ended(struct ata_job *job, int result)
{
    struct ide_channel *ch = job->opaque;

    if (job->action.protocol == ATA_P_PIO_IN && ch->pio_at < ch->pio_len) {
        ch->finished = 1;
        ch->result = result;
        return;
    }
    finish(ch, result);
}

/* ---- PIO ---- */

static void offer_block(struct ide_channel *ch, uint32_t len, bool interrupt)
{
    ch->pio_at = 0;
    ch->pio_len = len;
    regs_of(ch)->status = ATA_READY | ATA_DRQ;
    if (interrupt)
        raise_irq(ch);
}

static int64_t pio_in(struct ide_channel *ch, const uint8_t *bytes, uint32_t n)
{
    struct ata_regs *r = regs_of(ch);

    if (ch->pio_at < ch->pio_len)
        return 0;
    n = min_of(n, (uint32_t)PIO_BYTES);
    n = min_of(n, ch->job.action.drq);
    memcpy(ch->pio, bytes, n);
    if (ch->job.action.packet) {
        r->count[0] = REASON_IN;
        r->lba[0][1] = (uint8_t)n;
        r->lba[0][2] = (uint8_t)(n >> 8);
    }
    offer_block(ch, n, true);
    return n;
}

static int64_t pio_out(struct ide_channel *ch, uint8_t *bytes, uint32_t n)
{
    if (ch->pio_full && ch->pio_len == n) {
        memcpy(bytes, ch->pio, n);
        ch->pio_full = 0;
        return n;
    }
    offer_block(ch, n, ch->job.done > 0);
    return 0;
}

static void start_packet(struct ide_channel *ch)
{
    struct ata_regs *r = regs_of(ch);
    uint8_t packet[ATA_PACKET];
    uint32_t limit = r->lba[0][1] | (uint32_t)r->lba[0][2] << 8;

    memcpy(packet, ch->pio, sizeof(packet));
    /* Blocks have an even size, unless they are the last (7.21.3, byte count limit). */
    limit &= ~1u;
    if (!limit)
        limit = 0xfffe;
    ata_packet(drive_of(ch), packet, r->feature[0] & 1 ? 0 : limit, &ch->job.action);
    ch->job.piece = ATA_JOB_BUFFER;
    ch->phase = P_DATA;
    ata_job_start(&ch->job, drive_of(ch));
}

/* The host has moved the last byte of a block. */
static void block_ended(struct ide_channel *ch)
{
    regs_of(ch)->status = ATA_BSY;
    if (ch->phase == P_PACKET) {
        start_packet(ch);
    } else if (ch->finished) {
        finish(ch, ch->result);
    } else {
        ch->pio_full = ch->job.action.protocol == ATA_P_PIO_OUT;
        ata_job_run(&ch->job);
    }
}

static bool host_may_move(struct ide_channel *ch, bool in)
{
    const struct ata_action *a = &ch->job.action;

    if (ch->pio_at >= ch->pio_len || ch->phase == P_IDLE || !(regs_of(ch)->status & ATA_DRQ))
        return false;
    return in == (ch->phase == P_DATA && a->protocol == ATA_P_PIO_IN);
}

static uint32_t data_read(struct ide_channel *ch, unsigned size)
{
    uint32_t value = 0;
    unsigned n;

    if (!host_may_move(ch, true))
        return UINT32_MAX;
    n = min_of(size, (unsigned)(ch->pio_len - ch->pio_at));
    memcpy(&value, ch->pio + ch->pio_at, n);
    ch->pio_at += n;
    if (ch->pio_at == ch->pio_len)
        block_ended(ch);
    return value;
}

static void data_write(struct ide_channel *ch, unsigned size, uint32_t value)
{
    unsigned n;

    if (!host_may_move(ch, false))
        return;
    n = min_of(size, (unsigned)(ch->pio_len - ch->pio_at));
    memcpy(ch->pio + ch->pio_at, &value, n);
    ch->pio_at += n;
    if (ch->pio_at == ch->pio_len)
        block_ended(ch);
}

/* ---- DMA ---- */

/* Reads the next region of the list. 0, -ENOBUFS at the list's end, -EFAULT. */
static int next_region(struct ide_channel *ch)
{
    uint8_t prd[PRD_SIZE];
    uint32_t count;

    if (ch->prds >= PRDS_MAX)
        return -ENOBUFS;
    if (space_read(ch->ide->space, ch->prd, prd, sizeof(prd)) < 0)
        return -EFAULT;
    ch->prd += PRD_SIZE;
    ch->prd_base = load_le32(prd) & ~1u;
    count = load_le32(prd + 4);
    ch->prd_left = count & 0xfffe ? count & 0xfffe : 0x10000;
    ch->prds = count & PRD_LAST ? PRDS_MAX : ch->prds + 1;
    return 0;
}

static int64_t dma(struct ide_channel *ch, uint8_t *bytes, uint32_t n, bool in)
{
    struct space *space = ch->ide->space;

    if (!(ch->bm_command & BM_START))
        return 0;
    if (!pci_bus_master(ch->ide->pci))
        return -EFAULT;
    for (uint32_t at = 0; at < n;) {
        uint32_t part;
        int r = ch->prd_left ? 0 : next_region(ch);
        if (r < 0)
            return r;
        part = min_of(ch->prd_left, n - at);
        r = in ? space_write(space, ch->prd_base, bytes + at, part)
               : space_read(space, ch->prd_base, bytes + at, part);
        if (r < 0)
            return -EFAULT;
        ch->prd_base += part;
        ch->prd_left -= part;
        at += part;
    }
    return n;
}

static int64_t job_move(struct ata_job *job, uint8_t *bytes, uint32_t n, bool in)
{
    struct ide_channel *ch = job->opaque;

    switch ((enum ata_protocol)job->action.protocol) {
    case ATA_P_PIO_IN:
        return pio_in(ch, bytes, n);
    case ATA_P_PIO_OUT:
        return pio_out(ch, bytes, n);
    case ATA_P_DMA_IN:
    case ATA_P_DMA_OUT:
        return dma(ch, bytes, n, in);
    case ATA_P_NONE:
    case ATA_P_PACKET:
    case ATA_P_DIAGNOSTIC:
    case ATA_P_RESET:
        break;
    }
    return -EIO;
}

static void bm_command_write(struct ide_channel *ch, uint8_t value)
{
    bool was = ch->bm_command & BM_START, now = value & BM_START;

    ch->bm_command = value & (BM_START | BM_TO_MEMORY);
    if (now && !was) {
        ch->prd = ch->bm_table;
        ch->prd_left = 0;
        ch->prds = 0;
        ch->bm_status |= BM_ACTIVE;
        if (ch->phase == P_DATA)
            ata_job_run(&ch->job);
    } else if (was && !now) {
        if (ch->phase == P_DATA && ch->job.action.protocol >= ATA_P_DMA_IN) {
            ata_job_stop(&ch->job); /* the driver gave up */
            ch->phase = P_IDLE;
            regs_of(ch)->status = ATA_READY | ATA_ERR;
            regs_of(ch)->error = ATA_E_ABRT;
        }
        ch->bm_status &= (uint8_t)~BM_ACTIVE;
    }
}

static uint32_t bm_read(void *dev, uint16_t offset, unsigned size)
{
    const struct ide *ide = dev;
    const struct ide_channel *ch = &ide->channel[offset / BM_SIZE % IDE_CHANNELS];
    unsigned reg = offset % BM_SIZE;

    if (reg == BM_COMMAND)
        return ch->bm_command;
    if (reg == BM_STATUS)
        return ch->bm_status;
    return reg >= BM_TABLE ? ch->bm_table >> 8 * (reg - BM_TABLE) & 0xff : 0;
}

static void bm_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct ide *ide = dev;
    struct ide_channel *ch = &ide->channel[offset / BM_SIZE % IDE_CHANNELS];
    unsigned reg = offset % BM_SIZE, shift = 8 * (reg - BM_TABLE);

    if (reg == BM_COMMAND) {
        bm_command_write(ch, (uint8_t)value);
    } else if (reg == BM_STATUS) {
        ch->bm_status &= (uint8_t) ~(value & (BM_ERROR | BM_INTERRUPT));
        ch->bm_status = (uint8_t)((ch->bm_status & ~BM_CAPABLE) | (value & BM_CAPABLE));
    } else if (reg >= BM_TABLE) {
        ch->bm_table = (ch->bm_table & ~(0xffu << shift)) | (value & 0xff) << shift;
        ch->bm_table &= ~3u;
    }
}

static const struct port_ops bm_ops = {.read = bm_read, .write = bm_write, .bytes = true};

/* ---- commands ---- */

static void stop(struct ide_channel *ch)
{
    ata_job_stop(&ch->job);
    ch->phase = P_IDLE;
    ch->finished = ch->pio_full = 0;
    ch->pio_at = ch->pio_len = 0;
}

static void reset_drives(struct ide_channel *ch)
{
    stop(ch);
    ch->selected = 0;
    for (unsigned i = 0; i < 2; i++) {
        ch->regs[i].device = 0;
        if (ch->drive[i])
            ata_drive_reset(ch->drive[i], &ch->regs[i]);
    }
}

static void start_action(struct ide_channel *ch)
{
    struct ata_action *a = &ch->job.action;

    ch->phase = P_DATA;
    regs_of(ch)->status = ATA_BSY;
    ch->job.piece = a->protocol == ATA_P_PIO_OUT ? a->drq : ATA_JOB_BUFFER;
    ata_job_start(&ch->job, drive_of(ch));
}

static void command(struct ide_channel *ch, uint8_t code)
{
    struct ata_drive *d = drive_of(ch);
    struct ata_regs *r = regs_of(ch);

    if (!d || (ch->phase != P_IDLE && !(code == COMMAND_DEVICE_RESET && d->cd)))
        return;
    stop(ch);
    lower_irq(ch);
    ata_command(d, code, r, &ch->job.action);
    switch ((enum ata_protocol)ch->job.action.protocol) {
    case ATA_P_PACKET:
        ch->phase = P_PACKET;
        r->error = 0;
        r->count[0] = REASON_COMMAND;
        offer_block(ch, ATA_PACKET, false);
        break;
    case ATA_P_DIAGNOSTIC:
        reset_drives(ch);
        raise_irq(ch);
        break;
    case ATA_P_RESET:
        ata_drive_reset(d, r);
        break;
    case ATA_P_NONE:
    case ATA_P_PIO_IN:
    case ATA_P_PIO_OUT:
    case ATA_P_DMA_IN:
    case ATA_P_DMA_OUT:
        start_action(ch);
        break;
    }
}

/* ---- the command and control block ---- */

static void put_twice(uint8_t reg[2], uint8_t value)
{
    reg[1] = reg[0];
    reg[0] = value;
}

/* Both drives hear what is written. */
static void register_write(struct ide_channel *ch, unsigned reg, uint8_t value)
{
    ch->control &= (uint8_t)~CONTROL_HOB;
    if (reg == 7) {
        command(ch, value);
        return;
    }
    if (ch->phase != P_IDLE)
        return; /* busy (5.2, registers may not be written) */
    for (unsigned i = 0; i < 2; i++) {
        struct ata_regs *r = &ch->regs[i];
        switch (reg) {
        case 1:
            put_twice(r->feature, value);
            break;
        case 2:
            put_twice(r->count, value);
            break;
        case 6:
            r->device = value;
            ch->selected = value >> 4 & 1;
            break;
        default: /* 3, 4, 5 */
            r->lba[1][reg - 3] = r->lba[0][reg - 3];
            r->lba[0][reg - 3] = value;
            break;
        }
    }
}

/* A drive that is alone answers for the missing one, with a status of 0 (9.16.2). */
static uint8_t status_of(struct ide_channel *ch)
{
    return drive_of(ch) ? regs_of(ch)->status : 0;
}

static uint8_t register_read(struct ide_channel *ch, unsigned reg)
{
    const struct ata_regs *r = regs_of(ch);
    unsigned hob = ch->control & CONTROL_HOB ? 1 : 0;

    if (!ch->drive[0] && !ch->drive[1])
        return 0;
    if (reg == 7) {
        lower_irq(ch);
        return status_of(ch);
    }
    if (!drive_of(ch))
        r = &ch->regs[!ch->selected];
    switch (reg) {
    case 1:
        return r->error;
    case 2:
        return r->count[hob];
    case 6:
        return regs_of(ch)->device | 0xa0;
    default:
        return r->lba[hob][reg - 3];
    }
}

static uint32_t block_read(void *dev, uint16_t offset, unsigned size)
{
    struct ide_channel *ch = dev;
    uint32_t value = 0;

    if (!offset)
        return data_read(ch, size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)register_read(ch, offset + i) << 8 * i;
    return value;
}

static void block_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct ide_channel *ch = dev;

    if (!offset) {
        data_write(ch, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        register_write(ch, offset + i, (uint8_t)(value >> 8 * i));
}

static uint32_t control_read(void *dev, uint16_t offset, unsigned size)
{
    return status_of(dev);
}

static void control_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct ide_channel *ch = dev;
    bool was = ch->control & CONTROL_SRST, now = value & CONTROL_SRST;

    ch->control = (uint8_t)value;
    if (now && !was) {
        stop(ch);
        lower_irq(ch);
        ch->regs[0].status = ch->regs[1].status = ATA_BSY;
    } else if (was && !now) {
        reset_drives(ch);
    }
    update_irq(ch);
}

static const struct port_ops command_ops = {.read = block_read, .write = block_write};
static const struct port_ops control_ops = {
    .read = control_read, .write = control_write, .bytes = true};

/* ---- state ---- */

#define CHANNEL(i, field, value) STATE_FIELD(struct ide, channel[i].field, value)
#define REGS(i, n)                                                                                 \
    STATE_BLOB(struct ide, channel[i].regs[n].feature),                                            \
        STATE_BLOB(struct ide, channel[i].regs[n].count),                                          \
        STATE_BLOB(struct ide, channel[i].regs[n].lba), CHANNEL(i, regs[n].device, 0),             \
        CHANNEL(i, regs[n].error, 0), CHANNEL(i, regs[n].status, 0)
#define CHANNEL_FIELDS(i)                                                                          \
    REGS(i, 0), REGS(i, 1), CHANNEL(i, selected, 0), CHANNEL(i, control, 0),                       \
        CHANNEL(i, interrupt, 0), CHANNEL(i, phase, P_IDLE), CHANNEL(i, finished, 0),              \
        CHANNEL(i, pio_full, 0), CHANNEL(i, result, 0), CHANNEL(i, pio_at, 0),                     \
        CHANNEL(i, pio_len, 0), STATE_BLOB(struct ide, channel[i].pio), CHANNEL(i, bm_command, 0), \
        CHANNEL(i, bm_status, 0), CHANNEL(i, bm_table, 0), CHANNEL(i, prd, 0),                     \
        CHANNEL(i, prd_base, 0), CHANNEL(i, prd_left, 0), CHANNEL(i, prds, 0),                     \
        ATA_JOB_STATE(struct ide, channel[i].job)

static const struct state_field ide_fields[] = {CHANNEL_FIELDS(0), CHANNEL_FIELDS(1)};

/* What is loaded may be damaged, or of a moment when the host had something in hand. */
static void channel_after(struct ide_channel *ch)
{
    struct ata_action *a = &ch->job.action;
    bool resumable;

    ch->selected &= 1;
    ch->pio_len = min_of(ch->pio_len, (uint32_t)PIO_BYTES);
    ch->pio_at = min_of(ch->pio_at, ch->pio_len);
    ch->prds = min_of(ch->prds, (uint16_t)PRDS_MAX);
    ch->prd_left = min_of(ch->prd_left, 65536u);
    ch->result = ch->result < 0 ? -EIO : 0;
    ch->interrupt &= 1;
    resumable = ata_job_loaded(&ch->job, drive_of(ch)) || ch->finished;
    if (a->protocol == ATA_P_PIO_OUT) {
        resumable &= a->drq && a->drq % ATA_SECTOR == 0 && a->drq <= PIO_BYTES;
        ch->job.piece = resumable ? a->drq : ATA_SECTOR;
    } else {
        ch->job.piece = ATA_JOB_BUFFER;
        resumable &= a->protocol != ATA_P_PIO_IN || (a->drq && a->drq <= UINT16_MAX + 1u);
    }
    if (ch->phase == P_PACKET)
        resumable = drive_of(ch) && drive_of(ch)->cd && ch->pio_len == ATA_PACKET;
    if (ch->phase > P_DATA || !drive_of(ch) || (ch->phase != P_IDLE && !resumable)) {
        ch->phase = P_IDLE;
        ch->job.active = ch->finished = 0;
        regs_of(ch)->status = ATA_READY | ATA_ERR;
        regs_of(ch)->error = ATA_E_ABRT;
    }
    if (ch->phase != P_DATA)
        ch->job.active = ch->finished = 0;
    update_irq(ch);
}

static void after(void *dev)
{
    struct ide *ide = dev;

    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        channel_after(&ide->channel[i]);
}

static const struct state_table ide_state = {.name = "piix3-ide",
                                             .version = 1,
                                             .fields = ide_fields,
                                             .field_count = array_size(ide_fields),
                                             .after = after};

static void ide_reset(struct device *dev)
{
    struct ide *ide = container_of(dev, struct ide, dev);

    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        ata_job_stop(&ide->channel[i].job);
    pci_function_reset(ide->pci);
    state_reset(&ide_state, ide);
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        reset_drives(&ide->channel[i]);
}

static void ide_settle(struct device *dev)
{
    struct ide *ide = container_of(dev, struct ide, dev);

    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        ata_job_settle(&ide->channel[i].job);
}

static void ide_free(struct device *dev)
{
    struct ide *ide = container_of(dev, struct ide, dev);

    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        ata_job_done(&ide->channel[i].job);
        ports_unmap(ide->ports, ide->channel[i].command_ports);
        ports_unmap(ide->ports, ide->channel[i].control_port);
    }
    free(ide);
}

static int set_up_channel(struct ide *ide, unsigned i, struct error *err)
{
    struct ide_channel *ch = &ide->channel[i];

    ch->job.move = job_move;
    ch->job.ended = job_ended;
    ch->job.opaque = ch;
    if (ata_job_init(&ch->job, err) < 0)
        return -ENOMEM;
    ch->command_ports =
        ports_map(ide->ports, ide->dev.name, i ? 0x170 : 0x1f0, 8, &command_ops, ch, err);
    if (ch->command_ports)
        ch->control_port =
            ports_map(ide->ports, ide->dev.name, i ? 0x376 : 0x3f6, 1, &control_ops, ch, err);
    return ch->control_port ? 0 : -ENOMEM;
}

struct ide *ide_new(struct pci_bus *bus, unsigned slot, unsigned fn, struct ports *ports,
                    struct space *space, struct ata_drive *const drives[IDE_DRIVES],
                    const struct irq_line irqs[IDE_CHANNELS], struct error *err)
{
    /* Class: IDE, both channels at their ISA ports, bus master. */
    static const struct pci_ident ident = {.vendor = 0x8086,
                                           .device = 0x7010,
                                           .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100,
                                           .class_code = 0x010180};
    struct ide *ide = mem_new(struct ide);
    int r = 0;

    if (!ide) {
        error_set(err, -ENOMEM, "create piix3-ide: out of memory");
        return NULL;
    }
    ide->dev = (struct device){.state = &ide_state,
                               .name = "piix3-ide",
                               .reset = ide_reset,
                               .free = ide_free,
                               .settle = ide_settle};
    ide->ports = ports;
    ide->space = space;
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        ide->channel[i].ide = ide;
        ide->channel[i].irq = irqs[i];
        ide->channel[i].drive[0] = drives[2 * i];
        ide->channel[i].drive[1] = drives[2 * i + 1];
    }
    for (unsigned i = 0; i < IDE_CHANNELS && r == 0; i++)
        r = set_up_channel(ide, i, err);
    ide->pci = r == 0 ? pci_add(bus, slot, fn, &ident, NULL, ide, err) : NULL;
    if (!ide->pci) {
        ide_free(&ide->dev);
        return NULL;
    }
    pci_set_bar(
        ide->pci, 4,
        &(struct pci_bar){.kind = PCI_BAR_IO, .size = 2 * BM_SIZE, .ports = &bm_ops, .dev = ide});
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        store_le16(pci_config(ide->pci) + IDETIM + 2 * i, IDETIM_DECODE);
        store_le16(pci_config_wmask(ide->pci) + IDETIM + 2 * i, 0xffff);
        reset_drives(&ide->channel[i]);
    }
    return ide;
}

struct device *ide_device(struct ide *ide)
{
    return &ide->dev;
}

struct pci_function *ide_function(struct ide *ide)
{
    return ide->pci;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port: commands are fetched from the list in guest memory as the guest issues them (PxCI).
 * Others than queued ones run alone. A queued one is accepted at once, which frees its slot in
 * PxCI, and ends with a Set Device Bits FIS that clears its bit in PxSACT. After an error nothing
 * is taken up until the driver has stopped the port (6.2.2).
 */
#include <errno.h>

#include "base/mem.h"
#include "device/ata/ahci_internal.h"

enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_PIO_SETUP = 0x5f, FIS_SET_BITS = 0xa1 };
enum { FIS_INTERRUPT = 0x40, FIS_FROM_DEVICE = 0x20, FIS_COMMAND = 0x80 };
/* Places in the area of received FISes (4.2.1). */
enum { AREA_PIO_SETUP = 0x20, AREA_D2H = 0x40, AREA_SET_BITS = 0x58 };
/* Command list and table (4.2.2, 4.2.3). */
enum { HEADER = 32, TABLE_PACKET = 0x40, TABLE_REGIONS = 0x80, REGION = 16, FIS_BYTES = 20 };
enum { HEADER_ATAPI = 1 << 5, HEADER_FIS_DWORDS = 0x1f };
enum { CONTROL_SRST = 4 };
enum { READ_QUEUED = 0x60, WRITE_QUEUED = 0x61 };

struct command {
    uint32_t flags; /* the header's first dword */
    uint64_t table;
    uint8_t fis[FIS_BYTES];
};

static uint64_t list_of(const struct ahci_port *p)
{
    return (uint64_t)p->clbu << 32 | p->clb;
}

static void set_task_file(struct ahci_port *p)
{
    p->tfd = p->regs.status | (uint32_t)p->regs.error << 8;
}

/* ---- FISes to the guest ---- */

static void send(struct ahci_port *p, unsigned place, const uint8_t *fis, unsigned len,
                 uint32_t cause)
{
    if (p->cmd & PCMD_FIS_ENABLE && pci_bus_master(p->ahci->pci))
        space_write(p->ahci->space, ((uint64_t)p->fbu << 32 | p->fb) + place, fis, len);
    p->is |= cause;
    ahci_update_irq(p->ahci);
}

static void fill_registers(const struct ahci_port *p, uint8_t fis[FIS_BYTES])
{
    const struct ata_regs *r = &p->regs;

    fis[2] = r->status;
    fis[3] = r->error;
    memcpy(fis + 4, r->lba[0], 3);
    fis[7] = r->device;
    memcpy(fis + 8, r->lba[1], 3);
    fis[12] = r->count[0];
    fis[13] = r->count[1];
}

static void send_registers(struct ahci_port *p, bool interrupt)
{
    uint8_t fis[FIS_BYTES] = {FIS_D2H, interrupt ? FIS_INTERRUPT : 0};
    uint32_t cause = interrupt ? PIS_D2H : 0;

    fill_registers(p, fis);
    set_task_file(p);
    if (p->regs.status & ATA_ERR)
        cause |= PIS_TASK_FILE;
    send(p, AREA_D2H, fis, sizeof(fis), cause);
}

static void send_pio_setup(struct ahci_port *p, uint32_t len, bool in, bool interrupt)
{
    uint8_t fis[FIS_BYTES] = {FIS_PIO_SETUP,
                              (interrupt ? FIS_INTERRUPT : 0) | (in ? FIS_FROM_DEVICE : 0)};

    fill_registers(p, fis);
    fis[2] = ATA_READY | ATA_DRQ;
    fis[15] = p->regs.status; /* at the end */
    store_le16(fis + 16, (uint16_t)len);
    set_task_file(p);
    send(p, AREA_PIO_SETUP, fis, sizeof(fis), interrupt ? PIS_PIO_SETUP : 0);
}

static void send_set_bits(struct ahci_port *p, uint32_t ended)
{
    uint8_t fis[8] = {FIS_SET_BITS, FIS_INTERRUPT, p->regs.status & 0x77, p->regs.error};
    bool failed = p->regs.status & ATA_ERR;

    store_le32(fis + 4, ended);
    p->sact &= ~ended;
    set_task_file(p);
    send(p, AREA_SET_BITS, fis, sizeof(fis), PIS_SET_BITS | (failed ? PIS_TASK_FILE : 0));
}

/* What makes no sense on the interface or cannot be fetched; the port stops. */
static void fail(struct ahci_port *p, uint32_t cause)
{
    p->halted = 1;
    p->regs.status = ATA_READY | ATA_ERR;
    p->regs.error = ATA_E_ABRT;
    set_task_file(p);
    p->is |= cause;
    ahci_update_irq(p->ahci);
}

/* ---- data ---- */

static int next_region(struct ahci_run *run)
{
    uint8_t region[REGION];

    if (!run->regions)
        return -EFAULT; /* the list is shorter than the data */
    if (space_read(run->port->ahci->space, run->list, region, sizeof(region)) < 0)
        return -EFAULT;
    run->regions--;
    run->list += REGION;
    run->base = load_le64(region) & ~1ull;
    run->left = (load_le32(region + 12) & 0x3fffff) + 1;
    return 0;
}

static int64_t job_move(struct ata_job *job, uint8_t *bytes, uint32_t n, bool in)
{
    struct ahci_run *run = job->opaque;
    struct space *space = run->port->ahci->space;

    if (!pci_bus_master(run->port->ahci->pci))
        return -EFAULT;
    for (uint32_t at = 0; at < n;) {
        uint32_t part;
        int r = run->left ? 0 : next_region(run);
        if (r < 0)
            return r;
        part = min_of(run->left, n - at);
        r = in ? space_write(space, run->base, bytes + at, part)
               : space_read(space, run->base, bytes + at, part);
        if (r < 0)
            return -EFAULT;
        run->base += part;
        run->left -= part;
        at += part;
    }
    run->moved += n;
    return n;
}

/* ---- ends ---- */

static void end_queued(struct ahci_run *run, int result)
{
    struct ahci_port *p = run->port;
    uint32_t bit = 1u << run->slot;

    ata_end(p->drive, &run->job.action, result, &p->regs);
    if (!(p->regs.status & ATA_ERR)) {
        p->queue &= ~bit;
        send_set_bits(p, bit);
        return;
    }
    /* The drive forgets the whole queue; the driver asks the log which one it was. */
    p->halted = 1;
    ahci_port_stop(p);
    p->queue = 0;
    ata_log_error(p->drive, run->slot, &p->regs);
    send_set_bits(p, 0);
}

static void end_alone(struct ahci_run *run, int result)
{
    struct ahci_port *p = run->port;
    const struct ata_action *a = &run->job.action;
    uint8_t moved[4];

    ata_end(p->drive, a, result, &p->regs);
    store_le32(moved, run->moved);
    space_write(p->ahci->space, list_of(p) + HEADER * run->slot + 4, moved, sizeof(moved));
    if (p->regs.status & ATA_ERR)
        p->halted = 1; /* and the slot stays in PxCI */
    else
        p->ci &= ~(1u << run->slot);
    if (a->protocol == ATA_P_PIO_IN && !a->packet && !p->halted)
        send_pio_setup(p, (uint32_t)a->len, true, true);
    else
        send_registers(p, true);
}

static void job_ended(struct ata_job *job, int result)
{
    struct ahci_run *run = job->opaque;
    struct ahci_port *p = run->port;

    p->taken &= ~(1u << run->slot);
    if (run->queued)
        end_queued(run, result);
    else
        end_alone(run, result);
    ahci_port_issue(p);
}

/* ---- beginnings ---- */

static int fetch(const struct ahci_port *p, unsigned slot, struct command *c)
{
    uint8_t header[HEADER];

    if (!pci_bus_master(p->ahci->pci) ||
        space_read(p->ahci->space, list_of(p) + HEADER * slot, header, sizeof(header)) < 0)
        return -EFAULT;
    c->flags = load_le32(header);
    c->table = load_le64(header + 8) & ~0x7full;
    if (space_read(p->ahci->space, c->table, c->fis, sizeof(c->fis)) < 0)
        return -EFAULT;
    return c->fis[0] == FIS_H2D && (c->flags & HEADER_FIS_DWORDS) >= FIS_BYTES / 4 ? 0 : -EBADMSG;
}

static bool is_queued(const struct ahci_port *p, const struct command *c)
{
    return !p->drive->cd && c->fis[1] & FIS_COMMAND &&
           (c->fis[2] == READ_QUEUED || c->fis[2] == WRITE_QUEUED);
}

static void load_registers(struct ahci_port *p, const uint8_t *fis)
{
    struct ata_regs *r = &p->regs;

    r->feature[0] = fis[3];
    r->feature[1] = fis[11];
    memcpy(r->lba[0], fis + 4, 3);
    memcpy(r->lba[1], fis + 8, 3);
    r->device = fis[7];
    r->count[0] = fis[12];
    r->count[1] = fis[13];
}

/* Fills in the action of a command. False: it is over already. */
static bool prepare(struct ahci_port *p, struct ahci_run *run, const struct command *c)
{
    struct ata_action *a = &run->job.action;
    uint8_t packet[ATA_PACKET];

    load_registers(p, c->fis);
    ata_command(p->drive, c->fis[2], &p->regs, a);
    switch ((enum ata_protocol)a->protocol) {
    case ATA_P_PACKET:
        if (!(c->flags & HEADER_ATAPI) ||
            space_read(p->ahci->space, c->table + TABLE_PACKET, packet, sizeof(packet)) < 0) {
            fail(p, PIS_INTERFACE_FATAL);
            return false;
        }
        ata_packet(p->drive, packet, p->regs.feature[0] & 1 ? 0 : 0xfffe, a);
        return true;
    case ATA_P_DIAGNOSTIC:
    case ATA_P_RESET:
        ata_drive_reset(p->drive, &p->regs);
        p->ci &= ~(1u << run->slot);
        send_registers(p, true);
        return false;
    case ATA_P_NONE:
    case ATA_P_PIO_IN:
    case ATA_P_PIO_OUT:
    case ATA_P_DMA_IN:
    case ATA_P_DMA_OUT:
        break;
    }
    return true;
}

static struct ahci_run *free_run(struct ahci_port *p)
{
    for (unsigned i = 0; i < AHCI_RUNNING; i++)
        if (!p->run[i].job.active && !p->run[i].job.in_flight)
            return &p->run[i];
    return NULL;
}

static void start(struct ahci_port *p, struct ahci_run *run, unsigned slot, const struct command *c,
                  bool queued)
{
    run->slot = slot;
    run->queued = queued;
    run->list = c->table + TABLE_REGIONS;
    run->regions = c->flags >> 16;
    run->left = run->moved = 0;
    if (!prepare(p, run, c))
        return;
    if (!queued) {
        p->regs.status = ATA_BSY;
        set_task_file(p);
        p->cmd = (p->cmd & ~(uint32_t)PCMD_SLOT) | slot << 8;
        if (run->job.action.protocol == ATA_P_PIO_OUT) {
            p->regs.status = ATA_READY | ATA_DRQ;
            send_pio_setup(p, (uint32_t)min_of(run->job.action.len, (uint64_t)UINT16_MAX), false,
                           false);
        }
    }
    p->taken |= 1u << slot;
    ata_job_start(&run->job, p->drive);
}

/* A control FIS: software reset is its first bit set, then cleared (10.4.1). */
static void control(struct ahci_port *p, unsigned slot, const uint8_t *fis)
{
    bool now = fis[15] & CONTROL_SRST;

    p->ci &= ~(1u << slot);
    if (p->soft_reset && !now) {
        ahci_port_stop(p);
        p->queue = 0;
        ata_drive_reset(p->drive, &p->regs);
        send_registers(p, true);
    }
    p->soft_reset = now;
}

/* Takes up the command in @slot of PxCI. False: not now. */
static bool take_up(struct ahci_port *p, unsigned slot)
{
    struct ahci_run *run = free_run(p);
    struct command c;
    int r = fetch(p, slot, &c);

    if (r < 0) {
        fail(p, r == -EFAULT ? PIS_BUS_FATAL : PIS_INTERFACE_FATAL);
        return false;
    }
    if (!(c.fis[1] & FIS_COMMAND)) {
        control(p, slot, c.fis);
        return true;
    }
    if (is_queued(p, &c)) {
        if (p->taken && !p->queue)
            return false; /* behind one that runs alone */
        p->ci &= ~(1u << slot);
        p->queue |= 1u << slot;
        p->regs.status = ATA_READY;
        p->regs.error = 0;
        send_registers(p, false);
        return true;
    }
    if (p->taken || p->queue || !run)
        return false;
    start(p, run, slot, &c, false);
    return true;
}

/* Carries out a queued command that was accepted. False: not now, or there is none. */
static bool start_queued(struct ahci_port *p)
{
    uint32_t waiting = p->queue & ~p->taken;
    struct ahci_run *run = free_run(p);
    struct command c;

    if (!waiting || !run)
        return false;
    if (fetch(p, (unsigned)__builtin_ctz(waiting), &c) < 0 || !is_queued(p, &c)) {
        fail(p, PIS_BUS_FATAL); /* changed under our hands */
        return false;
    }
    start(p, run, (unsigned)__builtin_ctz(waiting), &c, true);
    return true;
}

void ahci_port_issue(struct ahci_port *p)
{
    bool more = true;

    if (p->issuing || !p->drive)
        return;
    p->issuing = true;
    while (more && p->cmd & PCMD_START && !p->halted) {
        uint32_t waiting = p->ci & ~p->taken;
        more = waiting && take_up(p, (unsigned)__builtin_ctz(waiting));
        if (!p->halted)
            more |= start_queued(p);
    }
    p->issuing = false;
}

/* ---- resets ---- */

void ahci_port_stop(struct ahci_port *p)
{
    /* First none may go on, then wait: the wait for one ends what the others have in flight. */
    for (unsigned i = 0; i < AHCI_RUNNING; i++)
        p->run[i].job.active = 0;
    for (unsigned i = 0; i < AHCI_RUNNING; i++)
        ata_job_stop(&p->run[i].job);
    p->taken = 0;
}

void ahci_port_send_signature(struct ahci_port *p)
{
    const struct ata_regs *r = &p->regs;

    if (!p->drive || p->signature_sent || !(p->cmd & PCMD_FIS_ENABLE))
        return;
    p->signature_sent = 1;
    p->sig = (uint32_t)r->lba[0][2] << 24 | (uint32_t)r->lba[0][1] << 16 |
             (uint32_t)r->lba[0][0] << 8 | r->count[0];
    send_registers(p, true);
}

void ahci_port_reset(struct ahci_port *p)
{
    ahci_port_stop(p);
    p->ci = p->sact = p->queue = 0;
    p->halted = p->soft_reset = p->signature_sent = 0;
    p->sig = 0xffffffff;
    p->tfd = 0x7f;
    if (!p->drive)
        return;
    ata_drive_reset(p->drive, &p->regs);
    set_task_file(p);
    ahci_port_send_signature(p);
}

int ahci_port_init(struct ahci_port *p, struct error *err)
{
    int r = 0;

    for (unsigned i = 0; i < AHCI_RUNNING && r == 0; i++) {
        p->run[i].port = p;
        p->run[i].job.move = job_move;
        p->run[i].job.ended = job_ended;
        p->run[i].job.opaque = &p->run[i];
        r = ata_job_init(&p->run[i].job, err);
    }
    return r;
}

void ahci_port_done(struct ahci_port *p)
{
    for (unsigned i = 0; i < AHCI_RUNNING; i++)
        ata_job_done(&p->run[i].job);
}

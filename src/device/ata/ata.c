/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table names the commands; the rest is what each kind of command does. Sections without a name
 * are those of ACS-3 (T13/2161-D).
 */
#include "device/ata/ata.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum kind {
    K_READ,
    K_WRITE,
    K_VERIFY,
    K_IDENTIFY,
    K_PACKET,
    K_FLUSH,
    K_FEATURES,
    K_MULTIPLE,
    K_GEOMETRY,
    K_TRIM,
    K_POWER,
    K_SEEK,
    K_LOG,
    K_DIAGNOSTIC,
    K_RESET,
    K_NOTHING,
};
enum {
    EXT = 1, /* 48-bit */
    DMA = 2,
    MULTI = 4, /* DRQ blocks of several sectors */
    FUA = 8,
    DISK = 16, /* who has the command */
    CD = 32,
    QUEUED = 64,
};

static const struct op {
    uint8_t code, kind, flags;
} ops[] = {
    {0x06, K_TRIM, DISK | EXT | DMA},
    {0x08, K_RESET, CD},
    {0x10, K_SEEK, DISK},
    {0x20, K_READ, DISK},
    {0x21, K_READ, DISK},
    {0x24, K_READ, DISK | EXT},
    {0x25, K_READ, DISK | EXT | DMA},
    {0x29, K_READ, DISK | EXT | MULTI},
    {0x2f, K_LOG, DISK | EXT},
    {0x30, K_WRITE, DISK},
    {0x31, K_WRITE, DISK},
    {0x34, K_WRITE, DISK | EXT},
    {0x35, K_WRITE, DISK | EXT | DMA},
    {0x39, K_WRITE, DISK | EXT | MULTI},
    {0x3d, K_WRITE, DISK | EXT | DMA | FUA},
    {0x40, K_VERIFY, DISK},
    {0x41, K_VERIFY, DISK},
    {0x42, K_VERIFY, DISK | EXT},
    {0x60, K_READ, DISK | EXT | DMA | QUEUED},
    {0x61, K_WRITE, DISK | EXT | DMA | QUEUED},
    {0x70, K_SEEK, DISK},
    {0x90, K_DIAGNOSTIC, DISK | CD},
    {0x91, K_GEOMETRY, DISK},
    {0xa0, K_PACKET, CD},
    {0xa1, K_IDENTIFY, CD},
    {0xc4, K_READ, DISK | MULTI},
    {0xc5, K_WRITE, DISK | MULTI},
    {0xc6, K_MULTIPLE, DISK},
    {0xc8, K_READ, DISK | DMA},
    {0xc9, K_READ, DISK | DMA},
    {0xca, K_WRITE, DISK | DMA},
    {0xcb, K_WRITE, DISK | DMA},
    {0xce, K_WRITE, DISK | EXT | MULTI | FUA},
    {0xe0, K_NOTHING, DISK | CD}, /* standby and idle: nothing spins */
    {0xe1, K_NOTHING, DISK | CD},
    {0xe2, K_NOTHING, DISK | CD},
    {0xe3, K_NOTHING, DISK | CD},
    {0xe5, K_POWER, DISK | CD},
    {0xe6, K_NOTHING, DISK | CD},
    {0xe7, K_FLUSH, DISK},
    {0xea, K_FLUSH, DISK | EXT},
    {0xec, K_IDENTIFY, DISK},
    {0xef, K_FEATURES, DISK | CD},
};

static const struct op *find_op(const struct ata_drive *d, uint8_t code)
{
    for (unsigned i = 0; i < array_size(ops); i++)
        if (ops[i].code == code)
            return ops[i].flags & (d->cd ? CD : DISK) && (d->sata || !(ops[i].flags & QUEUED))
                       ? &ops[i]
                       : NULL;
    return NULL;
}

/* ---- addresses ---- */

enum { DEVICE_LBA = 0x40 };

uint64_t ata_lba(const struct ata_regs *r, bool ext)
{
    uint64_t lba =
        (uint64_t)r->lba[0][0] | (uint64_t)r->lba[0][1] << 8 | (uint64_t)r->lba[0][2] << 16;

    if (!ext)
        return lba | (uint64_t)(r->device & 15) << 24;
    return lba | (uint64_t)r->lba[1][0] << 24 | (uint64_t)r->lba[1][1] << 32 |
           (uint64_t)r->lba[1][2] << 40;
}

/* Cylinder, head and sector in the drive's present translation; UINT64_MAX: there is none. */
static uint64_t chs_address(const struct ata_drive *d, const struct ata_regs *r)
{
    unsigned sector = r->lba[0][0], cylinder = r->lba[0][1] | r->lba[0][2] << 8,
             head = r->device & 15;

    if (!sector || sector > d->sectors || head >= d->heads)
        return UINT64_MAX;
    return ((uint64_t)cylinder * d->heads + head) * d->sectors + sector - 1;
}

/* The sectors that a command names, as bytes of the medium. False: they are not there. */
static bool decode_range(const struct ata_drive *d, const struct ata_regs *r, unsigned flags,
                         struct ata_action *a)
{
    uint64_t first, count, all = d->block->size / ATA_SECTOR;

    if (flags & QUEUED)
        count = r->feature[0] | r->feature[1] << 8; /* the count register holds the tag (7.16) */
    else
        count = r->count[0] | (flags & EXT ? r->count[1] << 8 : 0);
    if (!count)
        count = flags & EXT ? 65536 : 256;
    first = flags & EXT || r->device & DEVICE_LBA ? ata_lba(r, flags & EXT) : chs_address(d, r);
    if (first > all || count > all - first)
        return false;
    a->offset = first * ATA_SECTOR;
    a->len = count * ATA_SECTOR;
    return true;
}

/* ---- commands ---- */

static void do_transfer(struct ata_drive *d, const struct op *op, const struct ata_regs *r,
                        struct ata_action *a)
{
    bool out = op->kind == K_WRITE;

    if (op->flags & MULTI && !d->multiple) {
        a->error = ATA_E_ABRT;
        return;
    }
    if (!decode_range(d, r, op->flags, a)) {
        a->error = ATA_E_IDNF;
        return;
    }
    if (out && d->block->readonly) {
        a->error = ATA_E_ABRT;
        return;
    }
    a->source = op->kind == K_VERIFY ? ATA_S_VERIFY : ATA_S_MEDIUM;
    a->drq = ATA_SECTOR * (op->flags & MULTI ? d->multiple : 1u);
    if (op->kind == K_VERIFY)
        a->protocol = ATA_P_NONE;
    else if (op->flags & DMA)
        a->protocol = out ? ATA_P_DMA_OUT : ATA_P_DMA_IN;
    else
        a->protocol = out ? ATA_P_PIO_OUT : ATA_P_PIO_IN;
    /* FUA of queued commands is bit 7 of the device register. */
    a->flush =
        out && (!d->write_cache || op->flags & FUA || (op->flags & QUEUED && r->device & 0x80));
}

static bool set_transfer_mode(struct ata_drive *d, unsigned mode)
{
    unsigned n = mode & 7;

    switch (mode >> 3) {
    case 0: /* PIO default */
    case 1: /* PIO flow control */
        d->mwdma = d->udma = 0;
        return n <= 4;
    case 4:
        d->mwdma = (uint8_t)(1 << n);
        d->udma = 0;
        return n <= 2;
    case 8:
        d->udma = (uint8_t)(1 << n);
        d->mwdma = 0;
        return n <= 5;
    default:
        return false;
    }
}

/* SET FEATURES (7.45). */
static bool set_features(struct ata_drive *d, const struct ata_regs *r)
{
    switch (r->feature[0]) {
    case 0x02:
    case 0x82:
        d->write_cache = r->feature[0] == 0x02;
        return !d->cd;
    case 0x03:
        return set_transfer_mode(d, r->count[0]);
    case 0xaa:
    case 0x55:
        d->look_ahead = r->feature[0] == 0xaa;
        return !d->cd;
    case 0x66: /* keep settings over a software reset, or not: they are kept */
    case 0xcc:
        return true;
    default:
        return false;
    }
}

static bool set_multiple(struct ata_drive *d, unsigned count)
{
    if (count > ATA_MULTIPLE || count & (count - 1))
        return false;
    d->multiple = (uint8_t)count;
    return true;
}

/* INITIALIZE DEVICE PARAMETERS (ATA-5, 8.16), which BIOSes of the CHS age use. */
static bool set_geometry(struct ata_drive *d, const struct ata_regs *r)
{
    if (!r->count[0])
        return false;
    d->sectors = r->count[0];
    d->heads = (r->device & 15) + 1;
    return true;
}

static void do_trim(const struct ata_drive *d, const struct ata_regs *r, struct ata_action *a)
{
    unsigned blocks = r->count[0] | r->count[1] << 8;

    if (!(r->feature[0] & 1) || !blocks || !d->block->can_discard) {
        a->error = ATA_E_ABRT;
        return;
    }
    a->protocol = ATA_P_DMA_OUT;
    a->source = ATA_S_TRIM;
    a->len = blocks * (uint64_t)ATA_SECTOR;
}

/* READ LOG EXT (7.24): the directory and the error log of queued commands. */
static bool read_log(const struct ata_drive *d, const struct ata_regs *r, struct ata_action *a)
{
    enum { DIRECTORY = 0, QUEUED_ERROR = 0x10 };
    uint8_t sum = 0;

    if (r->count[0] != 1 || r->count[1] || r->lba[0][1] || r->lba[1][1] || !d->sata)
        return false;
    switch (r->lba[0][0]) {
    case DIRECTORY:
        a->data[0] = 1; /* version */
        a->data[2 * QUEUED_ERROR] = 1;
        break;
    case QUEUED_ERROR:
        memcpy(a->data, d->error_log, sizeof(d->error_log));
        for (unsigned i = 0; i < ATA_DATA - 1; i++)
            sum = (uint8_t)(sum + a->data[i]);
        a->data[ATA_DATA - 1] = (uint8_t)-sum;
        break;
    default:
        return false;
    }
    a->protocol = ATA_P_PIO_IN;
    a->source = ATA_S_DATA;
    a->len = a->drq = ATA_DATA;
    return true;
}

void ata_log_error(struct ata_drive *d, unsigned tag, const struct ata_regs *r)
{
    uint8_t *log = d->error_log;

    memset(log, 0, sizeof(d->error_log));
    log[0] = (uint8_t)tag;
    log[2] = r->status;
    log[3] = r->error;
    memcpy(log + 4, r->lba[0], 3);
    log[7] = r->device;
    memcpy(log + 8, r->lba[1], 3);
    log[12] = r->count[0];
    log[13] = r->count[1];
}

static void do_op(struct ata_drive *d, const struct op *op, struct ata_regs *r,
                  struct ata_action *a)
{
    bool good = true;

    switch ((enum kind)op->kind) {
    case K_READ:
    case K_WRITE:
    case K_VERIFY:
        do_transfer(d, op, r, a);
        break;
    case K_IDENTIFY:
        a->protocol = ATA_P_PIO_IN;
        a->source = ATA_S_DATA;
        a->len = a->drq = ATA_DATA;
        ata_identify(d, a->data);
        break;
    case K_PACKET:
        a->protocol = ATA_P_PACKET;
        break;
    case K_FLUSH:
        a->source = ATA_S_FLUSH;
        break;
    case K_FEATURES:
        good = set_features(d, r);
        break;
    case K_MULTIPLE:
        good = set_multiple(d, r->count[0]);
        break;
    case K_GEOMETRY:
        good = set_geometry(d, r);
        break;
    case K_TRIM:
        do_trim(d, r, a);
        break;
    case K_POWER:
        r->count[0] = 0xff; /* active or idle */
        break;
    case K_SEEK:
        break;
    case K_LOG:
        good = read_log(d, r, a);
        break;
    case K_DIAGNOSTIC:
        a->protocol = ATA_P_DIAGNOSTIC;
        break;
    case K_RESET:
        a->protocol = ATA_P_RESET;
        break;
    case K_NOTHING:
        break;
    }
    if (!good)
        a->error = ATA_E_ABRT;
}

void ata_command(struct ata_drive *d, uint8_t code, struct ata_regs *regs, struct ata_action *ret)
{
    const struct op *op = find_op(d, code);

    *ret = (struct ata_action){.protocol = ATA_P_NONE};
    if (op) {
        do_op(d, op, regs, ret);
    } else {
        ret->error = ATA_E_ABRT;
        /* What a disk is asked for makes a CD drive show itself (7.12.6, 7.22.6). */
        if (d->cd && (code == 0xec || code == 0x20 || code == 0x21))
            ata_signature(d, regs);
    }
    if (ret->error)
        ret->protocol = ATA_P_NONE, ret->source = ATA_S_NONE;
}

void ata_end(struct ata_drive *d, const struct ata_action *a, int result, struct ata_regs *regs)
{
    regs->status = ATA_READY;
    regs->error = 0;
    if (a->packet) {
        if (result == -EFAULT)
            ata_sense(d, 0x0b, 0x08, 0x03); /* aborted: logical unit communication */
        else if (result < 0)
            ata_sense(d, 3, 0x11, 0); /* medium error: unrecovered read error */
        if (d->sense[0]) {
            regs->status |= ATA_ERR;
            regs->error = (uint8_t)(d->sense[0] << 4 | ATA_E_ABRT);
        }
        regs->count[0] = 3; /* interrupt reason: status (IO and CoD, 6.4 of ATA8-APT) */
        return;
    }
    if (!a->error && result == 0)
        return;
    regs->status |= ATA_ERR;
    if (a->error)
        regs->error = a->error;
    else if (result == -EFAULT)
        regs->error = ATA_E_ICRC | ATA_E_ABRT; /* the interface failed, not the medium */
    else
        regs->error =
            a->protocol == ATA_P_PIO_IN || a->protocol == ATA_P_DMA_IN || a->source == ATA_S_VERIFY
                ? ATA_E_UNC
                : ATA_E_ABRT;
}

/* ---- identity ---- */

void ata_signature(const struct ata_drive *d, struct ata_regs *r)
{
    memset(r->lba, 0, sizeof(r->lba));
    memset(r->count, 0, sizeof(r->count));
    r->count[0] = r->lba[0][0] = 1;
    r->lba[0][1] = d->cd ? 0x14 : 0;
    r->lba[0][2] = d->cd ? 0xeb : 0;
}

static void put(uint8_t *data, unsigned word, unsigned value)
{
    store_le16(data + 2 * word, (uint16_t)value);
}

/* Strings have the first character in the high byte (3.4.9). */
static void put_text(uint8_t *data, unsigned word, unsigned words, const char *text)
{
    size_t len = strlen(text);

    for (unsigned i = 0; i < 2 * words; i++)
        data[(2 * word + i) ^ 1] = i < len ? (uint8_t)text[i] : ' ';
}

enum { HEADS = 16, SECTORS = 63, CYLINDERS_MAX = 16383 };

static void identify_disk(const struct ata_drive *d, uint8_t *data)
{
    uint64_t sectors = d->block->size / ATA_SECTOR, cylinders, translated;
    uint32_t few = (uint32_t)min_of(sectors, (uint64_t)0x0fffffff);
    unsigned ratio = 0;

    cylinders = min_of(sectors / (HEADS * SECTORS), (uint64_t)CYLINDERS_MAX);
    put(data, 0, 0x0040);
    put(data, 1, (unsigned)max_of(cylinders, (uint64_t)1));
    put(data, 3, HEADS);
    put(data, 6, SECTORS);
    put(data, 47, 0x8000 | ATA_MULTIPLE);
    translated = min_of(sectors / ((uint64_t)d->heads * d->sectors), (uint64_t)65535);
    put(data, 54, (unsigned)translated);
    put(data, 55, d->heads);
    put(data, 56, d->sectors);
    translated *= (uint64_t)d->heads * d->sectors;
    store_le32(data + 2 * 57, (uint32_t)min_of(translated, (uint64_t)0x0fffffff));
    put(data, 59, d->multiple ? 0x100u | d->multiple : 0);
    store_le32(data + 2 * 60, few);
    if (d->sata) {
        put(data, 75, ATA_QUEUE - 1);
        put(data, 76, 1 << 8 | 3 << 1); /* native queuing; 1.5 and 3 Gb/s */
    }
    put(data, 80, 0x1f0);
    put(data, 82, 1 << 5 | 1 << 6);                       /* write cache, look-ahead */
    put(data, 83, 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10); /* flush ext, flush, 48 bits */
    put(data, 84, (unsigned)(1 << 14 | 1 << 6 | (d->sata ? 1 << 5 : 0))); /* FUA */
    put(data, 85, (unsigned)(d->write_cache << 5 | d->look_ahead << 6));
    put(data, 86, 1 << 13 | 1 << 12 | 1 << 10);
    put(data, 87, (unsigned)(1 << 14 | 1 << 6 | (d->sata ? 1 << 5 : 0)));
    store_le64(data + 2 * 100, sectors);
    while (ratio < 8 && 512u << ratio < d->block->physical_block)
        ratio++;
    put(data, 106, 1 << 14 | (ratio ? 1 << 13 | ratio : 0));
    if (d->block->can_discard) {
        put(data, 105, 8); /* blocks of ranges at once */
        put(data, 169, 1);
    }
    put(data, 217, 1); /* does not rotate */
}

static void identify_cd(uint8_t *data)
{
    put(data, 0, 0x85c0); /* ATAPI, CD-ROM, removable, DRQ within 50 us, 12-byte packets */
    put(data, 71, 30);
    put(data, 72, 30);
    put(data, 80, 0x1f0);
    put(data, 82, 1 << 14 | 1 << 9 | 1 << 4); /* NOP, DEVICE RESET, PACKET */
    put(data, 83, 1 << 14);
    put(data, 84, 1 << 14);
    put(data, 85, 1 << 14 | 1 << 9 | 1 << 4);
    put(data, 87, 1 << 14);
}

/* IDENTIFY DEVICE and IDENTIFY PACKET DEVICE (7.12, 7.13). */
void ata_identify(const struct ata_drive *d, uint8_t data[ATA_DATA])
{
    uint8_t sum = 0;

    memset(data, 0, ATA_DATA);
    put_text(data, 10, 10, d->serial);
    put_text(data, 23, 4, "1.0");
    put_text(data, 27, 20, d->cd ? "ISOLA CD-ROM" : "ISOLA DISK");
    put(data, 49, 1 << 11 | 1 << 9 | 1 << 8); /* IORDY, LBA, DMA */
    put(data, 50, 1 << 14);
    put(data, 53, 7);
    put(data, 63, 7u | (unsigned)d->mwdma << 8);
    put(data, 64, 3); /* PIO modes 3 and 4 */
    for (unsigned word = 65; word <= 68; word++)
        put(data, word, 120); /* ns of a cycle */
    put(data, 88, 0x3fu | (unsigned)d->udma << 8);
    if (!d->sata)
        put(data, 93, 1 << 14 | 1 << 13 | 1); /* the result of the reset, by the cable's pins */
    if (d->cd)
        identify_cd(data);
    else
        identify_disk(d, data);
    data[510] = 0xa5;
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + data[i]);
    data[511] = (uint8_t)-sum;
}

/* ---- life ---- */

#define FIELD(field, reset_value) STATE_FIELD(struct ata_drive, field, reset_value)
static const struct state_field fields[] = {
    FIELD(multiple, ATA_MULTIPLE),
    FIELD(write_cache, 1),
    FIELD(look_ahead, 1),
    FIELD(mwdma, 0),
    FIELD(udma, 1 << 5),
    FIELD(heads, HEADS),
    FIELD(sectors, SECTORS),
    STATE_ARRAY(struct ata_drive, sense, 0),
    FIELD(attention, 0),
    FIELD(locked, 0),
    FIELD(tray_open, 0),
    FIELD(media_event, 0),
    STATE_BLOB(struct ata_drive, error_log),
};

/* Keeps what was loaded within what the arithmetic needs. */
static void after(void *dev)
{
    struct ata_drive *d = dev;

    if (!set_multiple(d, d->multiple))
        d->multiple = ATA_MULTIPLE;
    d->heads = d->heads && d->heads <= 16 ? d->heads : HEADS;
    d->sectors = d->sectors ? d->sectors : SECTORS;
    d->write_cache &= 1;
    d->look_ahead &= 1;
    d->locked &= 1;
    d->tray_open &= 1;
    d->sense[0] &= 15;
}

static const struct state_table state = {.name = "ata-drive",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = after};

/* The tray stays where it is: what a guest ejected does not come back by a reboot. */
static void drive_reset(struct device *dev)
{
    struct ata_drive *d = container_of(dev, struct ata_drive, dev);
    uint8_t tray_open = d->tray_open;

    state_reset(&state, d);
    d->tray_open = tray_open;
}

void ata_drive_reset(struct ata_drive *d, struct ata_regs *regs)
{
    d->sense[0] = d->sense[1] = d->sense[2] = 0;
    d->locked = 0;
    if (d->cd)
        d->attention = 0x29; /* power on, reset, or bus device reset occurred */
    ata_signature(d, regs);
    regs->error = 1; /* the diagnostic passed */
    regs->status = d->cd ? 0 : ATA_READY;
}

static void drive_free(struct device *dev)
{
    free(container_of(dev, struct ata_drive, dev));
}

struct ata_drive *ata_drive_new(const char *name, struct block *block, bool cd, struct error *err)
{
    struct ata_drive *d = mem_new(struct ata_drive);

    if (!d) {
        error_set(err, -ENOMEM, "add drive %s: out of memory", name);
        return NULL;
    }
    d->dev = (struct device){.state = &state, .reset = drive_reset, .free = drive_free};
    snprintf(d->dev.name, sizeof(d->dev.name), "%s", name);
    d->block = block;
    d->cd = cd;
    snprintf(d->serial, sizeof(d->serial), "%s", !cd && block->serial[0] ? block->serial : name);
    state_reset(&state, d);
    return d;
}

struct device *ata_drive_device(struct ata_drive *d)
{
    return &d->dev;
}

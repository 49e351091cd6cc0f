/* SPDX-License-Identifier: Apache-2.0 */
#include "device/virtio/scsi_disk.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { BLOCK_BYTES = 512, UNMAP_LIST_MAX = 8 + 16 };
enum {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    READ_6 = 0x08,
    WRITE_6 = 0x0a,
    INQUIRY = 0x12,
    MODE_SENSE_6 = 0x1a,
    START_STOP = 0x1b,
    READ_CAPACITY_10 = 0x25,
    READ_10 = 0x28,
    WRITE_10 = 0x2a,
    VERIFY_10 = 0x2f,
    SYNCHRONIZE_10 = 0x35,
    UNMAP = 0x42,
    MODE_SENSE_10 = 0x5a,
    READ_16 = 0x88,
    WRITE_16 = 0x8a,
    SYNCHRONIZE_16 = 0x91,
    SERVICE_ACTION_IN = 0x9e,
    READ_CAPACITY_16 = 0x10, /* a service action of it */
    REPORT_LUNS = 0xa0,
    READ_12 = 0xa8,
    WRITE_12 = 0xaa,
};
/* Sense keys and additional codes (SPC-4, 4.5). */
enum {
    MEDIUM_ERROR = 0x3,
    ILLEGAL_REQUEST = 0x5,
    DATA_PROTECT = 0x7,
    UNREADABLE = 0x1100,
    PARAMETER_LIST_LENGTH = 0x1a00,
    INVALID_OPCODE = 0x2000,
    OUT_OF_RANGE = 0x2100,
    INVALID_FIELD = 0x2400,
    NO_SUCH_UNIT = 0x2500,
    INVALID_PARAMETER = 0x2600,
    WRITE_PROTECTED = 0x2700,
    NO_SPACE = 0x2707, /* space allocation failed write protect */
};

static void put_be(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static uint64_t get_be(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static void fail(struct scsi_command *c, unsigned key, unsigned code)
{
    c->action = SCSI_DONE;
    c->status = SCSI_CHECK_CONDITION;
    c->reply_len = 0;
    memset(c->sense, 0, sizeof(c->sense));
    c->sense[0] = 0x70;
    c->sense[2] = (uint8_t)key;
    c->sense[7] = SCSI_SENSE - 8;
    c->sense[12] = (uint8_t)(code >> 8);
    c->sense[13] = (uint8_t)code;
}

void scsi_disk_failed(struct scsi_command *c, int code)
{
    if (code == -EROFS)
        fail(c, DATA_PROTECT, WRITE_PROTECTED);
    else if (code == -ENOSPC)
        fail(c, DATA_PROTECT, NO_SPACE);
    else
        fail(c, MEDIUM_ERROR, UNREADABLE);
}

void scsi_no_unit(struct scsi_command *c)
{
    fail(c, ILLEGAL_REQUEST, NO_SUCH_UNIT);
}

/* The reply has @len bytes, of which the initiator takes @room. */
static void reply(struct scsi_command *c, unsigned len, uint64_t room)
{
    c->reply_len = (unsigned)min_of((uint64_t)len, room);
}

static bool unmaps(const struct block *b)
{
    return b->can_discard && !b->readonly;
}

static unsigned exponent(const struct block *b)
{
    unsigned exp = 0;

    while (exp < 8 && (unsigned)BLOCK_BYTES << exp < b->physical_block)
        exp++;
    return exp;
}

/* ---- INQUIRY ---- */

/* Text padded with spaces. */
static void put_text(uint8_t *at, const char *text, size_t len)
{
    size_t n = strnlen(text, len);

    memset(at, ' ', len);
    memcpy(at, text, n);
}

static unsigned identification(const struct block *b, unsigned target, uint8_t *r)
{
    char name[32];
    int n = b->serial[0] ? snprintf(name, sizeof(name), "%s", b->serial)
                         : snprintf(name, sizeof(name), "disk%u", target);

    r[4] = 2;                /* ASCII */
    r[5] = 1;                /* by vendor, of the logical unit */
    r[7] = (uint8_t)(8 + n); /* length */
    put_text(r + 8, "ISOLA", 8);
    memcpy(r + 16, name, (size_t)n);
    return 16 + (unsigned)n;
}

/* Vital product data (SPC-4, 7.8; SBC-3, 6.5). */
static unsigned vital_page(const struct block *b, unsigned target, uint8_t page, uint8_t *r)
{
    static const uint8_t pages[] = {0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2};
    size_t n;

    switch (page) {
    case 0x00:
        memcpy(r + 4, pages, sizeof(pages));
        return 4 + sizeof(pages);
    case 0x80:
        n = strlen(b->serial);
        memcpy(r + 4, b->serial, n);
        return 4 + (unsigned)n;
    case 0x83:
        return identification(b, target, r);
    case 0xb0: /* limits: one range of 2 GiB in each UNMAP */
        put_be(r + 6, 1u << exponent(b), 2);
        if (unmaps(b)) {
            put_be(r + 20, 4 << 20, 4);
            put_be(r + 24, 1, 4);
        }
        return 64;
    case 0xb1:
        put_be(r + 4, 1, 2); /* does not rotate */
        return 64;
    case 0xb2:
        r[5] = unmaps(b) ? 0x80 : 0;
        return 8;
    default:
        return 0;
    }
}

static void inquiry(const struct block *b, unsigned target, struct scsi_command *c)
{
    uint8_t *r = c->reply;
    unsigned len = 36;

    if (c->cdb[1] & 1) {
        len = vital_page(b, target, c->cdb[2], r);
        r[1] = c->cdb[2];
        put_be(r + 2, len - 4, 2);
    } else {
        if (c->cdb[2])
            len = 0;
        r[2] = 6; /* SPC-4 */
        r[3] = 2; /* response data format */
        r[4] = 36 - 5;
        r[7] = 2; /* command queuing */
        put_text(r + 8, "ISOLA", 8);
        put_text(r + 16, "DISK", 16);
        put_text(r + 32, "1", 4);
    }
    if (!len)
        fail(c, ILLEGAL_REQUEST, INVALID_FIELD);
    else
        reply(c, len, get_be(c->cdb + 3, 2));
}

/* ---- other replies ---- */

static void mode_sense(const struct block *b, struct scsi_command *c)
{
    bool wide = c->cdb[0] == MODE_SENSE_10, changeable = c->cdb[2] >> 6 == 1;
    unsigned header = wide ? 8 : 4, page = c->cdb[2] & 0x3f;
    uint8_t *r = c->reply;

    if (page != 0x08 && page != 0x3f) {
        fail(c, ILLEGAL_REQUEST, INVALID_FIELD);
        return;
    }
    r[wide ? 3 : 2] = (uint8_t)((b->readonly ? 0x80 : 0) | 0x10); /* WP; DPO and FUA are known */
    r[header] = 0x08;                                             /* caching (SBC-3, 6.4.5) */
    r[header + 1] = 18;
    r[header + 2] = changeable || b->readonly ? 0 : 4; /* write cache */
    if (wide)
        put_be(r, header + 20 - 2, 2);
    else
        r[0] = (uint8_t)(header + 20 - 1);
    reply(c, header + 20, wide ? get_be(c->cdb + 7, 2) : c->cdb[4]);
}

static void capacity_10(const struct block *b, struct scsi_command *c)
{
    put_be(c->reply, min_of(b->size / BLOCK_BYTES - 1, (uint64_t)UINT32_MAX), 4);
    put_be(c->reply + 4, BLOCK_BYTES, 4);
    c->reply_len = 8;
}

static void capacity_16(const struct block *b, struct scsi_command *c)
{
    put_be(c->reply, b->size / BLOCK_BYTES - 1, 8);
    put_be(c->reply + 8, BLOCK_BYTES, 4);
    c->reply[13] = (uint8_t)exponent(b);
    c->reply[14] = unmaps(b) ? 0x80 : 0;
    reply(c, 32, get_be(c->cdb + 10, 4));
}

static void report_luns(struct scsi_command *c)
{
    put_be(c->reply, 8, 4); /* one, number 0 */
    reply(c, 16, get_be(c->cdb + 6, 4));
}

static void request_sense(struct scsi_command *c)
{
    c->reply[0] = 0x70;
    c->reply[7] = SCSI_SENSE - 8;
    reply(c, SCSI_SENSE, c->cdb[4]); /* every sense went with its command */
}

/* ---- data ---- */

/* Blocks [lba, lba + count) of READ or WRITE. */
static void transfer(const struct block *b, struct scsi_command *c, bool write, uint64_t lba,
                     uint64_t count)
{
    uint64_t blocks = b->size / BLOCK_BYTES;

    if (lba > blocks || count > blocks - lba) {
        fail(c, ILLEGAL_REQUEST, OUT_OF_RANGE);
        return;
    }
    if (write && b->readonly) {
        fail(c, DATA_PROTECT, WRITE_PROTECTED);
        return;
    }
    c->action = write ? SCSI_WRITE : SCSI_READ;
    c->offset = lba * BLOCK_BYTES;
    c->len = count * BLOCK_BYTES;
    if (!c->len)
        c->action = SCSI_DONE;
}

static void transfer_6(const struct block *b, struct scsi_command *c)
{
    transfer(b, c, c->cdb[0] == WRITE_6, get_be(c->cdb + 1, 3) & 0x1fffff,
             c->cdb[4] ? c->cdb[4] : 256);
}

static void transfer_wide(const struct block *b, struct scsi_command *c)
{
    static const struct {
        uint8_t lba, count_at, count;
    } forms[] = {[1] = {4, 7, 2}, [4] = {8, 10, 4}, [5] = {4, 6, 4}}; /* by the group code */
    unsigned group = c->cdb[0] >> 5;
    bool write = (c->cdb[0] & 0x1f) == (WRITE_10 & 0x1f);

    c->force = write && c->cdb[1] & 8;
    transfer(b, c, write, get_be(c->cdb + 2, forms[group].lba),
             get_be(c->cdb + forms[group].count_at, forms[group].count));
}

static void unmap(const struct block *b, struct scsi_command *c)
{
    c->len = get_be(c->cdb + 7, 2);
    if (!unmaps(b))
        fail(c, ILLEGAL_REQUEST, INVALID_OPCODE);
    else if (c->len > UNMAP_LIST_MAX)
        fail(c, ILLEGAL_REQUEST, PARAMETER_LIST_LENGTH);
    else if (c->len)
        c->action = SCSI_UNMAP;
}

void scsi_disk_unmap(const struct block *b, struct scsi_command *c, const uint8_t *list, size_t len)
{
    uint64_t lba, count, blocks = b->size / BLOCK_BYTES;

    c->len = 0;
    if (len < 8 || get_be(list + 2, 2) == 0)
        return;
    if (len < 24 || get_be(list + 2, 2) != 16) {
        fail(c, ILLEGAL_REQUEST, PARAMETER_LIST_LENGTH);
        return;
    }
    lba = get_be(list + 8, 8);
    count = get_be(list + 16, 4);
    if (lba > blocks || count > blocks - lba) {
        fail(c, ILLEGAL_REQUEST, OUT_OF_RANGE);
    } else if (count > 4 << 20) {
        fail(c, ILLEGAL_REQUEST, INVALID_PARAMETER);
    } else {
        c->offset = lba * BLOCK_BYTES;
        c->len = count * BLOCK_BYTES;
    }
}

void scsi_disk_command(const struct block *b, unsigned target, struct scsi_command *c)
{
    c->action = SCSI_DONE;
    c->status = SCSI_GOOD;
    c->force = false;
    c->offset = c->len = c->reply_len = 0;
    memset(c->reply, 0, sizeof(c->reply));
    switch (c->cdb[0]) {
    case TEST_UNIT_READY:
    case START_STOP:
    case VERIFY_10:
        break;
    case REQUEST_SENSE:
        request_sense(c);
        break;
    case INQUIRY:
        inquiry(b, target, c);
        break;
    case MODE_SENSE_6:
    case MODE_SENSE_10:
        mode_sense(b, c);
        break;
    case READ_CAPACITY_10:
        capacity_10(b, c);
        break;
    case SERVICE_ACTION_IN:
        if ((c->cdb[1] & 0x1f) == READ_CAPACITY_16)
            capacity_16(b, c);
        else
            fail(c, ILLEGAL_REQUEST, INVALID_FIELD);
        break;
    case REPORT_LUNS:
        report_luns(c);
        break;
    case READ_6:
    case WRITE_6:
        transfer_6(b, c);
        break;
    case READ_10:
    case WRITE_10:
    case READ_12:
    case WRITE_12:
    case READ_16:
    case WRITE_16:
        transfer_wide(b, c);
        break;
    case SYNCHRONIZE_10:
    case SYNCHRONIZE_16:
        c->action = SCSI_FLUSH;
        break;
    case UNMAP:
        unmap(b, c);
        break;
    default:
        fail(c, ILLEGAL_REQUEST, INVALID_OPCODE);
        break;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet commands of a CD drive (MMC-6; SPC-3 for the general ones). The disc is one data track
 * of 2048-byte sectors.
 */
#include <errno.h>

#include "base/mem.h"
#include "device/ata/ata.h"

/* Sense keys, additional codes. */
enum { NOT_READY = 2, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6 };
enum {
    INVALID_COMMAND = 0x20,
    OUT_OF_RANGE = 0x21,
    INVALID_FIELD = 0x24,
    MEDIUM_CHANGED = 0x28,
    NOT_SAVED = 0x39,
    NO_MEDIUM = 0x3a,
    REMOVAL_PREVENTED = 0x53,
};
enum { EVENT_NONE, EVENT_EJECT, EVENT_NEW, EVENT_REMOVED };
enum { LEAD_OUT = 0xaa, DATA_TRACK = 0x14, LEAD_IN = 150, FRAMES = 75 };
enum { CD_BLOCKS = 80 * 60 * FRAMES, PROFILE_CD = 8, PROFILE_DVD = 16 };

static struct block *disc(const struct ata_drive *d)
{
    return d->tray_open ? NULL : d->block;
}

static uint64_t blocks(const struct ata_drive *d)
{
    const struct block *b = disc(d);
    return b ? min_of(b->size / ATA_CD_SECTOR, (uint64_t)UINT32_MAX) : 0;
}

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value);
}

void ata_sense(struct ata_drive *d, uint8_t key, uint8_t code, uint8_t qualifier)
{
    d->sense[0] = key;
    d->sense[1] = code;
    d->sense[2] = qualifier;
}

static void invalid_field(struct ata_drive *d)
{
    ata_sense(d, ILLEGAL_REQUEST, INVALID_FIELD, 0);
}

/* Answers with @len bytes of a->data, cut to what the host allows. */
static void answer(struct ata_action *a, uint32_t len, uint32_t allowed)
{
    a->len = len < allowed ? len : allowed;
    a->source = ATA_S_DATA;
}

/* ---- general commands ---- */

static void inquiry(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    static const uint8_t head[8] = {0x05, 0x80, 0, 0x21, 31};

    if (packet[1] & 1) {
        invalid_field(d);
        return;
    }
    memcpy(a->data, head, sizeof(head));
    memcpy(a->data + 8, "ISOLA   CD-ROM          1.0 ", 28);
    answer(a, 36, be16(packet + 3) & 0xff);
}

static void request_sense(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    if (!d->sense[0] && d->attention) {
        ata_sense(d, UNIT_ATTENTION, d->attention, 0);
        d->attention = 0;
    }
    a->data[0] = 0xf0;
    a->data[2] = d->sense[0];
    a->data[7] = 10;
    a->data[12] = d->sense[1];
    a->data[13] = d->sense[2];
    ata_sense(d, 0, 0, 0);
    answer(a, 18, packet[4]);
}

static void start_stop(struct ata_drive *d, const uint8_t *packet)
{
    bool load_eject = packet[4] & 2, start = packet[4] & 1;

    if (!load_eject)
        return;
    if (!start && d->locked) {
        ata_sense(d, d->block ? ILLEGAL_REQUEST : NOT_READY, REMOVAL_PREVENTED, 2);
        return;
    }
    if (d->tray_open == !start)
        return;
    d->tray_open = !start;
    if (d->block) {
        d->media_event = start ? EVENT_NEW : EVENT_REMOVED;
        if (start)
            d->attention = MEDIUM_CHANGED;
    }
}

void ata_cd_change(struct ata_drive *d, struct block *b)
{
    d->block = b;
    d->tray_open = 0;
    d->media_event = b ? EVENT_NEW : EVENT_REMOVED;
    d->attention = MEDIUM_CHANGED;
}

/* The media class alone (6.6 of MMC-6). */
static void event_status(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    enum { MEDIA = 4, NO_CLASS = 0x80 };

    if (!(packet[1] & 1)) { /* asynchronous: no queue for that */
        invalid_field(d);
        return;
    }
    a->data[3] = 1 << MEDIA;
    if (!(packet[4] & 1 << MEDIA)) {
        a->data[1] = 2;
        a->data[2] = NO_CLASS;
        answer(a, 4, be16(packet + 7));
        return;
    }
    a->data[1] = 6;
    a->data[2] = MEDIA;
    a->data[4] = d->media_event;
    a->data[5] = (uint8_t)(d->tray_open | (disc(d) ? 2 : 0));
    if (be16(packet + 7) >= 8)
        d->media_event = EVENT_NONE;
    answer(a, 8, be16(packet + 7));
}

/* ---- pages ---- */

static unsigned page_recovery(const struct ata_drive *d, uint8_t *p)
{
    (void)d;
    p[0] = 0x01;
    p[1] = 6;
    p[3] = 5; /* retries */
    return 8;
}

static unsigned page_audio(const struct ata_drive *d, uint8_t *p)
{
    (void)d;
    p[0] = 0x0e;
    p[1] = 14;
    p[2] = 4; /* immediate */
    return 16;
}

/* Capabilities and mechanical status (MMC-3, 5.5.10). */
static unsigned page_capabilities(const struct ata_drive *d, uint8_t *p)
{
    enum { SPEED = 706 }; /* kB/s, 4x */

    p[0] = 0x2a;
    p[1] = 18;
    p[2] = 0x0b;                                            /* reads CD-R, CD-RW, DVD-ROM */
    p[4] = 0x70;                                            /* mode 2, several sessions */
    p[6] = (uint8_t)(1 << 5 | 1 << 3 | d->locked << 1 | 1); /* tray, eject, lock */
    put16(p + 8, SPEED);
    put16(p + 10, 2);
    put16(p + 12, 512);
    put16(p + 14, SPEED);
    return 20;
}

static void mode_sense(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    static const struct {
        uint8_t code;
        unsigned (*fill)(const struct ata_drive *d, uint8_t *p);
    } pages[] = {{0x01, page_recovery}, {0x0e, page_audio}, {0x2a, page_capabilities}};
    unsigned wanted = packet[2] & 0x3f, control = packet[2] >> 6, len = 8;

    if (control == 3) {
        ata_sense(d, ILLEGAL_REQUEST, NOT_SAVED, 0);
        return;
    }
    for (unsigned i = 0; i < array_size(pages); i++) {
        if (wanted == 0x3f || wanted == pages[i].code) {
            unsigned n = pages[i].fill(d, a->data + len);
            if (control == 1) /* what can be changed: nothing */
                memset(a->data + len + 2, 0, n - 2);
            len += n;
        }
    }
    if (len == 8) {
        invalid_field(d);
        return;
    }
    put16(a->data, len - 2);
    a->data[2] = disc(d) ? 0x01 : 0x70; /* 120 mm data disc; no disc */
    answer(a, len, be16(packet + 7));
}

static unsigned profile(const struct ata_drive *d)
{
    if (!disc(d))
        return 0;
    return blocks(d) > CD_BLOCKS ? PROFILE_DVD : PROFILE_CD;
}

/* GET CONFIGURATION (6.5): the features a read-only drive must have. */
static void get_configuration(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    unsigned now = profile(d), first = be16(packet + 2), kind = packet[1] & 3, len = 8;
    const struct {
        uint8_t bytes[12], len;
    } features[] = {
        {{0, 0, 3, 8, 0, PROFILE_DVD, now == PROFILE_DVD, 0, 0, PROFILE_CD, now == PROFILE_CD}, 12},
        {{0, 1, 0xb, 8, 0, 0, 0, 2, 1}, 12},               /* core: ATAPI */
        {{0, 3, 3, 4, 0x29}, 8},                           /* removable: tray, eject, lock */
        {{0, 0x10, now ? 1 : 0, 8, 0, 0, 8, 0, 0, 1}, 12}, /* random readable, 2048 bytes */
        {{0, 0x1e, now == PROFILE_CD, 4}, 8},              /* CD read */
    };

    if (kind == 3) {
        invalid_field(d);
        return;
    }
    put16(a->data + 6, now);
    for (unsigned i = 0; i < array_size(features); i++) {
        unsigned code = be16(features[i].bytes);
        if (code < first || (kind == 2 && code != first) ||
            (kind == 1 && !(features[i].bytes[2] & 1)))
            continue;
        memcpy(a->data + len, features[i].bytes, features[i].len);
        len += features[i].len;
    }
    put32(a->data, len - 4);
    answer(a, len, be16(packet + 7));
}

/* ---- the disc ---- */

/* An address as minutes, seconds, frames, or as a number. */
static void put_address(uint8_t *p, uint32_t block, bool msf)
{
    if (!msf) {
        put32(p, block);
        return;
    }
    block += LEAD_IN;
    p[0] = 0;
    p[1] = (uint8_t)min_of(block / (60 * FRAMES), 255u);
    p[2] = (uint8_t)(block / FRAMES % 60);
    p[3] = (uint8_t)(block % FRAMES);
}

static uint8_t *put_track(uint8_t *p, uint8_t track, uint32_t block, bool msf)
{
    p[1] = DATA_TRACK;
    p[2] = track;
    put_address(p + 4, block, msf);
    return p + 8;
}

/* One entry of the raw table of contents: point and its address (6.26.2.4). */
static uint8_t *put_raw(uint8_t *p, uint8_t point, uint32_t block)
{
    p[0] = 1; /* session */
    p[1] = DATA_TRACK;
    p[3] = point;
    put_address(p + 7, block, true);
    return p + 11;
}

static void read_toc(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    bool msf = packet[1] & 2;
    unsigned format = packet[2] & 15 ? packet[2] & 15 : packet[9] >> 6, start = packet[6];
    uint32_t end = (uint32_t)blocks(d);
    uint8_t *p = a->data + 4;

    a->data[2] = a->data[3] = 1; /* first and last track or session */
    switch (format) {
    case 0:
        if (start > 1 && start != LEAD_OUT) {
            invalid_field(d);
            return;
        }
        if (start <= 1)
            p = put_track(p, 1, 0, msf);
        p = put_track(p, LEAD_OUT, end, msf);
        break;
    case 1:
        p = put_track(p, 1, 0, msf);
        break;
    case 2:
        p = put_raw(p, 0xa0, 0);
        memset(p - 4, 0, 4);
        p[-3] = 1; /* first track */
        p = put_raw(p, 0xa1, 0);
        memset(p - 4, 0, 4);
        p[-3] = 1; /* last track */
        p = put_raw(p, 0xa2, end);
        p = put_raw(p, 1, 0);
        break;
    default:
        invalid_field(d);
        return;
    }
    put16(a->data, (uint32_t)(p - a->data) - 2);
    answer(a, (uint32_t)(p - a->data), be16(packet + 7));
}

static void read_disc(struct ata_drive *d, uint32_t first, uint32_t count, struct ata_action *a)
{
    if (first > blocks(d) || count > blocks(d) - first) {
        ata_sense(d, ILLEGAL_REQUEST, OUT_OF_RANGE, 0);
        return;
    }
    a->source = ATA_S_MEDIUM;
    a->offset = (uint64_t)first * ATA_CD_SECTOR;
    a->len = (uint64_t)count * ATA_CD_SECTOR;
}

/* READ CD (6.20): user data alone. */
static void read_cd(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    uint32_t count = (uint32_t)packet[6] << 16 | be16(packet + 7);

    if (!(packet[9] & 0xf8))
        count = 0;
    else if ((packet[9] & 0xf8) != 0x10 || packet[10] & 7) {
        ata_sense(d, ILLEGAL_REQUEST, INVALID_FIELD, 0);
        return;
    }
    read_disc(d, be32(packet + 2), count, a);
}

static void capacity(const struct ata_drive *d, struct ata_action *a)
{
    uint64_t n = blocks(d);

    put32(a->data, (uint32_t)(n ? n - 1 : 0));
    put32(a->data + 4, ATA_CD_SECTOR);
    answer(a, 8, 8);
}

static void disc_information(const uint8_t *packet, struct ata_action *a)
{
    static const uint8_t info[12] = {0, 32, 0x0e, 1, 1, 1, 1, 0x20}; /* complete, one session */

    memcpy(a->data, info, sizeof(info));
    answer(a, 34, be16(packet + 7));
}

static void subchannel(const uint8_t *packet, struct ata_action *a)
{
    a->data[1] = 0x15; /* no audio status */
    answer(a, 4, be16(packet + 7));
}

/* ---- one table ---- */

enum { QUIET = 1, NEEDS_DISC = 2 }; /* QUIET: leaves a unit attention pending */

static const struct {
    uint8_t code, flags;
} commands[] = {
    {0x00, NEEDS_DISC}, /* test unit ready */
    {0x03, QUIET},      {0x12, QUIET},      {0x1b, 0},          {0x1e, 0},
    {0x25, NEEDS_DISC}, {0x28, NEEDS_DISC}, {0x2b, NEEDS_DISC}, {0x42, NEEDS_DISC},
    {0x43, NEEDS_DISC}, {0x46, QUIET},      {0x4a, QUIET},      {0x51, NEEDS_DISC},
    {0x5a, 0},          {0xa8, NEEDS_DISC}, {0xbb, 0},          {0xbd, 0},
    {0xbe, NEEDS_DISC},
};

/* Whether the command may go on now; the sense data says why not. */
static bool admitted(struct ata_drive *d, uint8_t code)
{
    for (unsigned i = 0; i < array_size(commands); i++) {
        if (commands[i].code != code)
            continue;
        if (d->attention && !(commands[i].flags & QUIET)) {
            ata_sense(d, UNIT_ATTENTION, d->attention, 0);
            d->attention = 0;
            return false;
        }
        if (commands[i].flags & NEEDS_DISC && !disc(d)) {
            ata_sense(d, NOT_READY, NO_MEDIUM, d->tray_open ? 2 : 1);
            return false;
        }
        return true;
    }
    ata_sense(d, ILLEGAL_REQUEST, INVALID_COMMAND, 0);
    return false;
}

static void execute(struct ata_drive *d, const uint8_t *packet, struct ata_action *a)
{
    switch (packet[0]) {
    case 0x03:
        request_sense(d, packet, a);
        break;
    case 0x12:
        inquiry(d, packet, a);
        break;
    case 0x1b:
        start_stop(d, packet);
        break;
    case 0x1e:
        d->locked = packet[4] & 1;
        break;
    case 0x25:
        capacity(d, a);
        break;
    case 0x28:
        read_disc(d, be32(packet + 2), be16(packet + 7), a);
        break;
    case 0x2b: /* seek */
        if (be32(packet + 2) >= blocks(d))
            ata_sense(d, ILLEGAL_REQUEST, OUT_OF_RANGE, 0);
        break;
    case 0x42:
        subchannel(packet, a);
        break;
    case 0x43:
        read_toc(d, packet, a);
        break;
    case 0x46:
        get_configuration(d, packet, a);
        break;
    case 0x4a:
        event_status(d, packet, a);
        break;
    case 0x51:
        disc_information(packet, a);
        break;
    case 0x5a:
        mode_sense(d, packet, a);
        break;
    case 0xa8:
        read_disc(d, be32(packet + 2), be32(packet + 6), a);
        break;
    case 0xbd: /* mechanism status: no changer */
        a->data[5] = 1;
        answer(a, 8, be16(packet + 8));
        break;
    case 0xbe:
        read_cd(d, packet, a);
        break;
    default: /* test unit ready, set CD speed: nothing more to do */
        break;
    }
}

void ata_packet(struct ata_drive *d, const uint8_t packet[ATA_PACKET], uint32_t limit,
                struct ata_action *ret)
{
    *ret = (struct ata_action){.packet = 1};
    if (packet[0] != 0x03)
        ata_sense(d, 0, 0, 0);
    if (admitted(d, packet[0]))
        execute(d, packet, ret);
    if (d->sense[0] || !ret->len) {
        ret->source = ATA_S_NONE;
        ret->len = 0;
        return;
    }
    ret->protocol = limit ? ATA_P_PIO_IN : ATA_P_DMA_IN;
    ret->drq = limit;
}

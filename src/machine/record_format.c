/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/record_format.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/block.h"

static const char magic[8] = "isolaREC";

/* ---- chunks ---- */

/*
 * Head of a chunk: u32 kind, u32 0, u64 length of the payload, u64 count, u64 time, u64 sum, u64
 * sum of the 40 bytes before: that a length is damaged is found without reading so far.
 */
void record_put_magic(struct str *out)
{
    uint8_t version[4];

    store_le32(version, RECORD_VERSION);
    str_add_n(out, magic, sizeof magic);
    str_add_n(out, version, sizeof version);
}

int record_check_magic(const uint8_t *bytes, size_t len, struct error *err)
{
    if (len < RECORD_MAGIC_BYTES || memcmp(bytes, magic, sizeof magic) != 0)
        return error_set(err, -EINVAL, "the file is no recording of a machine");
    if (load_le32(bytes + sizeof magic) != RECORD_VERSION)
        return error_set(err, -EINVAL, "the recording's format is version %u, this Isola knows %u",
                         load_le32(bytes + sizeof magic), RECORD_VERSION);
    return 0;
}

uint64_t record_mix_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint64_t four[4] = {hash, 1, 2, 3};

    /* Four at a time: a multiplication waits for the one before it. */
    for (; n >= 32; n -= 32, at += 32)
        for (unsigned i = 0; i < 4; i++)
            four[i] = record_mix(four[i], load_le64(at + i * 8));
    hash = record_mix(record_mix(four[0], four[1]), record_mix(four[2], four[3]));
    for (; n >= 8; n -= 8, at += 8)
        hash = record_mix(hash, load_le64(at));
    for (; n; n--, at++)
        hash = record_mix(hash, *at);
    return hash;
}

static uint64_t sum_of(const uint8_t *head, const uint8_t *payload, size_t len, uint64_t before)
{
    return record_mix_bytes(record_mix_bytes(before, head, 32), payload, len);
}

size_t record_chunk_begin(struct str *out)
{
    static const uint8_t nothing[RECORD_CHUNK_HEAD];
    size_t begin = out->len;

    str_add_n(out, nothing, sizeof nothing);
    return begin;
}

void record_chunk_end(struct str *out, size_t begin, enum record_chunk_kind kind, uint64_t count,
                      uint64_t time, uint64_t *sum)
{
    uint8_t *head;

    if (out->failed)
        return;
    head = (uint8_t *)out->data + begin;
    store_le32(head, kind);
    store_le64(head + 8, out->len - begin - RECORD_CHUNK_HEAD);
    store_le64(head + 16, count);
    store_le64(head + 24, time);
    *sum = sum_of(head, head + RECORD_CHUNK_HEAD, out->len - begin - RECORD_CHUNK_HEAD, *sum);
    store_le64(head + 32, *sum);
    store_le64(head + 40, record_mix_bytes(0, head, 40));
}

int record_chunk_next(const uint8_t *bytes, size_t len, size_t *at, struct record_chunk *ret,
                      struct error *err)
{
    const uint8_t *head = bytes + *at;
    uint64_t payload;

    if (*at == len)
        return 0;
    if (len - *at < RECORD_CHUNK_HEAD)
        return error_set(err, -EPIPE, "the recording is cut off at byte %zu", *at);
    payload = load_le64(head + 8);
    if (load_le64(head + 40) != record_mix_bytes(0, head, 40))
        return error_set(err, -EINVAL, "the recording is damaged at byte %zu", *at);
    if (payload > len - *at - RECORD_CHUNK_HEAD)
        return error_set(err, -EPIPE, "the recording is cut off at byte %zu", *at);
    *ret = (struct record_chunk){.kind = load_le32(head),
                                 .count = load_le64(head + 16),
                                 .time = load_le64(head + 24),
                                 .sum = load_le64(head + 32),
                                 .bytes = head + RECORD_CHUNK_HEAD,
                                 .len = (size_t)payload};
    *at += RECORD_CHUNK_HEAD + (size_t)payload;
    return 1;
}

bool record_chunk_check(const struct record_chunk *c, uint64_t before)
{
    return sum_of(c->bytes - RECORD_CHUNK_HEAD, c->bytes, c->len, before) == c->sum;
}

/* ---- numbers ---- */

void record_put_var(struct str *out, uint64_t n)
{
    uint8_t bytes[10];
    size_t len = 0;

    do {
        bytes[len++] = (uint8_t)((n & 0x7f) | (n >= 0x80 ? 0x80 : 0));
        n >>= 7;
    } while (n);
    str_add_n(out, bytes, len);
}

void record_put_signed(struct str *out, int64_t n)
{
    record_put_var(out, (uint64_t)n << 1 ^ (uint64_t)(n < 0 ? -1 : 0));
}

void record_put_blob(struct str *out, const void *bytes, size_t n)
{
    record_put_var(out, n);
    str_add_n(out, bytes, n);
}

const uint8_t *record_get_bytes(struct record_reader *r, size_t n)
{
    const uint8_t *at = r->at;

    if (r->bad || (size_t)(r->end - r->at) < n) {
        r->bad = true;
        return NULL;
    }
    r->at += n;
    return at;
}

uint64_t record_get_u8(struct record_reader *r)
{
    const uint8_t *at = record_get_bytes(r, 1);
    return at ? *at : 0;
}

uint64_t record_get_u16(struct record_reader *r)
{
    const uint8_t *at = record_get_bytes(r, 2);
    return at ? load_le16(at) : 0;
}

static uint64_t get_u32(struct record_reader *r)
{
    const uint8_t *at = record_get_bytes(r, 4);
    return at ? load_le32(at) : 0;
}

uint64_t record_get_u64(struct record_reader *r)
{
    const uint8_t *at = record_get_bytes(r, 8);
    return at ? load_le64(at) : 0;
}

uint64_t record_get_var(struct record_reader *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = record_get_u8(r);
        n |= (byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return n;
    }
    r->bad = true;
    return 0;
}

int64_t record_get_signed(struct record_reader *r)
{
    uint64_t n = record_get_var(r);
    return (int64_t)(n >> 1 ^ (0 - (n & 1)));
}

const uint8_t *record_get_blob(struct record_reader *r, size_t *ret_len)
{
    uint64_t n = record_get_var(r);
    const uint8_t *at = n <= SIZE_MAX ? record_get_bytes(r, (size_t)n) : NULL;

    *ret_len = at ? (size_t)n : 0;
    r->bad |= !at;
    return at;
}

/* ---- events ---- */

const char *record_event_name(enum record_event_kind kind)
{
    static const char *const names[RECORD_EVENTS] = {[RECORD_STEP] = "the end of a slice",
                                                     [RECORD_DRIVE] = "a drive's answer",
                                                     [RECORD_RANDOM] = "random bytes",
                                                     [RECORD_FRAME] = "a network frame",
                                                     [RECORD_OFFER] = "a network frame too many",
                                                     [RECORD_LINK] = "a network cable",
                                                     [RECORD_INPUT] = "bytes typed",
                                                     [RECORD_RESIZE] = "a terminal's size",
                                                     [RECORD_EOF] = "the end of input",
                                                     [RECORD_KEY] = "a key",
                                                     [RECORD_POINTER] = "a pointer's move",
                                                     [RECORD_POWER] = "the power button",
                                                     [RECORD_BALLOON] = "a balloon's size",
                                                     [RECORD_RESET] = "a reset",
                                                     [RECORD_WALL] = "the real-time clock"};

    return (unsigned)kind < RECORD_EVENTS && names[kind] ? names[kind] : "nothing";
}

static bool carries_data(const struct record_event *ev)
{
    return ev->op == BLOCK_READ && ev->result == 0;
}

static void put_drive(struct str *out, const struct record_event *ev)
{
    uint8_t check[4];

    str_add_char(out, (char)ev->number);
    str_add_char(out, (char)ev->op);
    record_put_signed(out, ev->result);
    record_put_var(out, ev->value);
    store_le32(check, (uint32_t)ev->check);
    str_add_n(out, check, sizeof check);
    if (carries_data(ev))
        str_add_n(out, ev->bytes, ev->len);
}

static void put_pointer(struct str *out, const struct input_pointer *p)
{
    record_put_signed(out, p->dx);
    record_put_signed(out, p->dy);
    record_put_var(out, p->x);
    record_put_var(out, p->y);
    record_put_signed(out, p->wheel);
    str_add_char(out, (char)p->buttons);
}

void record_put_event(struct str *out, const struct record_event *ev)
{
    uint8_t check[2];

    str_add_char(out, (char)ev->kind);
    switch (ev->kind) {
    case RECORD_STEP:
        record_put_var(out, ev->value);
        store_le16(check, (uint16_t)ev->check);
        str_add_n(out, check, sizeof check);
        break;
    case RECORD_DRIVE:
        put_drive(out, ev);
        break;
    case RECORD_FRAME:
    case RECORD_INPUT:
        str_add_char(out, (char)ev->number);
        record_put_blob(out, ev->bytes, ev->len);
        break;
    case RECORD_RANDOM:
        record_put_blob(out, ev->bytes, ev->len);
        break;
    case RECORD_LINK:
    case RECORD_KEY:
        str_add_char(out, (char)ev->number);
        str_add_char(out, ev->on);
        break;
    case RECORD_RESIZE:
        str_add_char(out, (char)ev->number);
        record_put_var(out, ev->columns);
        record_put_var(out, ev->rows);
        break;
    case RECORD_EOF:
        str_add_char(out, (char)ev->number);
        break;
    case RECORD_OFFER:
        str_add_char(out, (char)ev->number);
        record_put_var(out, ev->value);
        break;
    case RECORD_POINTER:
        put_pointer(out, &ev->pointer);
        break;
    case RECORD_BALLOON:
        record_put_var(out, ev->value);
        break;
    case RECORD_WALL:
        record_put_signed(out, (int64_t)ev->value);
        break;
    case RECORD_POWER:
    case RECORD_RESET:
    case RECORD_EVENTS:
        break;
    }
}

static void get_drive(struct record_reader *r, struct record_event *ev)
{
    ev->number = (unsigned)record_get_u8(r);
    ev->op = (unsigned)record_get_u8(r);
    ev->result = (int)record_get_signed(r);
    ev->value = record_get_var(r);
    ev->check = get_u32(r);
    if (!carries_data(ev))
        return;
    ev->bytes = ev->value <= SIZE_MAX ? record_get_bytes(r, (size_t)ev->value) : NULL;
    ev->len = (size_t)ev->value;
    r->bad |= !ev->bytes;
}

static void get_pointer(struct record_reader *r, struct input_pointer *p)
{
    p->dx = (int)record_get_signed(r);
    p->dy = (int)record_get_signed(r);
    p->x = (uint16_t)min_of(record_get_var(r), (uint64_t)INPUT_PLACE_MAX);
    p->y = (uint16_t)min_of(record_get_var(r), (uint64_t)INPUT_PLACE_MAX);
    p->wheel = (int)record_get_signed(r);
    p->buttons = (uint8_t)record_get_u8(r);
}

int record_get_event(struct record_reader *r, struct record_event *ret)
{
    struct record_event ev = {0};

    if (r->at == r->end)
        return 0;
    ev.kind = (enum record_event_kind)record_get_u8(r);
    switch (ev.kind) {
    case RECORD_STEP:
        ev.value = record_get_var(r);
        ev.check = record_get_u16(r);
        break;
    case RECORD_DRIVE:
        get_drive(r, &ev);
        break;
    case RECORD_FRAME:
    case RECORD_INPUT:
        ev.number = (unsigned)record_get_u8(r);
        ev.bytes = record_get_blob(r, &ev.len);
        break;
    case RECORD_RANDOM:
        ev.bytes = record_get_blob(r, &ev.len);
        break;
    case RECORD_LINK:
    case RECORD_KEY:
        ev.number = (unsigned)record_get_u8(r);
        ev.on = record_get_u8(r) != 0;
        break;
    case RECORD_RESIZE:
        ev.number = (unsigned)record_get_u8(r);
        ev.columns = (unsigned)record_get_var(r);
        ev.rows = (unsigned)record_get_var(r);
        break;
    case RECORD_EOF:
        ev.number = (unsigned)record_get_u8(r);
        break;
    case RECORD_OFFER:
        ev.number = (unsigned)record_get_u8(r);
        ev.value = record_get_var(r);
        break;
    case RECORD_POINTER:
        get_pointer(r, &ev.pointer);
        break;
    case RECORD_BALLOON:
        ev.value = record_get_var(r);
        break;
    case RECORD_WALL:
        ev.value = (uint64_t)record_get_signed(r);
        break;
    case RECORD_POWER:
    case RECORD_RESET:
        break;
    case RECORD_EVENTS:
    default:
        r->bad = true;
        break;
    }
    if (r->bad)
        return -EINVAL;
    *ret = ev;
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A piece from the medium: read into the buffer, moved on to the cable. A piece to the medium:
 * collected from the cable, written. Then, where asked for, a flush. `step` says what the
 * operation in flight was for.
 */
#include "device/ata/ata_job.h"

#include <errno.h>

#include "base/mem.h"

enum step { S_NEXT, S_READ, S_WRITE, S_FLUSH, S_TRIM };
enum { WAITS = 1 };

static void io_done(struct block_request *io, int result);

int ata_job_init(struct ata_job *j, struct error *err)
{
    j->buffer = mem_alloc(1, ATA_JOB_BUFFER);
    j->piece = ATA_JOB_BUFFER;
    return j->buffer ? 0 : error_set(err, -ENOMEM, "add drive: out of memory");
}

void ata_job_done(struct ata_job *j)
{
    ata_job_stop(j);
    free(j->buffer);
    j->buffer = NULL;
}

/* Does an operation on the medium: its result, or WAITS. */
static int operate(struct ata_job *j, enum step step, enum block_op op, uint64_t offset,
                   uint64_t len)
{
    struct block *block = j->drive->block;
    int result;

    if (!j->block)
        j->block = block;
    if (!block || block != j->block)
        return -EIO; /* the disc is gone */
    j->span = (struct block_span){.data = j->buffer, .len = (size_t)len};
    j->io = (struct block_request){
        .op = op, .offset = offset, .len = len, .done = io_done, .opaque = j};
    if (op == BLOCK_READ || op == BLOCK_WRITE) {
        j->io.spans = &j->span;
        j->io.span_count = 1;
    }
    j->step = step;
    result = block_attempt(block, &j->io);
    if (result == BLOCK_WOULD_WAIT) {
        j->in_flight = true;
        block_submit(block, &j->io);
        return WAITS;
    }
    return result;
}

static bool inward(const struct ata_job *j)
{
    return j->action.protocol == ATA_P_PIO_IN || j->action.protocol == ATA_P_DMA_IN;
}

/* Bytes of the action that are not yet done and fit into the buffer with what is there. */
static uint32_t piece_left(const struct ata_job *j)
{
    uint64_t left = j->action.len - j->done;
    return (uint32_t)min_of(left, (uint64_t)j->piece);
}

/* What an operation that succeeded has brought. */
static void account(struct ata_job *j)
{
    switch ((enum step)j->step) {
    case S_READ:
        j->have = (uint32_t)j->io.len;
        j->used = (uint32_t)(j->done % ATA_SECTOR); /* after a load in the middle of a sector */
        j->drive->read_bytes += j->have;
        break;
    case S_WRITE:
        j->done += j->io.len;
        j->have = 0;
        j->drive->written_bytes += j->io.len;
        break;
    case S_FLUSH:
        j->action.flush = 0;
        if (j->action.source == ATA_S_FLUSH)
            j->action.source = ATA_S_NONE;
        break;
    case S_TRIM:
        j->used += 8;
        break;
    case S_NEXT:
        break;
    }
    j->step = S_NEXT;
}

/* Hands the buffer to the cable. */
static int move_in(struct ata_job *j)
{
    int64_t n = j->move(j, j->buffer + j->used, j->have - j->used, true);

    if (n <= 0)
        return n < 0 ? (int)n : WAITS;
    j->used += (uint32_t)n;
    j->done += (uint64_t)n;
    if (j->used == j->have)
        j->have = j->used = 0;
    return 0;
}

static int next_in(struct ata_job *j)
{
    uint64_t at = j->done & ~(uint64_t)(ATA_SECTOR - 1);

    if (j->have)
        return move_in(j);
    if (j->action.source == ATA_S_DATA) {
        memcpy(j->buffer, j->action.data, (size_t)min_of(j->action.len, (uint64_t)ATA_DATA));
        j->have = (uint32_t)min_of(j->action.len, (uint64_t)ATA_DATA);
        j->used = (uint32_t)min_of(j->done, (uint64_t)j->have);
        return j->used < j->have ? move_in(j) : -EIO;
    }
    return operate(j, S_READ, BLOCK_READ, j->action.offset + at,
                   min_of(j->action.len - at, (uint64_t)j->piece));
}

static int next_out(struct ata_job *j)
{
    uint32_t n = piece_left(j);
    int64_t got = j->move(j, j->buffer, n, false);

    if (got <= 0)
        return got < 0 ? (int)got : WAITS;
    return operate(j, S_WRITE, BLOCK_WRITE, j->action.offset + j->done, n);
}

/* Ranges to discard: 48 bits of address, 16 of sectors each (7.6 of ACS-3). */
static int next_trim(struct ata_job *j)
{
    uint64_t all = j->drive->block ? j->drive->block->size / ATA_SECTOR : 0, range, first, count;

    if (!j->have) {
        uint32_t n = min_of(piece_left(j), (uint32_t)ATA_SECTOR);
        int64_t got = j->move(j, j->buffer, n, false);
        if (got <= 0)
            return got < 0 ? (int)got : WAITS;
        j->have = n;
        j->used = 0;
    }
    while (j->used + 8 <= j->have) {
        range = load_le64(j->buffer + j->used);
        first = range & 0xffffffffffff;
        count = range >> 48;
        if (count && (first > all || count > all - first))
            return -ERANGE;
        if (count) {
            /* The buffer is not touched: discards move no bytes. */
            return operate(j, S_TRIM, BLOCK_DISCARD, first * ATA_SECTOR, count * ATA_SECTOR);
        }
        j->used += 8;
    }
    j->done += j->have;
    j->have = 0;
    return 0;
}

/* The next thing to do: 0 (done, go on), WAITS, a negative errno, or 2: all is done. */
static int next(struct ata_job *j)
{
    const struct ata_action *a = &j->action;

    switch ((enum ata_source)a->source) {
    case ATA_S_VERIFY:
        j->done += j->have; /* read; that was all */
        j->have = 0;
        if (j->done < a->len)
            return operate(j, S_READ, BLOCK_READ, a->offset + j->done, piece_left(j));
        break;
    case ATA_S_DATA:
    case ATA_S_MEDIUM:
        if (j->done < a->len)
            return inward(j) ? next_in(j) : next_out(j);
        break;
    case ATA_S_TRIM:
        if (j->done < a->len)
            return next_trim(j);
        break;
    case ATA_S_FLUSH:
        return operate(j, S_FLUSH, BLOCK_FLUSH, 0, 0);
    case ATA_S_NONE:
        break;
    }
    return a->flush ? operate(j, S_FLUSH, BLOCK_FLUSH, 0, 0) : 2;
}

static void end(struct ata_job *j, int result)
{
    j->active = 0;
    j->have = j->used = 0;
    j->ended(j, result);
}

/* Goes on until something waits. An operation has ended with @result. */
static void go_on(struct ata_job *j, int result)
{
    /* The cable may call ata_job_run out of move: the loop further up the stack goes on then. */
    if (j->running)
        return;
    j->running = true;
    while (result == 0) {
        account(j);
        result = next(j);
    }
    j->running = false;
    if (result != WAITS && j->active)
        end(j, result == 2 ? 0 : result);
}

static void io_done(struct block_request *io, int result)
{
    struct ata_job *j = io->opaque;

    j->in_flight = false;
    if (j->active)
        go_on(j, result > 0 ? -EIO : result);
}

void ata_job_start(struct ata_job *j, struct ata_drive *drive)
{
    j->drive = drive;
    j->block = NULL;
    j->active = 1;
    j->done = 0;
    j->have = j->used = 0;
    j->step = S_NEXT;
    go_on(j, 0);
}

void ata_job_run(struct ata_job *j)
{
    if (j->active && !j->in_flight && !j->running) {
        j->step = S_NEXT;
        go_on(j, 0);
    }
}

bool ata_job_loaded(struct ata_job *j, struct ata_drive *drive)
{
    struct ata_action *a = &j->action;
    bool media = a->source == ATA_S_MEDIUM || a->source == ATA_S_VERIFY,
         good = drive && a->protocol <= ATA_P_DMA_OUT && a->source <= ATA_S_TRIM &&
                j->done <= a->len && a->len <= (uint64_t)UINT32_MAX * ATA_CD_SECTOR;

    good &= !media || (a->offset % ATA_SECTOR == 0 && a->len % ATA_SECTOR == 0 &&
                       a->offset <= UINT64_MAX - a->len);
    good &= a->source != ATA_S_DATA || (a->len <= ATA_DATA && inward(j));
    good &= a->source != ATA_S_TRIM || a->len % ATA_SECTOR == 0;
    good &= inward(j) || a->protocol == ATA_P_NONE || j->done % ATA_SECTOR == 0;
    /* Only moves towards and from the guest can have been stopped half way. */
    good &= a->protocol != ATA_P_NONE;
    a->flush = a->flush != 0;
    a->packet = a->packet != 0;
    j->drive = drive;
    j->block = NULL;
    j->have = j->used = 0;
    j->active = j->active && good;
    return j->active;
}

void ata_job_settle(struct ata_job *j)
{
    if (j->in_flight)
        block_drain(j->block);
}

void ata_job_stop(struct ata_job *j)
{
    j->active = 0;
    if (j->in_flight)
        block_drain(j->block);
    j->have = j->used = 0;
}

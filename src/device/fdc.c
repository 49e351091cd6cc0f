/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command has three phases: its bytes are written to the FIFO, it is executed, its result is read
 * from the FIFO. Data commands execute in runs of consecutive sectors of one track: from the
 * diskette into a buffer and on by DMA, or the other way, until the DMA channel has counted down
 * (terminal count) or the last sector named is done. Nothing takes time: heads are there at once.
 *
 * Sections and names are those of the 82077AA data sheet.
 */
#include "device/fdc.h"

#include <errno.h>

#include "base/mem.h"

enum { SECTOR = 512, SECTOR_CODE = 2, FIFO = 16, BUFFER = 64 << 10 };
enum phase { P_COMMAND, P_EXECUTE, P_RESULT };
/* Registers by offset. */
enum { R_SRA, R_SRB, R_DOR, R_TDR, R_MSR, R_FIFO, R_DIR = 7 };
enum { DOR_SELECT = 3, DOR_RUN = 1 << 2, DOR_DMA = 1 << 3 };
enum { MSR_BUSY = 1 << 4, MSR_TO_HOST = 1 << 6, MSR_READY = 1 << 7 };
enum { DSR_RESET = 1 << 7 };
/* Status registers 0-3 (chapter 6). */
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_READY_CHANGED = 0xc0, ST0_SEEK_END = 0x20 };
enum { ST0_NO_TRACK_0 = 0x10 };
enum {
    ST1_NO_MARK = 0x01,
    ST1_WRITE_PROTECTED = 0x02,
    ST1_NO_DATA = 0x04,
    ST1_OVERRUN = 0x10,
    ST1_DATA_ERROR = 0x20,
    ST1_END = 0x80,
};
enum { ST2_NO_MARK = 0x01 };
enum { ST3_ALWAYS = 0x28, ST3_TRACK_0 = 0x10, ST3_PROTECTED = 0x40 };
enum { MT = 0x80, CONFIGURE_SEEK = 0x40, LAST_TRACK = 83 };

struct drive {
    bool present;
    struct block *diskette;
    const struct fdc_format *format;
    /* State. */
    uint8_t track, changed;
};

struct fdc {
    struct device dev;
    struct ports *ports;
    struct port_range *range, *dir_range;
    struct i8237 *dma;
    struct irq_line irq;
    struct block_request io;
    struct block_span span;
    struct block *io_block;
    bool in_flight;
    uint8_t *buffer;
    uint32_t run; /* sectors in the run that is in flight */
    struct fdc_stats stats;
    struct drive drive[FDC_DRIVES];
    /* State. */
    uint8_t dor, tdr, rate, phase, interrupt, reset_senses, seek_done, locked;
    uint8_t fifo[FIFO], fifo_at, fifo_len; /* the command's bytes, then those of its result */
    uint8_t specify[2], configure[3], perpendicular;
    uint8_t cylinder, head, sector; /* of a data command: where it stands */
};

const struct fdc_format *fdc_format_of(uint64_t size, struct error *err)
{
    static const struct fdc_format formats[] = {{1474560, 80, 2, 18, 0}, {2949120, 80, 2, 36, 3},
                                                {737280, 80, 2, 9, 2},   {1228800, 80, 2, 15, 0},
                                                {368640, 40, 2, 9, 2},   {1720320, 80, 2, 21, 0},
                                                {1763328, 82, 2, 21, 0}, {163840, 40, 1, 8, 2},
                                                {184320, 40, 1, 9, 2},   {327680, 40, 2, 8, 2}};

    for (size_t i = 0; i < array_size(formats); i++)
        if (formats[i].size == size)
            return &formats[i];
    error_set(err, -EINVAL,
              "%llu bytes are no diskette; its image has 1440k or 2880k (or 360k, 720k, 1200k, "
              "1680k)",
              (unsigned long long)size);
    return NULL;
}

static struct drive *selected(struct fdc *f)
{
    return &f->drive[f->fifo[1] & (FDC_DRIVES - 1)];
}

static void set_irq(struct fdc *f, uint8_t level)
{
    f->interrupt = level;
    irq_set(&f->irq, level && f->dor & DOR_DMA);
}

/* ---- phases ---- */

static void next_command(struct fdc *f)
{
    f->phase = P_COMMAND;
    f->fifo_at = f->fifo_len = 0;
}

static void answer(struct fdc *f, const uint8_t *bytes, unsigned n)
{
    memcpy(f->fifo, bytes, n);
    f->fifo_at = 0;
    f->fifo_len = (uint8_t)n;
    f->phase = P_RESULT;
}

static void answer_byte(struct fdc *f, uint8_t value)
{
    answer(f, &value, 1);
}

/* The seven bytes that data commands end with, and the interrupt. */
static void end_data(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
    const uint8_t where = f->fifo[1] & 7;
    const uint8_t result[7] = {
        (uint8_t)(st0 | where), st1, st2, f->cylinder, f->head, f->sector, SECTOR_CODE};

    answer(f, result, sizeof(result));
    set_irq(f, 1);
}

static void fail_data(struct fdc *f, uint8_t st1, uint8_t st2)
{
    end_data(f, ST0_ABNORMAL, st1, st2);
}

/* ---- data ---- */

enum {
    READ_DATA = 0x06,
    READ_DELETED = 0x0c,
    WRITE_DATA = 0x05,
    WRITE_DELETED = 0x09,
    VERIFY = 0x16,
    FORMAT = 0x0d
};

static unsigned opcode(const struct fdc *f)
{
    return f->fifo[0] & 0x1f;
}

static bool is_write(const struct fdc *f)
{
    unsigned op = opcode(f);
    return op == WRITE_DATA || op == WRITE_DELETED || op == FORMAT;
}

static void io_done(struct block_request *io, int result);
static void execute(struct fdc *f);

/* Steps over @n sectors, as the table of chapter 5.1 says (end of track: next head or track). */
static void step(struct fdc *f, unsigned n)
{
    unsigned last = f->fifo[6], r = f->sector + n;

    f->sector = (uint8_t)r;
    if (r <= last)
        return;
    f->sector = 1;
    if (f->fifo[0] & MT) {
        f->head ^= 1;
        f->cylinder = (uint8_t)(f->cylinder + !f->head);
    } else {
        f->cylinder++;
    }
}

/* A run is on the diskette, or in the buffer. */
static void run_done(struct fdc *f, int result)
{
    bool write = is_write(f);
    uint32_t n;

    if (result < 0) {
        fail_data(f, ST1_DATA_ERROR, 0);
        return;
    }
    if (opcode(f) == FORMAT) {
        f->stats.written_bytes += f->io.len;
        end_data(f, 0, 0, 0);
        return;
    }
    if (write) {
        f->stats.written_bytes += f->io.len;
    } else {
        f->stats.read_bytes += f->io.len;
        n = min_of((uint32_t)f->io.len, i8237_left(f->dma, FDC_DMA));
        if (opcode(f) != VERIFY && i8237_move(f->dma, FDC_DMA, f->buffer, n, true) < 0) {
            fail_data(f, ST1_OVERRUN, 0);
            return;
        }
    }
    step(f, f->run);
    if (!i8237_left(f->dma, FDC_DMA) && opcode(f) != VERIFY) {
        end_data(f, 0, 0, 0); /* terminal count */
        return;
    }
    /* Over the end of the track; with MT the second head follows, then it is over. */
    if (f->sector == 1 && !(f->fifo[0] & MT && f->head == 1)) {
        if (opcode(f) == VERIFY)
            end_data(f, 0, 0, 0);
        else
            fail_data(f, ST1_END, 0);
        return;
    }
    execute(f);
}

static void operate(struct fdc *f, struct block *b, enum block_op op, uint64_t offset, uint32_t len)
{
    int result;

    f->span = (struct block_span){.data = f->buffer, .len = len};
    f->io = (struct block_request){.op = op,
                                   .offset = offset,
                                   .len = len,
                                   .spans = &f->span,
                                   .span_count = 1,
                                   .done = io_done,
                                   .opaque = f};
    result = block_attempt(b, &f->io);
    if (result == BLOCK_WOULD_WAIT) {
        f->in_flight = true;
        f->io_block = b;
        block_submit(b, &f->io);
        return;
    }
    run_done(f, result);
}

static void io_done(struct block_request *io, int result)
{
    struct fdc *f = io->opaque;

    f->in_flight = false;
    if (f->phase == P_EXECUTE)
        run_done(f, result);
}

/* Whether the diskette can be read as the command wants it; the result says why not. */
static bool usable(struct fdc *f, struct drive *d)
{
    if (!d->present || !d->diskette || d->format->rate != f->rate) {
        fail_data(f, ST1_NO_MARK, ST2_NO_MARK);
        return false;
    }
    if (is_write(f) && d->diskette->readonly) {
        fail_data(f, ST1_WRITE_PROTECTED, 0);
        return false;
    }
    return true;
}

/* The next run of sectors. */
static void execute(struct fdc *f)
{
    struct drive *d = selected(f);
    const struct fdc_format *format = d->format;
    uint32_t left = i8237_left(f->dma, FDC_DMA), count, last;
    uint64_t first;

    f->phase = P_EXECUTE;
    if (!usable(f, d))
        return;
    /* The heads are where they are: another track's sectors do not pass by. */
    if (f->cylinder != d->track || f->cylinder >= format->cylinders || f->head >= format->heads ||
        !f->sector || f->sector > format->sectors || f->fifo[5] != SECTOR_CODE) {
        fail_data(f, ST1_NO_DATA, 0);
        return;
    }
    last = max_of(min_of(f->fifo[6], format->sectors), f->sector);
    if (opcode(f) == VERIFY)
        left = BUFFER;
    if (!left || f->specify[1] & 1 || !(f->dor & DOR_DMA)) {
        fail_data(f, ST1_OVERRUN, 0);
        return;
    }
    count = min_of(last - f->sector + 1, (left + SECTOR - 1) / SECTOR);
    first = ((uint64_t)f->cylinder * format->heads + f->head) * format->sectors + f->sector - 1;
    f->run = count;
    if (is_write(f)) {
        uint32_t n = min_of(left, count * SECTOR);
        memset(f->buffer, 0, count * SECTOR);
        if (i8237_move(f->dma, FDC_DMA, f->buffer, n, false) < 0) {
            fail_data(f, ST1_OVERRUN, 0);
            return;
        }
    }
    operate(f, d->diskette, is_write(f) ? BLOCK_WRITE : BLOCK_READ, first * SECTOR, count * SECTOR);
}

static void start_data(struct fdc *f)
{
    f->cylinder = f->fifo[2];
    f->head = f->fifo[3];
    f->sector = f->fifo[4];
    if (f->configure[1] & CONFIGURE_SEEK)
        selected(f)->track = min_of(f->cylinder, (uint8_t)LAST_TRACK);
    execute(f);
}

/* Every sector of the track under the heads is filled with one byte; their names are dropped. */
static void format_track(struct fdc *f)
{
    struct drive *d = selected(f);
    unsigned sectors = f->fifo[3];
    uint8_t fill = f->fifo[5], head = f->fifo[1] >> 2 & 1, ids[256 * 4];

    f->cylinder = d->track;
    f->head = head;
    f->sector = 1;
    f->phase = P_EXECUTE;
    if (!usable(f, d))
        return;
    if (f->fifo[2] != SECTOR_CODE || !sectors || sectors > d->format->sectors ||
        head >= d->format->heads || d->track >= d->format->cylinders) {
        fail_data(f, ST1_NO_DATA, 0);
        return;
    }
    if (i8237_left(f->dma, FDC_DMA) < sectors * 4 ||
        i8237_move(f->dma, FDC_DMA, ids, sectors * 4, false) < 0) {
        fail_data(f, ST1_OVERRUN, 0);
        return;
    }
    memset(f->buffer, fill, sectors * SECTOR);
    operate(f, d->diskette, BLOCK_WRITE,
            ((uint64_t)d->track * d->format->heads + head) * d->format->sectors * SECTOR,
            sectors * SECTOR);
}

static void read_id(struct fdc *f)
{
    struct drive *d = selected(f);

    f->cylinder = d->track;
    f->head = f->fifo[1] >> 2 & 1;
    f->sector = 1;
    if (!usable(f, d))
        return;
    if (f->head >= d->format->heads || d->track >= d->format->cylinders)
        fail_data(f, ST1_NO_MARK, ST2_NO_MARK);
    else
        end_data(f, 0, 0, 0);
}

/* ---- other commands ---- */

static void seek(struct fdc *f, uint8_t track)
{
    struct drive *d = selected(f);
    uint8_t where = f->fifo[1] & 7;

    d->track = min_of(track, (uint8_t)LAST_TRACK);
    if (d->diskette)
        d->changed = 0;
    f->seek_done = (uint8_t)(ST0_SEEK_END | where);
    if (!d->present)
        f->seek_done |= ST0_ABNORMAL | ST0_NO_TRACK_0;
    next_command(f);
    set_irq(f, 1);
}

static void recalibrate(struct fdc *f)
{
    f->fifo[1] &= 3;
    seek(f, 0);
}

static void seek_command(struct fdc *f)
{
    seek(f, f->fifo[2]);
}

static void sense_interrupt(struct fdc *f)
{
    uint8_t result[2] = {ST0_INVALID, 0};

    if (f->reset_senses) {
        result[0] = (uint8_t)(ST0_READY_CHANGED | (4 - f->reset_senses));
        f->reset_senses--;
    } else if (f->seek_done) {
        result[0] = f->seek_done;
        result[1] = f->drive[f->seek_done & (FDC_DRIVES - 1)].track;
        f->seek_done = 0;
    }
    set_irq(f, 0);
    answer(f, result, result[0] == ST0_INVALID ? 1 : 2);
}

static void sense_drive(struct fdc *f)
{
    const struct drive *d = selected(f);

    answer_byte(f, (uint8_t)(ST3_ALWAYS | (f->fifo[1] & 7) | (d->track ? 0 : ST3_TRACK_0) |
                             (d->diskette && d->diskette->readonly ? ST3_PROTECTED : 0)));
}

static void specify(struct fdc *f)
{
    memcpy(f->specify, f->fifo + 1, 2);
    next_command(f);
}

static void configure(struct fdc *f)
{
    memcpy(f->configure, f->fifo + 1, 3);
    next_command(f);
}

static void perpendicular(struct fdc *f)
{
    f->perpendicular = f->fifo[1];
    next_command(f);
}

static void dump_registers(struct fdc *f)
{
    const uint8_t result[10] = {f->drive[0].track,
                                f->drive[1].track,
                                0,
                                0,
                                f->specify[0],
                                f->specify[1],
                                f->fifo[6],
                                (uint8_t)(f->locked << 7 | (f->perpendicular & 0x7f)),
                                f->configure[1],
                                f->configure[2]};
    answer(f, result, sizeof(result));
}

static void version(struct fdc *f)
{
    answer_byte(f, 0x90); /* 82077 or later */
}

static void lock(struct fdc *f)
{
    f->locked = f->fifo[0] >> 7;
    answer_byte(f, (uint8_t)(f->locked << 4));
}

static void drive_specification(struct fdc *f)
{
    next_command(f);
}

static void invalid(struct fdc *f)
{
    answer_byte(f, ST0_INVALID);
}

static const struct command {
    uint8_t code, mask, length; /* of the command, its first byte included */
    void (*run)(struct fdc *f);
} commands[] = {
    {0x06, 0x1f, 9, start_data},     {0x0c, 0x1f, 9, start_data},
    {0x05, 0x3f, 9, start_data},     {0x09, 0x3f, 9, start_data},
    {0x16, 0x1f, 9, start_data},     {0x0d, 0xbf, 6, format_track},
    {0x0a, 0xbf, 2, read_id},        {0x07, 0xff, 2, recalibrate},
    {0x0f, 0xff, 3, seek_command},   {0x08, 0xff, 1, sense_interrupt},
    {0x04, 0xff, 2, sense_drive},    {0x03, 0xff, 3, specify},
    {0x13, 0xff, 4, configure},      {0x12, 0xff, 2, perpendicular},
    {0x0e, 0xff, 1, dump_registers}, {0x10, 0xff, 1, version},
    {0x14, 0x7f, 1, lock},           {0x8e, 0xff, 6, drive_specification},
};

static const struct command *find_command(uint8_t code)
{
    static const struct command none = {.length = 1, .run = invalid};

    for (size_t i = 0; i < array_size(commands); i++)
        if ((code & commands[i].mask) == commands[i].code)
            return &commands[i];
    return &none;
}

/* ---- registers ---- */

/* Out of reset: four drives have changed their state (chapter 4.1). */
static void software_reset(struct fdc *f)
{
    if (f->in_flight)
        block_drain(f->io_block);
    next_command(f);
    f->seek_done = 0;
    if (!f->locked)
        memset(f->configure, 0, sizeof(f->configure));
    f->perpendicular = 0;
    f->reset_senses = 4;
    set_irq(f, 1);
}

static void dor_write(struct fdc *f, uint8_t value)
{
    bool was = f->dor & DOR_RUN, now = value & DOR_RUN;

    f->dor = value;
    if (!now) {
        /* What was being done is no longer answered. */
        if (f->phase == P_EXECUTE)
            next_command(f);
        set_irq(f, 0);
    } else if (!was) {
        software_reset(f);
    } else {
        set_irq(f, f->interrupt);
    }
}

static uint8_t main_status(const struct fdc *f)
{
    if (!(f->dor & DOR_RUN))
        return 0;
    switch ((enum phase)f->phase) {
    case P_COMMAND:
        return f->fifo_at ? MSR_READY | MSR_BUSY : MSR_READY;
    case P_EXECUTE:
        return MSR_BUSY;
    case P_RESULT:
        return MSR_READY | MSR_TO_HOST | MSR_BUSY;
    }
    return 0;
}

static uint8_t fifo_read(struct fdc *f)
{
    uint8_t value;

    if (f->phase != P_RESULT || f->fifo_at >= f->fifo_len)
        return 0;
    if (f->fifo_len == 7)
        set_irq(f, 0);
    value = f->fifo[f->fifo_at++];
    if (f->fifo_at == f->fifo_len)
        next_command(f);
    return value;
}

static void fifo_write(struct fdc *f, uint8_t value)
{
    const struct command *c;

    if (f->phase != P_COMMAND || !(f->dor & DOR_RUN) || f->fifo_at >= FIFO)
        return;
    f->fifo[f->fifo_at++] = value;
    c = find_command(f->fifo[0]);
    if (f->fifo_at >= c->length)
        c->run(f);
}

static uint32_t fdc_read(void *dev, uint16_t offset, unsigned size)
{
    struct fdc *f = dev;

    switch (offset) {
    case R_SRA:
        return (uint32_t)f->interrupt << 7;
    case R_SRB:
        return 0xc0;
    case R_DOR:
        return f->dor;
    case R_TDR:
        return f->tdr;
    case R_MSR:
        return main_status(f);
    case R_FIFO:
        return fifo_read(f);
    default:
        return 0xff;
    }
}

static void fdc_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    struct fdc *f = dev;

    switch (offset) {
    case R_DOR:
        dor_write(f, (uint8_t)value);
        break;
    case R_TDR:
        f->tdr = value & 3;
        break;
    case R_MSR: /* data rate select */
        f->rate = value & 3;
        if (value & DSR_RESET && f->dor & DOR_RUN)
            software_reset(f);
        break;
    case R_FIFO:
        fifo_write(f, (uint8_t)value);
        break;
    default:
        break;
    }
}

static uint32_t dir_read(void *dev, uint16_t offset, unsigned size)
{
    const struct fdc *f = dev;
    unsigned n = f->dor & DOR_SELECT;

    /* The line of the drive whose motor runs. */
    if (n >= FDC_DRIVES || !(f->dor >> (4 + n) & 1) || !f->drive[n].present)
        return 0;
    return f->drive[n].changed || !f->drive[n].diskette ? 0x80 : 0;
}

static void ccr_write(void *dev, uint16_t offset, unsigned size, uint32_t value)
{
    ((struct fdc *)dev)->rate = value & 3;
}

static const struct port_ops fdc_ops = {.read = fdc_read, .write = fdc_write, .bytes = true};
static const struct port_ops dir_ops = {.read = dir_read, .write = ccr_write, .bytes = true};

/* ---- state ---- */

#define FIELD(field, value) STATE_FIELD(struct fdc, field, value)
static const struct state_field fdc_fields[] = {FIELD(dor, 0),
                                                FIELD(tdr, 0),
                                                FIELD(rate, 2),
                                                FIELD(phase, P_COMMAND),
                                                FIELD(interrupt, 0),
                                                FIELD(reset_senses, 0),
                                                FIELD(seek_done, 0),
                                                FIELD(locked, 0),
                                                STATE_BLOB(struct fdc, fifo),
                                                FIELD(fifo_at, 0),
                                                FIELD(fifo_len, 0),
                                                STATE_BLOB(struct fdc, specify),
                                                STATE_BLOB(struct fdc, configure),
                                                FIELD(perpendicular, 0),
                                                FIELD(cylinder, 0),
                                                FIELD(head, 0),
                                                FIELD(sector, 0),
                                                FIELD(drive[0].track, 0),
                                                FIELD(drive[0].changed, 1),
                                                FIELD(drive[1].track, 0),
                                                FIELD(drive[1].changed, 1)};

/* What is loaded may be damaged; and nothing is in flight then. */
static void after(void *dev)
{
    struct fdc *f = dev;

    f->fifo_len = min_of(f->fifo_len, (uint8_t)FIFO);
    f->fifo_at = min_of(f->fifo_at, (uint8_t)FIFO);
    f->reset_senses = min_of(f->reset_senses, (uint8_t)4);
    f->rate &= 3;
    f->locked &= 1;
    if (f->phase == P_EXECUTE || f->phase > P_RESULT ||
        (f->phase == P_RESULT && f->fifo_at >= f->fifo_len))
        next_command(f);
    if (f->in_flight)
        block_drain(f->io_block);
    set_irq(f, f->interrupt & 1);
}

static const struct state_table fdc_state = {.name = "fdc",
                                             .version = 1,
                                             .fields = fdc_fields,
                                             .field_count = array_size(fdc_fields),
                                             .after = after};

static void fdc_reset(struct device *dev)
{
    struct fdc *f = container_of(dev, struct fdc, dev);

    f->phase = P_COMMAND; /* what is in flight ends unheard */
    state_reset(&fdc_state, f);
}

static void fdc_settle(struct device *dev)
{
    struct fdc *f = container_of(dev, struct fdc, dev);

    if (f->in_flight)
        block_drain(f->io_block);
}

static void fdc_free(struct device *dev)
{
    struct fdc *f = container_of(dev, struct fdc, dev);

    f->phase = P_COMMAND;
    fdc_settle(dev);
    ports_unmap(f->ports, f->range);
    ports_unmap(f->ports, f->dir_range);
    free(f->buffer);
    free(f);
}

int fdc_change(struct fdc *f, unsigned n, struct block *diskette, struct error *err)
{
    struct drive *d = &f->drive[n % FDC_DRIVES];
    const struct fdc_format *format = diskette ? fdc_format_of(diskette->size, err) : NULL;

    if (diskette && !format)
        return -EINVAL;
    d->diskette = diskette;
    d->format = format;
    d->changed = 1;
    return 0;
}

struct block *fdc_diskette(const struct fdc *f, unsigned n)
{
    return f->drive[n % FDC_DRIVES].diskette;
}

uint8_t fdc_cmos_type(const struct fdc *f, unsigned n)
{
    const struct drive *d = &f->drive[n % FDC_DRIVES];

    if (!d->present)
        return 0;
    return d->format && d->format->sectors == 36 ? 5 : 4;
}

void fdc_stats(const struct fdc *f, struct fdc_stats *ret)
{
    *ret = f->stats;
}

struct fdc *fdc_new(struct ports *ports, struct i8237 *dma, const struct irq_line *irq,
                    const bool present[FDC_DRIVES], struct error *err)
{
    struct fdc *f = mem_new(struct fdc);

    if (f)
        f->buffer = mem_alloc(1, BUFFER);
    if (!f || !f->buffer) {
        free(f);
        error_set(err, -ENOMEM, "create fdc: out of memory");
        return NULL;
    }
    f->dev = (struct device){.state = &fdc_state,
                             .name = "fdc",
                             .reset = fdc_reset,
                             .free = fdc_free,
                             .settle = fdc_settle};
    f->ports = ports;
    f->dma = dma;
    f->irq = *irq;
    for (unsigned i = 0; i < FDC_DRIVES; i++)
        f->drive[i].present = present[i];
    f->range = ports_map(ports, "fdc", 0x3f0, 6, &fdc_ops, f, err);
    if (f->range)
        f->dir_range = ports_map(ports, "fdc", 0x3f7, 1, &dir_ops, f, err);
    if (!f->dir_range) {
        fdc_free(&f->dev);
        return NULL;
    }
    state_reset(&fdc_state, f);
    return f;
}

struct device *fdc_device(struct fdc *f)
{
    return &f->dev;
}

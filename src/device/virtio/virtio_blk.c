/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is a chain: a 16-byte header to read, data to read or write, one status byte to write
 * (5.2.6). Its data moves between the drive and guest memory without a copy. Each is cut into parts
 * of at most BLK_SPANS host spans, done one after the other: first by block_attempt, which ends
 * there and then when the data is in the host's memory, else by block_submit.
 *
 * At most BLK_IN_FLIGHT requests are taken from the ring; the others wait there.
 */
#include "device/virtio/virtio_blk.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum {
    BLK_F_SEG_MAX = 2,
    BLK_F_RO = 5,
    BLK_F_BLK_SIZE = 6,
    BLK_F_FLUSH = 9,
    BLK_F_TOPOLOGY = 10,
    BLK_F_CONFIG_WCE = 11,
    BLK_F_DISCARD = 13,
    BLK_F_WRITE_ZEROES = 14,
};
enum { /* request types */
       BLK_T_IN = 0,
       BLK_T_OUT = 1,
       BLK_T_FLUSH = 4,
       BLK_T_GET_ID = 8,
       BLK_T_DISCARD = 11,
       BLK_T_WRITE_ZEROES = 13,
};
enum { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };
enum { BLK_ID_LEN = 20, BLK_HEADER_LEN = 16, BLK_RANGE_LEN = 16 };
enum { BLK_RANGE_UNMAP = 1 };

/* Device configuration (5.2.4), offsets. */
enum {
    CONFIG_CAPACITY = 0,
    CONFIG_SEG_MAX = 12,
    CONFIG_BLK_SIZE = 20,
    CONFIG_PHYSICAL_EXP = 24,
    CONFIG_MIN_IO = 26,
    CONFIG_WRITEBACK = 32,
    CONFIG_MAX_DISCARD_SECTORS = 36,
    CONFIG_MAX_DISCARD_SEG = 40,
    CONFIG_DISCARD_ALIGN = 44,
    CONFIG_MAX_ZEROES_SECTORS = 48,
    CONFIG_MAX_ZEROES_SEG = 52,
    CONFIG_ZEROES_MAY_UNMAP = 56,
    CONFIG_SIZE = 60,
};

enum { BLK_IN_FLIGHT = 64, BLK_SPANS = 64, BLK_QUEUE_SIZE = 256 };
/* A range of 2 GiB at once for discard and write zeroes. */
enum { BLK_RANGE_SECTORS = 4 << 20 };

struct virtio_blk;

struct blk_request {
    struct block_request io;
    struct virtio_blk *blk;
    struct blk_request *next; /* in the free list */
    uint32_t type;
    uint64_t start, len; /* the bytes of the drive that data is moved to or from */
    uint64_t moved;      /* of those, done */
    bool flushing;       /* the data is written, a flush for write-through follows */
    struct space_span spans[BLK_SPANS];
    struct virtq_chain chain;
};
_Static_assert(sizeof(struct space_span) == sizeof(struct block_span) &&
                   offsetof(struct space_span, len) == offsetof(struct block_span, len),
               "spans of bus/ and io/ are the same thing");

struct virtio_blk {
    struct virtio_device vd;
    struct block *block;
    uint8_t write_through; /* state: the driver switched the write cache off */
    struct blk_request *requests, *free;
    bool serving; /* the ring is being worked on further up the stack */
    struct virtio_blk_stats stats;
};

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_blk),
    STATE_FIELD(struct virtio_blk, write_through, 0),
    VIRTQ_STATE(struct virtio_blk, 0),
};

/* Without the flush feature nobody would ever ask for durability (5.2.6.2). */
static bool must_flush(const struct virtio_blk *blk)
{
    return blk->write_through || !virtio_has(&blk->vd, BLK_F_FLUSH);
}

static void blk_after(void *dev)
{
    struct virtio_blk *blk = dev;

    virtio_after(dev);
    blk->vd.config[CONFIG_WRITEBACK] = !blk->write_through;
}

static const struct state_table state = {
    .name = "virtio-blk",
    .version = 1,
    .fields = fields,
    .field_count = array_size(fields),
    .after = blk_after,
};

static void release(struct blk_request *r)
{
    r->next = r->blk->free;
    r->blk->free = r;
}

/* Hands the chain back. */
static void finish(struct blk_request *r, uint8_t status)
{
    struct virtio_blk *blk = r->blk;
    struct virtio_device *vd = &blk->vd;
    uint64_t written = 1;
    int e;

    if (r->type == BLK_T_IN)
        written += r->moved;
    else if (r->type == BLK_T_GET_ID && status == BLK_S_OK)
        written += BLK_ID_LEN;
    e = virtq_write(&vd->queue[0], &r->chain, r->chain.in_len - 1, &status, 1);
    if (e == 0)
        e = virtq_push(&vd->queue[0], r->chain.head, (uint32_t)written);
    blk->stats.requests++;
    release(r);
    if (e < 0)
        virtio_fail(vd, 0, e);
}

/* Fills in the next part of a read or write; 0, or a negative errno. */
static int next_part(struct blk_request *r)
{
    bool in = r->type == BLK_T_IN;
    size_t len;
    int n = virtq_sector_spans(&r->blk->vd.queue[0], &r->chain, in,
                               (in ? 0 : BLK_HEADER_LEN) + r->moved, (size_t)(r->len - r->moved),
                               r->spans, BLK_SPANS, &len);

    if (n < 0)
        return n;
    r->io.op = in ? BLOCK_READ : BLOCK_WRITE;
    r->io.offset = r->start + r->moved;
    r->io.len = len;
    r->io.spans = (struct block_span *)(void *)r->spans;
    r->io.span_count = (unsigned)n;
    return 0;
}

/* Accounts for a part that was done. True when more is to do. */
static bool part_done(struct blk_request *r)
{
    struct virtio_blk *blk = r->blk;

    if (r->flushing)
        return false;
    r->moved += r->io.len;
    if (r->type == BLK_T_IN)
        blk->stats.read_bytes += r->io.len;
    else if (r->type == BLK_T_OUT)
        blk->stats.written_bytes += r->io.len;
    if (r->moved < r->len)
        return true;
    if ((r->type == BLK_T_OUT || r->type == BLK_T_WRITE_ZEROES) && must_flush(blk)) {
        r->flushing = true;
        return true;
    }
    return false;
}

static int prepare(struct blk_request *r)
{
    if (r->flushing) {
        r->io.op = BLOCK_FLUSH;
        r->io.offset = r->io.len = 0;
        return 0;
    }
    if (r->type == BLK_T_IN || r->type == BLK_T_OUT)
        return next_part(r);
    return 0; /* the others are one part, set up by parse */
}

/* Drives a request until it ends or waits for the drive. */
static void advance(struct blk_request *r)
{
    struct virtio_blk *blk = r->blk;
    int result;

    do {
        result = prepare(r);
        if (result == -EFAULT) {
            virtio_fail(&blk->vd, 0, result);
            release(r);
            return;
        }
        if (result == 0)
            result = block_attempt(blk->block, &r->io);
        if (result == BLOCK_WOULD_WAIT) {
            block_submit(blk->block, &r->io);
            return;
        }
    } while (result == 0 && part_done(r));
    finish(r, result == 0 ? BLK_S_OK : result == -EOPNOTSUPP ? BLK_S_UNSUPP : BLK_S_IOERR);
}

static void serve(struct virtio_blk *blk);

/*
 * The drive wrote to memory after the pages were marked as dirty and the code caches told: say it
 * again, for whoever looked in between.
 */
static void mark_again(struct blk_request *r)
{
    struct space_span spans[BLK_SPANS];
    size_t len;

    (void)virtq_spans(&r->blk->vd.queue[0], &r->chain, true, r->moved, (size_t)r->io.len, spans,
                      BLK_SPANS, &len);
}

static void part_ended(struct block_request *io, int result)
{
    struct blk_request *r = container_of(io, struct blk_request, io);
    struct virtio_blk *blk = r->blk;

    if (r->type == BLK_T_IN)
        mark_again(r);
    if (result == 0 && part_done(r))
        advance(r);
    else
        finish(r, result == 0 ? BLK_S_OK : result == -EOPNOTSUPP ? BLK_S_UNSUPP : BLK_S_IOERR);
    virtio_publish(&blk->vd, 0);
    serve(blk);
}

/* A discard or write-zeroes range (5.2.6.1); one in each request, as the configuration says. */
static int parse_range(struct blk_request *r)
{
    const struct virtio_blk *blk = r->blk;
    uint8_t range[BLK_RANGE_LEN];
    uint64_t sector, sectors;
    uint32_t flags;

    if (r->chain.out_len != BLK_HEADER_LEN + BLK_RANGE_LEN)
        return BLK_S_UNSUPP;
    if (virtq_read(&blk->vd.queue[0], &r->chain, BLK_HEADER_LEN, range, sizeof(range)) < 0)
        return -EFAULT;
    sector = load_le64(range);
    sectors = load_le32(range + 8);
    flags = load_le32(range + 12);
    if ((flags & ~(uint32_t)BLK_RANGE_UNMAP) || (flags && r->type == BLK_T_DISCARD))
        return BLK_S_UNSUPP;
    if (sectors > BLK_RANGE_SECTORS || sector > blk->block->size / 512 ||
        sectors > blk->block->size / 512 - sector)
        return BLK_S_IOERR;
    r->io.op = r->type == BLK_T_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES;
    r->io.unmap = (flags & BLK_RANGE_UNMAP) != 0;
    r->io.offset = sector * 512;
    r->io.len = r->len = sectors * 512;
    return BLK_S_OK;
}

static int parse_data(struct blk_request *r, uint64_t sector)
{
    const struct block *b = r->blk->block;
    uint64_t len = r->type == BLK_T_IN ? r->chain.in_len - 1 : r->chain.out_len - BLK_HEADER_LEN;

    if (!len || len % 512 || sector > b->size / 512 || len > b->size - sector * 512 ||
        (len & SIZE_MAX) != len)
        return BLK_S_IOERR;
    r->start = sector * 512;
    r->len = len;
    return BLK_S_OK;
}

static int write_id(struct blk_request *r)
{
    char id[BLK_ID_LEN] = {0};
    uint64_t len = min_of(r->chain.in_len - 1, (uint64_t)BLK_ID_LEN);

    memcpy(id, r->blk->block->serial, strnlen(r->blk->block->serial, BLK_ID_LEN));
    return virtq_write(&r->blk->vd.queue[0], &r->chain, 0, id, (size_t)len);
}

/* Makes sense of a chain: BLK_S_OK (work to do), another status to answer, -EFAULT, or -EPROTO. */
static int parse(struct blk_request *r)
{
    struct virtio_blk *blk = r->blk;
    uint8_t header[BLK_HEADER_LEN];

    r->start = r->len = r->moved = 0;
    r->flushing = false;
    r->io = (struct block_request){.done = part_ended};
    if (r->chain.out_len < BLK_HEADER_LEN || !r->chain.in_len)
        return -EPROTO; /* not even a place for a status */
    if (virtq_read(&blk->vd.queue[0], &r->chain, 0, header, sizeof(header)) < 0)
        return -EFAULT;
    r->type = load_le32(header);
    switch (r->type) {
    case BLK_T_OUT:
        if (blk->block->readonly)
            return BLK_S_IOERR;
        return parse_data(r, load_le64(header + 8));
    case BLK_T_IN:
        return parse_data(r, load_le64(header + 8));
    case BLK_T_FLUSH:
        r->io.op = BLOCK_FLUSH;
        return BLK_S_OK;
    case BLK_T_DISCARD:
    case BLK_T_WRITE_ZEROES:
        if (!(blk->vd.offered &
              VIRTIO_BIT(r->type == BLK_T_DISCARD ? BLK_F_DISCARD : BLK_F_WRITE_ZEROES)))
            return BLK_S_UNSUPP;
        return parse_range(r);
    default:
        return BLK_S_UNSUPP;
    }
}

static void start(struct blk_request *r)
{
    int status = parse(r);

    if (r->type == BLK_T_GET_ID && status == BLK_S_UNSUPP)
        status = write_id(r) < 0 ? -EFAULT : BLK_S_OK;
    else if (status == BLK_S_OK) {
        advance(r);
        return;
    }
    if (status < 0) {
        virtio_fail(&r->blk->vd, 0, status);
        release(r);
    } else {
        finish(r, (uint8_t)status);
    }
}

/* Takes requests from the ring while there is room for them in flight. */
static void serve(struct virtio_blk *blk)
{
    struct virtio_device *vd = &blk->vd;
    struct virtqueue *vq = &vd->queue[0];
    int got = 1;

    if (blk->serving)
        return;
    blk->serving = true;
    /* The bound is for a guest whose other processors fill the ring as fast as it is emptied. */
    for (unsigned budget = 16 * BLK_QUEUE_SIZE; budget && got > 0; budget--) {
        struct blk_request *r = blk->free;
        if (!r || !virtio_running(vd) || !vq->enabled)
            break;
        got = virtq_pop(vq, &r->chain);
        if (got > 0) {
            blk->free = r->next;
            start(r);
        } else if (got == 0) {
            got = virtq_want_kicks(vq);
        }
    }
    if (got < 0)
        virtio_fail(vd, 0, got);
    if (virtio_running(vd))
        virtio_publish(vd, 0);
    blk->serving = false;
}

static void blk_notified(struct virtio_device *vd, unsigned queue)
{
    serve(container_of(vd, struct virtio_blk, vd));
}

static void blk_config_written(struct virtio_device *vd, unsigned offset, unsigned size,
                               uint32_t value)
{
    struct virtio_blk *blk = container_of(vd, struct virtio_blk, vd);

    if (offset == CONFIG_WRITEBACK && size == 1 && virtio_has(vd, BLK_F_CONFIG_WCE)) {
        blk->write_through = !(value & 1);
        vd->config[CONFIG_WRITEBACK] = value & 1;
    }
}

static void blk_stop(struct virtio_device *vd)
{
    struct virtio_blk *blk = container_of(vd, struct virtio_blk, vd);
    bool serving = blk->serving;

    blk->serving = true; /* what ends now must not start something new */
    block_drain(blk->block);
    blk->serving = serving;
}

static const struct virtio_class class = {
    .name = "virtio-blk",
    .type = 2,
    .pci_device = 0x1001,
    .pci_class = 0x010000,
    .queues = 1,
    .queue_size = BLK_QUEUE_SIZE,
    .config_size = CONFIG_SIZE,
    .notified = blk_notified,
    .config_written = blk_config_written,
    .stop = blk_stop,
};

static void blk_free(struct device *dev)
{
    struct virtio_blk *blk = container_of(dev, struct virtio_blk, vd.dev);

    blk->serving = true;
    block_drain(blk->block);
    free(blk->requests);
    free(blk);
}

/* What ends meanwhile leaves room for requests that wait in the ring: they stay there. */
static void blk_settle(struct device *dev)
{
    blk_stop(&container_of(dev, struct virtio_blk, vd.dev)->vd);
}

static void fill_config(struct virtio_blk *blk)
{
    uint8_t *config = blk->vd.config;
    unsigned exp = 0;

    while (exp < 8 && 512u << exp < blk->block->physical_block)
        exp++;
    store_le64(config + CONFIG_CAPACITY, blk->block->size / 512);
    store_le32(config + CONFIG_SEG_MAX, BLK_QUEUE_SIZE - 2);
    store_le32(config + CONFIG_BLK_SIZE, 512);
    config[CONFIG_PHYSICAL_EXP] = (uint8_t)exp;
    store_le16(config + CONFIG_MIN_IO, (uint16_t)(1u << exp));
    store_le32(config + CONFIG_MAX_DISCARD_SECTORS, BLK_RANGE_SECTORS);
    store_le32(config + CONFIG_MAX_DISCARD_SEG, 1);
    store_le32(config + CONFIG_DISCARD_ALIGN, 1u << exp);
    store_le32(config + CONFIG_MAX_ZEROES_SECTORS, BLK_RANGE_SECTORS);
    store_le32(config + CONFIG_MAX_ZEROES_SEG, 1);
    config[CONFIG_ZEROES_MAY_UNMAP] = 1;
}

struct virtio_blk *virtio_blk_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                  struct block *block, struct error *err)
{
    struct virtio_blk *blk = mem_new(struct virtio_blk);
    uint64_t features = VIRTIO_BIT(BLK_F_SEG_MAX) | VIRTIO_BIT(BLK_F_BLK_SIZE) |
                        VIRTIO_BIT(BLK_F_FLUSH) | VIRTIO_BIT(BLK_F_TOPOLOGY) |
                        VIRTIO_BIT(BLK_F_CONFIG_WCE);

    if (blk)
        blk->requests = mem_alloc(BLK_IN_FLIGHT, sizeof(*blk->requests));
    if (!blk || !blk->requests) {
        free(blk);
        error_set(err, -ENOMEM, "add virtio-blk: out of memory");
        return NULL;
    }
    if (block->readonly)
        features |= VIRTIO_BIT(BLK_F_RO);
    else
        features |=
            VIRTIO_BIT(BLK_F_WRITE_ZEROES) | (block->can_discard ? VIRTIO_BIT(BLK_F_DISCARD) : 0);
    blk->block = block;
    for (unsigned i = BLK_IN_FLIGHT; i-- > 0;) {
        blk->requests[i].blk = blk;
        release(&blk->requests[i]);
    }
    blk->vd.dev.state = &state;
    blk->vd.dev.free = blk_free;
    blk->vd.dev.settle = blk_settle;
    snprintf(blk->vd.dev.name, sizeof(blk->vd.dev.name), "virtio-blk@%u", slot);
    fill_config(blk);
    if (virtio_init(&blk->vd, &class, bus, slot, space, features, err) < 0) {
        blk_free(&blk->vd.dev);
        return NULL;
    }
    return blk;
}

struct device *virtio_blk_device(struct virtio_blk *blk)
{
    return &blk->vd.dev;
}

struct pci_function *virtio_blk_function(struct virtio_blk *blk)
{
    return blk->vd.pci;
}

void virtio_blk_stats(const struct virtio_blk *blk, struct virtio_blk_stats *ret)
{
    *ret = blk->stats;
}

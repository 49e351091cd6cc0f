/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is a chain (5.6.6.1): a header with address and command to read, data to write to the
 * disk; then a header for the response, data read from the disk. What a command means is
 * scsi_disk.c's; here data moves between disks and guest memory without a copy, in parts of at most
 * SCSI_SPANS host spans as in virtio_blk.c.
 *
 * Requests are finished in bounded time, so that aborting one is refused and a reset waits for all.
 */
#include "device/virtio/virtio_scsi.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "device/virtio/scsi_disk.h"

enum { QUEUE_CONTROL = 0, QUEUE_EVENT = 1, QUEUE_REQUEST = 2, QUEUES = 3, QUEUE_SIZE = 128 };
enum { IN_FLIGHT = 32, SCSI_SPANS = 64 };
/* Device configuration (5.6.4), offsets. */
enum {
    CONFIG_NUM_QUEUES = 0,
    CONFIG_SEG_MAX = 4,
    CONFIG_MAX_SECTORS = 8,
    CONFIG_CMD_PER_LUN = 12,
    CONFIG_EVENT_SIZE = 16,
    CONFIG_SENSE_SIZE = 20,
    CONFIG_CDB_SIZE = 24,
    CONFIG_MAX_TARGET = 30,
    CONFIG_MAX_LUN = 32,
    CONFIG_SIZE = 36,
};
enum { SENSE_SIZE = 96, EVENT_SIZE = 16 };
/* Headers, offsets. */
enum { HEADER_CDB = 19, HEADER_LEN = HEADER_CDB + SCSI_CDB };
enum {
    RESPONSE_SENSE_LEN = 0,
    RESPONSE_RESIDUAL = 4,
    RESPONSE_STATUS = 10,
    RESPONSE_CODE = 11,
    RESPONSE_SENSE = 12,
    RESPONSE_LEN = RESPONSE_SENSE + SENSE_SIZE,
};
enum { S_OK = 0, S_OVERRUN = 1, S_BAD_TARGET = 3 };
/* Task management (5.6.6.2). */
enum { T_TMF = 0, TMF_LEN = 24, TMF_ANSWER = 1, AN_LEN = 16, AN_ANSWER = 5 };
enum { TMF_I_T_NEXUS_RESET = 4, TMF_UNIT_RESET = 5 };
enum { F_COMPLETE = 0, F_REJECTED = 11, F_INCORRECT_LUN = 12 };

struct virtio_scsi;

struct scsi_request {
    struct block_request io;
    struct virtio_scsi *scsi;
    struct scsi_request *next; /* in the free list */
    struct block *disk;
    struct scsi_command command;
    uint64_t room;  /* bytes of data that the driver expects */
    uint64_t moved; /* of those, done */
    bool flushing;  /* the data is written, a flush follows */
    struct space_span spans[SCSI_SPANS];
    struct virtq_chain chain;
};

struct virtio_scsi {
    struct virtio_device vd;
    struct block *disks[VIRTIO_SCSI_TARGETS];
    unsigned count;
    struct scsi_request *requests, *free;
    bool serving; /* the ring is being worked on further up the stack */
    uint64_t read_bytes, written_bytes;
    struct virtq_chain control; /* work space */
};

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_scsi),
    VIRTQ_STATE(struct virtio_scsi, 0),
    VIRTQ_STATE(struct virtio_scsi, 1),
    VIRTQ_STATE(struct virtio_scsi, 2),
};
static const struct state_table state = {.name = "virtio-scsi",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = virtio_after};

static struct virtio_scsi *scsi_of(struct virtio_device *vd)
{
    return container_of(vd, struct virtio_scsi, vd);
}

static void release(struct scsi_request *r)
{
    r->next = r->scsi->free;
    r->scsi->free = r;
}

/* Hands the chain back with the command's status, or only @code when that is not S_OK. */
static void finish(struct scsi_request *r, uint8_t code)
{
    struct virtio_device *vd = &r->scsi->vd;
    struct virtqueue *vq = &vd->queue[QUEUE_REQUEST];
    const struct scsi_command *c = &r->command;
    uint8_t response[RESPONSE_LEN] = {0};
    uint64_t in =
        r->chain.in_len > RESPONSE_LEN ? min_of(r->moved, r->chain.in_len - RESPONSE_LEN) : 0;
    int e;

    response[RESPONSE_CODE] = code;
    store_le32(response + RESPONSE_RESIDUAL, (uint32_t)(r->room - r->moved));
    if (code == S_OK && c->status == SCSI_CHECK_CONDITION) {
        response[RESPONSE_STATUS] = c->status;
        store_le32(response + RESPONSE_SENSE_LEN, SCSI_SENSE);
        memcpy(response + RESPONSE_SENSE, c->sense, SCSI_SENSE);
    }
    e = virtq_write(vq, &r->chain, 0, response, sizeof(response));
    if (e == 0)
        e = virtq_push(vq, r->chain.head, (uint32_t)(RESPONSE_LEN + in));
    release(r);
    if (e < 0)
        virtio_fail(vd, QUEUE_REQUEST, e);
}

/* Fills in the next part of a read or write; 0, or a negative errno. */
static int next_part(struct scsi_request *r)
{
    const struct scsi_command *c = &r->command;
    bool in = c->action == SCSI_READ;
    size_t len;
    int n = virtq_sector_spans(&r->scsi->vd.queue[QUEUE_REQUEST], &r->chain, in,
                               (in ? RESPONSE_LEN : HEADER_LEN) + r->moved,
                               (size_t)(c->len - r->moved), r->spans, SCSI_SPANS, &len);

    if (n < 0)
        return n;
    r->io.op = in ? BLOCK_READ : BLOCK_WRITE;
    r->io.offset = c->offset + r->moved;
    r->io.len = len;
    r->io.spans = (struct block_span *)(void *)r->spans;
    r->io.span_count = (unsigned)n;
    return 0;
}

static int prepare(struct scsi_request *r)
{
    const struct scsi_command *c = &r->command;

    if (r->flushing || c->action == SCSI_FLUSH) {
        r->io.op = BLOCK_FLUSH;
        r->io.offset = r->io.len = 0;
        return 0;
    }
    if (c->action == SCSI_UNMAP) {
        r->io.op = BLOCK_DISCARD;
        r->io.offset = c->offset;
        r->io.len = c->len;
        return 0;
    }
    return next_part(r);
}

/* Accounts for a part that was done. True when more is to do. */
static bool part_done(struct scsi_request *r)
{
    const struct scsi_command *c = &r->command;

    if (r->flushing || c->action == SCSI_FLUSH || c->action == SCSI_UNMAP)
        return false;
    r->moved += r->io.len;
    *(c->action == SCSI_READ ? &r->scsi->read_bytes : &r->scsi->written_bytes) += r->io.len;
    if (r->moved < c->len)
        return true;
    r->flushing = c->force;
    return r->flushing;
}

/* The part ended with @result, and nothing is left to do. */
static void ended(struct scsi_request *r, int result)
{
    if (result < 0)
        scsi_disk_failed(&r->command, result);
    finish(r, S_OK);
}

/* Drives a request until it ends or waits for the disk. */
static void advance(struct scsi_request *r)
{
    int result;

    do {
        result = prepare(r);
        if (result == -EFAULT) {
            virtio_fail(&r->scsi->vd, QUEUE_REQUEST, result);
            release(r);
            return;
        }
        if (result == 0)
            result = block_attempt(r->disk, &r->io);
        if (result == BLOCK_WOULD_WAIT) {
            block_submit(r->disk, &r->io);
            return;
        }
    } while (result == 0 && part_done(r));
    ended(r, result);
}

static void serve(struct virtio_scsi *scsi);

static void part_ended(struct block_request *io, int result)
{
    struct scsi_request *r = container_of(io, struct scsi_request, io);
    struct virtio_scsi *scsi = r->scsi;
    struct space_span spans[SCSI_SPANS];
    size_t len;

    if (io->op == BLOCK_READ) /* the disk wrote: mark the pages for whoever looked meanwhile */
        (void)virtq_spans(&scsi->vd.queue[QUEUE_REQUEST], &r->chain, true, RESPONSE_LEN + r->moved,
                          (size_t)io->len, spans, SCSI_SPANS, &len);
    if (result == 0 && part_done(r))
        advance(r);
    else
        ended(r, result);
    virtio_publish(&scsi->vd, QUEUE_REQUEST);
    serve(scsi);
}

/* Sends the reply of a command that moves no data. 0 or -EFAULT. */
static int send_reply(struct scsi_request *r)
{
    const struct scsi_command *c = &r->command;
    uint64_t n = min_of((uint64_t)c->reply_len, r->room);

    r->moved = n;
    return virtq_write(&r->scsi->vd.queue[QUEUE_REQUEST], &r->chain, RESPONSE_LEN, c->reply,
                       (size_t)n);
}

static int read_unmap_list(struct scsi_request *r)
{
    uint8_t list[32];
    size_t len = (size_t)min_of(r->command.len, (uint64_t)sizeof(list));

    if (virtq_read(&r->scsi->vd.queue[QUEUE_REQUEST], &r->chain, HEADER_LEN, list, len) < 0)
        return -EFAULT;
    r->moved = len;
    scsi_disk_unmap(r->disk, &r->command, list, len);
    if (r->command.action == SCSI_UNMAP && !r->command.len)
        r->command.action = SCSI_DONE;
    return 0;
}

/* Single level addressing (5.6.6.1): 1, target, unit. The target's number, or -1. */
static int target_of(const struct virtio_scsi *scsi, const uint8_t *lun)
{
    return lun[0] == 1 && lun[1] < scsi->count ? lun[1] : -1;
}

/* Does what the command of @r says, or begins to; S_OK, another response code, or -EFAULT. */
static int obey(struct scsi_request *r, const uint8_t *header)
{
    struct virtio_scsi *scsi = r->scsi;
    struct scsi_command *c = &r->command;
    int target = target_of(scsi, header);
    uint64_t out = r->chain.out_len - HEADER_LEN, in = r->chain.in_len - RESPONSE_LEN;

    r->room = 0;
    if (target < 0)
        return S_BAD_TARGET;
    r->disk = scsi->disks[target];
    memcpy(c->cdb, header + HEADER_CDB, SCSI_CDB);
    r->room = max_of(in, out);
    if ((header[2] & 0x3f) || header[3]) {
        scsi_no_unit(c);
        return S_OK;
    }
    scsi_disk_command(r->disk, (unsigned)target, c);
    if (c->action == SCSI_DONE) {
        r->room = out ? out : in;
        return send_reply(r) < 0 ? -EFAULT : S_OK;
    }
    r->room = c->action == SCSI_READ ? in : out;
    if (c->action != SCSI_FLUSH && c->len > r->room)
        return S_OVERRUN;
    return c->action == SCSI_UNMAP ? read_unmap_list(r) : S_OK;
}

static void start(struct scsi_request *r)
{
    struct virtio_device *vd = &r->scsi->vd;
    uint8_t header[HEADER_LEN];
    int code = -EPROTO;

    r->moved = 0;
    r->flushing = false;
    r->io = (struct block_request){.done = part_ended};
    r->command.status = SCSI_GOOD;
    r->command.action = SCSI_DONE;
    if (r->chain.out_len >= HEADER_LEN && r->chain.in_len >= RESPONSE_LEN)
        code = virtq_read(&vd->queue[QUEUE_REQUEST], &r->chain, 0, header, sizeof(header));
    if (code == 0)
        code = obey(r, header);
    if (code < 0) {
        virtio_fail(vd, QUEUE_REQUEST, code);
        release(r);
    } else if (code == S_OK && r->command.action != SCSI_DONE) {
        advance(r);
    } else {
        finish(r, (uint8_t)code);
    }
}

/* Takes requests from the ring while there is room for them in flight. */
static void serve(struct virtio_scsi *scsi)
{
    struct virtio_device *vd = &scsi->vd;
    struct virtqueue *vq = &vd->queue[QUEUE_REQUEST];
    int got = 1;

    if (scsi->serving)
        return;
    scsi->serving = true;
    /* The bound is for a guest whose other processors fill the ring as fast as it is emptied. */
    for (unsigned budget = 16 * QUEUE_SIZE; budget && got > 0; budget--) {
        struct scsi_request *r = scsi->free;
        if (!r || !virtio_running(vd) || !vq->enabled)
            break;
        got = virtq_pop(vq, &r->chain);
        if (got > 0) {
            scsi->free = r->next;
            start(r);
        } else if (got == 0) {
            got = virtq_want_kicks(vq);
        }
    }
    if (got < 0)
        virtio_fail(vd, QUEUE_REQUEST, got);
    if (virtio_running(vd))
        virtio_publish(vd, QUEUE_REQUEST);
    scsi->serving = false;
}

/* Lets what is in flight end, and starts nothing new meanwhile. */
static void drain(struct virtio_scsi *scsi)
{
    bool serving = scsi->serving;

    scsi->serving = true;
    for (unsigned i = 0; i < scsi->count; i++)
        block_drain(scsi->disks[i]);
    scsi->serving = serving;
}

/* The control queue: task management, and events that nobody gets. */
static int64_t control(struct virtio_device *vd, const struct virtq_chain *c)
{
    struct virtio_scsi *scsi = scsi_of(vd);
    const struct virtqueue *vq = &vd->queue[QUEUE_CONTROL];
    uint8_t request[TMF_LEN], answer[AN_ANSWER] = {F_COMPLETE};
    uint32_t subtype;

    if (c->out_len < AN_LEN || virtq_read(vq, c, 0, request, AN_LEN) < 0)
        return -EPROTO;
    if (load_le32(request) != T_TMF) /* no events are reported: none is subscribed to */
        return virtq_write(vq, c, 0, answer, AN_ANSWER) < 0 ? -EFAULT : AN_ANSWER;
    subtype = load_le32(request + 4);
    if (target_of(scsi, request + 8) < 0)
        answer[0] = F_INCORRECT_LUN;
    else if (subtype == TMF_UNIT_RESET || subtype == TMF_I_T_NEXUS_RESET)
        drain(scsi);
    else
        answer[0] = F_REJECTED;
    return virtq_write(vq, c, 0, answer, TMF_ANSWER) < 0 ? -EFAULT : TMF_ANSWER;
}

static void scsi_notified(struct virtio_device *vd, unsigned queue)
{
    struct virtio_scsi *scsi = scsi_of(vd);

    if (queue == QUEUE_REQUEST) {
        serve(scsi);
    } else if (queue == QUEUE_CONTROL) {
        virtio_serve(vd, QUEUE_CONTROL, &scsi->control, control);
        serve(scsi); /* after a reset */
    }
}

static void scsi_stop(struct virtio_device *vd)
{
    drain(scsi_of(vd));
}

static const struct virtio_class class = {
    .name = "virtio-scsi",
    .type = 8,
    .pci_device = 0x1004,
    .pci_class = 0x010000,
    .queues = QUEUES,
    .queue_size = QUEUE_SIZE,
    .config_size = CONFIG_SIZE,
    .notified = scsi_notified,
    .stop = scsi_stop,
};

static void scsi_free(struct device *dev)
{
    struct virtio_scsi *scsi = container_of(dev, struct virtio_scsi, vd.dev);

    drain(scsi);
    free(scsi->requests);
    free(scsi);
}

static void scsi_settle(struct device *dev)
{
    drain(container_of(dev, struct virtio_scsi, vd.dev));
}

static void fill_config(struct virtio_scsi *scsi)
{
    uint8_t *config = scsi->vd.config;

    store_le32(config + CONFIG_NUM_QUEUES, 1);
    store_le32(config + CONFIG_SEG_MAX, QUEUE_SIZE - 2);
    store_le32(config + CONFIG_MAX_SECTORS, 0xffff);
    store_le32(config + CONFIG_CMD_PER_LUN, IN_FLIGHT);
    store_le32(config + CONFIG_EVENT_SIZE, EVENT_SIZE);
    store_le32(config + CONFIG_SENSE_SIZE, SENSE_SIZE);
    store_le32(config + CONFIG_CDB_SIZE, SCSI_CDB);
    store_le16(config + CONFIG_MAX_TARGET, VIRTIO_SCSI_TARGETS - 1);
}

struct virtio_scsi *virtio_scsi_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                    struct block *const *disks, unsigned count, struct error *err)
{
    struct virtio_scsi *scsi = count <= VIRTIO_SCSI_TARGETS ? mem_new(struct virtio_scsi) : NULL;

    if (scsi)
        scsi->requests = mem_alloc(IN_FLIGHT, sizeof(*scsi->requests));
    if (!scsi || !scsi->requests) {
        free(scsi);
        error_set(err, -ENOMEM, "add virtio-scsi with %u disks: out of memory", count);
        return NULL;
    }
    for (unsigned i = 0; i < count; i++)
        scsi->disks[i] = disks[i];
    scsi->count = count;
    for (unsigned i = IN_FLIGHT; i-- > 0;) {
        scsi->requests[i].scsi = scsi;
        release(&scsi->requests[i]);
    }
    scsi->vd.dev.state = &state;
    scsi->vd.dev.free = scsi_free;
    scsi->vd.dev.settle = scsi_settle;
    snprintf(scsi->vd.dev.name, sizeof(scsi->vd.dev.name), "virtio-scsi@%u", slot);
    fill_config(scsi);
    if (virtio_init(&scsi->vd, &class, bus, slot, space, 0, err) < 0) {
        scsi_free(&scsi->vd.dev);
        return NULL;
    }
    return scsi;
}

struct device *virtio_scsi_device(struct virtio_scsi *scsi)
{
    return &scsi->vd.dev;
}

struct pci_function *virtio_scsi_function(struct virtio_scsi *scsi)
{
    return scsi->vd.pci;
}

void virtio_scsi_stats(const struct virtio_scsi *scsi, uint64_t *ret_read, uint64_t *ret_written)
{
    *ret_read = scsi->read_bytes;
    *ret_written = scsi->written_bytes;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The drives, networks and ports between a machine on a timeline and its backends. */
#include <errno.h>

#include "base/mem.h"
#include "machine/machine_internal.h"
#include "machine/record_format.h"
#include "machine/timeline.h"

static void wake(struct timeline *line)
{
    if (line->m->host && line->m->host->wake)
        line->m->host->wake(line->m);
}

/* ---- drives ---- */

static struct timeline_drive *drive_of(struct block *b)
{
    return container_of(b, struct timeline_drive, block);
}

static int drive_attempt(struct block *b, const struct block_request *r)
{
    struct timeline_drive *d = drive_of(b);
    struct block_request own = *r;
    int result = block_check(b, r);

    return result < 0 ? result : d->line->ops->drive(d->line, d, &own);
}

/* For devices that do not attempt: answered when the next slice begins. */
static void drive_submit(struct block *b, struct block_request *r)
{
    struct block_request **link = &drive_of(b)->waiting;

    while (*link)
        link = &(*link)->next;
    r->next = NULL;
    *link = r;
}

static void drive_drain(struct block *b)
{
    struct timeline_drive *d = drive_of(b);

    while (d->waiting) {
        struct block_request *r = d->waiting;
        d->waiting = r->next;
        r->done(r, drive_attempt(b, r));
    }
}

static void drive_close(struct block *b)
{
    drive_drain(b);
}

static const struct block_ops drive_ops = {
    .attempt = drive_attempt, .submit = drive_submit, .drain = drive_drain, .close = drive_close};

static struct block *drive_before(struct timeline *line, unsigned n, struct block *below)
{
    struct timeline_drive *d = &line->drives[n];

    if (!below)
        return NULL;
    d->block = *below; /* size and the like */
    d->block.ops = &drive_ops;
    d->line = line;
    d->number = n;
    d->below = line->alone ? NULL : below;
    return &d->block;
}

void timeline_answer_drives(struct timeline *line)
{
    for (unsigned i = 0; i < TIMELINE_DRIVES; i++)
        if (line->drives[i].waiting)
            drive_drain(&line->drives[i].block);
}

static void drive_unplugged(void *opaque, struct block *drive)
{
    struct timeline *line = opaque;

    if (line->unplugged && drive_of(drive)->below)
        line->unplugged(line->unplug_opaque, drive_of(drive)->below);
}

/* ---- networks ---- */

static struct timeline_nic *nic_of(struct netdev *n)
{
    return container_of(n, struct timeline_nic, netdev);
}

static bool nic_can_receive(void *opaque, size_t len)
{
    struct timeline_nic *n = opaque;

    n->refused = n->count == TIMELINE_FRAMES;
    return !n->refused && len <= NETDEV_FRAME_MAX;
}

static void nic_receive(void *opaque, const uint8_t *frame, size_t len)
{
    struct timeline_nic *n = opaque;
    struct timeline_frame *f = &n->frames[(n->first + n->count) % TIMELINE_FRAMES];

    if (n->count == TIMELINE_FRAMES || len > NETDEV_FRAME_MAX || !(f->bytes = malloc(len + 1))) {
        n->netdev.dropped++;
        return;
    }
    memcpy(f->bytes, frame, len);
    f->len = len;
    n->count++;
    n->try = true;
    wake(n->line);
}

static void nic_link(void *opaque, bool up)
{
    struct timeline_nic *n = opaque;

    n->link = up;
    wake(n->line);
}

static void nic_attach(struct netdev *netdev, const struct netdev_client *client)
{
    struct timeline_nic *n = nic_of(netdev);

    n->client = client;
    n->own = (struct netdev_client){
        .can_receive = nic_can_receive, .receive = nic_receive, .link = nic_link, .opaque = n};
    if (n->below)
        n->below->ops->attach(n->below, &n->own);
}

static void nic_send(struct netdev *netdev, const struct netdev_span *spans, unsigned count)
{
    struct timeline_nic *n = nic_of(netdev);

    for (unsigned i = 0; i < count; i++)
        n->line->hash = record_mix_bytes(n->line->hash, spans[i].data, spans[i].len);
    if (n->below)
        n->below->ops->send(n->below, spans, count);
}

static void nic_sent(struct netdev *netdev)
{
    struct timeline_nic *n = nic_of(netdev);

    if (n->below && n->below->ops->sent)
        n->below->ops->sent(n->below);
}

/* Frames that wait are given before the next slice. */
static void nic_ready(struct netdev *netdev)
{
    nic_of(netdev)->try = true;
}

static void nic_close(struct netdev *netdev)
{
    (void)netdev;
}

static const struct netdev_ops nic_ops = {.attach = nic_attach,
                                          .send = nic_send,
                                          .sent = nic_sent,
                                          .ready = nic_ready,
                                          .close = nic_close};

static void nic_unplugged(void *opaque, struct netdev *netdev)
{
    struct timeline *line = opaque;
    struct timeline_nic *n = nic_of(netdev);

    n->client = NULL;
    if (line->nic_unplugged && n->below)
        line->nic_unplugged(line->unplug_opaque, n->below);
    n->below = NULL;
}

/* ---- ports ---- */

static struct timeline_port *port_of(struct chardev *ch)
{
    return container_of(ch, struct timeline_port, ch);
}

static size_t port_room(void *opaque)
{
    struct timeline_port *p = opaque;

    p->full = p->input_len == sizeof p->input;
    return sizeof p->input - p->input_len;
}

static void port_input(void *opaque, const uint8_t *bytes, size_t n)
{
    struct timeline_port *p = opaque;

    n = min_of(n, sizeof p->input - p->input_len);
    memcpy(p->input + p->input_len, bytes, n);
    p->input_len += n;
    p->try = true;
    wake(p->line);
}

static void port_writable(void *opaque)
{
    struct timeline_port *p = opaque;
    size_t taken = p->below->ops->write(p->below, (const uint8_t *)p->backlog.data, p->backlog.len);

    taken = min_of(taken, p->backlog.len);
    if (taken == p->backlog.len) {
        str_done(&p->backlog);
    } else {
        memmove(p->backlog.data, p->backlog.data + taken, p->backlog.len - taken);
        p->backlog.len -= taken;
    }
    wake(p->line);
}

static void port_resize(void *opaque, unsigned columns, unsigned rows)
{
    struct timeline_port *p = opaque;

    p->resized = true;
    p->columns = columns;
    p->rows = rows;
    wake(p->line);
}

static void port_eof(void *opaque)
{
    struct timeline_port *p = opaque;

    p->eof = true;
    wake(p->line);
}

static void port_attach(struct chardev *ch, const struct chardev_client *client)
{
    struct timeline_port *p = port_of(ch);

    p->client = client;
    p->own = (struct chardev_client){.room = port_room,
                                     .input = port_input,
                                     .writable = port_writable,
                                     .resize = port_resize,
                                     .eof = port_eof,
                                     .opaque = p};
    if (p->below)
        p->below->ops->attach(p->below, &p->own);
}

/* Takes all, whoever reads it: how fast that is must not be seen. */
static size_t port_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct timeline_port *p = port_of(ch);
    size_t taken = 0;

    p->line->hash = record_mix_bytes(p->line->hash, bytes, n);
    if (!p->below)
        p->line->ops->output(p->line, p->number, bytes, n);
    else if (!p->backlog.len)
        taken = min_of(p->below->ops->write(p->below, bytes, n), n);
    if (p->below)
        str_add_n(&p->backlog, bytes + taken, n - taken);
    return n;
}

/* Input that waits is given before the next slice. */
static void port_ready(struct chardev *ch)
{
    port_of(ch)->try = true;
}

static void port_close(struct chardev *ch)
{
    (void)ch;
}

static const struct chardev_ops port_ops = {
    .attach = port_attach, .write = port_write, .ready = port_ready, .close = port_close};

static struct chardev *port_before(struct timeline *line, unsigned n, struct chardev *below)
{
    struct timeline_port *p = &line->ports[n];

    if (!below)
        return NULL;
    p->ch.ops = &port_ops;
    p->line = line;
    p->number = n;
    p->below = line->alone ? NULL : below;
    return &p->ch;
}

/* ---- all of them ---- */

bool timeline_has_input(const struct timeline *line)
{
    bool has = false;

    for (unsigned i = 0; i < MACHINE_NICS; i++) {
        const struct timeline_nic *n = &line->nics[i];
        has |= n->client && (n->link >= 0 || (n->try && n->count));
    }
    for (unsigned i = 0; i < REPLAY_PORTS; i++) {
        const struct timeline_port *p = &line->ports[i];
        has |= p->client && (p->resized || (p->try && p->input_len) || (p->eof && !p->input_len));
    }
    return has;
}

void timeline_make_seams(struct timeline *line)
{
    struct machine_config *c = &line->m->config;

    for (unsigned i = 0; i < c->drive_count; i++)
        c->drives[i] = drive_before(line, i, c->drives[i]);
    c->disc = drive_before(line, TIMELINE_DISC, c->disc);
    c->diskette = drive_before(line, TIMELINE_DISKETTE, c->diskette);
    line->unplugged = c->unplugged;
    line->nic_unplugged = c->nic_unplugged;
    line->unplug_opaque = c->unplug_opaque;
    c->unplugged = drive_unplugged;
    c->nic_unplugged = nic_unplugged;
    c->unplug_opaque = line;
    for (unsigned i = 0; i < c->nic_count; i++) {
        struct timeline_nic *n = &line->nics[i];
        n->netdev = *c->nics[i].netdev; /* what it can do */
        n->netdev.ops = &nic_ops;
        n->line = line;
        n->number = i;
        n->link = -1;
        n->below = line->alone ? NULL : c->nics[i].netdev;
        c->nics[i].netdev = &n->netdev;
    }
    for (unsigned i = 0; i < MACHINE_SERIALS; i++)
        c->serials[i] = port_before(line, REPLAY_SERIAL + i, c->serials[i]);
    c->console = port_before(line, REPLAY_CONSOLE, c->console);
    c->agent = port_before(line, REPLAY_AGENT, c->agent);
    c->debug_console = port_before(line, REPLAY_DEBUG, c->debug_console);
}

void timeline_clear_seams(struct timeline *line)
{
    for (unsigned i = 0; i < MACHINE_NICS; i++) {
        struct timeline_nic *n = &line->nics[i];
        for (; n->count; n->count--, n->first = (n->first + 1) % TIMELINE_FRAMES)
            free(n->frames[n->first].bytes);
    }
    for (unsigned i = 0; i < REPLAY_PORTS; i++)
        str_done(&line->ports[i].backlog);
}

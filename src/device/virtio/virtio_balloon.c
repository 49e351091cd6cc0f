/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues: inflate, deflate and, as the third that exists, reporting (drivers number only queues of
 * features that are offered). Pages come back by themselves when the guest touches them, so that
 * deflating has nothing to do.
 */
#include "device/virtio/virtio_balloon.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { F_DEFLATE_ON_OOM = 2, F_PAGE_REPORTING = 5 };
enum { QUEUE_INFLATE = 0, QUEUE_DEFLATE = 1, QUEUE_REPORTING = 2, QUEUES = 3, QUEUE_SIZE = 128 };
enum { CONFIG_NUM_PAGES = 0, CONFIG_ACTUAL = 4, CONFIG_SIZE = 8 };
enum { NUMBERS = 256 }; /* page numbers looked at together */

struct virtio_balloon {
    struct virtio_device vd;
    /* State. */
    uint32_t wanted, actual;
    /* Work space. */
    struct virtq_chain chain;
    uint8_t numbers[NUMBERS * 4];
};

static const struct state_field fields[] = {
    VIRTIO_STATE(struct virtio_balloon),           STATE_FIELD(struct virtio_balloon, wanted, 0),
    STATE_FIELD(struct virtio_balloon, actual, 0), VIRTQ_STATE(struct virtio_balloon, 0),
    VIRTQ_STATE(struct virtio_balloon, 1),         VIRTQ_STATE(struct virtio_balloon, 2),
};

static struct virtio_balloon *balloon_of(struct virtio_device *vd)
{
    return container_of(vd, struct virtio_balloon, vd);
}

static void show_config(struct virtio_balloon *b)
{
    store_le32(b->vd.config + CONFIG_NUM_PAGES, b->wanted);
    store_le32(b->vd.config + CONFIG_ACTUAL, b->actual);
}

static void balloon_after(void *dev)
{
    virtio_after(dev);
    show_config(dev);
}

static const struct state_table state = {.name = "virtio-balloon",
                                         .version = 1,
                                         .fields = fields,
                                         .field_count = array_size(fields),
                                         .after = balloon_after};

/* Gives back @count pages named in b->numbers, neighbours together. */
static void discard(struct virtio_balloon *b, unsigned count)
{
    for (unsigned i = 0; i < count;) {
        uint64_t low = load_le32(b->numbers + 4 * i), high = low + 1, next;
        for (i++; i < count; i++) { /* drivers give them upwards or downwards */
            next = load_le32(b->numbers + 4 * i);
            if (next == high)
                high++;
            else if (next + 1 == low)
                low--;
            else
                break;
        }
        /* A page that is none is the driver's mistake, and harms nobody. */
        space_discard(b->vd.space, low << GMEM_PAGE_BITS, (high - low) << GMEM_PAGE_BITS);
    }
}

/* A chain of little-endian page numbers (5.5.6). */
static int64_t inflate(struct virtio_device *vd, const struct virtq_chain *c)
{
    struct virtio_balloon *b = balloon_of(vd);

    for (uint64_t done = 0; done + 4 <= c->out_len;) {
        size_t n = (size_t)min_of((c->out_len - done) & ~3ull, (uint64_t)sizeof(b->numbers));
        if (virtq_read(&vd->queue[QUEUE_INFLATE], c, done, b->numbers, n) < 0)
            return -EFAULT;
        discard(b, (unsigned)(n / 4));
        done += n;
    }
    return 0;
}

static int64_t deflate(struct virtio_device *vd, const struct virtq_chain *c)
{
    (void)vd;
    (void)c;
    return 0;
}

/* A chain of free ranges (5.5.6.7): their content may be lost until the chain goes back. */
static int64_t report(struct virtio_device *vd, const struct virtq_chain *c)
{
    for (unsigned i = c->out_count; i < c->out_count + c->in_count; i++)
        if (space_discard(vd->space, c->segment[i].gpa, c->segment[i].len) < 0)
            return -EFAULT;
    return 0;
}

static void balloon_notified(struct virtio_device *vd, unsigned queue)
{
    static int64_t (*const handlers[QUEUES])(struct virtio_device *, const struct virtq_chain *) = {
        [QUEUE_INFLATE] = inflate, [QUEUE_DEFLATE] = deflate, [QUEUE_REPORTING] = report};

    virtio_serve(vd, queue, &balloon_of(vd)->chain, handlers[queue]);
}

static void config_written(struct virtio_device *vd, unsigned offset, unsigned size, uint32_t value)
{
    struct virtio_balloon *b = balloon_of(vd);

    if (offset != CONFIG_ACTUAL || size != 4)
        return;
    b->actual = value;
    show_config(b);
}

static const struct virtio_class class = {
    .name = "virtio-balloon",
    .type = 5,
    .pci_device = 0x1002,
    .pci_class = 0x00ff00,
    .queues = QUEUES,
    .queue_size = QUEUE_SIZE,
    .config_size = CONFIG_SIZE,
    .notified = balloon_notified,
    .config_written = config_written,
};

static void balloon_free(struct device *dev)
{
    free(container_of(dev, struct virtio_balloon, vd.dev));
}

struct virtio_balloon *virtio_balloon_new(struct pci_bus *bus, unsigned slot, struct space *space,
                                          struct error *err)
{
    struct virtio_balloon *b = mem_new(struct virtio_balloon);

    if (!b) {
        error_set(err, -ENOMEM, "add virtio-balloon: out of memory");
        return NULL;
    }
    b->vd.dev.state = &state;
    b->vd.dev.free = balloon_free;
    snprintf(b->vd.dev.name, sizeof(b->vd.dev.name), "virtio-balloon@%u", slot);
    if (virtio_init(&b->vd, &class, bus, slot, space,
                    VIRTIO_BIT(F_DEFLATE_ON_OOM) | VIRTIO_BIT(F_PAGE_REPORTING), err) < 0) {
        balloon_free(&b->vd.dev);
        return NULL;
    }
    return b;
}

struct device *virtio_balloon_device(struct virtio_balloon *b)
{
    return &b->vd.dev;
}

struct pci_function *virtio_balloon_function(struct virtio_balloon *b)
{
    return b->vd.pci;
}

bool virtio_balloon_running(const struct virtio_balloon *b)
{
    return virtio_running(&b->vd);
}

void virtio_balloon_set(struct virtio_balloon *b, uint32_t pages)
{
    if (b->wanted == pages)
        return;
    b->wanted = pages;
    show_config(b);
    virtio_config_changed(&b->vd);
}

uint32_t virtio_balloon_pages(const struct virtio_balloon *b)
{
    return b->actual;
}

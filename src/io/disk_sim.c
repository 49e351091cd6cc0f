/* SPDX-License-Identifier: Apache-2.0 */
#include "io/disk_sim.h"

#include <errno.h>

#include "base/mem.h"

struct disk_sim {
    struct disk disk;
    uint8_t *now, *durable; /* limit bytes each */
    uint8_t *changed;       /* a byte for each sector: differs */
    size_t limit, durable_len;
    unsigned long left; /* until the power goes, 0: it stays */
    bool failed;
};

static struct disk_sim *sim_of(const struct disk *d)
{
    return container_of((struct disk *)(uintptr_t)d, struct disk_sim, disk);
}

static bool has_power(struct disk_sim *s)
{
    if (s->left && !--s->left)
        s->failed = true;
    return !s->failed;
}

static void read_spans(struct disk_sim *s, const struct block_request *r)
{
    uint64_t at = r->offset;

    for (unsigned i = 0; i < r->span_count; i++) {
        size_t there =
            at < s->disk.size ? (size_t)min_of(s->disk.size - at, (uint64_t)r->spans[i].len) : 0;
        if (there)
            memcpy(r->spans[i].data, s->now + at, there);
        memset(r->spans[i].data + there, 0, r->spans[i].len - there);
        at += r->spans[i].len;
    }
}

static int change(struct disk_sim *s, const struct block_request *r)
{
    uint64_t at = r->offset, end = at + r->len;

    if (at > s->limit || r->len > s->limit - at)
        return -ENOSPC;
    if (r->op == BLOCK_WRITE) {
        for (unsigned i = 0; i < r->span_count; i++) {
            memcpy(s->now + at, r->spans[i].data, r->spans[i].len);
            at += r->spans[i].len;
        }
        s->disk.size = max_of(s->disk.size, end);
    } else {
        memset(s->now + at, 0, r->len);
    }
    if (r->len)
        memset(s->changed + r->offset / 512, 1, (end + 511) / 512 - r->offset / 512);
    return 0;
}

static int sim_run(struct disk *d, const struct block_request *r)
{
    struct disk_sim *s = sim_of(d);

    if (r->op == BLOCK_READ) {
        if (s->failed)
            return -EIO;
        read_spans(s, r);
        return 0;
    }
    if (!has_power(s))
        return -EIO;
    if (r->op != BLOCK_FLUSH)
        return change(s, r);
    memcpy(s->durable, s->now, s->disk.size);
    s->durable_len = s->disk.size;
    memset(s->changed, 0, s->limit / 512 + 1);
    return 0;
}

static int sim_close(struct disk *d)
{
    struct disk_sim *s = sim_of(d);

    free(s->now);
    free(s->durable);
    free(s->changed);
    free(s);
    return 0;
}

static const struct disk_ops sim_ops = {.run = sim_run, .close = sim_close};

struct disk *disk_sim_new(const void *bytes, size_t len, size_t limit, struct error *err)
{
    struct disk_sim *s = mem_new(struct disk_sim);

    limit = max_of(len, limit);
    if (s) {
        s->now = mem_alloc(1, limit + 1);
        s->durable = mem_alloc(1, limit + 1);
        s->changed = mem_alloc(1, limit / 512 + 2);
    }
    if (!s || !s->now || !s->durable || !s->changed) {
        if (s)
            sim_close(&s->disk);
        error_set(err, -ENOMEM, "create disk in memory: out of memory");
        return NULL;
    }
    if (len) {
        memcpy(s->now, bytes, len);
        memcpy(s->durable, bytes, len);
    }
    s->limit = limit;
    s->durable_len = len;
    s->disk = (struct disk){
        .ops = &sim_ops, .format = "raw", .size = len, .physical_block = 512, .can_discard = true};
    return &s->disk;
}

void disk_sim_fail_after(struct disk *d, unsigned long count)
{
    sim_of(d)->left = count;
}

bool disk_sim_failed(const struct disk *d)
{
    return sim_of(d)->failed;
}

void *disk_sim_crash(const struct disk *d, unsigned seed, size_t *ret_len)
{
    const struct disk_sim *s = sim_of(d);
    uint8_t *bytes = mem_alloc(1, s->disk.size + 1);
    uint64_t random = seed * 0x9e3779b97f4a7c15ull + 1;

    if (!bytes)
        return NULL;
    for (size_t at = 0; at < s->disk.size; at += 512) {
        size_t n = min_of((size_t)512, (size_t)s->disk.size - at);
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        memcpy(bytes + at,
               s->changed[at / 512] && seed && random >> 63 ? s->durable + at : s->now + at, n);
    }
    *ret_len = s->disk.size;
    return bytes;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes to a disk image as a seed says, for tests beside other programs:
 *
 *   qcow2_rig write IMAGE SEED COUNT MIRROR   COUNT random requests, also done to the raw file
 * MIRROR qcow2_rig storm IMAGE SEED PROGRESS       requests without end; PROGRESS: how many were
 * flushed qcow2_rig verify IMAGE SEED PROGRESS      what a storm that was cut off must have left
 *
 * In a storm each sector that a request writes holds the request's number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/disk_image.h"

enum { SECTORS_MAX = 1 << 17, REQUEST_MAX = 256, AHEAD = 200000 };

struct request {
    enum block_op op;
    uint32_t first, count;
};

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % below;
}

/* Requests gather in a tenth of the disk, so that places are written more than once. */
static struct request next(uint32_t sectors)
{
    struct request q = {.op = BLOCK_WRITE, .count = 1 + draw(draw(8) ? 16 : REQUEST_MAX)};
    uint32_t what = draw(24);

    q.first = draw(8) ? draw(sectors / 10) : draw(sectors);
    if (q.first > sectors - q.count)
        q.first = sectors - q.count;
    if (what == 0)
        q.op = BLOCK_FLUSH;
    else if (what <= 2)
        q.op = BLOCK_WRITE_ZEROES;
    return q;
}

static int run(struct disk *d, const struct request *q, uint64_t stamp)
{
    static uint8_t bytes[REQUEST_MAX * 512];

    if (q->op == BLOCK_FLUSH)
        return disk_flush(d);
    if (q->op == BLOCK_WRITE_ZEROES)
        return disk_write_zeroes(d, q->first * 512ull, q->count * 512ull, stamp & 1);
    for (size_t i = 0; i < q->count * 512ul; i += 8)
        memcpy(bytes + i, &stamp, 8);
    return disk_write(d, q->first * 512ull, bytes, q->count * 512ul);
}

static int write_both(struct disk *d, unsigned long count, const char *mirror)
{
    const struct disk_image_options o = {.format = "raw"};
    struct disk *raw = disk_image_open(mirror, &o, NULL);
    int r = raw ? 0 : -EIO;

    for (unsigned long i = 1; r == 0 && i <= count; i++) {
        struct request q = next((uint32_t)(d->size / 512));
        r = run(d, &q, random_state);
        if (r == 0)
            r = run(raw, &q, random_state);
    }
    disk_close(raw);
    return r;
}

static int storm(struct disk *d, const char *progress)
{
    int fd = open(progress, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), r = fd < 0 ? -errno : 0;

    for (uint64_t i = 1; r == 0; i++) {
        struct request q = next((uint32_t)(d->size / 512));
        r = run(d, &q, i);
        if (r == 0 && q.op == BLOCK_FLUSH && pwrite(fd, &i, sizeof i, 0) != sizeof i)
            r = -EIO;
    }
    return r;
}

/* Takes the values that were possible out of @seen, a byte for each sector: 1 is explained. */
static int verify(struct disk *d, const char *progress)
{
    static uint64_t held[SECTORS_MAX], kept[SECTORS_MAX];
    static uint8_t fine[SECTORS_MAX];
    uint32_t sectors = (uint32_t)(d->size / 512), bad = 0;
    int fd = open(progress, O_RDONLY | O_CLOEXEC);
    uint64_t flushed = 0;

    if (fd >= 0 && read(fd, &flushed, sizeof flushed) < 0)
        return -errno;
    for (uint32_t s = 0; s < sectors; s++) {
        uint64_t words[64];
        int r = disk_read(d, s * 512ull, words, 512);
        if (r < 0)
            return r;
        held[s] = words[0];
        for (unsigned i = 1; i < 64; i++)
            if (words[i] != words[0])
                held[s] = UINT64_MAX; /* torn: no drive does that */
    }
    for (uint64_t i = 1; i <= flushed + AHEAD; i++) {
        struct request q = next(sectors);
        uint64_t value = q.op == BLOCK_WRITE ? i : 0;
        for (uint32_t s = q.first; q.op != BLOCK_FLUSH && s < q.first + q.count; s++) {
            if (i <= flushed)
                kept[s] = value;
            else if (held[s] == value)
                fine[s] = 1;
        }
    }
    for (uint32_t s = 0; s < sectors; s++)
        if (!fine[s] && held[s] != kept[s] && bad++ < 5)
            printf("sector %u holds %llu, not %llu (flushed: %llu)\n", s,
                   (unsigned long long)held[s], (unsigned long long)kept[s],
                   (unsigned long long)flushed);
    return bad ? -EIO : 0;
}

int main(int argc, char **argv)
{
    struct disk_image_options o = {.discard = true};
    struct error err = {0};
    struct disk *d;
    int r;

    if (argc < 5)
        return 2;
    o.readonly = strcmp(argv[1], "verify") == 0;
    d = disk_image_open(argv[2], &o, &err);
    if (!d || d->size / 512 > SECTORS_MAX) {
        printf("%s: %s\n", argv[2], error_text(&err));
        return 1;
    }
    random_state = strtoull(argv[3], NULL, 10);
    if (argc == 6 && strcmp(argv[1], "write") == 0)
        r = write_both(d, strtoul(argv[4], NULL, 10), argv[5]);
    else
        r = o.readonly ? verify(d, argv[4]) : storm(d, argv[4]);
    if (disk_close(d) < 0 || r < 0) {
        printf("%s %s: %s\n", argv[1], argv[2], strerror(-r));
        return 1;
    }
    return 0;
}

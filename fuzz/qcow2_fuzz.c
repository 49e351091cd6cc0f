/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a disk image: looked at, checked, repaired, read and written. It must end, stay
 * within its file, and what was repaired must need no more repair.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/disk_probe.h"
#include "io/disk_sim.h"
#include "io/qcow2.h"

enum { GROWTH = 256 << 10, PIECE = 8 << 10, REQUESTS = 24, DISK_MAX = 1 << 20 };

static struct disk *open_it(struct disk *file, bool check, bool readonly)
{
    return qcow2_open(
        file, NULL, "fuzz",
        &(struct qcow2_options){.readonly = readonly, .discard = true, .check = check}, NULL);
}

static struct disk *copy_of(const uint8_t *bytes, size_t n)
{
    return disk_sim_new(bytes, n, n + GROWTH, NULL);
}

static void look(const uint8_t *bytes, size_t n)
{
    struct disk *file = copy_of(bytes, n);
    struct disk_member member;
    const char *format;

    if (disk_probe(file, &format) == 0)
        assert(format);
    if (disk_find_member(file, &member, NULL) == 0)
        assert(member.offset <= n && member.size <= n - member.offset);
    disk_close(file);
}

/* Repairs; a second look finds no count to be wrong. Bad references stay. */
static void repair(const uint8_t *bytes, size_t n)
{
    struct disk *image = open_it(copy_of(bytes, n), true, false);
    struct qcow2_check before, after;

    if (image && qcow2_check(image, QCOW2_REPAIR_ALL, &before, NULL) == 0 &&
        qcow2_check(image, QCOW2_REPAIR_NOT, &after, NULL) == 0 &&
        before.errors + before.leaks == before.repaired)
        assert(!after.leaks);
    disk_close(image);
}

static void use(const uint8_t *bytes, size_t n, bool readonly)
{
    static uint8_t piece[PIECE];
    struct disk *image = open_it(copy_of(bytes, n), false, readonly);
    uint64_t random = 1, end;

    for (size_t i = n > 64 ? n - 64 : 0; i < n; i++) /* the requests, too, come from the bytes */
        random = random * 31 + bytes[i];
    for (unsigned i = 0; image && i < REQUESTS; i++) {
        uint64_t at, len;
        int ignored = 0;
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        end = min_of(image->size, (uint64_t)DISK_MAX);
        at = (random >> 20) % (end / 512) * 512;
        len = min_of((uint64_t)PIECE, end - at);
        if (random >> 60 & 1) /* and the far end */
            at = image->size - len;
        switch (random >> 61) {
        case 0:
            ignored = disk_flush(image);
            break;
        case 1:
            ignored = disk_discard(image, at, len);
            break;
        case 2:
            ignored = disk_write_zeroes(image, at, len, random >> 59 & 1);
            break;
        case 3:
        case 4:
            ignored = disk_write(image, at, piece, len);
            break;
        default:
            ignored = disk_read(image, at, piece, len);
        }
        (void)ignored;
    }
    disk_close(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    log_level_max = -1;
    look(bytes, n);
    repair(bytes, n);
    use(bytes, n, true);
    use(bytes, n, false);
    return 0;
}

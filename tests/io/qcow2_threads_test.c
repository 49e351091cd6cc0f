/* SPDX-License-Identifier: Apache-2.0 */
/* One qcow2 image used by several threads at once, each in a part of the disk of its own. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/disk_file.h"
#include "io/disk_image.h"
#include "io/qcow2.h"

enum { THREADS = 4, PART = 640 << 9, STEPS = 400, REQUEST_MAX = 48 << 9 };

struct part {
    struct disk *image;
    uint64_t begin, random;
    uint8_t now[PART];
    bool wrong;
};

static uint32_t draw(struct part *p, uint32_t below)
{
    p->random = p->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(p->random >> 33) % below;
}

/* Reads as a drive does: at once if it can be, else with waiting. */
static int look(struct part *p, uint32_t at, uint8_t *bytes, uint32_t len)
{
    struct block_span span = {.data = bytes, .len = len};
    const struct block_request r = {
        .op = BLOCK_READ, .offset = p->begin + at, .len = len, .spans = &span, .span_count = 1};
    int result = disk_attempt(p->image, &r);

    return result == BLOCK_WOULD_WAIT ? disk_run(p->image, &r) : result;
}

static void *use(void *opaque)
{
    struct part *p = opaque;
    uint8_t bytes[REQUEST_MAX];

    for (unsigned i = 0; i < STEPS && !p->wrong; i++) {
        uint32_t len = (1 + draw(p, REQUEST_MAX >> 9)) << 9, at = draw(p, (PART - len) / 512 + 1)
                                                                  << 9;
        switch (draw(p, 8)) {
        case 0:
            p->wrong = disk_flush(p->image) < 0;
            break;
        case 1:
            p->wrong = disk_write_zeroes(p->image, p->begin + at, len, draw(p, 2)) < 0;
            memset(p->now + at, 0, len);
            break;
        case 2:
        case 3:
        case 4:
            p->wrong = look(p, at, bytes, len) < 0 || memcmp(bytes, p->now + at, len) != 0;
            break;
        default:
            memset(bytes, (int)draw(p, 256), len);
            memcpy(p->now + at, bytes, len);
            p->wrong = disk_write(p->image, p->begin + at, bytes, len) < 0;
        }
    }
    return NULL;
}

static void threads_share_an_image(void **state)
{
    static struct part parts[THREADS];
    const struct qcow2_create c = {.size = THREADS * PART, .cluster_bits = 12};
    const struct disk_image_options o = {.format = "qcow2", .discard = true, .no_flush = true};
    const struct disk_image_options look_only = {
        .format = "qcow2", .readonly = true, .check = true};
    struct disk_file_options f = {.growing = true};
    char path[] = "/tmp/isola-qcow2-XXXXXX";
    struct qcow2_check found;
    struct disk *file, *image;
    pthread_t ids[THREADS];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    file = disk_file_open(path, &f, NULL);
    assert_non_null(file);
    assert_int_equal(qcow2_create(file, &c, NULL), 0);
    disk_close(file);
    image = disk_image_open(path, &o, NULL);
    assert_non_null(image);
    for (unsigned i = 0; i < THREADS; i++) {
        parts[i].image = image;
        parts[i].begin = (uint64_t)i * PART;
        parts[i].random = i + 1;
        assert_int_equal(pthread_create(&ids[i], NULL, use, &parts[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        assert_false(parts[i].wrong);
    }
    assert_int_equal(disk_close(image), 0);
    image = disk_image_open(path, &look_only, NULL);
    assert_non_null(image);
    assert_int_equal(qcow2_check(image, QCOW2_REPAIR_NOT, &found, NULL), 0);
    assert_int_equal(found.errors + found.leaks, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        static uint8_t bytes[PART];
        assert_int_equal(disk_read(image, parts[i].begin, bytes, PART), 0);
        assert_memory_equal(bytes, parts[i].now, PART);
    }
    disk_close(image);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_an_image)};

    return cmocka_run_group_tests_name("qcow2_threads", tests, NULL, NULL);
}

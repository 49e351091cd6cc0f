/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest does to a drive in bench/disk.sh: 4 KiB at random places with 1 and with 16 requests
 * in flight, and 1 MiB after 1 MiB, past its page cache. Static, so that it runs anywhere.
 *
 *   diskload DEVICE SECONDS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <time.h>
#include <unistd.h>

enum { SMALL = 4096, LARGE = 1 << 20, THREADS = 16 };

struct load {
    int fd, write, random;
    size_t piece;
    uint64_t size;
    double until;
    unsigned seed;
    unsigned long done;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *work(void *opaque)
{
    struct load *l = opaque;
    uint64_t pieces = l->size / l->piece, at = 0, random = l->seed;
    void *bytes = aligned_alloc(SMALL, l->piece);

    for (size_t i = 0; i < l->piece; i += 8)
        *(uint64_t *)((char *)bytes + i) = i ^ l->seed;
    while (now() < l->until) {
        ssize_t n;
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        at = l->random ? (random >> 33) % pieces : (at + 1) % pieces;
        n = l->write ? pwrite(l->fd, bytes, l->piece, (off_t)(at * l->piece))
                     : pread(l->fd, bytes, l->piece, (off_t)(at * l->piece));
        if (n != (ssize_t)l->piece) {
            perror("diskload");
            exit(1);
        }
        l->done++;
    }
    free(bytes);
    return NULL;
}

static void measure(const char *name, const struct load *what, int threads, double seconds)
{
    struct load loads[THREADS];
    pthread_t ids[THREADS];
    unsigned long done = 0;
    double begin = now(), took;

    for (int i = 0; i < threads; i++) {
        loads[i] = *what;
        loads[i].seed = (unsigned)i + 1;
        loads[i].until = begin + seconds;
        pthread_create(&ids[i], NULL, work, &loads[i]);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        done += loads[i].done;
    }
    if (what->write)
        fdatasync(what->fd);
    took = now() - begin;
    if (what->piece == SMALL)
        printf("%s %.0f /s\n", name, (double)done / took);
    else
        printf("%s %.0f MiB/s\n", name, (double)done / took);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct load l = {.random = 1, .piece = SMALL};
    double seconds = argc > 2 ? atof(argv[2]) : 3;

    l.fd = argc > 1 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
    if (l.fd < 0 || ioctl(l.fd, BLKGETSIZE64, &l.size) < 0) {
        perror("diskload");
        return 1;
    }
    measure("random-read-1", &l, 1, seconds);
    measure("random-read-16", &l, THREADS, seconds);
    l.write = 1;
    measure("random-write-1", &l, 1, seconds);
    measure("random-write-16", &l, THREADS, seconds);
    l.random = 0;
    l.piece = LARGE;
    measure("write-1M", &l, 1, seconds);
    l.write = 0;
    measure("read-1M", &l, 1, seconds);
    return 0;
}

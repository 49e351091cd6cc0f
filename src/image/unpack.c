/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/decode.h"

enum { SLOTS = 16, SLOT_SIZE = 256 << 10, IN_SIZE = 256 << 10, LOWERS_MAX = 4096 };
enum { HASHER, EXTRACTOR, CONSUMERS };

struct slot {
    uint8_t *bytes;
    size_t n;
};

/* What all three threads share. */
struct pipeline {
    const struct unpack *unpack;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct slot slots[SLOTS];
    uint64_t made, used[CONSUMERS]; /* buffers since the beginning */
    bool end;                       /* no more will be made */
    bool stop;                      /* somebody failed */
    struct error error;             /* of the first who did */
    struct digest diff_id;
    struct extract *extract;
};

void unpack_feed(struct unpack_feed *feed, uint64_t available, bool end)
{
    atomic_store(&feed->available, available);
    if (end)
        atomic_store(&feed->end, 1);
    atomic_fetch_add(&feed->turn, 1);
    syscall(SYS_futex, &feed->turn, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int unpack_send(int socket, const struct unpack_message *m, int fd)
{
    struct iovec v = {(void *)(uintptr_t)m, sizeof *m};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
    ssize_t n;

    if (fd >= 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = sizeof control.bytes;
        *CMSG_FIRSTHDR(&h) = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), &fd, sizeof fd);
    }
    do
        n = sendmsg(socket, &h, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int unpack_receive(int socket, struct unpack_message *m, int *ret_fd)
{
    struct iovec v = {m, sizeof *m};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr h = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c;
    ssize_t n;

    *ret_fd = -1;
    do
        n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    c = CMSG_FIRSTHDR(&h);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof *ret_fd))
        memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    if (n == 0)
        return -ECONNRESET;
    if ((size_t)n != sizeof *m || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        close_fd(ret_fd);
        *ret_fd = -1;
        return -EPROTO;
    }
    m->text[sizeof m->text - 1] = 0;
    return 0;
}

static void fail(struct pipeline *p, const struct error *err)
{
    pthread_mutex_lock(&p->lock);
    if (!p->stop)
        p->error = *err;
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static bool stopped(struct pipeline *p)
{
    bool stop;

    pthread_mutex_lock(&p->lock);
    stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return stop;
}

/* The buffer to be filled next, NULL when somebody failed. */
static struct slot *free_slot(struct pipeline *p)
{
    struct slot *s = NULL;

    pthread_mutex_lock(&p->lock);
    while (!p->stop &&
           (p->made - p->used[HASHER] == SLOTS || p->made - p->used[EXTRACTOR] == SLOTS))
        pthread_cond_wait(&p->changed, &p->lock);
    if (!p->stop)
        s = &p->slots[p->made % SLOTS];
    pthread_mutex_unlock(&p->lock);
    return s;
}

static void put_slot(struct pipeline *p, bool end)
{
    pthread_mutex_lock(&p->lock);
    if (end)
        p->end = true;
    else
        p->made++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

/* The next buffer for a consumer, which gives the last one back. NULL: the end, or a failure. */
static const struct slot *next_slot(struct pipeline *p, int who, bool *has)
{
    const struct slot *s = NULL;

    pthread_mutex_lock(&p->lock);
    if (*has) {
        p->used[who]++;
        pthread_cond_broadcast(&p->changed);
    }
    while (!p->stop && !p->end && p->used[who] == p->made)
        pthread_cond_wait(&p->changed, &p->lock);
    *has = !p->stop && p->used[who] < p->made;
    if (*has)
        s = &p->slots[p->used[who] % SLOTS];
    pthread_mutex_unlock(&p->lock);
    return s;
}

/* Waits for bytes after @offset; 0: the end, 1: there are some, -ECANCELED: somebody failed. */
static int wait_feed(struct pipeline *p, uint64_t offset)
{
    struct unpack_feed *feed = p->unpack->feed;
    static const struct timespec patience = {.tv_nsec = 200000000};

    for (;;) {
        uint32_t turn = atomic_load(&feed->turn), end = atomic_load(&feed->end);
        if (atomic_load(&feed->available) > offset)
            return 1;
        if (end)
            return 0;
        if (stopped(p))
            return -ECANCELED;
        syscall(SYS_futex, &feed->turn, FUTEX_WAIT, turn, &patience, NULL, 0);
    }
}

/* The file as it grows. */
struct input {
    uint8_t buf[IN_SIZE];
    const uint8_t *next;
    size_t n;
    uint64_t offset; /* behind what is in buf */
    bool end;
};

static int fill_input(struct pipeline *p, struct input *in, struct error *err)
{
    uint64_t available;
    ssize_t n;
    int r = wait_feed(p, in->offset);

    if (r < 0)
        return r;
    if (r == 0) {
        in->end = true;
        return 0;
    }
    available = atomic_load(&p->unpack->feed->available) - in->offset;
    /* What is left goes first, so that detection sees enough. */
    memmove(in->buf, in->next, in->n);
    in->next = in->buf;
    n = pread(p->unpack->file, in->buf + in->n,
              (size_t)min_of(available, (uint64_t)(IN_SIZE - in->n)), (off_t)in->offset);
    if (n <= 0)
        return error_set_errno(err, n < 0 ? -errno : -EIO, "read the layer's blob");
    in->n += (size_t)n;
    in->offset += (uint64_t)n;
    atomic_store(&p->unpack->feed->taken, in->offset);
    return 0;
}

static int choose_decoder(struct pipeline *p, struct input *in, struct decoder **ret,
                          struct error *err)
{
    enum decode_kind kind = DECODE_PLAIN;
    int r = 0;

    while (r == 0 && !in->end && in->n < 8)
        r = fill_input(p, in, err);
    if (r == 0)
        r = decode_detect(in->next, in->n, &kind, err);
    if (r < 0)
        return r;
    *ret = decoder_new(kind);
    return *ret ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int decode_all(struct pipeline *p, struct input *in, struct decoder *d, struct error *err)
{
    for (;;) {
        struct slot *s = free_slot(p);
        int r = 0;
        if (!s)
            return -ECANCELED;
        s->n = 0;
        while (r == 0 && s->n < SLOT_SIZE) {
            size_t before = in->n, got = 0;
            r = decoder_run(d, &in->next, &in->n, s->bytes + s->n, SLOT_SIZE - s->n, &got, err);
            s->n += got;
            if (r < 0 || got || in->n != before)
                continue;
            if (in->end)
                break;
            r = fill_input(p, in, err);
        }
        if (r < 0)
            return r;
        if (s->n)
            put_slot(p, false);
        if (s->n == SLOT_SIZE)
            continue;
        put_slot(p, true);
        return decoder_complete(d) ? 0 : error_set(err, -EBADMSG, "the compressed data is cut off");
    }
}

static void *decode_thread(void *opaque)
{
    struct pipeline *p = opaque;
    struct input *in = mem_new(struct input);
    struct decoder *d = NULL;
    struct error err = {0};
    int r = in ? 0 : error_set(&err, -ENOMEM, "out of memory");

    if (r == 0) {
        in->next = in->buf;
        r = choose_decoder(p, in, &d, &err);
    }
    if (r == 0)
        r = decode_all(p, in, d, &err);
    if (r < 0)
        fail(p, &err);
    decoder_free(d);
    free(in);
    return NULL;
}

static void *hash_thread(void *opaque)
{
    struct pipeline *p = opaque;
    struct hash *hash = p->unpack->hash;
    const struct slot *s;
    bool has = false;

    while ((s = next_slot(p, HASHER, &has)))
        hash_add(hash, s->bytes, s->n);
    hash_get(hash, &p->diff_id);
    return NULL;
}

/* Where the extractor is in the ring. */
struct tap {
    struct pipeline *pipeline;
    bool has;
};

static int tap_fill(void *opaque, const uint8_t **ret, size_t *ret_n, struct error *err)
{
    struct tap *tap = opaque;
    const struct slot *s = next_slot(tap->pipeline, EXTRACTOR, &tap->has);

    if (!s && stopped(tap->pipeline))
        return error_set(err, -ECANCELED, "stopped");
    *ret = s ? s->bytes : NULL;
    *ret_n = s ? s->n : 0;
    return 0;
}

/* What follows the end of the archive belongs to the diff id all the same. */
static int extract_all(struct pipeline *p, struct error *err)
{
    struct tap tap = {.pipeline = p};
    const uint8_t *bytes;
    size_t n = 1;
    int r = extract_archive(p->extract, tap_fill, &tap, err);

    while (r == 0 && n)
        r = tap_fill(&tap, &bytes, &n, err);
    return r;
}

static int run_threads(struct pipeline *p, struct error *err)
{
    pthread_t decoder, hasher;
    int r = -pthread_create(&decoder, NULL, decode_thread, p);

    if (r < 0)
        return error_set_errno(err, r, "start a thread");
    r = -pthread_create(&hasher, NULL, hash_thread, p);
    if (r < 0) {
        error_set_errno(err, r, "start a thread");
        fail(p, err);
        pthread_join(decoder, NULL);
        return r;
    }
    r = extract_all(p, err);
    if (r < 0)
        fail(p, err); /* unless another failed first and stopped this one */
    pthread_join(decoder, NULL);
    pthread_join(hasher, NULL);
    if (p->stop)
        *err = p->error;
    return p->stop ? (err->code ? err->code : -EIO) : 0;
}

static int ask_mknod(void *opaque, int dir, const char *name, mode_t mode, dev_t device,
                     struct error *err)
{
    const struct unpack *u = opaque;
    struct unpack_message m = {.kind = UNPACK_MKNOD, .mode = mode, .device = device};
    int r, fd;

    snprintf(m.text, sizeof m.text, "%s", name);
    r = unpack_send(u->socket, &m, dir);
    if (r == 0)
        r = unpack_receive(u->socket, &m, &fd);
    if (r == 0 && m.kind != UNPACK_MADE)
        r = -EPROTO;
    if (r == 0)
        r = m.code;
    return r < 0 ? error_set_errno(err, r, "create the device") : r;
}

/* Waits for the layers below, and lets directories inherit from them. */
static int inherit(const struct unpack *u, struct extract *x, struct error *err)
{
    cleanup_free int *lowers = mem_alloc(LOWERS_MAX, sizeof *lowers);
    struct unpack_message m;
    size_t count = 0;

    if (!lowers)
        return error_set(err, -ENOMEM, "out of memory");
    for (;;) {
        int fd = -1, r = unpack_receive(u->socket, &m, &fd);
        if (r < 0 || (m.kind != UNPACK_LOWER && m.kind != UNPACK_FINISH))
            return error_set_errno(err, r < 0 ? r : -EPROTO, "wait for the layers below");
        if (m.kind == UNPACK_FINISH)
            return extract_inherit(x, lowers, count, err);
        if (fd < 0 || count == LOWERS_MAX)
            return error_set(err, -E2BIG, "too many layers below");
        lowers[count++] = fd;
    }
}

static int fail_message(const struct unpack *u, int r, const struct error *err)
{
    struct unpack_message m = {.kind = UNPACK_FAILED, .code = r};

    snprintf(m.text, sizeof m.text, "%s", error_text(err));
    unpack_send(u->socket, &m, -1);
    return 1;
}

int unpack_main(const struct unpack *u)
{
    struct pipeline *p = mem_new(struct pipeline); /* its life is the child's */
    struct unpack_message m = {.kind = UNPACK_DONE};
    struct error err = {0};
    int r = 0;

    if (!p)
        return fail_message(u, error_set(&err, -ENOMEM, "out of memory"), &err);
    p->unpack = u;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->extract = extract_new(u->root, &(struct extract_options){.squash = u->squash,
                                                                .mknod = ask_mknod,
                                                                .opaque = (void *)(uintptr_t)u});
    if (!p->extract)
        r = error_set(&err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < SLOTS && r == 0; i++) {
        p->slots[i].bytes = malloc(SLOT_SIZE);
        if (!p->slots[i].bytes)
            r = error_set(&err, -ENOMEM, "out of memory");
    }
    umask(0);
    if (r == 0)
        r = run_threads(p, &err);
    if (r < 0)
        return fail_message(u, r, &err);
    m.diff_id = p->diff_id;
    m.result = *extract_result(p->extract);
    r = unpack_send(u->socket, &m, -1);
    if (r == 0)
        r = inherit(u, p->extract, &err);
    if (r < 0)
        return fail_message(u, r, &err);
    m.kind = UNPACK_BYE;
    return unpack_send(u->socket, &m, -1) < 0;
}

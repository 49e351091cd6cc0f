/* SPDX-License-Identifier: Apache-2.0 */
#include "image/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/decode.h"
#include "image/extract_internal.h"
#include "image/store_internal.h"
#include "image/unpack.h"

enum { MEMBERS_MAX = 1 << 17, LINKS_MAX = 8, STEP = 256 << 10 };

struct bundle {
    int fd;
    json_t *members; /* of an archive: name -> [offset, size], or the name it links to; NULL */
};

/* Fills a tar reader from a file. */
struct feed {
    int fd;
    uint8_t buf[STEP];
};

static int feed_fill(void *opaque, const uint8_t **ret, size_t *ret_n, struct error *err)
{
    struct feed *f = opaque;
    ssize_t n = layer_read_fd(&f->fd, f->buf, sizeof f->buf, err);

    if (n < 0)
        return (int)n;
    *ret = f->buf;
    *ret_n = (size_t)n;
    return 0;
}

/* A link's target as a clean name: symbolic ones are relative to where they are. */
static int link_target(const struct tar_entry *e, const char *name, char *ret, struct error *err)
{
    struct str path = {0}, flat = {0};
    const char *slash = strrchr(name, '/');
    int r;

    if (e->type == TAR_SYMLINK && e->link[0] != '/' && slash)
        str_add_n(&path, name, (size_t)(slash - name + 1));
    str_add(&path, e->link);
    /* Takes "x/../" away, which archives of docker save have. */
    for (const char *p = str_text(&path); *p; p += strcspn(p, "/"), p += *p == '/') {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            char *last = flat.data ? strrchr(flat.data, '/') : NULL;
            flat.len = last ? (size_t)(last - flat.data) : 0;
            if (flat.data)
                flat.data[flat.len] = 0;
        } else if (n) {
            str_add_char(&flat, '/');
            str_add_n(&flat, p, n);
        }
    }
    r = path.failed || flat.failed ? error_set(err, -ENOMEM, "out of memory")
                                   : extract_clean(str_text(&flat), ret, err);
    str_done(&path);
    str_done(&flat);
    return r;
}

static int add_member(struct bundle *b, struct tar_reader *t, const struct tar_entry *e,
                      struct error *err)
{
    char name[EXTRACT_PATH_MAX + 1], target[EXTRACT_PATH_MAX + 1];
    json_t *value;
    int r = extract_clean(e->path, name, err);

    if (r == 0 && json_object_size(b->members) >= MEMBERS_MAX)
        r = error_set(err, -E2BIG, "the archive has more than %d files", MEMBERS_MAX);
    if (r < 0)
        return r;
    if (e->type == TAR_SYMLINK || e->type == TAR_HARDLINK) {
        r = link_target(e, name, target, err);
        value = r == 0 ? json_string_nocheck(target) : NULL;
    } else if (e->type == TAR_FILE && !e->sparse) {
        value = json_pack("[I, I]", (json_int_t)tar_data_offset(t), (json_int_t)e->size);
    } else {
        return 0; /* directories and so on are of no use here */
    }
    if (r == 0 && json_object_set_new_nocheck(b->members, name, value) < 0)
        r = error_set(err, -ENOMEM, "out of memory");
    return r;
}

static int index_archive(struct bundle *b, struct error *err)
{
    struct feed *feed = mem_new(struct feed);
    struct tar_reader *t = feed ? tar_reader_new(feed_fill, feed) : NULL;
    const struct tar_entry *e;
    int r;

    b->members = json_object();
    if (!t || !b->members) {
        r = error_set(err, -ENOMEM, "out of memory");
    } else {
        feed->fd = b->fd;
        while ((r = tar_next(t, &e, err)) > 0) {
            r = add_member(b, t, e, err);
            if (r < 0)
                break;
        }
    }
    tar_reader_free(t);
    free(feed);
    return r < 0 ? error_wrap(err, r, "read the archive") : 0;
}

/* Copies what can be read only once to a file without name, decompressed. */
struct spool {
    int from, to;
    enum decode_kind kind;
    uint8_t *head; /* the first bytes, which were read already */
    size_t head_n;
};

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static int spool_chunk(struct spool *s, struct decoder *d, const uint8_t *in, size_t n,
                       uint8_t *out, struct error *err)
{
    for (;;) {
        size_t before = n, got = 0;
        int r = decoder_run(d, &in, &n, out, STEP, &got, err);
        if (r < 0)
            return r;
        r = write_all(s->to, out, got);
        if (r < 0)
            return error_set_errno(err, r, "copy the archive into the store");
        if (!got && n == before)
            return 0;
    }
}

static int spool_run(struct spool *s, struct error *err)
{
    struct decoder *d = decoder_new(s->kind);
    uint8_t *in = malloc(STEP), *out = malloc(STEP);
    ssize_t n = 1;
    int r = d && in && out ? spool_chunk(s, d, s->head, s->head_n, out, err)
                           : error_set(err, -ENOMEM, "out of memory");

    while (r == 0 && n > 0) {
        n = layer_read_fd(&s->from, in, STEP, err);
        r = n < 0 ? (int)n : spool_chunk(s, d, in, (size_t)n, out, err);
    }
    if (r == 0 && !decoder_complete(d))
        r = error_set(err, -EBADMSG, "the compressed archive is cut off");
    decoder_free(d);
    free(in);
    free(out);
    return r;
}

/* In a child that can do nothing else: the bytes are strange ones. */
static int spool_confined(struct spool *s, struct error *err)
{
    struct error said = {0};
    int pipe_fds[2], status = 0;
    pid_t pid;
    ssize_t n;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_set_errno(err, -errno, "make a pipe");
    pid = fork();
    if (pid == 0) {
        int r = unpack_confine_stream((const int[]){s->from, s->to, pipe_fds[1]}, 3, &said);
        if (r == 0)
            r = spool_run(s, &said);
        said.code = r;
        _exit(r < 0 && write(pipe_fds[1], &said, sizeof said) == (ssize_t)sizeof said);
    }
    close(pipe_fds[1]);
    n = pid > 0 ? read(pipe_fds[0], &said, sizeof said) : -1;
    close(pipe_fds[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (n == (ssize_t)sizeof said && said.code < 0) {
        said.text[sizeof said.text - 1] = 0;
        return error_set(err, said.code, "%s", said.text);
    }
    return n == 0 && status == 0 ? 0 : error_set(err, -EIO, "decompressing ended unexpectedly");
}

/* Makes *fd a file that can be read twice and is not compressed. */
static int make_plain(struct image_store *store, int *fd, struct error *err)
{
    uint8_t head[512];
    struct spool s = {.from = *fd, .head = head};
    cleanup_fd int to = -1;
    int r;

    while (s.head_n < sizeof head) {
        ssize_t n = layer_read_fd(fd, head + s.head_n, sizeof head - s.head_n, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        s.head_n += (size_t)n;
    }
    r = decode_detect(head, s.head_n, &s.kind, err);
    if (r < 0)
        return r;
    if (s.kind == DECODE_PLAIN && lseek(*fd, 0, SEEK_SET) == 0)
        return 0;
    to = openat(store->fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (to < 0)
        return error_set_errno(err, -errno, "create a file in %s/tmp", store->dir);
    s.to = to;
    r = spool_confined(&s, err);
    if (r == 0 && lseek(to, 0, SEEK_SET) < 0)
        r = error_set_errno(err, -errno, "read the copy");
    if (r == 0) {
        close(*fd);
        *fd = steal_fd(&to);
    }
    return r;
}

struct bundle *bundle_open(struct image_store *store, const char *path, struct error *err)
{
    struct bundle *b = mem_new(struct bundle);
    struct stat st;
    int r = 0;

    if (!b) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    b->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                   : open(path, O_RDONLY | O_CLOEXEC);
    if (b->fd < 0 || fstat(b->fd, &st) < 0)
        r = error_set_errno(err, -errno, "open");
    else if (!S_ISDIR(st.st_mode))
        r = make_plain(store, &b->fd, err);
    if (r == 0 && !S_ISDIR(st.st_mode))
        r = index_archive(b, err);
    if (r < 0) {
        bundle_close(b);
        return NULL;
    }
    return b;
}

void bundle_close(struct bundle *b)
{
    if (!b)
        return;
    if (b->fd >= 0)
        close(b->fd);
    json_decref(b->members);
    free(b);
}

static int find_member(const struct bundle *b, const char *name, struct bundle_file *ret)
{
    json_t *value = json_object_get(b->members, name);

    for (int links = 0; json_is_string(value) && links < LINKS_MAX; links++)
        value = json_object_get(b->members, json_string_value(value));
    if (!json_is_array(value))
        return -ENOENT;
    ret->offset = (uint64_t)json_integer_value(json_array_get(value, 0));
    ret->left = (uint64_t)json_integer_value(json_array_get(value, 1));
    ret->fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 0);
    return ret->fd < 0 ? -errno : 0;
}

static int find_file(const struct bundle *b, const char *name, struct bundle_file *ret)
{
    struct stat st;

    ret->fd = extract_open(b->fd, name, O_RDONLY | O_NONBLOCK);
    if (ret->fd < 0)
        return ret->fd;
    if (fstat(ret->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(ret->fd);
        return -EINVAL;
    }
    ret->offset = 0;
    ret->left = (uint64_t)st.st_size;
    return 0;
}

int bundle_file_open(const struct bundle *b, const char *name, struct bundle_file *ret,
                     struct error *err)
{
    char clean[EXTRACT_PATH_MAX + 1];
    int r = extract_clean(name, clean, err);

    if (r < 0)
        return error_wrap(err, r, "%.200s", name);
    r = b->members ? find_member(b, clean, ret) : find_file(b, clean, ret);
    return r < 0 ? error_set_errno(err, r, "open %.200s in it", clean) : 0;
}

void bundle_file_close(struct bundle_file *f)
{
    close(f->fd);
    f->fd = -1;
}

ssize_t bundle_stream(void *opaque, void *buf, size_t n, struct error *err)
{
    struct bundle_file *f = opaque;
    ssize_t got;

    n = (size_t)min_of((uint64_t)n, f->left);
    if (!n)
        return 0;
    do
        got = pread(f->fd, buf, n, (off_t)f->offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return error_set_errno(err, got < 0 ? -errno : -EIO, "read");
    f->offset += (uint64_t)got;
    f->left -= (uint64_t)got;
    return got;
}

bool bundle_has(const struct bundle *b, const char *name)
{
    struct bundle_file f;

    if (bundle_file_open(b, name, &f, NULL) < 0)
        return false;
    bundle_file_close(&f);
    return true;
}

int bundle_read(const struct bundle *b, const char *name, size_t max, char **ret, size_t *ret_n,
                struct error *err)
{
    struct bundle_file f;
    char *text;
    size_t n = 0;
    int r = bundle_file_open(b, name, &f, err);

    if (r < 0)
        return r;
    text = f.left <= max ? malloc((size_t)f.left + 1) : NULL;
    if (!text)
        r = error_set(err, -E2BIG, "%s has %llu bytes; at most %zu are taken", name,
                      (unsigned long long)f.left, max);
    while (r == 0 && f.left) {
        ssize_t got = bundle_stream(&f, text + n, (size_t)f.left, err);
        if (got < 0)
            r = error_wrap(err, (int)got, "%s", name);
        else
            n += (size_t)got;
    }
    bundle_file_close(&f);
    if (r < 0) {
        free(text);
        return r;
    }
    text[n] = 0;
    *ret = text;
    *ret_n = n;
    return 0;
}

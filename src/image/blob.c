/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs on their way in. A blob whose digest is known beforehand grows in partial/HEX, locked by
 * flock; what a broken transfer left is hashed again when the next one begins. Other blobs grow in
 * files without name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/store_internal.h"
#include "image/writer_internal.h"

static void partial_path(const char *digest, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "partial/%.64s", digest + strlen("sha256:"));
}

bool blob_exists(struct image_store *s, const char *digest, uint64_t *ret_size)
{
    char path[STORE_PATH_MAX];
    struct stat st;

    if (!store_digest_ok(digest))
        return false;
    store_blob_path(digest, path);
    if (fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return false;
    if (ret_size)
        *ret_size = (uint64_t)st.st_size;
    return true;
}

int blob_open(struct image_store *s, const char *digest, int *ret_fd, uint64_t *ret_size,
              struct error *err)
{
    char path[STORE_PATH_MAX];
    struct stat st;
    int fd;

    if (!store_digest_ok(digest))
        return error_set(err, -EINVAL, "\"%.100s\" is not a sha256 digest", digest);
    store_blob_path(digest, path);
    fd = openat(s->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, -errno, "open blob %s", digest);
    if (fstat(fd, &st) < 0) {
        int r = -errno;
        close(fd);
        return error_set_errno(err, r, "open blob %s", digest);
    }
    *ret_fd = fd;
    if (ret_size)
        *ret_size = (uint64_t)st.st_size;
    return 0;
}

int blob_put(struct image_store *s, const void *bytes, size_t n, struct digest *ret,
             struct error *err)
{
    struct blob_writer *w;
    uint64_t offset;
    int r = blob_begin(s, NULL, false, &w, &offset, err);

    if (r < 0)
        return r;
    r = blob_append(w, bytes, n, err);
    if (r < 0) {
        blob_abort(w);
        return r;
    }
    return blob_commit(w, ret, err);
}

/*
 * Opens and locks partial/HEX. The one who finishes it renames it away, so the file that was
 * locked may not be the one with the name any more.
 */
static int open_partial(struct blob_writer *w, bool wait, struct error *err)
{
    char path[STORE_PATH_MAX];

    partial_path(w->digest.text, path);
    for (;;) {
        cleanup_fd int fd =
            openat(w->store->fd, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        struct stat st, named;
        int r;
        if (fd < 0)
            return error_set_errno(err, -errno, "create %s/%s", w->store->dir, path);
        do
            r = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
        while (r < 0 && errno == EINTR);
        if (r < 0 && errno == EWOULDBLOCK)
            return error_set(err, -EBUSY, "another process is fetching blob %s", w->digest.text);
        if (r < 0)
            return error_set_errno(err, -errno, "lock %s/%s", w->store->dir, path);
        if (fstat(fd, &st) == 0 && fstatat(w->store->fd, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_ino == named.st_ino && st.st_dev == named.st_dev) {
            w->fd = steal_fd(&fd);
            return 0;
        }
        if (blob_exists(w->store, w->digest.text, NULL))
            return error_set(err, -EEXIST, "blob %s is here", w->digest.text);
    }
}

/* Hashes what an earlier transfer left. */
static int hash_partial(struct blob_writer *w, struct error *err)
{
    static const size_t step = 1 << 18;
    cleanup_free unsigned char *buf = malloc(step);
    ssize_t n;

    if (!buf)
        return error_set(err, -ENOMEM, "out of memory");
    while ((n = pread(w->fd, buf, step, (off_t)w->offset)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, -errno, "read what is there of blob %s", w->digest.text);
        hash_add(w->hash, buf, (size_t)n);
        w->offset += (uint64_t)n;
    }
    return 0;
}

int blob_begin(struct image_store *s, const char *digest, bool wait, struct blob_writer **ret,
               uint64_t *ret_offset, struct error *err)
{
    struct blob_writer *w;
    int r = 0;

    if (digest && !store_digest_ok(digest))
        return error_set(err, -EINVAL, "\"%.100s\" is not a sha256 digest", digest);
    if (digest && blob_exists(s, digest, NULL))
        return error_set(err, -EEXIST, "blob %s is here", digest);
    w = mem_new(struct blob_writer);
    if (!w)
        return error_set(err, -ENOMEM, "out of memory");
    w->store = s;
    w->fd = -1;
    w->hash = hash_new();
    if (!w->hash)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && digest) {
        snprintf(w->digest.text, sizeof w->digest.text, "%s", digest);
        r = open_partial(w, wait, err);
        /* Whoever held it may have published it meanwhile, and this file be a new one. */
        if (r == 0 && blob_exists(s, digest, NULL)) {
            char path[STORE_PATH_MAX];
            partial_path(digest, path);
            unlinkat(s->fd, path, 0);
            r = error_set(err, -EEXIST, "blob %s is here", digest);
        }
        if (r == 0)
            r = hash_partial(w, err);
    } else if (r == 0) {
        snprintf(w->temp, sizeof w->temp, "tmp/blob-%d-XXXXXX", (int)getpid());
        r = store_temp_file(s, w->temp, &w->fd, err);
    }
    if (r < 0) {
        blob_abort(w);
        return r;
    }
    *ret = w;
    *ret_offset = w->offset;
    return 0;
}

int store_temp_file(struct image_store *s, char *path, int *ret_fd, struct error *err)
{
    char *tail = path + strlen(path) - 6;

    for (unsigned i = 0; i < 1000; i++) {
        snprintf(tail, 7, "%06u", i);
        *ret_fd = openat(s->fd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (*ret_fd >= 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    *path = 0;
    return error_set_errno(err, -errno, "create a file in %s/tmp", s->dir);
}

int blob_append(struct blob_writer *w, const void *bytes, size_t n, struct error *err)
{
    const char *p = bytes;
    size_t left = n;

    while (left) {
        ssize_t k = pwrite(w->fd, p, left, (off_t)w->offset);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_set_errno(err, -errno, "write blob %s into %s",
                                   w->digest.text[0] ? w->digest.text : "(new)", w->store->dir);
        hash_add(w->hash, p, (size_t)k);
        w->offset += (uint64_t)k;
        p += k;
        left -= (size_t)k;
    }
    return 0;
}

int blob_restart(struct blob_writer *w, struct error *err)
{
    struct hash *fresh = hash_new();

    if (!fresh)
        return error_set(err, -ENOMEM, "out of memory");
    if (ftruncate(w->fd, 0) < 0) {
        hash_free(fresh);
        return error_set_errno(err, -errno, "begin blob %s anew", w->digest.text);
    }
    hash_free(w->hash);
    w->hash = fresh;
    w->offset = 0;
    return 0;
}

uint64_t blob_offset(const struct blob_writer *w)
{
    return w->offset;
}

static void writer_free(struct blob_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    hash_free(w->hash);
    free(w);
}

int blob_commit(struct blob_writer *w, struct digest *ret, struct error *err)
{
    char from[STORE_PATH_MAX], to[STORE_PATH_MAX];
    struct digest got;
    int r = 0;

    hash_get(w->hash, &got);
    if (w->digest.text[0])
        partial_path(w->digest.text, from);
    else
        snprintf(from, sizeof from, "%s", w->temp);
    store_blob_path(got.text, to);
    if (w->digest.text[0] && strcmp(got.text, w->digest.text) != 0) {
        r = error_set(err, -EBADMSG, "the content has digest %s instead of %s", got.text,
                      w->digest.text);
        unlinkat(w->store->fd, from, 0);
    } else if (fchmod(w->fd, 0400) < 0 || renameat(w->store->fd, from, w->store->fd, to) < 0) {
        r = error_set_errno(err, -errno, "store blob %s", got.text);
    } else if (ret) {
        *ret = got;
    }
    writer_free(w);
    return r;
}

void blob_abort(struct blob_writer *w)
{
    if (!w)
        return;
    if (w->temp[0])
        unlinkat(w->store->fd, w->temp, 0);
    writer_free(w);
}

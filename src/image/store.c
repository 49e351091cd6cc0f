/* SPDX-License-Identifier: Apache-2.0 */
#include "image/store.h"

#include <dirent.h>
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
#include "image/reference.h"
#include "image/store_internal.h"

bool store_digest_ok(const char *digest)
{
    return digest && str_starts(digest, "sha256:") && image_digest_valid(digest);
}

void store_blob_path(const char *digest, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "blobs/sha256/%.64s", digest + strlen("sha256:"));
}

void store_layer_path(const char *chain, const char *leaf, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "layers/%.64s%s%s", chain + strlen("sha256:"), leaf ? "/" : "",
             leaf ? leaf : "");
}

static char *default_dir(void)
{
    const char *xdg = getenv("XDG_DATA_HOME"), *user = getenv("HOME");

    if (xdg && *xdg == '/')
        return str_format("%s/isola/images", xdg);
    if (geteuid() == 0)
        return strdup("/var/lib/isola/images");
    return user && *user == '/' ? str_format("%s/.local/share/isola/images", user) : NULL;
}

/* The parents are shared by others; the store itself is its owner's alone. */
static int make_dirs(const char *path)
{
    cleanup_free char *copy = strdup(path);

    if (!copy)
        return -ENOMEM;
    for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        if (mkdir(copy, strcmp(strrchr(copy, '/'), "/isola") == 0 ? 0700 : 0755) < 0 &&
            errno != EEXIST && errno != EROFS && errno != EACCES)
            return -errno;
        *p = '/';
    }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_inside(int fd)
{
    static const char *const dirs[] = {"blobs",   "blobs/sha256", "layers",
                                       "partial", "tmp",          "trash"};

    for (size_t i = 0; i < array_size(dirs); i++) {
        if (mkdirat(fd, dirs[i], 0700) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int open_dir(struct image_store *s, struct error *err)
{
    struct stat st;
    int r;

    s->fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0 && errno == ENOENT) {
        r = make_dirs(s->dir);
        if (r < 0)
            return error_set_errno(err, r, "create the image store %s", s->dir);
        s->fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (s->fd < 0 || fstat(s->fd, &st) < 0)
        return error_set_errno(err, -errno, "open the image store %s", s->dir);
    if (st.st_uid != geteuid() || (st.st_mode & 022))
        return error_set(err, -EPERM,
                         "the image store %s does not belong to this user alone; remove it",
                         s->dir);
    if (faccessat(s->fd, "trash", F_OK, 0) < 0) {
        r = make_inside(s->fd);
        if (r < 0)
            return error_set_errno(err, r, "create the image store %s", s->dir);
    }
    return 0;
}

struct image_store *image_store_open(const char *dir, struct error *err)
{
    struct image_store *s = mem_new(struct image_store);
    char *path = dir ? NULL : default_dir();

    if (!s || (!dir && !path)) {
        free(path);
        free(s);
        error_set(err, s ? -ENOENT : -ENOMEM, "no place for images: set HOME or XDG_DATA_HOME");
        return NULL;
    }
    s->fd = s->use = -1;
    if (dir && *dir != '/') {
        cleanup_free char *cwd = getcwd(NULL, 0);
        path = cwd ? str_format("%s/%s", cwd, dir) : NULL;
    } else if (dir) {
        path = strdup(dir);
    }
    s->dir = path;
    if (!path || open_dir(s, err) < 0) {
        if (!path)
            error_set(err, -ENOMEM, "out of memory");
        image_store_close(s);
        return NULL;
    }
    return s;
}

void image_store_close(struct image_store *s)
{
    if (!s)
        return;
    if (s->use >= 0)
        close(s->use);
    if (s->fd >= 0)
        close(s->fd);
    free(s->dir);
    free(s);
}

const char *image_store_dir(const struct image_store *s)
{
    return s->dir;
}

int store_lock(struct image_store *s, const char *name, int operation, int *ret_fd,
               struct error *err)
{
    cleanup_fd int fd = openat(s->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return error_set_errno(err, -errno, "open %s/%s", s->dir, name);
    do
        r = flock(fd, operation);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return error_set_errno(err, -errno, "lock %s/%s", s->dir, name);
    *ret_fd = steal_fd(&fd);
    return 0;
}

static size_t read_small(int dir, const char *name, char *buf, size_t size)
{
    cleanup_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    buf[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

/* The first writer after a boot removes what may be torn. */
static int check_boot(struct image_store *s, struct error *err)
{
    char now[64], last[64];
    cleanup_fd int use = -1;
    cleanup_fd int fd = -1;
    uint64_t bytes = 0;
    json_t *index;
    size_t n = read_small(AT_FDCWD, "/proc/sys/kernel/random/boot_id", now, sizeof now);
    int r;

    if (!n || (read_small(s->fd, "boot", last, sizeof last) == n && strcmp(now, last) == 0))
        return 0;
    /* Somebody who holds it has been here before: the index knows all that is not theirs. */
    r = store_lock(s, "use.lock", LOCK_EX | LOCK_NB, &use, err);
    if (r == -EWOULDBLOCK)
        return 0;
    if (r < 0)
        return r;
    index = store_index_load(s, err);
    if (!index)
        return -EIO;
    r = store_collect(s, index, 0, &bytes, err);
    json_decref(index);
    if (r < 0)
        return r;
    fd = openat(s->fd, "boot", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, now, n) != (ssize_t)n)
        return error_set_errno(err, -errno, "write %s/boot", s->dir);
    return 0;
}

static int make_index(struct image_store *s, struct error *err);

int image_store_hold(struct image_store *s, struct error *err)
{
    int r;

    if (s->use >= 0)
        return 0;
    r = make_index(s, err);
    if (r == 0)
        r = check_boot(s, err);
    return r < 0 ? r : store_lock(s, "use.lock", LOCK_SH, &s->use, err);
}

static int read_fd(int fd, size_t max, char **ret, size_t *ret_len)
{
    struct stat st;
    char *text;
    size_t len = 0, want;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size < 0 || (uint64_t)st.st_size > max)
        return -E2BIG;
    want = (size_t)st.st_size;
    text = malloc(want + 1);
    if (!text)
        return -ENOMEM;
    while (len < want) {
        ssize_t n = read(fd, text + len, want - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            free(text);
            return n < 0 ? -errno : -EIO;
        }
        len += (size_t)n;
    }
    text[len] = 0;
    *ret = text;
    *ret_len = len;
    return 0;
}

int image_blob_read(struct image_store *s, const char *digest, size_t max, char **ret,
                    size_t *ret_len, struct error *err)
{
    char path[STORE_PATH_MAX];
    cleanup_fd int fd = -1;
    int r;

    if (!store_digest_ok(digest))
        return error_set(err, -EINVAL, "\"%.100s\" is not a sha256 digest", digest);
    store_blob_path(digest, path);
    fd = openat(s->fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, -errno, "open blob %s", digest);
    r = read_fd(fd, max, ret, ret_len);
    return r < 0 ? error_set_errno(err, r, "read blob %s", digest) : 0;
}

/* Whether something is in the directory @name of the store. */
static bool holds_any(struct image_store *s, const char *name)
{
    int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    bool any = false;

    if (!d && fd >= 0)
        close(fd);
    while (d && !any && (e = readdir(d)))
        any = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return any;
}

/* A store has an index before it has anything else: without one, all would be taken for garbage. */
static json_t *index_of_new_store(struct image_store *s, struct error *err)
{
    json_t *index;

    if (holds_any(s, "layers") || holds_any(s, "blobs/sha256")) {
        error_set(
            err, -ENODATA,
            "%s/index.json is lost, which names the images: restore it (from index.new beside "
            "it or a backup), or move the directory away and fetch the images again",
            s->dir);
        return NULL;
    }
    index = json_pack("{s:i, s:[]}", "version", 1, "images");
    if (!index)
        error_set(err, -ENOMEM, "out of memory");
    return index;
}

/* Who is about to bring something in makes sure of it. */
static int make_index(struct image_store *s, struct error *err)
{
    cleanup_fd int lock = -1;
    json_t *index;
    int r;

    if (faccessat(s->fd, "index.json", F_OK, 0) == 0)
        return 0;
    r = store_lock(s, "lock", LOCK_EX, &lock, err);
    if (r < 0 || faccessat(s->fd, "index.json", F_OK, 0) == 0)
        return r;
    index = index_of_new_store(s, err);
    r = index ? store_index_save(s, index, err) : err ? err->code : -EIO;
    json_decref(index);
    return r;
}

json_t *store_index_load(struct image_store *s, struct error *err)
{
    cleanup_fd int fd = openat(s->fd, "index.json", O_RDONLY | O_CLOEXEC);
    cleanup_free char *text = NULL;
    json_error_t where;
    json_t *index = NULL;
    size_t len = 0;
    int r;

    if (fd < 0 && errno == ENOENT)
        return index_of_new_store(s, err);
    r = fd < 0 ? -errno : read_fd(fd, STORE_INDEX_MAX, &text, &len);
    if (r < 0) {
        error_set_errno(err, r, "read %s/index.json", s->dir);
        return NULL;
    }
    index = json_loadb(text, len, 0, &where);
    if (!index || json_integer_value(json_object_get(index, "version")) != 1 ||
        !json_is_array(json_object_get(index, "images"))) {
        error_set(err, -EINVAL,
                  "%s/index.json is damaged or of a newer Isola; without it all images are gone: "
                  "restore it, or remove the directory and fetch them again",
                  s->dir);
        json_decref(index);
        return NULL;
    }
    return index;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

int store_index_save(struct image_store *s, const json_t *index, struct error *err)
{
    cleanup_free char *text = json_dumps(index, JSON_INDENT(1));
    cleanup_fd int fd = -1;
    int r;

    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    fd = openat(s->fd, "index.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
    if (r == 0 && (fsync(fd) < 0 || renameat(s->fd, "index.new", s->fd, "index.json") < 0 ||
                   fsync(s->fd) < 0))
        r = -errno;
    return r < 0 ? error_set_errno(err, r, "write %s/index.json", s->dir) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "image/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/extract_internal.h"
#include "image/store_internal.h"

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_META   ".wh..wh."

struct extract *extract_new(int root, const struct extract_options *options)
{
    struct extract *x = mem_new(struct extract);

    if (x) {
        x->root = root;
        x->options = *options;
        x->parent = -1;
    }
    return x;
}

void extract_free(struct extract *x)
{
    if (!x)
        return;
    extract_forget(x);
    for (size_t i = 0; i < x->late_count; i++) {
        free(x->late[i].path);
        free(x->late[i].acl);
    }
    for (size_t i = 0; i < x->result.implicit; i++)
        free(x->implicit[i]);
    free(x->late);
    free(x->implicit);
    free(x);
}

const struct extract_result *extract_result(const struct extract *x)
{
    return &x->result;
}

static int check_ids(const struct tar_entry *e, struct error *err)
{
    if (e->uid >= UINT32_MAX || e->gid >= UINT32_MAX)
        return error_set(err, -EINVAL, "owner %lld:%lld is not valid", (long long)e->uid,
                         (long long)e->gid);
    return 0;
}

/* Why chown failed, in words that help. */
static int chown_error(const struct tar_entry *e, struct error *err)
{
    if (errno == EINVAL || errno == EPERM)
        return error_set(err, -errno,
                         "owner %lld:%lld is outside the ids of this user; give it more in "
                         "/etc/subuid and /etc/subgid",
                         (long long)e->uid, (long long)e->gid);
    return error_set_errno(err, -errno, "set its owner");
}

/* A file that this process made belongs to 0:0, or to the group of a setgid directory. */
static bool needs_chown(struct extract *x, const struct tar_entry *e)
{
    if (x->options.squash) {
        x->result.squashed += e->uid || e->gid;
        return false;
    }
    return e->uid || e->gid || x->parent_sgid;
}

static struct timespec mtime_of(const struct tar_entry *e)
{
    return (struct timespec){.tv_sec = e->mtime, .tv_nsec = e->mtime_ns};
}

static int set_xattrs(struct extract *x, int fd, const struct tar_entry *e, bool late_acl,
                      struct error *err)
{
    for (size_t i = 0; i < e->xattr_count; i++) {
        const struct tar_xattr *a = &e->xattrs[i];
        if (!extract_xattr_allowed(a->name)) {
            x->result.xattrs_left++;
            continue;
        }
        if (late_acl && strcmp(a->name, "system.posix_acl_default") == 0)
            continue;
        if (fsetxattr(fd, a->name, a->value, a->size, 0) == 0)
            continue;
        /*
         * Some file systems have none of a kind; those of users can be done without. So can ACLs
         * for ids that do not exist here.
         */
        if ((errno != EOPNOTSUPP || strcmp(a->name, "security.capability") == 0) &&
            !(errno == EINVAL && x->options.squash && str_starts(a->name, "system.")))
            return error_set_errno(err, -errno, "set attribute %s", a->name);
        x->result.xattrs_left++;
    }
    return 0;
}

/* Owner, attributes, mode and time in the order in which none undoes another. */
static int set_meta(struct extract *x, int fd, const struct tar_entry *e, bool mode_set,
                    struct error *err)
{
    bool chowned = needs_chown(x, e);
    int r;

    if (chowned && fchown(fd, (uid_t)e->uid, (gid_t)e->gid) < 0)
        return chown_error(e, err);
    if ((!mode_set || (e->mode & 07000)) && fchmod(fd, e->mode) < 0)
        return error_set_errno(err, -errno, "set its mode");
    r = e->xattr_count ? set_xattrs(x, fd, e, e->type == TAR_DIR, err) : 0;
    if (r < 0)
        return r;
    if (e->type != TAR_DIR && futimens(fd, (struct timespec[2]){mtime_of(e), mtime_of(e)}) < 0)
        return error_set_errno(err, -errno, "set its time");
    return 0;
}

/* The same for what cannot be opened. */
static int set_meta_at(struct extract *x, int dir, const char *leaf, const struct tar_entry *e,
                       struct error *err)
{
    x->result.xattrs_left += e->xattr_count;
    if (needs_chown(x, e) &&
        fchownat(dir, leaf, (uid_t)e->uid, (gid_t)e->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return chown_error(e, err);
    if (e->type != TAR_SYMLINK && fchmodat(dir, leaf, e->mode, 0) < 0)
        return error_set_errno(err, -errno, "set its mode");
    if (utimensat(dir, leaf, (struct timespec[2]){mtime_of(e), mtime_of(e)}, AT_SYMLINK_NOFOLLOW) <
        0)
        return error_set_errno(err, -errno, "set its time");
    return 0;
}

static int write_all(int fd, const uint8_t *p, size_t n, int64_t offset)
{
    while (n) {
        ssize_t k = offset < 0 ? write(fd, p, n) : pwrite(fd, p, n, offset);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        p += k;
        n -= (size_t)k;
        if (offset >= 0)
            offset += k;
    }
    return 0;
}

static int count_bytes(struct extract *x, size_t n, struct error *err)
{
    x->result.bytes += n;
    if (x->result.bytes > EXTRACT_BYTES_MAX)
        return error_set(err, -E2BIG, "the layer has more than %llu GiB of data",
                         (unsigned long long)(EXTRACT_BYTES_MAX >> 30));
    return 0;
}

static int write_dense(struct extract *x, struct tar_reader *t, int fd, struct error *err)
{
    for (;;) {
        const uint8_t *p;
        size_t n;
        int r = tar_data(t, &p, &n, err);
        if (r < 0 || n == 0)
            return r;
        r = write_all(fd, p, n, -1);
        if (r < 0)
            return error_set_errno(err, r, "write %zu bytes", n);
        r = count_bytes(x, n, err);
        if (r < 0)
            return r;
    }
}

static int write_sparse(struct extract *x, struct tar_reader *t, const struct tar_entry *e, int fd,
                        struct error *err)
{
    const uint8_t *p = NULL;
    size_t n = 0;

    if (ftruncate(fd, (off_t)e->size) < 0)
        return error_set_errno(err, -errno, "make a file of %llu bytes",
                               (unsigned long long)e->size);
    for (size_t i = 0; i < e->extent_count; i++) {
        uint64_t done = 0;
        while (done < e->extents[i].size) {
            size_t k;
            int r = n ? 0 : tar_data(t, &p, &n, err);
            if (r < 0)
                return r;
            if (n == 0)
                return error_set(err, -EBADMSG, "its data is cut off");
            k = (size_t)min_of((uint64_t)n, e->extents[i].size - done);
            r = write_all(fd, p, k, (int64_t)(e->extents[i].offset + done));
            if (r < 0)
                return error_set_errno(err, r, "write %zu bytes", k);
            r = count_bytes(x, k, err);
            if (r < 0)
                return r;
            p += k;
            n -= k;
            done += k;
        }
    }
    return 0;
}

static int make_file(struct extract *x, struct tar_reader *t, const struct tar_entry *e, int dir,
                     const char *leaf, struct error *err)
{
    cleanup_fd int fd =
        openat(dir, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, e->mode & 0777);
    int r;

    if (fd < 0)
        return error_set_errno(err, -errno, "create it");
    r = e->sparse ? write_sparse(x, t, e, fd, err) : write_dense(x, t, fd, err);
    return r < 0 ? r : set_meta(x, fd, e, true, err);
}

static int make_hardlink(struct extract *x, const struct tar_entry *e, const char *path,
                         struct error *err)
{
    cleanup_fd int from = -1;
    const char *leaf, *target;
    int dir, r = extract_clean(e->link, x->link, err);

    if (r == 0 && !x->link[0])
        r = error_set(err, -EINVAL, "it is a hard link to a directory");
    if (r == 0)
        r = extract_parent(x, x->link, false, &dir, &target, err);
    if (r < 0)
        return error_wrap(err, r, "find its target %.200s in the layer", e->link);
    from = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    if (from < 0)
        return error_set_errno(err, -errno, "open a directory");
    r = extract_parent(x, path, true, &dir, &leaf, err);
    if (r < 0)
        return r;
    if (linkat(from, target, dir, leaf, 0) < 0)
        return error_set_errno(err, -errno, "link it to %.200s", e->link);
    return 0;
}

static int make_device(struct extract *x, const struct tar_entry *e, int dir, const char *leaf,
                       struct error *err)
{
    mode_t type = e->type == TAR_CHAR ? S_IFCHR : S_IFBLK;
    dev_t device = makedev(e->major, e->minor);
    int r;

    if (e->type == TAR_CHAR && device == makedev(0, 0))
        return error_set(err, -EINVAL, "device 0:0 would hide a file; no image may have it");
    r = x->options.mknod
            ? x->options.mknod(x->options.opaque, dir, leaf, type | e->mode, device, err)
            : 1;
    if (r == 1)
        x->result.devices_left++;
    return r < 0 ? r : r == 1 ? 0 : set_meta_at(x, dir, leaf, e, err);
}

static int make_special(struct extract *x, const struct tar_entry *e, int dir, const char *leaf,
                        struct error *err)
{
    if (e->type == TAR_SYMLINK ? symlinkat(e->link, dir, leaf) < 0
                               : mknodat(dir, leaf, S_IFIFO | e->mode, 0) < 0)
        return error_set_errno(err, -errno, "create it");
    return set_meta_at(x, dir, leaf, e, err);
}

static int note_dir(struct extract *x, const struct tar_entry *e, const char *path,
                    struct error *err)
{
    struct late_dir *d;

    if (x->late_count == x->late_cap) {
        size_t cap = x->late_cap ? 2 * x->late_cap : 256;
        struct late_dir *grown = realloc(x->late, cap * sizeof *grown);
        if (!grown)
            return error_set(err, -ENOMEM, "out of memory");
        x->late = grown;
        x->late_cap = cap;
    }
    d = &x->late[x->late_count];
    *d = (struct late_dir){
        .path = strdup(path), .mtime = e->mtime, .mtime_ns = e->mtime_ns, .mode = e->mode};
    if (!d->path)
        return error_set(err, -ENOMEM, "out of memory");
    x->late_count++;
    for (size_t i = 0; i < e->xattr_count; i++) {
        const struct tar_xattr *a = &e->xattrs[i];
        if (strcmp(a->name, "system.posix_acl_default") != 0 || d->acl)
            continue;
        d->acl = malloc(a->size ? a->size : 1);
        if (!d->acl)
            return error_set(err, -ENOMEM, "out of memory");
        memcpy(d->acl, a->value, a->size);
        d->acl_size = a->size;
    }
    return 0;
}

/* @path "" is the root itself. */
static int make_dir(struct extract *x, const struct tar_entry *e, const char *path,
                    struct error *err)
{
    cleanup_fd int fd = -1;
    int r;

    if (*path) {
        const char *leaf;
        int dir;
        r = extract_parent(x, path, true, &dir, &leaf, err);
        if (r < 0)
            return r;
        if (mkdirat(dir, leaf, 0700) < 0 && errno != EEXIST)
            return error_set_errno(err, -errno, "create it");
        fd = openat(dir, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    } else {
        fd = extract_open(x->root, "", O_RDONLY | O_DIRECTORY);
    }
    if (fd < 0)
        return error_set_errno(err, -errno, "open the directory");
    r = set_meta(x, fd, e, false, err);
    if (r < 0)
        return r;
    if (x->parent >= 0 && strcmp(x->parent_path, path) == 0)
        extract_forget(x); /* its entry came late, its group may be another one */
    return note_dir(x, e, path, err);
}

/* Makes room for an entry: what an earlier one of the same name left goes. */
static int replace(struct extract *x, const struct tar_entry *e, int dir, const char *leaf,
                   bool *ret_opaque, struct error *err)
{
    struct stat st;

    *ret_opaque = false;
    if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, -errno, "look at it");
    if (e->type == TAR_DIR && S_ISDIR(st.st_mode))
        return 0;
    /* A directory that comes after its whiteout hides what was there. */
    *ret_opaque = e->type == TAR_DIR && extract_is_whiteout(&st);
    if (x->options.plain && S_ISDIR(st.st_mode))
        return error_set(err, -EISDIR, "a directory is there");
    if (!S_ISDIR(st.st_mode))
        return unlinkat(dir, leaf, 0) < 0 ? error_set_errno(err, -errno, "replace it") : 0;
    if (store_remove_tree(dir, leaf))
        return error_set(err, -ENOTEMPTY, "it could not be replaced");
    extract_forget(x);
    return 0;
}

/* layer.md, "Whiteouts". What the same layer brings stays, in whatever order they come. */
static int make_whiteout(int dir, const char *leaf, struct error *err)
{
    const char *name = leaf + strlen(WHITEOUT_PREFIX);
    struct stat st;

    if (strcmp(leaf, WHITEOUT_OPAQUE) == 0)
        return extract_opaque(dir, ".", err);
    if (str_starts(leaf, WHITEOUT_META))
        return 0; /* book-keeping of AUFS */
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, -EINVAL, "it is not a valid whiteout");
    if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) == 0)
        return 0;
    if (errno != EEXIST)
        return error_set_errno(err, -errno, "make a whiteout");
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return extract_opaque(dir, name, err);
    return 0;
}

static int make_entry(struct extract *x, struct tar_reader *t, const struct tar_entry *e,
                      struct error *err)
{
    const char *leaf;
    bool opaque;
    int dir, r = extract_clean(e->path, x->clean, err);

    if (r == 0)
        r = check_ids(e, err);
    if (r < 0)
        return r;
    if (!x->clean[0] && x->options.plain)
        return 0;
    if (!x->clean[0])
        return e->type == TAR_DIR ? make_dir(x, e, "", err)
                                  : error_set(err, -EINVAL, "the root is not a directory");
    r = extract_parent(x, x->clean, true, &dir, &leaf, err);
    if (r < 0)
        return r;
    if (!x->options.plain && str_starts(leaf, WHITEOUT_PREFIX))
        return make_whiteout(dir, leaf, err);
    r = replace(x, e, dir, leaf, &opaque, err);
    if (r == 0)
        r = extract_parent(x, x->clean, true, &dir, &leaf, err);
    if (r < 0)
        return r;
    switch (e->type) {
    case TAR_FILE:
        return make_file(x, t, e, dir, leaf, err);
    case TAR_HARDLINK:
        return make_hardlink(x, e, x->clean, err);
    case TAR_CHAR:
    case TAR_BLOCK:
        return make_device(x, e, dir, leaf, err);
    case TAR_SYMLINK:
    case TAR_FIFO:
        return make_special(x, e, dir, leaf, err);
    case TAR_DIR:
        break;
    }
    r = make_dir(x, e, x->clean, err);
    if (r == 0 && opaque)
        r = extract_parent(x, x->clean, true, &dir, &leaf, err);
    return r == 0 && opaque ? extract_opaque(dir, leaf, err) : r;
}

/* Times and default ACLs of directories, the last entry of a name last. */
static int finish_dirs(struct extract *x, struct error *err)
{
    for (size_t i = 0; i < x->late_count; i++) {
        struct late_dir *d = &x->late[i];
        struct timespec time = {.tv_sec = d->mtime, .tv_nsec = d->mtime_ns};
        cleanup_fd int fd = extract_open(x->root, d->path, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
            continue; /* replaced by a later entry */
        if (d->acl && fsetxattr(fd, "system.posix_acl_default", d->acl, d->acl_size, 0) < 0)
            x->result.xattrs_left++;
        if (futimens(fd, (struct timespec[2]){time, time}) < 0)
            return error_set_errno(err, -errno, "%s: set its time", d->path);
    }
    return 0;
}

int extract_archive(struct extract *x, tar_fill_fn *fill, void *opaque, struct error *err)
{
    struct tar_reader *t = tar_reader_new(fill, opaque);
    const struct tar_entry *e;
    int r;

    if (!t)
        return error_set(err, -ENOMEM, "out of memory");
    while ((r = tar_next(t, &e, err)) > 0) {
        if (++x->result.entries > EXTRACT_ENTRIES_MAX)
            r = error_set(err, -E2BIG, "the layer has more than %d entries", EXTRACT_ENTRIES_MAX);
        else
            r = make_entry(x, t, e, err);
        if (r < 0) {
            r = error_wrap(err, r, "%.300s", e->path);
            break;
        }
    }
    tar_reader_free(t);
    return r < 0 ? r : finish_dirs(x, err);
}

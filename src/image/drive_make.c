/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers are mounted as an overlay in a mount namespace of a child, which counts what is there
 * and becomes mke2fs. For users with ids of their own that happens in a user namespace, where files
 * have the ids that the image gave them.
 *
 * overlayfs is told of its layers by short links in a directory of ours: its options are one page.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/drive.h"
#include "image/idmap.h"
#include "image/store_internal.h"

enum { BLOCK = 4096, INODE = 256, OVERLAY_LAYERS = 500, WALK_FDS = 64 };
/* Exit codes of the child beside those of mke2fs, which ends at 32. */
enum { CHILD_MOUNT = 100, CHILD_WALK, CHILD_NO_MKE2FS };

struct job {
    const struct image *image;
    const char *dir;  /* absolute: links of layers, the mount's place, the new file */
    const char *uuid; /* also the seed of hashed directories */
};

/* ---- in the child ---- */

/* What nftw found; it has no argument of ours, and this process does nothing else. */
static struct {
    uint64_t blocks, inodes;
} found;

static int count(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    if (kind == FTW_DNR || kind == FTW_NS)
        return -1;
    found.inodes++;
    /* A directory's own block, extents or attributes; and for names. */
    found.blocks += 1 + S_ISDIR(st->st_mode);
    if (S_ISREG(st->st_mode))
        found.blocks += ((uint64_t)st->st_size + BLOCK - 1) / BLOCK;
    else if (S_ISDIR(st->st_mode))
        found.blocks += (uint64_t)st->st_nlink / 16;
    return 0;
}

static int mount_layers(const struct job *job)
{
    char options[BLOCK];
    size_t len = (size_t)snprintf(options, sizeof options, "userxattr,lowerdir=");

    for (size_t i = 0; i < job->image->layer_count; i++)
        len += (size_t)snprintf(options + len, sizeof options - len, "%zu:", i);
    snprintf(options + len, sizeof options - len, "empty"); /* it wants at least two */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    return mount("overlay", "tree/root", "overlay", MS_RDONLY, options) < 0 ? -errno : 0;
}

static void become_mke2fs(const struct job *job)
{
    static const char *const places[] = {"/usr/sbin/mke2fs", "/sbin/mke2fs", "/usr/bin/mke2fs"};
    /* Where files are counted once for each name the estimate is high; holes cost nothing. */
    uint64_t inodes = found.inodes + 64;
    uint64_t blocks = found.blocks + found.blocks / 16 + inodes * INODE / BLOCK + 2048;
    char inodes_text[32], size[32], seed[64];
    const char *argv[] = {"mke2fs",
                          "-q",
                          "-F",
                          "-t",
                          "ext4",
                          "-b",
                          "4096",
                          "-I",
                          "256",
                          "-m",
                          "0",
                          "-O",
                          "^has_journal,^metadata_csum,^64bit,^resize_inode",
                          "-L",
                          "image",
                          "-U",
                          job->uuid,
                          "-N",
                          inodes_text,
                          "-E",
                          seed,
                          "-d",
                          "tree",
                          "new",
                          size,
                          NULL};

    snprintf(inodes_text, sizeof inodes_text, "%llu", (unsigned long long)inodes);
    snprintf(size, sizeof size, "%lluk", (unsigned long long)blocks * (BLOCK / 1024));
    snprintf(seed, sizeof seed, "hash_seed=%s,nodiscard", job->uuid);
    setenv("E2FSPROGS_FAKE_TIME", "1000000000", 1);
    /* It tells of files that it has to make. */
    close(open("new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    for (size_t i = 0; i < array_size(places); i++)
        execv(places[i], (char *const *)(uintptr_t)argv);
}

static int make(void *opaque)
{
    const struct job *job = opaque;

    if (chdir(job->dir) < 0 || mount_layers(job) < 0)
        return CHILD_MOUNT;
    if (nftw("tree/root", count, WALK_FDS, FTW_PHYS | FTW_MOUNT) != 0)
        return CHILD_WALK;
    become_mke2fs(job);
    return CHILD_NO_MKE2FS;
}

/* ---- in the parent ---- */

/* The work in a child of its own, whoever the user is. */
static int run_child(struct job *job, struct error *err)
{
    int status = 0;
    pid_t pid;

    if (idmap_kind() != IDMAP_ROOT)
        return idmap_run(make, job, err);
    pid = fork();
    if (pid == 0)
        _exit(make(job));
    if (pid < 0)
        return error_set_errno(err, -errno, "start a child");
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set_errno(err, -errno, "wait for a child");
    return WIFEXITED(status) ? WEXITSTATUS(status) : error_set(err, -EIO, "the child was killed");
}

static int explain(int status, struct error *err)
{
    switch (status) {
    case 0:
        return 0;
    case CHILD_MOUNT:
        return error_set(err, -EPERM,
                         "mounting the layers is not allowed here (overlayfs in a "
                         "namespace of its own)");
    case CHILD_WALK:
        return error_set(err, -EIO, "the layers could not be read");
    case CHILD_NO_MKE2FS:
        return error_set(err, -ENOENT, "mke2fs is missing: install package e2fsprogs");
    default:
        return error_set(err, -EIO, "mke2fs failed with status %d", status);
    }
}

/* The directory that the child works in: links to layers, and "empty", and "tree/root", where they
 * are mounted. */
static int make_workspace(const struct image *image, int dir, const char *name, struct error *err)
{
    cleanup_fd int fd = -1;

    store_remove_tree(dir, name);
    if (mkdirat(dir, name, 0755) < 0 ||
        (fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
        mkdirat(fd, "empty", 0755) < 0 || mkdirat(fd, "tree", 0755) < 0 ||
        mkdirat(fd, "tree/root", 0755) < 0)
        return error_set_errno(err, -errno, "make a directory");
    for (size_t i = 0; i < image->layer_count; i++) {
        char link[24];
        snprintf(link, sizeof link, "%zu", i);
        if (symlinkat(image->layers[i], fd, link) < 0)
            return error_set_errno(err, -errno, "link a layer");
    }
    return 0;
}

/* From the first digits of the id: the same image, the same file system. */
static void make_uuid(const char *hex, char uuid[37])
{
    snprintf(uuid, 37, "%.8s-%.4s-5%.3s-a%.3s-%.12s", hex, hex + 8, hex + 13, hex + 17, hex + 20);
}

static int publish(int drives, const char *work, const char *hex, struct error *err)
{
    char from[STORE_PATH_MAX + 8];
    cleanup_fd int fd = -1;

    snprintf(from, sizeof from, "%s/new", work);
    fd = openat(drives, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0 || renameat(drives, from, drives, hex) < 0 || fsync(drives) < 0)
        return error_set_errno(err, -errno, "write the drive");
    return 0;
}

static int make_locked(struct image_store *s, const struct image *image, int drives,
                       const char *hex, struct error *err)
{
    char work[STORE_PATH_MAX], uuid[37];
    cleanup_free char *path = NULL;
    struct job job = {.image = image, .uuid = uuid};
    int r;

    if (faccessat(drives, hex, F_OK, 0) == 0)
        return 0;
    snprintf(work, sizeof work, "%s.work", hex);
    path = str_format("%s/drives/%s", s->dir, work);
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    job.dir = path;
    make_uuid(hex, uuid);
    r = make_workspace(image, drives, work, err);
    if (r == 0) {
        r = run_child(&job, err);
        r = r < 0 ? r : explain(r, err);
    }
    if (r == 0)
        r = publish(drives, work, hex, err);
    store_remove_tree(drives, work);
    return r;
}

int image_drive_make(struct image_store *s, const struct image *image, struct error *err)
{
    const char *hex = image->id + strlen("sha256:");
    cleanup_fd int drives = -1, lock = -1;
    int r;

    if (image->layer_count > OVERLAY_LAYERS)
        return error_set(err, -E2BIG, "%zu layers; overlayfs takes %d", image->layer_count,
                         OVERLAY_LAYERS);
    if (mkdirat(s->fd, "drives", 0711) < 0 && errno != EEXIST)
        return error_set_errno(err, -errno, "make %s/drives", s->dir);
    drives = openat(s->fd, "drives", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* One at a time: it is the drives' disk that limits, not the processors. */
    lock = drives < 0 ? -1 : openat(drives, ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        return error_set_errno(err, -errno, "lock %s/drives", s->dir);
    r = make_locked(s, image, drives, hex, err);
    return r < 0 ? error_wrap(err, r, "make the drive of image %.12s", hex) : 0;
}

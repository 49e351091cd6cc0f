/* SPDX-License-Identifier: Apache-2.0 */
#include "io/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "io/disk_file.h"
#include "io/disk_probe.h"
#include "io/qcow2.h"

/* The files from the top to this one. */
struct chain {
    const struct chain *above;
    dev_t dev;
    ino_t ino;
    unsigned depth;
};

static struct disk *open_one(const char *path, const struct disk_image_options *o,
                             const struct chain *above, struct error *err);

char *disk_image_backing_path(const char *path, const char *name, struct error *err)
{
    const char *slash = strrchr(path, '/'), *colon = strchr(name, ':');
    char *result;

    if (colon && !memchr(name, '/', (size_t)(colon - name))) {
        error_set(err, -ENOTSUP, "its backing file \"%.80s\" is no plain file", name);
        return NULL;
    }
    result = *name == '/' || !slash ? strdup(name)
                                    : str_format("%.*s%s", (int)(slash + 1 - path), path, name);
    if (!result)
        error_set(err, -ENOMEM, "out of memory");
    return result;
}

struct disk *disk_image_file(const char *path, struct error *err)
{
    return disk_file_open(
        path, &(struct disk_file_options){.readonly = true, .no_lock = true, .growing = true}, err);
}

/* What the file seems to be; a format that the header does not say is only believed to be raw. */
static int guess(const char *path, const char **ret, struct error *err)
{
    struct disk *file = disk_image_file(path, err);
    int r = file ? disk_probe(file, ret) : err->code;

    if (file && r < 0)
        error_set_errno(err, r, "look at its first bytes");
    disk_close(file);
    return r;
}

static int settle_format(const char *path, const struct disk_image_options *o,
                         const char **ret_format, struct error *err)
{
    int r;

    if (o->format) {
        *ret_format = o->format;
        return 0;
    }
    r = guess(path, ret_format, err);
    if (r < 0)
        return r;
    if (strcmp(*ret_format, "iso") == 0) /* a medium as it is */
        *ret_format = "raw";
    if (strcmp(*ret_format, "raw") == 0 || strcmp(*ret_format, "qcow2") == 0)
        return 0;
    return error_set(err, -ENOTSUP,
                     "it is a %s image; isola disk convert makes a qcow2 image of it, and "
                     "format=raw takes its bytes as they are",
                     *ret_format);
}

/* @name is what the image @path says of the file below it. */
static int open_backing(const char *path, const struct qcow2_info *info, const struct chain *here,
                        struct disk **ret, struct error *err)
{
    const struct disk_image_options o = {.format = info->backing_format, .readonly = true};
    cleanup_free char *below = disk_image_backing_path(path, info->backing, err);

    if (!below)
        return err->code;
    if (!*info->backing_format)
        return error_set(err, -EINVAL,
                         "it does not say what format its backing file %s has; say it by "
                         "qemu-img rebase -u -b %s -F FORMAT %s",
                         below, info->backing, path);
    if (here->depth + 1 >= DISK_CHAIN_MAX)
        return error_set(err, -ELOOP, "more than %d files lie one over another", DISK_CHAIN_MAX);
    *ret = open_one(below, &o, here, err);
    return *ret ? 0 : error_wrap(err, err->code, "backing file %s", below);
}

static struct disk *open_qcow2(const char *path, const struct disk_image_options *o,
                               struct disk *file, const struct chain *here, struct error *err)
{
    const struct qcow2_options options = {
        .readonly = o->readonly, .discard = o->discard, .check = o->check};
    struct disk *backing = NULL;
    struct qcow2_info info;
    int r = qcow2_info(file, &info, err);

    if (r == 0 && info.backing[0] && !o->alone)
        r = open_backing(path, &info, here, &backing, err);
    if (r < 0) {
        disk_close(file);
        return NULL;
    }
    return qcow2_open(file, backing, path, &options, err);
}

/* Asked before the file is locked: its own lock would be in the way, and a poor reason. */
static int enter_chain(const char *path, const struct chain *above, struct chain *ret,
                       struct error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return error_set_errno(err, -errno, "look at it");
    *ret = (struct chain){
        .above = above, .dev = st.st_dev, .ino = st.st_ino, .depth = above ? above->depth + 1 : 0};
    for (const struct chain *c = above; c; c = c->above)
        if (c->dev == ret->dev && c->ino == ret->ino)
            return error_set(err, -ELOOP, "it is its own backing file");
    return 0;
}

static struct disk *open_one(const char *path, const struct disk_image_options *o,
                             const struct chain *above, struct error *err)
{
    struct disk_file_options f = {.readonly = o->readonly,
                                  .no_discard = !o->discard,
                                  .no_flush = o->no_flush,
                                  .no_lock = o->shared};
    struct chain here;
    const char *format;
    struct disk *file;

    if (enter_chain(path, above, &here, err) < 0 || settle_format(path, o, &format, err) < 0)
        return NULL;
    if (strcmp(format, "raw") != 0 && strcmp(format, "qcow2") != 0) {
        error_set(err, -ENOTSUP, "format %.20s is not supported; raw and qcow2 are", format);
        return NULL;
    }
    f.growing = format[0] == 'q';
    f.guarded = !o->format;
    file = disk_file_open(path, &f, err);
    return !file || format[0] == 'r' ? file : open_qcow2(path, o, file, &here, err);
}

struct disk *disk_image_open(const char *path, const struct disk_image_options *options,
                             struct error *err)
{
    struct error local = {0};

    return open_one(path, options, NULL, err ? err : &local);
}

/* A file without a name, where the file system knows that, or one whose name is taken away. */
static struct disk *nameless(const char *dir, struct error *err)
{
    struct disk_file_options o = {
        .growing = true, .no_flush = true, .no_lock = true, .open_flags = O_TMPFILE};
    struct disk *file = disk_file_open(dir, &o, err);
    cleanup_free char *path = NULL;

    if (file)
        return file;
    path = str_format("%s/overlay.%ld", dir, (long)getpid());
    if (!path) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    unlink(path);
    o.open_flags = O_CREAT | O_EXCL;
    file = disk_file_open(path, &o, err);
    if (file)
        unlink(path);
    return file;
}

struct disk *disk_image_temporary(struct disk *below, const char *dir, struct error *err)
{
    const struct qcow2_create c = {.size = below->size};
    const struct qcow2_options o = {.discard = true};
    struct error local = {0};
    struct disk *file;
    int r;

    if (!err)
        err = &local;
    file = nameless(dir, err);
    r = file ? qcow2_create(file, &c, err) : err->code;
    if (r < 0) {
        disk_close(file);
        disk_close(below);
        error_wrap(err, r, "make a temporary overlay in %s", dir);
        return NULL;
    }
    return qcow2_open(file, below, "temporary overlay", &o, err);
}

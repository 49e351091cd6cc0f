/* SPDX-License-Identifier: Apache-2.0 */
/*
 * _export: the files below a directory that isola has opened, or one of its entries, as an archive
 * on standard output. _extract: an archive from standard input into it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "image/commands.h"
#include "image/extract.h"
#include "image/idmap.h"
#include "image/layer_export.h"

enum { STEP = 64 << 10 };

static int to_stdout(void *opaque, const void *bytes, size_t n, struct error *err)
{
    const char *at = bytes;

    while (n) {
        ssize_t done = write(STDOUT_FILENO, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_set_errno(err, -errno, "write the archive");
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

/* The directory that isola has opened. -1: nobody but isola calls this. */
static int given_dir(struct program *p)
{
    const char *text = program_option(p, "fd");
    struct stat st;
    uint64_t fd;

    if (text && str_parse_u64(text, &fd) == 0 && fd <= INT32_MAX && fstat((int)fd, &st) == 0 &&
        S_ISDIR(st.st_mode))
        return (int)fd;
    program_complain(p, "--fd is missing or no directory; use isola");
    return -1;
}

/* As the root of this user's ids: files of a container may belong to any of them. */
static int export_all(void *opaque)
{
    struct program *p = opaque;
    const char *name = program_option(p, "name");
    struct error err = {0};
    int fd = given_dir(p);

    if (fd < 0)
        return PROGRAM_USAGE;
    return (name ? layer_export_entry(fd, name, to_stdout, NULL, &err)
                 : layer_export(fd, to_stdout, NULL, &err)) < 0
               ? program_error(p, &err)
               : 0;
}

int command_export(struct program *p)
{
    struct error err = {0};
    int r = idmap_run(export_all, p, &err);

    return r < 0 ? program_error(p, &err) : r;
}

static int from_stdin(void *opaque, const uint8_t **ret, size_t *ret_n, struct error *err)
{
    ssize_t n;

    do
        n = read(STDIN_FILENO, opaque, STEP);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_set_errno(err, -errno, "read the archive");
    *ret = opaque;
    *ret_n = (size_t)n;
    return 0;
}

static int take_in(void *opaque)
{
    const struct extract_options options = {.plain = true, .squash = idmap_kind() == IDMAP_SINGLE};
    struct program *p = opaque;
    struct extract *x;
    struct error err = {0};
    cleanup_free void *buf = malloc(STEP);
    int r, fd = given_dir(p);

    if (fd < 0)
        return PROGRAM_USAGE;
    umask(0);
    x = buf ? extract_new(fd, &options) : NULL;
    r = x ? extract_archive(x, from_stdin, buf, &err) : error_set(&err, -ENOMEM, "out of memory");
    if (r == 0 && extract_result(x)->devices_left)
        program_complain(p, "%llu device nodes were left out",
                         (unsigned long long)extract_result(x)->devices_left);
    extract_free(x);
    return r < 0 ? program_error(p, &err) : 0;
}

int command_extract(struct program *p)
{
    struct error err = {0};
    int r = idmap_run(take_in, p, &err);

    return r < 0 ? program_error(p, &err) : r;
}

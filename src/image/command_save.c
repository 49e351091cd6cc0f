/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "image/commands.h"
#include "image/encode.h"
#include "image/save.h"

static int write_fd(void *opaque, const void *bytes, size_t n, struct error *err)
{
    const char *p = bytes;

    while (n) {
        ssize_t k = write(*(int *)opaque, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return error_set_errno(err, -errno, "write the archive");
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static int compress(void *opaque, const void *bytes, size_t n, struct error *err)
{
    return encoder_write(opaque, bytes, n, false, err);
}

/* To FILE.part first: a half archive never has the name of a whole one. */
static int save_file(struct image_store *store, const char *const *refs, const char *file,
                     enum encode_kind kind, struct error *err)
{
    cleanup_free char *part = file ? str_format("%s.part", file) : NULL;
    cleanup_fd int fd = file
                            ? open(part ? part : "", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)
                            : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    struct encoder *e;
    int r;

    if (fd < 0)
        return error_set_errno(err, -errno, "create %s", part ? part : "the archive");
    e = encoder_new(kind, write_fd, &fd);
    r = e ? image_save(store, refs, compress, e, err) : error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = encoder_write(e, NULL, 0, true, err);
    encoder_free(e);
    if (part && r == 0 && (fsync(fd) < 0 || rename(part, file) < 0))
        r = error_set_errno(err, -errno, "write %s", file);
    if (part && r < 0)
        unlink(part);
    return r;
}

int command_save(struct program *p)
{
    const char *file = program_option(p, "output"), *format = program_option(p, "format");
    const char *compression = program_option(p, "compression");
    bool dir = format && strcmp(format, "oci-dir") == 0;
    enum encode_kind kind;
    struct image_store *store;
    struct error err = {0};
    int r;

    if (encode_kind_parse(compression ? compression : "none", &kind, &err) < 0) {
        program_error(p, &err);
        return PROGRAM_USAGE;
    }
    if (!file && (dir || isatty(STDOUT_FILENO))) {
        program_complain(p, "say where to: --output %s, or redirect standard output",
                         dir ? "DIRECTORY" : "FILE");
        return PROGRAM_USAGE;
    }
    store = program_store(p);
    if (!store)
        return PROGRAM_FAILED;
    r = dir ? image_save_dir(store, (const char *const *)p->words, file, &err)
            : save_file(store, (const char *const *)p->words, file, kind, &err);
    return r < 0 ? program_error(p, &err) : 0;
}

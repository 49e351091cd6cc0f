/* SPDX-License-Identifier: Apache-2.0 */
/* _export: the files below a directory that isola has opened, as an archive on standard output. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "image/commands.h"
#include "image/layer_export.h"

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

int command_export(struct program *p)
{
    const char *text = program_option(p, "fd");
    struct error err = {0};
    struct stat st;
    uint64_t fd;

    if (!text || str_parse_u64(text, &fd) < 0 || fd > INT32_MAX || fstat((int)fd, &st) < 0 ||
        !S_ISDIR(st.st_mode)) {
        program_complain(p, "--fd is missing or no directory; use isola");
        return PROGRAM_USAGE;
    }
    return layer_export((int)fd, to_stdout, NULL, &err) < 0 ? program_error(p, &err) : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a container's directories. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "container/cgroup_internal.h"

void cgroup_warn(const struct cgroup *cg, const char *format, ...)
{
    if (!cg->warn)
        return;
    char line[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    cg->warn(cg->opaque, line);
}

int cgroup_dir_at(const struct cgroup_dir *dir, const char **ret_path)
{
    *ret_path = dir->below ? dir->below : dir->path;
    return dir->below ? dir->top : AT_FDCWD;
}

/* -1: too long. */
static int file_path(const struct cgroup_dir *dir, const char *file, char out[PATH_MAX])
{
    const char *path;
    int at = cgroup_dir_at(dir, &path);
    size_t n = strlen(path), m = strlen(file);
    if (n + m + 2 > PATH_MAX)
        return -1;
    memcpy(out, path, n);
    out[n] = '/';
    memcpy(out + n + 1, file, m + 1);
    return at;
}

int cgroup_open_file(const struct cgroup *cg, const struct cgroup_dir *dir, const char *file,
                     int flags)
{
    char path[PATH_MAX];
    int at = file_path(dir, file, path);
    if (at == -1)
        return -ENAMETOOLONG;
    if (cg && cg->create_files && flags != O_RDONLY)
        flags |= O_CREAT | (flags & O_APPEND ? 0 : O_TRUNC);
    int r = openat(at, path, flags | O_CLOEXEC, 0644);
    return r < 0 ? -errno : r;
}

int cgroup_write_raw(const struct cgroup *cg, const struct cgroup_dir *dir, const char *file,
                     const char *text)
{
    cleanup_fd int fd = cgroup_open_file(cg, dir, file, O_WRONLY);
    if (fd < 0)
        return fd;
    ssize_t n;
    do
        n = write(fd, text, strlen(text));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int cgroup_write(const struct cgroup *cg, const struct cgroup_dir *dir, const char *file,
                 struct error *err, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof(text))
        return error_set(err, -E2BIG, "value for %s is too long", file);
    int r = cgroup_write_raw(cg, dir, file, text);
    return r ? error_set_errno(err, r, "write '%s' to %s/%s", text, dir->path, file) : 0;
}

bool cgroup_has_file(const struct cgroup_dir *dir, const char *file)
{
    char path[PATH_MAX];
    int at = file_path(dir, file, path);
    return at != -1 && faccessat(at, path, F_OK, 0) == 0;
}

ssize_t cgroup_read_text(const struct cgroup_dir *dir, const char *file, char *buffer, size_t size)
{
    cleanup_fd int fd = cgroup_open_file(NULL, dir, file, O_RDONLY);
    if (fd < 0)
        return fd;
    size_t len = 0;
    while (len < size - 1) {
        ssize_t n = read(fd, buffer + len, size - 1 - len);
        if (n < 0)
            return -errno;
        if (!n)
            break;
        len += (size_t)n;
    }
    buffer[len] = 0;
    return (ssize_t)len;
}

uint64_t cgroup_read_u64(const struct cgroup_dir *dir, const char *file, uint64_t fallback)
{
    char text[64];
    if (cgroup_read_text(dir, file, text, sizeof(text)) <= 0)
        return fallback;
    if (str_starts(text, "max"))
        return UINT64_MAX;
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    return end == text || errno ? fallback : v;
}

uint64_t cgroup_keyed(const char *text, const char *key, uint64_t fallback)
{
    size_t len = strlen(key);
    for (const char *l = text; *l; l += strcspn(l, "\n"), l += *l == '\n')
        if (!strncmp(l, key, len) && l[len] == ' ')
            return strtoull(l + len + 1, NULL, 10);
    return fallback;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups as the container's own files name them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/passwd.h"
#include "instance/container_config.h"
#include "instance/root_path.h"

_Static_assert((int)CONTAINER_GROUPS_MAX == (int)PASSWD_GROUPS_MAX, "a user fits");
/* A file of more is no password file. */
enum { FILE_MAX_BYTES = 4 << 20 };

/* The whole of a small file as text: new, "" when it is not there or is nothing to read. */
static char *read_text(int root, const char *path)
{
    cleanup_fd int fd = root_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    struct stat st;
    size_t len = 0;
    char *text;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES)
        return strdup("");
    text = malloc((size_t)st.st_size + 1);
    while (text && len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + len, (size_t)st.st_size - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    if (text)
        text[len] = 0;
    return text;
}

/*
 * @path in the topmost of @roots that has it; a whiteout hides what is below. New, NULL: out of
 * memory.
 */
static char *read_layered(const char *const *roots, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        cleanup_fd int root = open(roots[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        cleanup_fd int fd = root < 0 ? -1 : root_open(root, path, O_PATH | O_NOFOLLOW, 0);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
            continue;
        if (S_ISCHR(st.st_mode))
            break; /* overlayfs: deleted here */
        return read_text(root, path);
    }
    return strdup("");
}

int container_user_find(const char *const *roots, size_t root_count, const char *user,
                        const struct spec_list *groups, struct container_user *ret,
                        struct error *err)
{
    cleanup_free char *passwd = read_layered(roots, root_count, "etc/passwd"),
                      *group = read_layered(roots, root_count, "etc/group");
    cleanup_free struct passwd_user *u = mem_new(struct passwd_user);
    int r;

    if (!passwd || !group || !u)
        return error_set(err, -ENOMEM, "out of memory");
    r = passwd_find(passwd, group, user, groups ? (const char *const *)groups->items : NULL,
                    groups ? groups->count : 0, u, err);
    if (r < 0)
        return r;
    *ret = (struct container_user){.uid = u->uid, .gid = u->gid, .group_count = u->group_count};
    for (size_t i = 0; i < u->group_count; i++)
        ret->groups[i] = u->groups[i];
    memcpy(ret->home, u->home, sizeof ret->home);
    return 0;
}

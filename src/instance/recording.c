/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/recording.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "instance/home.h"
#include "instance/spec.h"

char *recording_path(const char *data_dir, const char *name, struct error *err)
{
    char *path;

    if (!strchr(name, '/') && !spec_name_ok(name)) {
        error_set(err, -EINVAL,
                  "\"%.40s\" is no name for a recording: use letters, digits, \"_\", \".\" and "
                  "\"-\", beginning with a letter or digit",
                  name);
        return NULL;
    }
    path = strchr(name, '/') ? strdup(name) : str_format("%s/recordings/%s", data_dir, name);
    if (!path)
        error_set(err, -ENOMEM, "out of memory");
    return path;
}

static int newest_first(const void *a, const void *b)
{
    const struct recording *x = a, *y = b;
    return x->changed < y->changed ? 1 : x->changed > y->changed ? -1 : strcmp(x->name, y->name);
}

void recording_list_free(struct recording *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].name);
    free(list);
}

int recording_list(struct instances *home, struct recording **ret, size_t *ret_count,
                   struct error *err)
{
    cleanup_free char *path = str_format("%s/recordings", home->data);
    DIR *d = path ? opendir(path) : NULL;
    struct recording *list = NULL;
    struct dirent *e;
    size_t count = 0;
    int r = 0;

    *ret = NULL;
    *ret_count = 0;
    if (!d)
        return path && errno == ENOENT
                   ? 0
                   : error_set_errno(err, path ? -errno : -ENOMEM, "list recordings");
    while (r == 0 && (e = readdir(d))) {
        struct recording *more;
        struct stat st;
        if (!spec_name_ok(e->d_name) ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        more = reallocarray(list, count + 1, sizeof *list);
        if (more) {
            list = more;
            list[count] =
                (struct recording){.name = strdup(e->d_name),
                                   .changed = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec,
                                   .bytes = (uint64_t)st.st_size};
        }
        r = more && list[count].name ? 0 : error_set(err, -ENOMEM, "out of memory");
        count += r == 0;
    }
    closedir(d);
    if (r < 0) {
        recording_list_free(list, count);
        return r;
    }
    if (count)
        qsort(list, count, sizeof *list, newest_first);
    *ret = list;
    *ret_count = count;
    return 0;
}

int recording_remove(struct instances *home, const char *name, struct error *err)
{
    cleanup_free char *path = NULL;

    if (strchr(name, '/'))
        return error_set(err, -EINVAL, "%s is a path: remove the file", name);
    path = recording_path(home->data, name, err);
    if (!path)
        return -EINVAL;
    if (unlink(path) == 0)
        return 0;
    return errno == ENOENT ? error_set(err, -ENOENT, "there is no recording %s", name)
                           : error_set_errno(err, -errno, "remove recording %s", name);
}

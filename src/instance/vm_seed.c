/* SPDX-License-Identifier: Apache-2.0 */
#include "instance/vm_seed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"
#include "io/block_mem.h"
#include "io/iso_image.h"

enum { USER_DATA_MAX = 1 << 20 };

static int read_all(const char *path, uint8_t **ret, size_t *ret_len, struct error *err)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    cleanup_free uint8_t *bytes = NULL;
    struct stat st;
    size_t len = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, -errno, "open it");
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "it is not a regular file");
    if (st.st_size > USER_DATA_MAX)
        return error_set(err, -EFBIG, "it is larger than 1 MiB");
    bytes = mem_alloc(1, (size_t)st.st_size + 1);
    if (!bytes)
        return error_set(err, -ENOMEM, "out of memory");
    while (len < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + len, (size_t)st.st_size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, -errno, "read it");
        if (!n)
            break;
        len += (size_t)n;
    }
    *ret = steal_ptr(&bytes);
    *ret_len = len;
    return 0;
}

int vm_seed_open(const struct engine_env *env, struct block **ret, uint8_t **ret_bytes,
                 struct error *err)
{
    cleanup_free char *meta =
        str_format("instance-id: %s\nlocal-hostname: %s\n", env->id, env->name ? env->name : "");
    cleanup_free uint8_t *user = NULL, *image = NULL;
    size_t user_len = 0, image_len = 0;
    struct block *block;
    int r = meta ? read_all(env->spec->user_data, &user, &user_len, err)
                 : error_set(err, -ENOMEM, "out of memory");

    if (r == 0) {
        const struct iso_file files[] = {{"meta-data", meta, strlen(meta)},
                                         {"user-data", user, user_len}};
        r = iso_image_make("cidata", files, array_size(files), &image, &image_len, err);
    }
    if (r < 0)
        return error_wrap(err, r, "user data %s", env->spec->user_data);
    block = block_mem_new(image, image_len, true, false, err);
    if (!block)
        return err->code;
    strcpy(block->serial, "cidata");
    *ret = block;
    *ret_bytes = steal_ptr(&image);
    return 0;
}

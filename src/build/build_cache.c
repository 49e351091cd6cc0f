/* SPDX-License-Identifier: Apache-2.0 */
/* What steps left: layers, and the keys under which they are found again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "build/build_internal.h"
#include "image/layer_export.h"
#include "image/reference.h"

int build_cached(struct build *b, struct stage *s, struct layer *ret, bool *ret_empty)
{
    size_t n;
    cleanup_fd int dir = open(b->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_free char *text = (b->options->no_cache && !b->replaying) || dir < 0
                                  ? NULL
                                  : root_read(dir, s->key.text + strlen("sha256:"), 256, &n);
    char *created = text ? strchr(text, '\n') : NULL;
    struct digest chain;

    if (!created)
        return 0;
    *created++ = 0;
    *ret_empty = strcmp(text, "none") == 0;
    if (!*ret_empty) {
        if (!image_digest_valid(text) || layer_read(b->store, text, ret, NULL) < 0 ||
            !blob_exists(b->store, ret->blob.text, NULL))
            return 0;
        /* It must lie on what is below now. */
        layer_chain(s->layer_count ? s->layers[s->layer_count - 1].chain.text : NULL,
                    ret->diff_id.text, &chain);
        if (strcmp(chain.text, text) != 0)
            return 0;
    }
    if (image_source_date() < 0)
        snprintf(s->created, sizeof(s->created), "%s", created);
    return 1;
}

void build_remember(struct build *b, struct stage *s, const struct layer *layer)
{
    cleanup_free char *path = str_format("%s/%s", b->cache, s->key.text + strlen("sha256:"));
    cleanup_free char *temporary = str_format("%s/.XXXXXX", b->cache);
    cleanup_free char *text = NULL;
    int fd = path && temporary ? mkostemp(temporary, O_CLOEXEC) : -1;

    image_time(s->created);
    text = str_format("%s\n%s", layer ? layer->chain.text : "none", s->created);
    if (fd < 0)
        return; /* the next build is slower, nothing else */
    if (!text || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
        rename(temporary, path) < 0)
        unlink(temporary);
    close(fd);
}

int build_seal(struct build *b, struct stage *s, struct rootfs *rootfs, struct layer *ret,
               bool *ret_empty, struct error *err)
{
    cleanup_fd int upper = open(rootfs->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    rootfs_unmount(rootfs);
    if (upper < 0 || fstat(upper, &st) < 0)
        return error_set_errno(err, -errno, "read what the step changed");
    /* rmdir works only on what is empty, and then it is to be made again. */
    *ret_empty = rmdir(rootfs->upper) == 0 && mkdir(rootfs->upper, 0755) == 0;
    if (*ret_empty)
        return 0;
    return layer_from_upper(b->store, upper, ENCODE_GZIP, s->layers, s->layer_count, ret, err);
}

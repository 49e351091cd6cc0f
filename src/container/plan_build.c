/* SPDX-License-Identifier: Apache-2.0 */
#include "container/plan_build.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

void plan_begin(struct plan_builder *b)
{
    *b = (struct plan_builder){.plan = {.magic = PLAN_MAGIC,
                                        .sync = -1,
                                        .start = -1,
                                        .stdio = {-1, -1, -1},
                                        .cgroup_clone = -1,
                                        .root_fd = -1,
                                        .umask = ~0U,
                                        .scheduler = {.policy = -1}}};
    str_add_n(&b->bytes, &b->plan, sizeof b->plan);
}

void plan_done(struct plan_builder *b)
{
    for (unsigned i = 0; i < b->fd_count; i++)
        close(b->fds[i]);
    str_done(&b->bytes);
    *b = (struct plan_builder){0};
}

uint32_t plan_add_text(struct plan_builder *b, const char *text)
{
    if (!text)
        return 0;
    uint32_t at = (uint32_t)b->bytes.len;
    str_add_n(&b->bytes, text, strlen(text) + 1);
    return at;
}

struct plan_list plan_add_records(struct plan_builder *b, const void *records, size_t n,
                                  size_t size)
{
    static const char zeros[8];
    if (!n)
        return (struct plan_list){0, 0};
    str_add_n(&b->bytes, zeros, -b->bytes.len % 8);
    struct plan_list list = {(uint32_t)b->bytes.len, (uint32_t)n};
    str_add_n(&b->bytes, records, n * size);
    return list;
}

struct plan_list plan_add_texts(struct plan_builder *b, const char *const *texts, size_t n)
{
    cleanup_free uint32_t *at = mem_alloc(n + 1, sizeof *at);
    if (!at) {
        b->failed = true;
        return (struct plan_list){0, 0};
    }
    for (size_t i = 0; i < n; i++)
        at[i] = plan_add_text(b, texts[i]);
    return plan_add_records(b, at, n, sizeof *at);
}

int plan_add_fd(struct plan_builder *b, int fd, struct error *err)
{
    if (b->fd_count == array_size(b->fds)) {
        close(fd);
        return error_set(err, -E2BIG, "more than %zu mounts and namespaces need a descriptor",
                         array_size(b->fds));
    }
    b->fds[b->fd_count++] = fd;
    return 0;
}

int plan_finish(struct plan_builder *b, struct error *err)
{
    if (b->failed || b->bytes.failed)
        return error_set(err, -ENOMEM, "out of memory");
    /* Offsets are 32 bits; a configuration is at most 64 MiB. */
    if (b->bytes.len > INT32_MAX)
        return error_set(err, -EFBIG, "the configuration is too large");
    b->plan.size = (uint32_t)b->bytes.len;
    memcpy(b->bytes.data, &b->plan, sizeof b->plan);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "io/chardev_mem.h"

#include <errno.h>

#include "base/mem.h"

struct chardev_mem {
    struct chardev ch;
    const struct chardev_client *client;
    struct str output, input;
    size_t delivered; /* of input */
    uint64_t limit;
};

static struct chardev_mem *mem_of(const struct chardev *ch)
{
    return container_of((struct chardev *)(uintptr_t)ch, struct chardev_mem, ch);
}

static void mem_attach(struct chardev *ch, const struct chardev_client *client)
{
    mem_of(ch)->client = client;
}

static size_t mem_write(struct chardev *ch, const uint8_t *bytes, size_t n)
{
    struct chardev_mem *m = mem_of(ch);
    size_t taken = (size_t)min_of((uint64_t)n, m->limit);

    str_add_n(&m->output, bytes, taken);
    if (m->limit != UINT64_MAX)
        m->limit -= taken;
    return taken;
}

static void mem_ready(struct chardev *ch)
{
    struct chardev_mem *m = mem_of(ch);

    while (m->client && m->delivered < m->input.len) {
        size_t room = m->client->room(m->client->opaque);
        size_t n = min_of(room, m->input.len - m->delivered);
        const uint8_t *at = (const uint8_t *)m->input.data + m->delivered;
        if (!n)
            return;
        m->delivered += n;
        m->client->input(m->client->opaque, at, n);
    }
}

static void mem_close(struct chardev *ch)
{
    struct chardev_mem *m = mem_of(ch);

    str_done(&m->output);
    str_done(&m->input);
    free(m);
}

static const struct chardev_ops mem_ops = {
    .attach = mem_attach, .write = mem_write, .ready = mem_ready, .close = mem_close};

struct chardev *chardev_mem_new(struct error *err)
{
    struct chardev_mem *m = mem_new(struct chardev_mem);

    if (!m) {
        error_set(err, -ENOMEM, "create character device: out of memory");
        return NULL;
    }
    m->ch.ops = &mem_ops;
    m->limit = UINT64_MAX;
    return &m->ch;
}

const struct str *chardev_mem_output(const struct chardev *ch)
{
    return &mem_of(ch)->output;
}

void chardev_mem_limit(struct chardev *ch, uint64_t n)
{
    struct chardev_mem *m = mem_of(ch);

    m->limit = n;
    if (n && m->client && m->client->writable)
        m->client->writable(m->client->opaque);
}

void chardev_mem_type(struct chardev *ch, const char *bytes, size_t n)
{
    str_add_n(&mem_of(ch)->input, bytes, n);
    mem_ready(ch);
}

void chardev_mem_end(struct chardev *ch)
{
    const struct chardev_client *client = mem_of(ch)->client;

    if (client && client->eof)
        client->eof(client->opaque);
}

size_t chardev_mem_pending(const struct chardev *ch)
{
    return mem_of(ch)->input.len - mem_of(ch)->delivered;
}

void chardev_mem_resize(struct chardev *ch, unsigned columns, unsigned rows)
{
    const struct chardev_client *client = mem_of(ch)->client;

    if (client && client->resize)
        client->resize(client->opaque, columns, rows);
}

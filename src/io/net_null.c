/* SPDX-License-Identifier: Apache-2.0 */
#include "io/net_null.h"

#include <errno.h>

#include "base/mem.h"

static void null_attach(struct netdev *n, const struct netdev_client *client)
{
}

static void null_send(struct netdev *n, const struct netdev_span *spans, unsigned count)
{
}

static void null_ready(struct netdev *n)
{
}

static void null_close(struct netdev *n)
{
    free(n);
}

static const struct netdev_ops null_ops = {
    .attach = null_attach, .send = null_send, .ready = null_ready, .close = null_close};

struct netdev *net_null_new(struct error *err)
{
    struct netdev *n = mem_new(struct netdev);

    if (!n)
        error_set(err, -ENOMEM, "create network: out of memory");
    else
        n->ops = &null_ops;
    return n;
}

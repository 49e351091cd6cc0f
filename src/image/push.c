/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/pull.h"

struct item {
    const struct descriptor *d;
    struct push *push;
    int item, result;
    struct error err;
};

struct push {
    struct image_store *store;
    struct registry_context *context;
    const struct push_options *options;
    struct registry *registry;
    char *from; /* another repository of this registry that has the image's blobs; NULL: none */
    struct item *items;
    size_t count;
    atomic_size_t next;
};

static void sent(void *opaque, uint64_t bytes)
{
    struct item *i = opaque;

    progress_more(i->push->options->progress, i->item, bytes);
}

static int send_blob(struct push *p, struct item *i, struct http *http)
{
    cleanup_fd int fd = -1;
    uint64_t size;
    bool mounted = false;
    int r = registry_has_blob(p->registry, http, i->d, &i->err);

    if (r < 0)
        return r;
    if (r == 1) {
        progress_set(p->options->progress, i->item, PROGRESS_PRESENT, i->d->size);
        return 0;
    }
    r = blob_open(p->store, i->d->digest, &fd, &size, &i->err);
    if (r < 0)
        return error_wrap(&i->err, r, "it is not kept as it was transferred; pull the image again");
    if (size != i->d->size)
        return error_set(&i->err, -EBADMSG, "blob %s has %llu bytes instead of %llu", i->d->digest,
                         (unsigned long long)size, (unsigned long long)i->d->size);
    r = registry_put_blob(p->registry, http, i->d, fd, p->from, sent, i, &mounted, &i->err);
    if (r == 0)
        progress_set(p->options->progress, i->item, mounted ? PROGRESS_PRESENT : PROGRESS_DONE,
                     size);
    return r;
}

static void *work(void *opaque)
{
    struct push *p = opaque;
    struct error err = {0};
    struct http *http = registry_http_new(p->context, &err);
    size_t n;

    while ((n = atomic_fetch_add(&p->next, 1)) < p->count) {
        struct item *i = &p->items[n];

        if (!http) {
            i->err = err;
            i->result = -ENOMEM;
        } else if (atomic_load(p->options->cancel)) {
            i->result = error_set_errno(&i->err, -ECANCELED, "push");
        } else {
            i->result = send_blob(p, i, http);
        }
        if (i->result < 0)
            atomic_store(p->options->cancel, true);
    }
    http_free(http);
    return NULL;
}

static void add_item(struct push *p, const struct descriptor *d)
{
    struct item *i = &p->items[p->count];

    for (size_t k = 0; k < p->count; k++)
        if (strcmp(p->items[k].d->digest, d->digest) == 0)
            return; /* the same layer twice */
    i->d = d;
    i->push = p;
    i->item = progress_add(p->options->progress, d->digest + strlen("sha256:"), d->size);
    p->count++;
}

static int send_blobs(struct push *p, const struct manifest *m, struct error *err)
{
    struct registries_limits limits;
    pthread_t threads[16];
    unsigned started = 0;
    int r = 0;

    p->items = mem_alloc(m->count + 1, sizeof(*p->items));
    if (!p->items)
        return error_set_errno(err, -ENOMEM, "push");
    for (size_t i = 0; i < m->count; i++)
        add_item(p, &m->entries[i]);
    add_item(p, &m->config);
    registries_get_limits(registry_context_registries(p->context), &limits);
    while (started < min_of(limits.parallel, (unsigned)array_size(threads)) && started < p->count &&
           pthread_create(&threads[started], NULL, work, p) == 0)
        started++;
    if (!started)
        return error_set_errno(err, -EAGAIN, "start a thread");
    while (started)
        pthread_join(threads[--started], NULL);
    for (size_t i = 0; i < p->count; i++) {
        if (p->items[i].result < 0 && (r == 0 || r == -ECANCELED)) {
            r = p->items[i].result;
            if (err)
                *err = p->items[i].err;
        }
    }
    return r;
}

/* A repository of @to's registry, other than @to's, that the image was in. New; NULL: none. */
static char *known_repository(const struct image *image, const struct image_reference *to)
{
    char **const lists[] = {image->digests, image->names};

    for (size_t l = 0; l < array_size(lists); l++) {
        for (char **n = lists[l]; n && *n; n++) {
            struct image_reference ref;
            /* Digests say that it was there; a name may only have been given here. */
            if (image_reference_parse(*n, &ref, NULL) == 0 &&
                strcmp(ref.registry, to->registry) == 0 &&
                strcmp(ref.repository, to->repository) != 0)
                return str_format("%s", ref.repository);
        }
    }
    return NULL;
}

int image_push(struct image_store *store, struct registry_context *context,
               const struct image *image, const struct image_reference *to,
               const struct push_options *options, struct digest *ret_digest, struct error *err)
{
    struct push p = {.store = store, .context = context, .options = options};
    cleanup_free struct registry_endpoint *endpoint = NULL;
    cleanup_free char *text = NULL;
    struct manifest m = {0};
    struct http *http = NULL;
    size_t n, count;
    int r;

    if (to->digest[0])
        return error_set(err, -EINVAL,
                         "an image is pushed by a name with a tag; its digest "
                         "follows from what it is");
    r = registries_endpoints(registry_context_registries(context), to, true, &endpoint, &count,
                             err);
    if (r == 0)
        r = image_blob_read(store, image->digest, MANIFEST_MAX, &text, &n, err);
    if (r == 0)
        r = manifest_parse(text, n, NULL, &m, err);
    if (r < 0)
        return r;
    p.registry = registry_new(context, endpoint, to, "pull,push", err);
    http = p.registry ? registry_http_new(context, err) : NULL;
    p.from = known_repository(image, to);
    r = http ? send_blobs(&p, &m, err) : -ENOMEM;
    if (r == 0)
        r = registry_put_manifest(p.registry, http, to->tag, m.media_type, text, n, err);
    if (r == 0)
        snprintf(ret_digest->text, sizeof(ret_digest->text), "%s", image->digest);
    http_free(http);
    registry_free(p.registry);
    free(p.items);
    free(p.from);
    manifest_done(&m);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "image/pull.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"

struct task {
    const struct descriptor *d;
    const char *diff_id;
    struct pull *pull;
    struct layer_job *job; /* unpacks what has arrived */
    bool present;          /* the store has the unpacked layer */
    bool twice;            /* the same blob as an earlier layer's */
    bool done;             /* @result and @job may be looked at */
    int result, item;
    int claim; /* on the making of the layer; -1: none */
    struct error err;
};

struct pull {
    struct image_store *store;
    struct registry_context *context;
    const struct pull_options *options;
    struct registry *registry;
    struct http *http; /* the main thread's */
    /* One image at a time: */
    struct manifest manifest;
    struct image_config config;
    struct task *tasks;
    struct layer *layers;
    pthread_mutex_t lock; /* of what follows, and of the tasks' fields said above */
    pthread_cond_t changed;
    size_t next, finished;
    unsigned parallel;
};

/* --- one layer --- */

static void have_more(void *opaque, uint64_t available)
{
    struct task *t = opaque;

    layer_more(t->job, available, false);
    progress_set(t->pull->options->progress, t->item, PROGRESS_MOVING, available);
    if (layer_failed(t->job))
        atomic_store(t->pull->options->cancel, true); /* layer_finish will say why */
}

static int unpack_blob(struct task *t)
{
    uint64_t size;
    int r;

    if (!blob_exists(t->pull->store, t->d->digest, &size))
        return error_set(&t->err, -ENOENT, "blob %s has gone", t->d->digest);
    r = layer_begin(t->pull->store, t->d->digest, NULL, t->d->media_type, &t->job, &t->err);
    if (r == 0)
        layer_more(t->job, size, true);
    return r;
}

/* Brings one layer here. The blob is complete and checked when this returns 0. */
static int fetch_layer(struct task *t, struct http *http)
{
    struct pull *p = t->pull;
    struct blob_writer *w = NULL;
    uint64_t offset;
    int r = blob_begin(p->store, t->d->digest, true, &w, &offset, &t->err);

    if (r == -EEXIST) /* from another image, or another pull brought it while we waited */
        return unpack_blob(t);
    if (r < 0)
        return r;
    r = layer_begin(p->store, t->d->digest, w, t->d->media_type, &t->job, &t->err);
    if (r == 0)
        r = registry_get_blob(p->registry, http, t->d, w, have_more, t, &t->err);
    if (r < 0) {
        /* When the unpacker gave up, its reason is the one that counts. */
        if (t->job && layer_failed(t->job)) {
            struct layer none;
            layer_more(t->job, blob_offset(w), true);
            r = layer_finish(steal_ptr(&t->job), NULL, 0, NULL, &none, &t->err);
            r = r < 0 ? r : -EIO;
        }
        layer_abort(steal_ptr(&t->job));
        blob_abort(w);
        return r;
    }
    r = blob_commit(w, NULL, &t->err);
    if (r < 0) {
        layer_abort(steal_ptr(&t->job));
        return r;
    }
    layer_more(t->job, t->d->size, true);
    progress_set(p->options->progress, t->item, PROGRESS_UNPACKING, t->d->size);
    return 0;
}

/*
 * Claims the making of the layer, or finds that another pull has made it while we waited. Nobody
 * waits in a circle: layers are finished lowest first, and that needs no claim on higher ones.
 */
static int claim_layer(struct task *t)
{
    struct layer *l = &t->pull->layers[t - t->pull->tasks];
    int r = layer_claim(t->pull->store, l->chain.text, true, &t->claim, &t->err);

    if (r == -EEXIST) {
        t->present = layer_exists(t->pull->store, l->chain.text, &l->size);
        progress_set(t->pull->options->progress, t->item, PROGRESS_PRESENT, t->d->size);
        return 0;
    }
    return r;
}

/* Takes layers in turn until there are no more. */
static void *work(void *opaque)
{
    struct pull *p = opaque;
    struct error err = {0};
    struct http *http = registry_http_new(p->context, &err);

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct task *t;
        int r = 0;

        /* Not far ahead of the unpackers, of which each layer has its own. */
        while (p->next < p->manifest.count && p->next >= p->finished + 2 * p->parallel &&
               !atomic_load(p->options->cancel))
            pthread_cond_wait(&p->changed, &p->lock);
        if (p->next >= p->manifest.count)
            break;
        t = &p->tasks[p->next++];
        pthread_mutex_unlock(&p->lock);
        if (!http) {
            t->err = err;
            r = -ENOMEM;
        } else if (atomic_load(p->options->cancel)) {
            r = error_set_errno(&t->err, -ECANCELED, "pull");
        } else if (!t->present) {
            r = claim_layer(t);
            if (r == 0 && !t->present && !t->twice)
                r = fetch_layer(t, http);
        }
        if (r < 0)
            atomic_store(p->options->cancel, true);
        pthread_mutex_lock(&p->lock);
        t->result = r;
        t->done = true;
        pthread_cond_broadcast(&p->changed);
    }
    /* An unpacker dies with the thread that began it. */
    while (p->finished < p->manifest.count)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    http_free(http);
    return NULL;
}

/* --- all layers of an image --- */

static bool layer_type_known(const char *type)
{
    static const char *const known[] = {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    };

    for (size_t i = 0; i < array_size(known); i++) {
        if (str_starts(type, known[i])) {
            const char *end = type + strlen(known[i]);
            return !*end || strcmp(end, "+gzip") == 0 || strcmp(end, ".gzip") == 0 ||
                   strcmp(end, "+zstd") == 0 || strcmp(end, ".zstd") == 0;
        }
    }
    return false;
}

static void describe_present(struct layer *l, const struct task *t, const struct digest *chain,
                             uint64_t size)
{
    memset(l, 0, sizeof(*l));
    snprintf(l->blob.text, sizeof(l->blob.text), "%.71s", t->d->digest);
    snprintf(l->diff_id.text, sizeof(l->diff_id.text), "%.71s", t->diff_id);
    snprintf(l->media_type, sizeof(l->media_type), "%.95s", t->d->media_type);
    l->chain = *chain;
    l->blob_size = t->d->size;
    l->size = size;
}

/* Looks which layers are here already. */
static int plan(struct pull *p, struct error *err)
{
    struct digest chain;
    uint64_t size;

    p->tasks = mem_alloc(p->manifest.count + 1, sizeof(*p->tasks));
    p->layers = mem_alloc(p->manifest.count + 1, sizeof(*p->layers));
    if (!p->tasks || !p->layers)
        return error_set_errno(err, -ENOMEM, "pull");
    for (size_t i = 0; i < p->manifest.count; i++) {
        struct task *t = &p->tasks[i];

        t->d = &p->manifest.entries[i];
        t->diff_id = p->config.diff_ids[i];
        t->pull = p;
        t->claim = -1;
        if (!layer_type_known(t->d->media_type))
            return error_set(err, -EINVAL, "layer %zu is of type \"%s\", which is not supported",
                             i + 1, t->d->media_type);
        t->item = progress_add(p->options->progress, t->d->digest + strlen("sha256:"), t->d->size);
        layer_chain(i ? p->layers[i - 1].chain.text : NULL, t->diff_id, &chain);
        t->present = layer_exists(p->store, chain.text, &size);
        describe_present(&p->layers[i], t, &chain, t->present ? size : 0);
        for (size_t k = 0; k < i && !t->present; k++)
            t->twice |= !p->tasks[k].present && strcmp(p->tasks[k].d->digest, t->d->digest) == 0;
        if (t->present)
            progress_set(p->options->progress, t->item, PROGRESS_PRESENT, t->d->size);
    }
    return 0;
}

/* Finishes layer @i, whose parents are finished. */
static int finish_layer(struct pull *p, size_t i, struct error *err)
{
    struct task *t = &p->tasks[i];
    int r = t->result;

    if (r == 0 && t->twice && !t->present)
        r = unpack_blob(t);
    if (r == 0 && !t->present)
        r = layer_finish(steal_ptr(&t->job), p->layers, i, t->diff_id, &p->layers[i], &t->err);
    if (r < 0) {
        if (err)
            *err = t->err;
        return error_wrap(err, r, "layer %zu of %zu", i + 1, p->manifest.count);
    }
    if (t->present)
        return 0;
    close(steal_fd(&t->claim));
    progress_set(p->options->progress, t->item, PROGRESS_DONE, t->d->size);
    return 0;
}

/* Waits for the layers in their order. The first failure that is not a consequence is @err's. */
static int collect(struct pull *p, struct error *err)
{
    int r = 0;

    for (size_t i = 0; i < p->manifest.count; i++) {
        struct task *t = &p->tasks[i];

        pthread_mutex_lock(&p->lock);
        while (!t->done)
            pthread_cond_wait(&p->changed, &p->lock);
        pthread_mutex_unlock(&p->lock);
        if (r == 0 || r == -ECANCELED) {
            int f = r == 0 || t->result < 0 ? finish_layer(p, i, err) : 0;
            r = f < 0 ? f : r;
        }
        pthread_mutex_lock(&p->lock);
        if (r < 0)
            atomic_store(p->options->cancel, true);
        p->finished = i + 1;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
    return r;
}

static void abandon(struct task *t)
{
    layer_abort(steal_ptr(&t->job));
    if (t->claim >= 0)
        close(steal_fd(&t->claim));
}

static int fetch_layers(struct pull *p, struct error *err)
{
    pthread_t threads[16];
    struct registries_limits limits;
    unsigned started = 0;
    int r = plan(p, err);

    if (r < 0)
        return r;
    registries_get_limits(registry_context_registries(p->context), &limits);
    p->parallel = min_of(limits.parallel, (unsigned)array_size(threads));
    p->next = p->finished = 0;
    while (started < p->parallel && started < p->manifest.count &&
           pthread_create(&threads[started], NULL, work, p) == 0)
        started++;
    if (!started && p->manifest.count)
        return error_set_errno(err, -EAGAIN, "start a thread");
    r = collect(p, err);
    while (started)
        pthread_join(threads[--started], NULL);
    for (size_t i = 0; i < p->manifest.count; i++)
        abandon(&p->tasks[i]);
    return r;
}

/* --- one image --- */

static int fetch_config(struct pull *p, struct error *err)
{
    const struct descriptor *d = &p->manifest.config;
    struct blob_writer *w = NULL;
    cleanup_free char *text = NULL;
    uint64_t offset;
    size_t n;
    int r;

    if (d->size > IMAGE_CONFIG_MAX)
        return error_set(err, -E2BIG, "its configuration has %llu bytes; the limit is %d",
                         (unsigned long long)d->size, IMAGE_CONFIG_MAX);
    r = blob_begin(p->store, d->digest, true, &w, &offset, err);
    if (r == 0) {
        r = registry_get_blob(p->registry, p->http, d, w, NULL, NULL, err);
        if (r < 0)
            blob_abort(w);
        else
            r = blob_commit(w, NULL, err);
    }
    if (r < 0 && r != -EEXIST)
        return error_wrap(err, r, "its configuration");
    r = image_blob_read(p->store, d->digest, IMAGE_CONFIG_MAX, &text, &n, err);
    if (r == 0)
        r = image_config_parse(text, n, &p->config, err);
    if (r == 0 && p->config.diff_count != p->manifest.count)
        r = error_set(err, -EINVAL, "its configuration names %zu layers, its manifest %zu",
                      p->config.diff_count, p->manifest.count);
    return r;
}

static int commit(struct pull *p, const struct str *manifest, const char *const *names,
                  struct digest *ret_id, struct error *err)
{
    cleanup_free char *config = NULL;
    size_t n;
    int r =
        image_blob_read(p->store, p->manifest.config.digest, IMAGE_CONFIG_MAX, &config, &n, err);
    struct image_new image = {
        .manifest = str_text(manifest),
        .manifest_len = manifest->len,
        .config = config,
        .layers = p->layers,
        .layer_count = p->manifest.count,
        .names = names,
    };

    if (r < 0)
        return r;
    image.config_len = n;
    return image_commit(p->store, &image, ret_id, err);
}

/* Brings the image of one platform here. Takes p->manifest, which @text holds. */
static int pull_image(struct pull *p, const struct str *text, const char *const *names,
                      struct digest *ret_id, struct error *err)
{
    int r = fetch_config(p, err);

    if (r == 0)
        r = fetch_layers(p, err);
    if (r == 0)
        r = commit(p, text, names, ret_id, err);
    progress_next(p->options->progress);
    image_config_done(&p->config);
    manifest_done(&p->manifest);
    free(steal_ptr(&p->tasks));
    free(steal_ptr(&p->layers));
    memset(&p->config, 0, sizeof(p->config));
    return r;
}

/* The image behind an entry of an index. */
static int pull_entry(struct pull *p, const struct descriptor *d, const char *const *names,
                      struct digest *ret_id, struct error *err)
{
    char type[MEDIA_TYPE_MAX + 1];
    struct str text = {0};
    int r = registry_get_manifest(p->registry, p->http, d->digest, &text, type, err);

    if (r == 0 && text.len != d->size)
        r = error_set(err, -EBADMSG, "the manifest has %zu bytes where its index says %llu",
                      text.len, (unsigned long long)d->size);
    if (r == 0)
        r = manifest_parse(str_text(&text), text.len, type, &p->manifest, err);
    if (r == 0 && p->manifest.is_index) {
        manifest_done(&p->manifest);
        r = error_set(err, -EINVAL, "an index inside an index is not supported");
    }
    if (r == 0)
        r = pull_image(p, &text, names, ret_id, err);
    str_done(&text);
    return r;
}

/* What an index has that this store can keep. */
static int pull_index(struct pull *p, const struct manifest *index, const char *const *names,
                      struct digest *ret_id, struct error *err)
{
    struct platform wanted;
    const struct descriptor *d;
    int r = 0;

    if (p->options->all_platforms) {
        for (size_t i = 0; r == 0 && i < index->count; i++) {
            d = &index->entries[i];
            if (strcmp(d->platform.os, "unknown") != 0) /* an attestation */
                r = pull_entry(p, d, names, ret_id, err);
        }
        return r;
    }
    platform_host(&wanted);
    if (p->options->platform)
        r = platform_parse(p->options->platform, &wanted, err);
    if (r == 0)
        r = manifest_select(index, &wanted, &d, err);
    return r < 0 ? r : pull_entry(p, d, names, ret_id, err);
}

/* Whether an image without index is what was asked for: its configuration tells. */
static int check_platform(struct pull *p, struct error *err)
{
    struct platform wanted;
    struct str text = {0};
    int r;

    if (!p->options->platform)
        return 0;
    r = platform_parse(p->options->platform, &wanted, err);
    if (r < 0 || (r = fetch_config(p, err)) < 0)
        return r;
    platform_text(&wanted, &text);
    if (!image_platform_match(&p->config, str_text(&text)))
        r = error_set(err, -ENOENT, "there is no image for %s, only for %s/%s", str_text(&text),
                      p->config.os, p->config.architecture);
    str_done(&text);
    image_config_done(&p->config);
    memset(&p->config, 0, sizeof(p->config));
    return r;
}

/* The names that the image gets: with its tag, and with the digest of what the tag meant. */
static int pull_named(struct pull *p, const struct image_reference *ref, struct digest *ret_id,
                      struct error *err)
{
    struct image_reference by_digest = *ref;
    struct str text = {0}, tagged = {0}, pinned = {0};
    const char *names[3] = {NULL};
    char type[MEDIA_TYPE_MAX + 1];
    struct manifest top = {0};
    struct digest d;
    int r = registry_get_manifest(p->registry, p->http, ref->digest[0] ? ref->digest : ref->tag,
                                  &text, type, err);

    if (r == 0)
        r = manifest_parse(str_text(&text), text.len, type, &top, err);
    if (r == 0) {
        hash_bytes(str_text(&text), text.len, &d);
        by_digest.tag[0] = 0;
        snprintf(by_digest.digest, sizeof(by_digest.digest), "%s", d.text);
        image_reference_text(&by_digest, &pinned);
        names[0] = str_text(&pinned);
        if (!ref->digest[0]) {
            image_reference_text(ref, &tagged);
            names[1] = str_text(&tagged);
        }
        if (top.is_index) {
            r = pull_index(p, &top, names, ret_id, err);
            manifest_done(&top);
        } else {
            p->manifest = top;
            r = check_platform(p, err);
            if (r == 0)
                r = pull_image(p, &text, names, ret_id, err);
            else
                manifest_done(&p->manifest);
        }
    }
    str_done(&text);
    str_done(&tagged);
    str_done(&pinned);
    return r;
}

static int pull_from(struct pull *p, const struct registry_endpoint *endpoint,
                     const struct image_reference *ref, struct digest *ret_id, struct error *err)
{
    int r = -ENOMEM;

    p->registry = registry_new(p->context, endpoint, ref, "pull", err);
    p->http = p->registry ? registry_http_new(p->context, err) : NULL;
    if (p->http)
        r = pull_named(p, ref, ret_id, err);
    http_free(steal_ptr(&p->http));
    registry_free(steal_ptr(&p->registry));
    return r;
}

int image_pull(struct image_store *store, struct registry_context *context,
               const struct image_reference *ref, const struct pull_options *options,
               struct digest *ret_id, struct error *err)
{
    struct pull p = {.store = store, .context = context, .options = options};
    struct registry_endpoint *endpoints = NULL;
    size_t count = 0;
    int r = registries_endpoints(registry_context_registries(context), ref, false, &endpoints,
                                 &count, err);

    if (r < 0)
        return r;
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.changed, NULL);
    r = -ENOENT;
    for (size_t i = 0; i < count && r < 0; i++) {
        struct str line = {0};

        atomic_store(options->cancel, false);
        r = pull_from(&p, &endpoints[i], ref, ret_id, err);
        if (r < 0 && i + 1 < count) {
            str_addf(&line, "mirror %s: %s; trying the next", endpoints[i].authority,
                     error_text(err));
            progress_notice(options->progress, str_text(&line));
        }
        str_done(&line);
    }
    pthread_cond_destroy(&p.changed);
    pthread_mutex_destroy(&p.lock);
    free(endpoints);
    return r;
}

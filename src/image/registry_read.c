/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from a registry: manifests, blobs, lists of names. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/registry_internal.h"
#include "image/writer.h"

enum {
    LIST_PAGE_MAX = 4 << 20, /* bytes of one page of a list */
    LIST_PAGES_MAX = 1000,
    PIECE_SIZE = 256 << 10,
};

static const char *const manifest_headers[] = {
    "Accept: " MEDIA_OCI_INDEX ", " MEDIA_OCI_MANIFEST ", " MEDIA_DOCKER_LIST
    ", " MEDIA_DOCKER_MANIFEST,
    NULL,
};

/* The digest of what came must be the one asked for and the one the registry claims. */
static int check_manifest(struct registry *r, const char *tag_or_digest, const char *claimed,
                          const struct str *text, struct error *err)
{
    struct digest d;

    hash_bytes(str_text(text), text->len, &d);
    if (strchr(tag_or_digest, ':') && strcmp(tag_or_digest, d.text) != 0)
        return error_set(err, -EBADMSG, "%s sent a manifest with digest %s instead of %s",
                         r->endpoint.authority, d.text, tag_or_digest);
    if (claimed && str_starts(claimed, "sha256:") && strcmp(claimed, d.text) != 0)
        return error_set(err, -EBADMSG, "%s sent a manifest with digest %s and calls it %.80s",
                         r->endpoint.authority, d.text, claimed);
    return 0;
}

int registry_get_manifest(struct registry *r, struct http *http, const char *tag_or_digest,
                          struct str *ret, char *content_type, struct error *err)
{
    cleanup_free char *path =
        str_format("/v2/%s/manifests/%s", r->endpoint.repository, tag_or_digest);
    cleanup_free char *what = str_format("get %s%s%s", r->endpoint.repository,
                                         strchr(tag_or_digest, ':') ? "@" : ":", tag_or_digest);
    struct registry_request q = {.method = "GET", .path = path, .headers = manifest_headers};
    struct http_stream *s = NULL;
    const char *type, *claimed;
    int e;

    if (!path || !what)
        return error_set_errno(err, -ENOMEM, "get a manifest");
    e = registry_request(r, http, &q, &s, err);
    if (e < 0)
        return error_wrap(err, e, "%s", what);
    if (http_status(s) != 200)
        return registry_refused(r, s, what, err);
    type = http_header(s, "Content-Type", 0);
    snprintf(content_type, MEDIA_TYPE_MAX + 1, "%s", type ? type : "");
    claimed = http_header(s, "Docker-Content-Digest", 0);
    e = http_read_all(s, MANIFEST_MAX, ret, err);
    if (e == 0)
        e = check_manifest(r, tag_or_digest, claimed, ret, err);
    http_close(s);
    return e < 0 ? error_wrap(err, e, "%s", what) : 0;
}

/* --- blobs --- */

struct fetch {
    struct registry *registry;
    struct http *http;
    const struct descriptor *d;
    struct blob_writer *w;
    void (*more)(void *opaque, uint64_t available);
    void *opaque;
    uint8_t *piece;
};

/* Checks the headers of the answer, and where it begins. */
static int check_answer(struct fetch *f, struct http_stream *s, struct error *err)
{
    uint64_t have = blob_offset(f->w);
    int64_t length = http_length(s);
    int status = http_status(s), e = 0;

    if (status == 206 && !http_range_fits(http_header(s, "Content-Range", 0), have, f->d->size))
        return error_set(err, -EPROTO, "%s sent another part than it was asked for",
                         f->registry->endpoint.authority);
    if (status == 200 && have) { /* it does not know Range */
        if ((e = blob_restart(f->w, err)) < 0)
            return e;
        have = 0;
    }
    if (length >= 0 && (uint64_t)length != f->d->size - have)
        return error_set(err, -EBADMSG, "%s has %lld bytes where its manifest says %llu",
                         f->registry->endpoint.authority, (long long)length + (long long)have,
                         (unsigned long long)f->d->size);
    return 0;
}

/* Takes the body. *ret_transient: trying again may help. */
static int receive(struct fetch *f, struct http_stream *s, bool *ret_transient, struct error *err)
{
    int e;

    for (;;) {
        ssize_t n = http_read(s, f->piece, PIECE_SIZE, err);
        if (n < 0)
            *ret_transient = registry_transient(f->registry, f->http);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        if ((uint64_t)n > f->d->size - blob_offset(f->w))
            return error_set(err, -EBADMSG,
                             "%s sends more than the %llu bytes that its manifest "
                             "says",
                             f->registry->endpoint.authority, (unsigned long long)f->d->size);
        if ((e = blob_append(f->w, f->piece, (size_t)n, err)) < 0)
            return e;
        if (f->more)
            f->more(f->opaque, blob_offset(f->w));
    }
    if (blob_offset(f->w) == f->d->size)
        return 0;
    *ret_transient = true;
    return error_set(err, -ECONNRESET, "%s ended after %llu of %llu bytes",
                     f->registry->endpoint.authority, (unsigned long long)blob_offset(f->w),
                     (unsigned long long)f->d->size);
}

/* One request for what is missing. */
static int fetch_once(struct fetch *f, bool *ret_transient, struct error *err)
{
    cleanup_free char *path =
        str_format("/v2/%s/blobs/%s", f->registry->endpoint.repository, f->d->digest);
    struct registry_request q = {.method = "GET", .path = path, .range_from = blob_offset(f->w)};
    struct http_stream *s;
    int e;

    *ret_transient = false;
    if (!path)
        return error_set_errno(err, -ENOMEM, "get a blob");
    e = registry_request(f->registry, f->http, &q, &s, err);
    if (e < 0)
        return e;
    if (http_status(s) == 416 && blob_offset(f->w)) {
        http_close(s);
        *ret_transient = true;
        return blob_restart(f->w, err) < 0
                   ? -EIO
                   : error_set(err, -EPROTO, "%s refuses a part", f->registry->endpoint.authority);
    }
    if (http_status(s) != 200 && http_status(s) != 206)
        return registry_refused(f->registry, s, f->d->digest, err);
    e = check_answer(f, s, err);
    if (e == 0)
        e = receive(f, s, ret_transient, err);
    http_close(s);
    return e;
}

int registry_get_blob(struct registry *r, struct http *http, const struct descriptor *d,
                      struct blob_writer *w, void (*more)(void *opaque, uint64_t available),
                      void *opaque, struct error *err)
{
    struct fetch f = {r, http, d, w, more, opaque, malloc(PIECE_SIZE)};
    unsigned attempt = 0;
    int e = f.piece ? 0 : error_set_errno(err, -ENOMEM, "get a blob");

    if (e == 0 && blob_offset(w) > d->size) /* what is left of another liar */
        e = blob_restart(w, err);
    if (e == 0 && more)
        more(opaque, blob_offset(w));
    while (e == 0 && blob_offset(w) < d->size) {
        uint64_t before = blob_offset(w);
        bool transient;
        e = fetch_once(&f, &transient, err);
        if (blob_offset(w) > before)
            attempt = 0; /* it gets on; only standing still is counted */
        if (e < 0 && transient && registry_wait(r, http, attempt++, NULL, error_text(err), err))
            e = 0;
    }
    free(f.piece);
    return e;
}

int registry_has_blob(struct registry *r, struct http *http, const struct descriptor *d,
                      struct error *err)
{
    cleanup_free char *path = str_format("/v2/%s/blobs/%s", r->endpoint.repository, d->digest);
    struct registry_request q = {.method = "HEAD", .path = path};
    struct http_stream *s;
    int e, status;

    if (!path)
        return error_set_errno(err, -ENOMEM, "look for a blob");
    e = registry_request(r, http, &q, &s, err);
    if (e < 0)
        return e;
    status = http_status(s);
    if (status == 200 || status == 404) {
        http_close(s);
        return status == 200;
    }
    return registry_refused(r, s, d->digest, err);
}

/* --- lists --- */

/* The address of the next page of a list, which stays with its registry. New, NULL: none. */
static char *next_page(const struct registry *r, const struct http_stream *s)
{
    cleanup_free char *address = http_link_next(http_header(s, "Link", 0));
    char *next = address ? http_resolve(http_url(s), address, NULL) : NULL;

    if (next && strncmp(next, r->base, strlen(r->base)) != 0) {
        free(next);
        next = NULL;
    }
    return next;
}

static int read_page(struct registry *r, struct http_stream *s, const char *key, size_t *left,
                     void (*each)(void *opaque, const char *name), void *opaque, struct error *err)
{
    struct str body = {0}, name = {0};
    json_t *root, *v;
    size_t i;
    int e = http_read_all(s, LIST_PAGE_MAX, &body, err);

    if (e < 0) {
        str_done(&body);
        return e;
    }
    root = json_loadb(str_text(&body), body.len, 0, NULL);
    if (!json_is_array(json_object_get(root, key)) && !json_is_null(json_object_get(root, key)))
        e = error_set(err, -EPROTO, "%s sent no list of %s", r->endpoint.authority, key);
    json_array_foreach(json_object_get(root, key), i, v)
    {
        if (!*left || !json_is_string(v))
            continue;
        name.len = 0;
        auth_plain(&name, json_string_value(v), IMAGE_REPOSITORY_MAX);
        each(opaque, str_text(&name));
        --*left;
    }
    json_decref(root);
    str_done(&body);
    str_done(&name);
    return e;
}

int registry_list(struct registry *r, struct http *http, const char *path, const char *key,
                  size_t max, void (*each)(void *opaque, const char *name), void *opaque,
                  struct error *err)
{
    char *next = str_format("%s", path);
    int e = next ? 0 : error_set_errno(err, -ENOMEM, "list names");

    for (unsigned page = 0; e == 0 && next && max && page < LIST_PAGES_MAX; page++) {
        struct registry_request q = {.method = "GET", .path = next};
        struct http_stream *s;

        if (strcmp(key, "repositories") == 0)
            q.extra_scope = "registry:catalog:*";
        e = registry_request(r, http, &q, &s, err);
        if (e == 0 && http_status(s) != 200)
            e = registry_refused(r, s, "list names", err);
        else if (e == 0) {
            free(next);
            next = next_page(r, s);
            e = read_page(r, s, key, &max, each, opaque, err);
            http_close(s);
        }
    }
    free(next);
    return e;
}

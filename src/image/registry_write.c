/* SPDX-License-Identifier: Apache-2.0 */
/* What is brought to a registry: blobs, then the manifest that names them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/registry_internal.h"
#include "image/writer.h"

/* Below this, one request carries the whole blob; above it, a broken one can be gone on with. */
enum { MONOLITHIC_MAX = 1 << 20 };

struct upload {
    struct registry *registry;
    struct http *http;
    const struct descriptor *d;
    int fd;
    void (*sent)(void *opaque, uint64_t bytes);
    void *opaque;
    char *location;  /* of the session; new after each answer */
    uint64_t offset; /* what the registry has */
};

/* Takes the session's next address from an answer. */
static int take_location(struct upload *u, struct http_stream *s, struct error *err)
{
    const char *location = http_header(s, "Location", 0);
    char *next;

    if (!location)
        return error_set(err, -EPROTO, "%s began an upload without saying where",
                         u->registry->endpoint.authority);
    next = http_resolve(http_url(s), location, err);
    if (!next)
        return error_wrap(err, -EPROTO, "%s sent a bad address for an upload",
                          u->registry->endpoint.authority);
    free(u->location);
    u->location = next;
    return 0;
}

/* Begins a session, or has the registry take the blob from its repository @from. */
static int start(struct upload *u, const char *from, bool *ret_mounted, struct error *err)
{
    struct registry *r = u->registry;
    cleanup_free char *scope = from ? str_format("repository:%s:pull", from) : NULL;
    cleanup_free char *path = from ? str_format("/v2/%s/blobs/uploads/?mount=%s&from=%s",
                                                r->endpoint.repository, u->d->digest, from)
                                   : str_format("/v2/%s/blobs/uploads/", r->endpoint.repository);
    struct registry_request q = {.method = "POST", .path = path, .extra_scope = scope};
    struct http_stream *s;
    int e;

    if (!path || (from && !scope))
        return error_set_errno(err, -ENOMEM, "upload");
    e = registry_request(r, u->http, &q, &s, err);
    if (e < 0)
        return e;
    *ret_mounted = from && http_status(s) == 201;
    if (*ret_mounted) {
        http_close(s);
        return 0;
    }
    if (http_status(s) != 202)
        return registry_refused(r, s, u->d->digest, err);
    e = take_location(u, s, err);
    http_close(s);
    u->offset = 0;
    return e;
}

/* Asks how much of a broken upload arrived. -ENOENT: nothing that could be gone on with. */
static int ask_offset(struct upload *u, struct error *err)
{
    struct registry_request q = {.method = "GET", .path = u->location};
    struct http_stream *s;
    unsigned long long first, last;
    const char *range;
    int e = registry_request(u->registry, u->http, &q, &s, err);

    if (e < 0)
        return e;
    range = http_header(s, "Range", 0);
    u->offset = 0;
    if (http_status(s) != 204 && http_status(s) != 202)
        e = -ENOENT;
    else if (range && sscanf(range, "%llu-%llu", &first, &last) == 2 && first == 0 && last)
        u->offset = last + 1; /* "0-0" stands for nothing as well as for one byte */
    if (e == 0 && u->offset > u->d->size)
        e = -ENOENT;
    if (e == 0)
        e = take_location(u, s, err);
    http_close(s);
    return e;
}

/* Sends what is missing. The registry may answer only when all has arrived. */
static int send_rest(struct upload *u, bool *ret_transient, struct error *err)
{
    struct http_body body = {.fd = u->fd,
                             .offset = u->offset,
                             .size = u->d->size - u->offset,
                             .sent = u->sent,
                             .opaque = u->opaque};
    char range[80];
    const char *headers[] = {"Content-Type: application/octet-stream", NULL, NULL};
    struct registry_request q = {.method = "PATCH",
                                 .path = u->location,
                                 .headers = headers,
                                 .body = &body,
                                 .stall_ms = COMMIT_STALL_MS,
                                 .once = true};
    struct http_stream *s;
    int e;

    *ret_transient = false;
    if (u->offset) {
        snprintf(range, sizeof(range), "Content-Range: %llu-%llu", (unsigned long long)u->offset,
                 (unsigned long long)u->d->size - 1);
        headers[1] = range;
    }
    e = registry_request(u->registry, u->http, &q, &s, err);
    if (e < 0) {
        *ret_transient = registry_transient(u->registry, u->http);
        return e;
    }
    if (http_status(s) != 202) {
        *ret_transient = http_status(s) == 416 || http_status(s) == 404 || http_status(s) >= 500;
        return registry_refused(u->registry, s, u->d->digest, err);
    }
    e = take_location(u, s, err);
    http_close(s);
    return e;
}

/* Ends the session; with @body the whole blob goes along. */
static int finish(struct upload *u, bool with_body, struct error *err)
{
    static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
    struct http_body body = {.fd = u->fd, .size = u->d->size, .sent = u->sent, .opaque = u->opaque};
    cleanup_free char *path = str_format("%s%sdigest=%s", u->location,
                                         strchr(u->location, '?') ? "&" : "?", u->d->digest);
    struct registry_request q = {.method = "PUT",
                                 .path = path,
                                 .headers = headers,
                                 .body = with_body ? &body : NULL,
                                 .stall_ms = COMMIT_STALL_MS};
    struct http_stream *s;
    int e;

    if (!path)
        return error_set_errno(err, -ENOMEM, "upload");
    e = registry_request(u->registry, u->http, &q, &s, err);
    if (e < 0)
        return e;
    if (http_status(s) != 201)
        return registry_refused(u->registry, s, u->d->digest, err);
    http_close(s);
    return 0;
}

/* Sends everything, going on after broken connections where the registry says how far it got. */
static int send_all(struct upload *u, struct error *err)
{
    unsigned attempt = 0;
    bool transient, mounted;
    int e;

    while ((e = send_rest(u, &transient, err)) < 0) {
        uint64_t before = u->offset;
        if (!transient ||
            !registry_wait(u->registry, u->http, attempt++, NULL, error_text(err), err))
            return e;
        e = ask_offset(u, err);
        if (e == -ENOENT)
            e = start(u, NULL, &mounted, err);
        if (e < 0)
            return e;
        if (u->offset > before)
            attempt = 0;
        if (u->offset == u->d->size)
            return 0;
    }
    return 0;
}

int registry_put_blob(struct registry *r, struct http *http, const struct descriptor *d, int fd,
                      const char *from, void (*sent)(void *opaque, uint64_t bytes), void *opaque,
                      bool *ret_mounted, struct error *err)
{
    struct upload u = {r, http, d, fd, sent, opaque, NULL, 0};
    bool small = d->size <= MONOLITHIC_MAX;
    int e = start(&u, from, ret_mounted, err);

    if (e == 0 && !*ret_mounted && !small)
        e = send_all(&u, err);
    if (e == 0 && !*ret_mounted)
        e = finish(&u, small && d->size, err);
    free(u.location);
    return e;
}

int registry_put_manifest(struct registry *r, struct http *http, const char *tag_or_digest,
                          const char *media_type, const char *text, size_t n, struct error *err)
{
    cleanup_free char *path =
        str_format("/v2/%s/manifests/%s", r->endpoint.repository, tag_or_digest);
    cleanup_free char *type = str_format("Content-Type: %s", media_type);
    const char *headers[] = {type, NULL};
    struct http_body body = {.data = text, .fd = -1, .size = n};
    struct registry_request q = {.method = "PUT", .path = path, .headers = headers, .body = &body};
    struct http_stream *s;
    struct digest d;
    const char *claimed;
    int e;

    if (!path || !type)
        return error_set_errno(err, -ENOMEM, "send a manifest");
    e = registry_request(r, http, &q, &s, err);
    if (e < 0)
        return error_wrap(err, e, "send the manifest");
    if (http_status(s) != 201)
        return registry_refused(r, s, "send the manifest", err);
    hash_bytes(text, n, &d);
    claimed = http_header(s, "Docker-Content-Digest", 0);
    if (claimed && str_starts(claimed, "sha256:") && strcmp(claimed, d.text) != 0)
        e = error_set(err, -EBADMSG, "%s stored the manifest %s as %.80s", r->endpoint.authority,
                      d.text, claimed);
    http_close(s);
    return e;
}

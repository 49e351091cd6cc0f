/* SPDX-License-Identifier: Apache-2.0 */
#include "image/registry.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/registry_internal.h"

uint64_t registry_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void registry_notice(const struct registry *r, const char *format, ...)
{
    const struct registry_settings *s = &r->context->settings;
    char line[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    if (s->notice)
        s->notice(s->opaque, line);
}

/* --- the context --- */

struct registry_context *registry_context_new(const struct registry_settings *settings,
                                              struct error *err)
{
    struct registry_context *c = mem_new(struct registry_context);

    if (!c) {
        error_set_errno(err, -ENOMEM, "start");
        return NULL;
    }
    c->settings = *settings;
    pthread_mutex_init(&c->lock, NULL);
    c->registries = registries_load(err);
    if (!c->registries) {
        registry_context_free(c);
        return NULL;
    }
    registries_get_limits(c->registries, &c->limits);
    return c;
}

void registry_context_free(struct registry_context *c)
{
    if (!c)
        return;
    while (c->trust) {
        struct trust *t = c->trust;
        c->trust = t->next;
        free(t->certificates.ca_pem);
        free(t->certificates.client_certificate);
        free(t->certificates.client_key);
        free(t);
    }
    registries_free(c->registries);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const struct registries *registry_context_registries(const struct registry_context *c)
{
    return c->registries;
}

static bool insecure(const struct registry_context *c, const char *authority)
{
    return c->settings.insecure || registries_insecure(c->registries, authority);
}

/* The certificates for @authority, read once. NULL: out of memory. */
static const struct trust *find_trust(struct registry_context *c, const char *authority)
{
    struct trust *t;

    pthread_mutex_lock(&c->lock);
    for (t = c->trust; t && strcmp(t->authority, authority) != 0; t = t->next)
        ;
    if (!t && strlen(authority) <= IMAGE_REGISTRY_MAX && (t = mem_new(struct trust))) {
        strcpy(t->authority, authority);
        registries_certificates(authority, &t->certificates);
        t->next = c->trust;
        c->trust = t;
    }
    pthread_mutex_unlock(&c->lock);
    return t;
}

static void describe_host(void *opaque, const char *authority, struct http_host *ret)
{
    struct registry_context *c = opaque;
    const struct trust *t = find_trust(c, authority);

    ret->insecure = insecure(c, authority);
    if (t) {
        ret->ca_pem = t->certificates.ca_pem;
        ret->client_certificate = t->certificates.client_certificate;
        ret->client_key = t->certificates.client_key;
    }
}

struct http *registry_http_new(struct registry_context *c, struct error *err)
{
    struct http_options o = {
        .user_agent = "isola/" ISOLA_VERSION,
        .connect_ms = c->limits.connect_seconds * 1000,
        .stall_ms = c->limits.stall_seconds * 1000,
        .cancel = c->settings.cancel,
        .host = describe_host,
        .opaque = c,
    };

    return http_new(&o, err);
}

/* --- a repository --- */

struct registry *registry_new(struct registry_context *c, const struct registry_endpoint *endpoint,
                              const struct image_reference *ref, const char *actions,
                              struct error *err)
{
    struct registry *r = mem_new(struct registry);

    if (!r) {
        error_set_errno(err, -ENOMEM, "start");
        return NULL;
    }
    pthread_mutex_init(&r->lock, NULL);
    r->context = c;
    r->endpoint = *endpoint;
    /* A mirror is a registry of its own; the origin is known by the name that the user gave. */
    r->name = str_format("%s", endpoint->mirror ? endpoint->authority : ref->registry);
    r->login_path = str_format("%s", endpoint->mirror ? endpoint->repository : ref->repository);
    r->actions = str_format("%s", actions);
    if (!insecure(c, endpoint->authority))
        r->base = str_format("https://%s", endpoint->authority);
    if (!r->name || !r->login_path || !r->actions ||
        (!r->base && !insecure(c, endpoint->authority))) {
        registry_free(r);
        error_set_errno(err, -ENOMEM, "start");
        return NULL;
    }
    return r;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    registry_forget_tokens(r);
    credentials_done(&r->credentials);
    pthread_mutex_destroy(&r->lock);
    free(r->name);
    free(r->login_path);
    free(r->actions);
    free(r->base);
    free(r);
}

const char *registry_authority(const struct registry *r)
{
    return r->endpoint.authority;
}

/* --- requests --- */

/* Finds out whether an insecure registry speaks TLS. With r->lock held. */
static int find_base(struct registry *r, struct http *http, struct error *err)
{
    static const char *const schemes[] = {"https", "http"};
    int e = 0;

    for (size_t i = 0; !r->base && i < array_size(schemes); i++) {
        char *base = str_format("%s://%s", schemes[i], r->endpoint.authority);
        char *url = base ? str_format("%s/v2/", base) : NULL;
        struct http_request rq = {.method = "GET", .url = url};
        struct http_stream *s;

        e = url ? http_open(http, &rq, &s, err) : error_set_errno(err, -ENOMEM, "start");
        if (e == 0) {
            http_close(s);
            r->base = base;
            base = NULL;
        }
        free(url);
        free(base);
        if (e < 0 && http_failure(http) != HTTP_FAILURE_NO_TLS &&
            http_failure(http) != HTTP_FAILURE_UNREACHABLE)
            break;
    }
    return r->base ? 0 : e;
}

bool registry_transient(const struct registry *r, const struct http *http)
{
    enum http_failure f = http_failure(http);

    return f == HTTP_FAILURE_TRANSIENT ||
           (f == HTTP_FAILURE_UNREACHABLE && atomic_load(&r->reached));
}

/* Seconds that Retry-After asks for (RFC 7231, section 7.1.3); 0: it says nothing usable. */
static unsigned retry_after_seconds(const char *text)
{
    struct tm tm = {0};
    uint64_t n;
    time_t now = time(NULL), then;

    if (!text)
        return 0;
    if (str_parse_u64(text, &n) == 0)
        return n > 1000000 ? 1000000 : (unsigned)n;
    if (!strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        return 0;
    then = timegm(&tm);
    return then > now ? (unsigned)min_of(then - now, (time_t)1000000) : 0;
}

bool registry_wait(struct registry *r, struct http *http, unsigned attempt, const char *retry_after,
                   const char *why, struct error *err)
{
    unsigned asked = retry_after_seconds(retry_after), ms, random = 0;

    if (attempt + 1 >= r->context->limits.attempts)
        return false;
    if (asked > RETRY_AFTER_MAX) {
        error_set(err, -EBUSY, "%s asks to come back in %u seconds", r->endpoint.authority, asked);
        return false;
    }
    /* Half a second, doubled each time, less a random part so that clients spread. */
    ms = attempt < 6 ? 500u << attempt : 30000;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random = (unsigned)registry_now_ms();
    ms = ms / 2 + random % (ms / 2 + 1);
    ms = max_of(ms, asked * 1000);
    registry_notice(r, "%s; trying again in %u.%u s (%u of %u)", why, ms / 1000, ms % 1000 / 100,
                    attempt + 2, r->context->limits.attempts);
    return http_sleep(http, ms, err) == 0;
}

static bool passing_status(int status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

/* One try: authorization, address, sending. */
static int send_once(struct registry *r, struct http *http, const struct registry_request *q,
                     char **ret_used, struct http_stream **ret, struct error *err)
{
    cleanup_free char *url = NULL;
    struct http_request rq = {
        .method = q->method,
        .headers = q->headers,
        .body = q->body,
        .range_from = q->range_from,
        .stall_ms = q->stall_ms,
    };
    int e;

    pthread_mutex_lock(&r->lock);
    e = find_base(r, http, err);
    if (e == 0)
        e = registry_authorization(r, http, q->extra_scope, ret_used, err);
    if (e == 0)
        url = str_format("%s%s", q->path[0] == '/' ? r->base : "", q->path);
    pthread_mutex_unlock(&r->lock);
    if (e < 0)
        return e;
    if (!url)
        return error_set_errno(err, -ENOMEM, "ask %s", r->endpoint.authority);
    rq.url = url;
    /* An address that the registry gave may be on another host, which gets no credentials. */
    rq.authorization = *ret_used;
    if (q->path[0] != '/') {
        cleanup_free char *authority = http_authority(url);
        size_t n = strlen(r->base);
        if (!authority || strncasecmp(url, r->base, n) != 0 || (url[n] && url[n] != '/'))
            rq.authorization = NULL;
    }
    return http_open(http, &rq, ret, err);
}

int registry_request(struct registry *r, struct http *http, const struct registry_request *q,
                     struct http_stream **ret, struct error *err)
{
    unsigned attempt = 0, refusals = 0;

    for (;;) {
        char *used = NULL;
        struct http_stream *s = NULL;
        int e = send_once(r, http, q, &used, &s, err), status;
        bool again = false;

        if (e < 0) {
            free(used);
            if (!q->once && registry_transient(r, http) &&
                registry_wait(r, http, attempt++, NULL, error_text(err), err))
                continue;
            return e;
        }
        atomic_store(&r->reached, true);
        status = http_status(s);
        if (status == 401) {
            pthread_mutex_lock(&r->lock);
            e = registry_challenged(r, s, used, err);
            pthread_mutex_unlock(&r->lock);
            again = e == 0 && refusals++ < 2;
            free(used);
            if (again) {
                http_close(s);
                continue;
            }
            if (e < 0 && e != -EACCES) {
                http_close(s);
                return e;
            }
            *ret = s; /* the caller says what was refused */
            return 0;
        }
        free(used);
        if (!q->once && passing_status(status)) {
            char why[IMAGE_REGISTRY_MAX + 48];
            snprintf(why, sizeof(why), "%s answers with status %d", r->endpoint.authority, status);
            if (registry_wait(r, http, attempt++, http_header(s, "Retry-After", 0), why, err)) {
                http_close(s);
                continue;
            }
        }
        *ret = s;
        return 0;
    }
}

int registry_refused(struct registry *r, struct http_stream *s, const char *what, struct error *err)
{
    struct str body = {0}, text = {0};
    const char *host = r->endpoint.authority, *said;
    unsigned wait = retry_after_seconds(http_header(s, "Retry-After", 0));
    bool known = atomic_load(&r->known);
    int status = http_status(s), e;

    if (http_read_all(s, ERROR_BODY_MAX, &body, NULL) == 0)
        auth_error_text(str_text(&body), body.len, &text);
    http_close(s);
    said = text.len ? str_text(&text) : "no reason given";
    if (status == 401)
        e = known ? error_set(err, -EACCES,
                              "%s: %s refuses %s of %s (%s); log in again: isola login %s", what,
                              host, r->credentials.user ? r->credentials.user : "the token",
                              r->credentials.source, said, r->name)
                  : error_set(err, -EACCES, "%s: %s wants a login (%s): isola login %s", what, host,
                              said, r->name);
    else if (status == 403)
        e = error_set(err, -EPERM, "%s: %s does not allow it (%s)%s%s", what, host, said,
                      known ? "" : "; log in: isola login ", known ? "" : r->name);
    else if (status == 404)
        e = error_set(err, -ENOENT, "%s: %s has no such thing (%s)", what, host, said);
    else if (status == 429)
        e = error_set(err, -EBUSY, "%s: %s limits its users (%s); try again %s%.0u%s", what, host,
                      said, wait ? "in " : "later", wait, wait ? " seconds" : "");
    else
        e = error_set(err, status >= 500 ? -EREMOTEIO : -EPROTO,
                      "%s: %s answers with status %d (%s)", what, host, status, said);
    str_done(&body);
    str_done(&text);
    return e;
}

int registry_ping(struct registry *r, struct http *http, struct error *err)
{
    struct registry_request q = {.method = "GET", .path = "/v2/"};
    struct http_stream *s;
    int e = registry_request(r, http, &q, &s, err);

    if (e < 0)
        return e;
    if (http_status(s) == 404) {
        http_close(s);
        return error_set(err, -EPROTO, "%s is not a registry: it has no /v2/",
                         r->endpoint.authority);
    }
    if (http_status(s) != 200)
        return registry_refused(r, s, "log in", err);
    http_close(s);
    return 0;
}

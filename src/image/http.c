/* SPDX-License-Identifier: Apache-2.0 */
#include "image/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "image/http_internal.h"

enum {
    BUFFER_SIZE = 1 << 20,    /* bytes kept for the reader before the sender is slowed down */
    RECEIVE_SIZE = 128 << 10, /* libcurl's own buffer, and so its largest piece */
    POLL_MS = 200,            /* how soon a cancellation is noticed */
    MOVEMENT_MIN = 1024,      /* bytes; fewer in a stall time count as standing still */
};

struct http {
    struct http_options options;
    CURLM *multi;
    enum http_failure failure;
};

struct http_stream {
    struct http *http;
    CURL *easy;
    struct curl_slist *sent_headers;
    char *url, *authority;
    struct http_headers headers;
    bool done, paused;
    CURLcode result;
    char detail[CURL_ERROR_SIZE];
    const char *limit; /* a limit of ours that ended the transfer; NULL */
    uint8_t *buffer;
    size_t begin, end; /* what the reader has not taken yet */
    struct http_body body;
    uint64_t body_at;
    unsigned stall_ms;
    uint64_t moved;     /* bytes in either direction since @waited_ms began */
    uint64_t waited_ms; /* waiting for the network */
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct http *http_new(const struct http_options *options, struct error *err)
{
    struct http *h = mem_new(struct http);

    if (h) {
        h->options = *options;
        h->multi = curl_multi_init();
    }
    if (!h || !h->multi) {
        free(h);
        error_set_errno(err, -ENOMEM, "start an HTTP client");
        return NULL;
    }
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    curl_multi_cleanup(h->multi);
    free(h);
}

enum http_failure http_failure(const struct http *h)
{
    return h->failure;
}

static bool cancelled(const struct http *h)
{
    return h->options.cancel && atomic_load_explicit(h->options.cancel, memory_order_relaxed);
}

static int fail_cancelled(struct http *h, struct error *err)
{
    h->failure = HTTP_FAILURE_FATAL;
    return error_set_errno(err, -ECANCELED, "wait for the network");
}

int http_sleep(struct http *h, unsigned ms, struct error *err)
{
    uint64_t end = now_ms() + ms;

    for (;;) {
        uint64_t now = now_ms(), left;
        if (cancelled(h))
            return fail_cancelled(h, err);
        if (now >= end)
            return 0;
        left = min_of(end - now, (uint64_t)POLL_MS);
        nanosleep(&(struct timespec){.tv_nsec = (long)(left * 1000000)}, NULL);
    }
}

bool http_is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           strcmp(host, "::1") == 0 ||
           (str_starts(host, "127.") && strspn(host, "0123456789.") == strlen(host));
}

void http_escape(struct str *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("-._~", c))
            str_add_char(out, (char)c);
        else
            str_addf(out, "%%%02X", c);
    }
}

/* --- addresses --- */

static void free_url(CURLU **u)
{
    curl_url_cleanup(*u);
}

static void free_curl(char **text)
{
    curl_free(*text);
}

char *http_authority(const char *url)
{
    cleanup(free_url) CURLU *u = curl_url();
    cleanup(free_curl) char *host = NULL;
    cleanup(free_curl) char *port = NULL;

    if (!u || curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) ||
        curl_url_get(u, CURLUPART_HOST, &host, 0))
        return NULL;
    if (curl_url_get(u, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT))
        port = NULL;
    return port ? str_format("%s:%s", host, port) : str_format("%s", host);
}

char *http_resolve(const char *base, const char *location, struct error *err)
{
    cleanup(free_url) CURLU *u = curl_url();
    cleanup(free_curl) char *url = NULL;
    cleanup(free_curl) char *scheme = NULL;
    char *copy;
    bool secure = strncasecmp(base, "https:", 6) == 0;

    if (!u || curl_url_set(u, CURLUPART_URL, base, 0)) {
        error_set(err, -EINVAL, "not an address");
        return NULL;
    }
    if (curl_url_set(u, CURLUPART_URL, location, CURLU_DISALLOW_USER) ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(u, CURLUPART_URL, &url, 0)) {
        error_set(err, -EPROTO, "it points to what is not an HTTP address");
        return NULL;
    }
    if (strcmp(scheme, "https") != 0 && (secure || strcmp(scheme, "http") != 0)) {
        error_set(err, -EPROTO, "it points from %s to %s", secure ? "https" : "http", scheme);
        return NULL;
    }
    copy = str_format("%s", url);
    if (!copy)
        error_set_errno(err, -ENOMEM, "resolve an address");
    return copy;
}

/* Scheme, host and port the same. */
static bool same_origin(const char *a, const char *b)
{
    char *x = http_authority(a), *y = http_authority(b);
    size_t n = strcspn(a, ":");
    bool same = x && y && strcasecmp(x, y) == 0 && strncasecmp(a, b, n + 1) == 0;

    free(x);
    free(y);
    return same;
}

/* --- libcurl's callbacks --- */

static size_t on_body(char *data, size_t one, size_t n, void *opaque)
{
    struct http_stream *s = opaque;

    (void)one;
    if (n > BUFFER_SIZE - s->end && s->begin) {
        memmove(s->buffer, s->buffer + s->begin, s->end - s->begin);
        s->end -= s->begin;
        s->begin = 0;
    }
    if (n > BUFFER_SIZE - s->end) {
        s->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    memcpy(s->buffer + s->end, data, n);
    s->end += n;
    s->moved += n;
    return n;
}

static size_t on_header(char *line, size_t one, size_t n, void *opaque)
{
    struct http_stream *s = opaque;

    (void)one;
    s->limit = http_headers_line(&s->headers, line, n);
    return s->limit ? 0 : n;
}

static size_t on_send(char *data, size_t one, size_t n, void *opaque)
{
    struct http_stream *s = opaque;
    struct http_body *b = &s->body;
    uint64_t left = b->size - s->body_at;
    ssize_t got;

    (void)one;
    n = left < n ? (size_t)left : n;
    if (!n)
        return 0;
    if (b->data) {
        memcpy(data, (const char *)b->data + s->body_at, n);
        got = (ssize_t)n;
    } else {
        got = pread(b->fd, data, n, (off_t)(b->offset + s->body_at));
        if (got <= 0) {
            s->limit = "what is to be sent cannot be read";
            return CURL_READFUNC_ABORT;
        }
    }
    s->body_at += (uint64_t)got;
    s->moved += (uint64_t)got;
    if (b->sent)
        b->sent(b->opaque, (uint64_t)got);
    return (size_t)got;
}

static int on_seek(void *opaque, curl_off_t offset, int origin)
{
    struct http_stream *s = opaque;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > s->body.size)
        return CURL_SEEKFUNC_FAIL;
    s->body_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* --- transfers --- */

void http_close(struct http_stream *s)
{
    if (!s)
        return;
    if (s->easy) {
        curl_multi_remove_handle(s->http->multi, s->easy);
        curl_easy_cleanup(s->easy);
    }
    curl_slist_free_all(s->sent_headers);
    http_headers_done(&s->headers);
    free(s->url);
    free(s->authority);
    free(s->buffer);
    free(s);
}

static bool add_header(struct http_stream *s, const char *line)
{
    struct curl_slist *list = curl_slist_append(s->sent_headers, line);

    if (list)
        s->sent_headers = list;
    return list;
}

static bool set_headers(struct http_stream *s, const struct http_request *rq, bool authorized)
{
    char line[64];
    bool ok = true;

    for (const char *const *h = rq->headers; h && *h; h++)
        ok &= add_header(s, *h);
    if (rq->authorization && authorized) {
        char *text = str_format("Authorization: %s", rq->authorization);
        ok &= text && add_header(s, text);
        free(text);
    }
    if (rq->range_from) {
        snprintf(line, sizeof(line), "Range: bytes=%llu-", (unsigned long long)rq->range_from);
        ok &= add_header(s, line);
    }
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->sent_headers);
    return ok;
}

static void set_method(struct http_stream *s, const struct http_request *rq)
{
    CURL *e = s->easy;

    if (rq->body && rq->body->size) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, rq->method);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->body->size);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(e, CURLOPT_READDATA, s);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, s);
        curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)RECEIVE_SIZE);
    } else if (strcmp(rq->method, "HEAD") == 0) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    } else if (strcmp(rq->method, "GET") != 0) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, rq->method);
    }
}

static void set_host(struct http_stream *s, const char *host_name)
{
    const struct http_options *o = &s->http->options;
    struct http_host host = {0};
    struct curl_blob blob = {.flags = CURL_BLOB_COPY};
    CURL *e = s->easy;
    const char *file = getenv("SSL_CERT_FILE"), *proxy = getenv("HTTP_PROXY");

    if (o->host)
        o->host(o->opaque, s->authority, &host);
    if (host.insecure) {
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (file && *file)
        curl_easy_setopt(e, CURLOPT_CAINFO, file);
    if (host.ca_pem) { /* the system's authorities are still found by their directory */
        blob.data = (void *)(uintptr_t)host.ca_pem;
        blob.len = strlen(host.ca_pem);
        curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (host.client_certificate && host.client_key) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, host.client_certificate);
        curl_easy_setopt(e, CURLOPT_SSLKEY, host.client_key);
    }
    /* libcurl reads http_proxy, https_proxy, all_proxy and no_proxy itself. It does not read
     * HTTP_PROXY, which a CGI program's client could set; this is no CGI program. */
    if (http_is_loopback(host_name))
        curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    else if (proxy && *proxy && !getenv("http_proxy") && !getenv("REQUEST_METHOD") &&
             strncasecmp(s->url, "http:", 5) == 0)
        curl_easy_setopt(e, CURLOPT_PROXY, proxy);
}

static void set_common(struct http_stream *s)
{
    const struct http_options *o = &s->http->options;
    CURL *e = s->easy;

    curl_easy_setopt(e, CURLOPT_URL, s->url);
    curl_easy_setopt(e, CURLOPT_PRIVATE, s);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, o->user_agent);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->detail);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, s);
}

static struct http_stream *begin(struct http *h, const struct http_request *rq, const char *url,
                                 struct error *err)
{
    struct http_stream *s = mem_new(struct http_stream);
    char *authority = http_authority(url), *host;
    size_t n;

    if (!authority) {
        free(s);
        error_set(err, -EINVAL, "not an HTTP address");
        return NULL;
    }
    n = authority[0] == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":");
    host = strndup(authority, n);
    if (s) {
        s->http = h;
        s->authority = authority;
        s->easy = curl_easy_init();
        s->url = str_format("%s", url);
        s->buffer = malloc(BUFFER_SIZE);
        s->stall_ms = rq->stall_ms ? rq->stall_ms : h->options.stall_ms;
        s->body = rq->body ? *rq->body : (struct http_body){0};
    }
    if (!s || !host || !s->easy || !s->url || !s->buffer) {
        free(s ? NULL : authority);
        http_close(s);
        free(host);
        error_set_errno(err, -ENOMEM, "start a transfer");
        return NULL;
    }
    set_common(s);
    set_host(s, host);
    set_method(s, rq);
    free(host);
    if (!set_headers(s, rq, same_origin(url, rq->url)) ||
        curl_multi_add_handle(h->multi, s->easy) != CURLM_OK) {
        http_close(s);
        error_set_errno(err, -ENOMEM, "start a transfer");
        return NULL;
    }
    return s;
}

/* Collects transfers that ended, this one or another of the client. */
static void collect(struct http *h)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left))) {
        char *private = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        ((struct http_stream *)private)->done = true;
        ((struct http_stream *)private)->result = m->data.result;
    }
}

static int stalled(struct http_stream *s, struct error *err)
{
    s->http->failure = HTTP_FAILURE_TRANSIENT;
    return error_set(err, -ETIMEDOUT, "%s sent next to nothing for %u seconds", s->authority,
                     (s->stall_ms + 999) / 1000);
}

/* Lets the transfer go on, waiting when there is nothing to do. */
static int step(struct http_stream *s, struct error *err)
{
    struct http *h = s->http;
    size_t had = s->end - s->begin;
    int running;
    uint64_t before;

    if (cancelled(h))
        return fail_cancelled(h, err);
    if (s->paused) {
        s->paused = false;
        curl_easy_pause(s->easy, CURLPAUSE_CONT);
    }
    curl_multi_perform(h->multi, &running);
    collect(h);
    if (s->done || s->end - s->begin != had)
        return 0;
    before = now_ms();
    curl_multi_poll(h->multi, NULL, 0, POLL_MS, NULL);
    s->waited_ms += now_ms() - before;
    if (s->moved >= MOVEMENT_MIN) {
        s->moved = 0;
        s->waited_ms = 0;
    } else if (s->waited_ms >= s->stall_ms) {
        return stalled(s, err);
    }
    return 0;
}

static int failed(struct http_stream *s, struct error *err)
{
    struct http *h = s->http;
    long os_error = 0;

    h->failure = HTTP_FAILURE_FATAL;
    if (s->limit)
        return error_set(err, -EPROTO, "the answer of %s is refused: %s", s->authority, s->limit);
    curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &os_error);
    if (!s->detail[0])
        snprintf(s->detail, sizeof(s->detail), "%s", curl_easy_strerror(s->result));
    for (char *p = s->detail; *p; p++) /* one line, whatever the peer had a say in */
        if ((unsigned char)*p < 32)
            *p = ' ';
    h->failure = http_classify(s->result, s->detail);
    return http_describe(s->result, s->authority, s->detail, os_error, err);
}

static int wait_for_answer(struct http_stream *s, struct error *err)
{
    int r;

    while (!s->headers.complete && !s->done)
        if ((r = step(s, err)) < 0)
            return r;
    if (s->done && s->result != CURLE_OK && (!s->headers.complete || s->limit))
        return failed(s, err);
    if (!s->headers.complete || s->headers.status < 200 || s->headers.status > 599) {
        s->http->failure = HTTP_FAILURE_FATAL;
        return error_set(err, -EPROTO, "%s gave no complete HTTP answer", s->authority);
    }
    return 0;
}

/* Whether the answer sends us elsewhere. What was POSTed is not turned into a GET. */
static bool redirects(const struct http_stream *s, const struct http_request *rq)
{
    bool reading = strcmp(rq->method, "GET") == 0 || strcmp(rq->method, "HEAD") == 0;

    return s->headers.status == 307 || s->headers.status == 308 ||
           (reading &&
            (s->headers.status == 301 || s->headers.status == 302 || s->headers.status == 303));
}

int http_open(struct http *h, const struct http_request *rq, struct http_stream **ret,
              struct error *err)
{
    char *url = str_format("%s", rq->url);
    int r = url ? 0 : error_set_errno(err, -ENOMEM, "start a transfer");

    h->failure = HTTP_FAILURE_FATAL;
    for (unsigned hops = 0; r == 0; hops++) {
        struct http_stream *s = begin(h, rq, url, err);
        const char *location;

        if (!s) {
            r = -ENOMEM;
            break;
        }
        r = wait_for_answer(s, err);
        if (r == 0 && redirects(s, rq)) {
            char *next = NULL;
            h->failure = HTTP_FAILURE_FATAL;
            location = http_header(s, "Location", 0);
            if (!location)
                r = error_set(err, -EPROTO, "%s redirects without saying where", s->authority);
            else if (hops == HTTP_REDIRECTS_MAX)
                r = error_set(err, -ELOOP, "%s redirects more than %d times", s->authority,
                              HTTP_REDIRECTS_MAX);
            else if (!(next = http_resolve(url, location, err)))
                r = error_wrap(err, -EPROTO, "follow a redirect of %s", s->authority);
            free(url);
            url = next;
            http_close(s);
            continue;
        }
        free(url);
        if (r < 0) {
            http_close(s);
            return r;
        }
        *ret = s;
        return 0;
    }
    free(url);
    return r;
}

int http_status(const struct http_stream *s)
{
    return s->headers.status;
}

const char *http_header(const struct http_stream *s, const char *name, unsigned index)
{
    return http_headers_get(&s->headers, name, index);
}

int64_t http_length(const struct http_stream *s)
{
    curl_off_t n = -1;

    curl_easy_getinfo(s->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &n);
    return n;
}

const char *http_url(const struct http_stream *s)
{
    return s->url;
}

ssize_t http_read(struct http_stream *s, void *buffer, size_t n, struct error *err)
{
    int r;

    while (s->begin == s->end && !s->done) {
        s->begin = s->end = 0;
        if ((r = step(s, err)) < 0)
            return r;
    }
    if (s->begin == s->end)
        return s->result == CURLE_OK ? 0 : failed(s, err);
    n = min_of(n, s->end - s->begin);
    memcpy(buffer, s->buffer + s->begin, n);
    s->begin += n;
    return (ssize_t)n;
}

int http_read_all(struct http_stream *s, size_t max, struct str *body, struct error *err)
{
    char piece[16384];

    for (;;) {
        ssize_t n = http_read(s, piece, sizeof(piece), err);
        if (n <= 0)
            return (int)n;
        if ((size_t)n > max - min_of(max, body->len)) {
            s->http->failure = HTTP_FAILURE_FATAL;
            return error_set(err, -EFBIG, "the answer of %s has more than %zu bytes", s->authority,
                             max);
        }
        str_add_n(body, piece, (size_t)n);
        if (body->failed)
            return error_set_errno(err, -ENOMEM, "read the answer of %s", s->authority);
    }
}

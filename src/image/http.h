/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP as registries need it, over libcurl's multi interface, used from one thread at a time.
 *
 * Every transfer is pulled by its reader: http_read waits for the network, so a slow reader slows
 * the sender down and nothing piles up. Redirects are followed here and not by libcurl, so that
 * credentials stay with the origin they are for. HTTP/1.1 on purpose: parallel transfers have a
 * thread and a connection each, and large bodies gain nothing from a shared one.
 *
 * The other side is hostile: headers, bodies, redirects and waiting have limits.
 */
#ifndef IMAGE_HTTP_H
#define IMAGE_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "image/http_headers.h"

enum { HTTP_REDIRECTS_MAX = 10 };

/* How to talk to one host. Texts are borrowed and outlive the client. */
struct http_host {
    bool insecure;      /* plain HTTP is allowed and certificates are not checked */
    const char *ca_pem; /* trusted beside the system's authorities; NULL: none */
    const char *client_certificate, *client_key; /* PEM files; NULL: none */
};

struct http_options {
    const char *user_agent;
    unsigned connect_ms;       /* until a connection is made */
    unsigned stall_ms;         /* waiting in which next to nothing arrives */
    const atomic_bool *cancel; /* stops all waiting once true; NULL: never */
    /* How to talk to @authority, "host" or "host:port". NULL: as any host of the web. */
    void (*host)(void *opaque, const char *authority, struct http_host *ret);
    void *opaque;
};

struct http;
struct http_stream;

/* A new client; @options is copied. curl_global_init was called. NULL with @err set. */
struct http *http_new(const struct http_options *options, struct error *err);
void http_free(struct http *http);

/* Bytes to send, from memory or from a file. */
struct http_body {
    const void *data; /* NULL: from fd */
    int fd;
    uint64_t offset, size;
    void (*sent)(void *opaque, uint64_t bytes); /* progress; counts again after a retry; NULL */
    void *opaque;
};

struct http_request {
    const char *method;         /* GET, HEAD, POST, PUT, PATCH or DELETE */
    const char *url;            /* http or https */
    const char *const *headers; /* "Name: value", NULL after the last; NULL: none */
    const char *authorization;  /* sent only to the origin of @url; NULL: none */
    const struct http_body *body;
    uint64_t range_from; /* first byte wanted; 0: no Range header */
    unsigned stall_ms;   /* instead of the client's; 0 */
};

/* Why the last http_open, http_read or http_fetch failed. */
enum http_failure {
    HTTP_FAILURE_FATAL,       /* trying again gives the same */
    HTTP_FAILURE_TRANSIENT,   /* trying again may help: time-outs, broken connections */
    HTTP_FAILURE_UNREACHABLE, /* no address or no connection */
    HTTP_FAILURE_NO_TLS,      /* what answers does not speak TLS */
};
enum http_failure http_failure(const struct http *http);

/*
 * Sends @request, follows redirects, and returns once the headers of the answer are there, with
 * whatever status. The stream is new; http_close it. Errors: transport, too many redirects, a
 * redirect that is not allowed, -ECANCELED.
 */
int http_open(struct http *http, const struct http_request *request, struct http_stream **ret,
              struct error *err) error_must_check;

/* Status of the answer, 100..599. */
int http_status(const struct http_stream *stream);
/* Value of the header called @name, of occurrence @index from 0; NULL. Borrowed. */
const char *http_header(const struct http_stream *stream, const char *name, unsigned index);
/* Content-Length, -1 when the answer has none. */
int64_t http_length(const struct http_stream *stream);
/* The address that answered, after redirects. Borrowed. */
const char *http_url(const struct http_stream *stream);

/*
 * Reads up to @n bytes of the body, waiting for at least one. 0 at the end, negative errno. An end
 * before Content-Length is a transient failure.
 */
ssize_t http_read(struct http_stream *stream, void *buffer, size_t n,
                  struct error *err) error_must_check;

/* Reads the rest of the body into @body, which may then hold at most @max bytes: -EFBIG. */
int http_read_all(struct http_stream *stream, size_t max, struct str *body,
                  struct error *err) error_must_check;

/* Ends a transfer, complete or not. NULL is fine. */
void http_close(struct http_stream *stream);

/*
 * The address that @location means as seen from @base. Only http and https without user and
 * password; https never leads to http. New; NULL with @err set.
 */
char *http_resolve(const char *base, const char *location, struct error *err);

/* "host" or "host:port" (when not the scheme's own) of @url. New; NULL when it is not one. */
char *http_authority(const char *url);

/* Appends @text with all but unreserved characters as %XX (RFC 3986, section 2.3). */
void http_escape(struct str *out, const char *text);

/* Sleeps @ms unless cancelled: -ECANCELED. */
int http_sleep(struct http *http, unsigned ms, struct error *err) error_must_check;

/* Whether @host, a name or address without port, is this computer: localhost, 127/8, ::1. */
bool http_is_loopback(const char *host);

#endif

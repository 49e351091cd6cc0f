/* SPDX-License-Identifier: Apache-2.0 */
#include "build/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "image/http.h"

enum { ATTEMPTS = 4, STEP = 256 << 10 };

bool download_is(const char *text)
{
    return str_starts(text, "http://") || str_starts(text, "https://");
}

char *download_name(const char *url, struct error *err)
{
    size_t n = strcspn(url, "?#");
    const char *path = strstr(url, "://") + 3, *end = url + n, *name = end;

    while (name > path && name[-1] != '/')
        name--;
    if (name == path || name == end || strncmp(name, "..", (size_t)(end - name)) == 0) {
        error_set(err, -EINVAL, "the address has no file name; write one as the destination");
        return NULL;
    }
    return strndup(name, (size_t)(end - name));
}

static int receive(struct http_stream *s, int fd, struct hash *hash, struct error *err)
{
    cleanup_free char *buf = malloc(STEP);
    ssize_t n;

    if (!buf)
        return error_set_errno(err, -ENOMEM, "download");
    while ((n = http_read(s, buf, STEP, err)) > 0) {
        hash_add(hash, buf, (size_t)n);
        for (ssize_t put = 0, w; put < n; put += w) {
            w = write(fd, buf + put, (size_t)(n - put));
            if (w < 0 && errno != EINTR)
                return error_set_errno(err, -errno, "keep what is downloaded");
            w = w < 0 ? 0 : w;
        }
    }
    return (int)n;
}

static int fetch(struct http *http, const char *url, int fd, struct digest *ret, struct error *err)
{
    struct http_request rq = {.method = "GET", .url = url};
    struct http_stream *s = NULL;
    struct hash *hash = hash_new();
    int r = hash && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0
                ? http_open(http, &rq, &s, err)
                : error_set_errno(err, -ENOMEM, "download");

    if (r == 0 && http_status(s) != 200)
        r = error_set(err, -EREMOTEIO, "the server answers with status %d", http_status(s));
    if (r == 0)
        r = receive(s, fd, hash, err);
    if (r == 0)
        hash_get(hash, ret);
    http_close(s);
    hash_free(hash);
    return r;
}

int download(const char *url, int fd, struct digest *ret, struct error *err)
{
    struct http_options options = {
        .user_agent = "isola/" ISOLA_VERSION, .connect_ms = 20000, .stall_ms = 60000};
    struct http *http;
    int r;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(http = http_new(&options, err)))
        return error_set(err, -ENOMEM, "libcurl cannot be used");
    for (unsigned attempt = 1;; attempt++) {
        r = fetch(http, url, fd, ret, err);
        if (r == 0 || attempt == ATTEMPTS || r == -EREMOTEIO ||
            http_failure(http) != HTTP_FAILURE_TRANSIENT ||
            http_sleep(http, 500u << attempt, err) < 0)
            break;
    }
    http_free(http);
    return r < 0 ? error_wrap(err, r, "%.200s", url) : 0;
}

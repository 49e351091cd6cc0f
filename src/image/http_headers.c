/* SPDX-License-Identifier: Apache-2.0 */
#include "image/http_headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

static void forget(struct http_headers *h)
{
    for (unsigned i = 0; i < h->count; i++)
        free(h->list[i].name);
    h->count = 0;
}

/* "HTTP/1.1 200 OK": a new answer begins, after 100 Continue for example. */
static bool status_line(struct http_headers *h, const char *line, size_t n)
{
    const char *p = memchr(line, ' ', n);

    if (n < 5 || memcmp(line, "HTTP/", 5) != 0)
        return false;
    forget(h);
    h->status = 0;
    for (size_t i = 1; p && i <= 3 && p + i < line + n && p[i] >= '0' && p[i] <= '9'; i++)
        h->status = h->status * 10 + (p[i] - '0');
    return true;
}

const char *http_headers_line(struct http_headers *h, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    size_t len = n, name;
    char *text;

    h->bytes += n;
    if (h->bytes > HTTP_HEADERS_MAX)
        return "its headers have more than 64 KiB";
    if (h->complete || status_line(h, line, n))
        return NULL;
    while (len && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
        len--;
    if (!len) {
        h->complete = h->status >= 200;
        return NULL;
    }
    if (!colon || memchr(line, 0, len))
        return NULL;
    if (h->count == HTTP_HEADER_COUNT_MAX)
        return "it has more than 200 headers";
    text = mem_alloc(1, len + 1);
    if (!text)
        return "memory ran out";
    memcpy(text, line, len);
    name = (size_t)(colon - line);
    text[name] = 0;
    h->list[h->count].name = text;
    text += min_of(name + 1, len);
    h->list[h->count++].value = text + strspn(text, " \t");
    return NULL;
}

const char *http_headers_get(const struct http_headers *h, const char *name, unsigned index)
{
    for (unsigned i = 0; i < h->count; i++)
        if (strcasecmp(h->list[i].name, name) == 0 && !index--)
            return h->list[i].value;
    return NULL;
}

void http_headers_done(struct http_headers *h)
{
    forget(h);
}

bool http_range_fits(const char *text, uint64_t from, uint64_t size)
{
    unsigned long long first, last, total = size;
    int n = 0;

    if (!text || strlen(text) > 80)
        return false;
    if (sscanf(text, "bytes %llu-%llu/%llu%n", &first, &last, &total, &n) < 3 &&
        (sscanf(text, "bytes %llu-%llu/*%n", &first, &last, &n) < 2 || !n))
        return false;
    return first == from && last >= first && last < size && total == size;
}

char *http_link_next(const char *text)
{
    const char *end;

    if (!text || *text != '<' || !(end = strchr(text, '>')) || !strstr(end, "next"))
        return NULL;
    return strndup(text + 1, (size_t)(end - text - 1));
}

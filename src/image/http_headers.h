/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of an answer as its sender wrote them, line by line, and what some of them say. */
#ifndef IMAGE_HTTP_HEADERS_H
#define IMAGE_HTTP_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_HEADERS_MAX = 64 * 1024, /* bytes of all headers of one answer */
    HTTP_HEADER_COUNT_MAX = 200,
};

/* Zero-initialise, release with http_headers_done. */
struct http_headers {
    struct http_header {
        char *name, *value; /* one allocation, name's */
    } list[HTTP_HEADER_COUNT_MAX];
    unsigned count;
    size_t bytes;  /* of everything before the body, 1xx answers included */
    int status;    /* of the last status line */
    bool complete; /* the final answer's headers are all there */
};

/*
 * Takes one line of @n bytes with its end of line. Returns NULL, or which limit it passes (a
 * constant text). Lines after the last header are trailers, which mean nothing to us.
 */
const char *http_headers_line(struct http_headers *h, const char *line, size_t n);
/* Value of the header called @name (in any case), of occurrence @index from 0; NULL. Borrowed. */
const char *http_headers_get(const struct http_headers *h, const char *name, unsigned index);
void http_headers_done(struct http_headers *h);

/* Whether Content-Range @text (may be NULL) is bytes @from to at most the end of @size bytes. */
bool http_range_fits(const char *text, uint64_t from, uint64_t size);

/* The address of the next page in Link @text (may be NULL; RFC 8288). New; NULL: none. */
char *http_link_next(const char *text);

#endif

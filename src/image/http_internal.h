/* SPDX-License-Identifier: Apache-2.0 */
/* What http.c and http_error.c share. */
#ifndef IMAGE_HTTP_INTERNAL_H
#define IMAGE_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "image/http.h"

/*
 * Says in @err why the transfer to @authority ended with @code: what failed, why, and what to do.
 * @detail is libcurl's own text, @os_error the system's errno or 0. Returns a negative errno.
 */
int http_describe(CURLcode code, const char *authority, const char *detail, long os_error,
                  struct error *err);

/* What kind of failure @code is. */
enum http_failure http_classify(CURLcode code, const char *detail);

#endif

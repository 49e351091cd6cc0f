/* SPDX-License-Identifier: Apache-2.0 */
/* ADD's addresses. */
#ifndef BUILD_DOWNLOAD_H
#define BUILD_DOWNLOAD_H

#include <stdint.h>

#include "base/error.h"
#include "image/writer.h"

/* Whether @text is an address that can be fetched: http or https. */
bool download_is(const char *text);
/* What the file is called: the last part of the path. New; NULL with @err set when there is none.
 */
char *download_name(const char *url, struct error *err);
/*
 * Fetches @url into @fd, an empty file. *ret: the digest of what came. Tries broken connections
 * again; follows redirects, https never to http.
 */
int download(const char *url, int fd, struct digest *ret, struct error *err) error_must_check;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a configuration in the words of a Containerfile, as import and commit take them. */
#ifndef IMAGE_CHANGE_H
#define IMAGE_CHANGE_H

#include <jansson.h>

#include "base/error.h"

/*
 * Applies "CMD ...", "ENTRYPOINT", "ENV", "EXPOSE", "LABEL", "ONBUILD", "STOPSIGNAL", "USER",
 * "VOLUME" or "WORKDIR" to @config, the member "config" of an image's configuration. -EINVAL.
 */
int image_change(json_t *config, const char *instruction, struct error *err) error_must_check;

/* Now, or SOURCE_DATE_EPOCH, as RFC 3339 in UTC. @buf has 32 bytes. */
enum { IMAGE_TIME_TEXT = 32 };
void image_time(char buf[IMAGE_TIME_TEXT]);
/* SOURCE_DATE_EPOCH; -1: not set. */
long long image_source_date(void);

#endif

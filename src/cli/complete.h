/* SPDX-License-Identifier: Apache-2.0 */
/* What a shell offers at the cursor. */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli/option.h"
#include "base/str.h"

/*
 * @words are those after "isola" up to the cursor; the last is being typed and may be empty.
 * Appends lines "candidate<tab>explanation" that begin with it, or ":files". @instances appends the
 * instances for one of COMPLETE_INSTANCE..COMPLETE_IMAGE whose name or id begins with @prefix.
 */
void complete_words(const char *const *words, size_t count, struct str *out,
                    void (*instances)(void *opaque, enum complete which, const char *prefix,
                                      struct str *out),
                    void *opaque);

#endif

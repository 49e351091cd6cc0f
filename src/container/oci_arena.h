/* SPDX-License-Identifier: Apache-2.0 */
/* What a parsed configuration lives in. Private to the parser of config.json. */
#ifndef CONTAINER_OCI_ARENA_H
#define CONTAINER_OCI_ARENA_H

#include "base/jtree.h"

struct chunk;

/* Chunks of memory, the JSON tree whose strings are borrowed, and the text as it was given. */
struct oci_arena {
    struct chunk *chunks;
    struct jtree doc;
    char *text;
};

/* Frees all of it; a zeroed arena is fine. */
void arena_done(struct oci_arena *arena);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a mount's "options" (runtime-spec, "Linux mount options") in a table. */
#ifndef CONTAINER_MOUNT_OPTIONS_H
#define CONTAINER_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "container/oci_config.h"

struct mount_options {
    uint64_t set, clear;         /* MOUNT_ATTR_x of this mount */
    uint64_t set_all, clear_all; /* the same, recursively ("rro") */
    unsigned long propagation;   /* MS_SHARED ... | MS_REC; 0: not given */
    bool bind, recursive, copy_up, idmap, idmap_recursive;
};

/*
 * Sorts @options: what the table knows goes to @ret; @data is called for each other one, with its
 * key and value (NULL: a flag of the file system), both borrowed or in @scratch for the call only.
 * 0, -EINVAL with the word, or what @data returned.
 */
int mount_options_parse(const struct oci_strings *options, struct mount_options *ret,
                        int (*data)(void *opaque, const char *key, size_t key_len,
                                    const char *value),
                        void *opaque, struct error *err);

/* All words of the table, one per call from @index 0; NULL at the end. For "features". */
const char *mount_options_word(size_t index);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: directories that outlive containers.
 *
 *   DATA/volumes/NAME/data       what is mounted
 *   DATA/volumes/NAME/meta.json
 * {"version":1,"created":ns,"labels":{},"anonymous":bool,"filled":bool}
 *
 * A volume appears by rename of a hidden directory and is changed under DATA/volumes/lock.
 * Functions return 0 or a negative errno with a one-line reason.
 */
#ifndef INSTANCE_CONTAINER_VOLUME_H
#define INSTANCE_CONTAINER_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "instance/spec.h"

struct volume {
    char name[SPEC_NAME_MAX + 1];
    char *path; /* of data */
    int64_t created;
    bool anonymous;
    bool filled; /* the first container that mounted it has copied what its image had there */
    struct spec_list labels; /* KEY=VALUE */
};

void volume_done(struct volume *v);
/* Makes the volume @name; one that is there already is as good (*ret_new, may be NULL, tells). */
int volume_create(const char *data_dir, const char *name, bool anonymous,
                  const struct spec_list *labels, bool *ret_new, struct error *err);
/* -ENOENT. Release with volume_done. */
int volume_find(const char *data_dir, const char *name, struct volume *ret, struct error *err);
/* Notes that it needs no copy of an image's files any more. */
int volume_set_filled(const char *data_dir, const char *name, struct error *err);
/* Sorted by name; *ret is new. */
int volume_list(const char *data_dir, struct volume **ret, size_t *ret_count, struct error *err);
void volume_list_free(struct volume *list, size_t count);
/* Removes it with all that is in it. The caller has made sure that no instance uses it. */
int volume_remove(const char *data_dir, const char *name, struct error *err);

#endif

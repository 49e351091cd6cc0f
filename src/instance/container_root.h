/* SPDX-License-Identifier: Apache-2.0 */
/* The root file system of a container from outside, whether it runs or not. */
#ifndef INSTANCE_CONTAINER_ROOT_H
#define INSTANCE_CONTAINER_ROOT_H

#include <stddef.h>

#include "base/error.h"
#include "instance/engine.h"

/*
 * A descriptor of the root directory: of a running container as it sees it, volumes included; of a
 * stopped one a mount that goes with the descriptor. To be used with root_path.h alone.
 */
int container_root_open(const struct engine_place *place, int *ret_fd, struct error *err);
/*
 * A mount of the @lower directories (topmost first) with the branch @upper and @work (NULL: read
 * only) that goes with its descriptor.
 */
int container_root_mount(const char *const *lower, size_t count, const char *upper,
                         const char *work, int *ret_fd, struct error *err);
/*
 * engine_ops.files: image and branch as one read-only mount that goes with the descriptor, whether
 * the container runs or not.
 */
int container_root_files(const struct engine_place *place, int *ret_fd, struct error *err);
/* engine_ops.diff */
int container_root_diff(const struct engine_place *place,
                        bool (*change)(void *opaque, char kind, const char *path), void *opaque,
                        struct error *err);

#endif
